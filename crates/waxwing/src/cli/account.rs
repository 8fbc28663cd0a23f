//! `waxwing user`: people's accounts.

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use waxwing_message::Address;
use waxwing_store::{Account, NewAccount, Store};

use super::domain::done;
use super::password::{Password, PasswordSource};
use super::{Context, access, print, totp};
use crate::config::Octets;

/// Account commands.
#[derive(Subcommand)]
pub enum User {
    /// Make an account. Without --password-stdin a password is made and printed.
    Add {
        /// Such as alice@example.org; the domain must be one of this server's.
        address: Address,
        /// The person's name.
        #[arg(long, default_value = "")]
        name: String,
        /// How much mail it may hold, such as "2 GB".
        #[arg(long)]
        quota: Option<Octets>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the accounts.
    List {
        /// Only of this domain.
        #[arg(long)]
        domain: Option<String>,
    },
    /// Show one account and its mailboxes.
    Show {
        /// Whose.
        address: Address,
    },
    /// Set a new password.
    Password {
        /// Whose.
        address: Address,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Set how much mail an account may hold.
    Quota {
        /// Whose.
        address: Address,
        /// Such as "2 GB", or `none`.
        size: String,
    },
    /// Refuse mail and logins, keeping everything.
    Disable {
        /// Whose.
        address: Address,
    },
    /// Undo `disable`.
    Enable {
        /// Whose.
        address: Address,
    },
    /// Passwords for one program each.
    #[command(subcommand)]
    AppPassword(access::AppPassword),
    /// A code beside the password, from an authenticator.
    #[command(subcommand)]
    Totp(totp::Totp),
    /// Show who logged in, and who tried.
    Logins {
        /// Whose.
        address: Address,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show what programs were given access by OAuth, or take it from one.
    Sessions {
        /// Whose.
        address: Address,
        /// Take it from this one: the number in the list.
        #[arg(long, value_name = "NUMBER")]
        revoke: Option<i64>,
    },
    /// Delete an account and all its mail.
    Remove {
        /// Whose.
        address: Address,
        /// Yes, delete the mail too.
        #[arg(long)]
        with_all_mail: bool,
    },
}

impl User {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            User::Add { address, name, quota, password } => {
                let password = password.take()?;
                let new = NewAccount {
                    address: &address,
                    display_name: &name,
                    password: &password.text,
                    quota_octets: quota.map(|q| q.0),
                };
                store.create_account(new).await?;
                tell_password(context, "made", &address, &password);
            }
            User::Password { address, password } => {
                let password = password.take()?;
                store.set_password(&address, &password.text).await?;
                tell_password(context, "changed", &address, &password);
            }
            User::List { domain } => list(&store, context, domain.as_deref()).await?,
            User::Show { address } => show(&store, context, &address).await?,
            User::Quota { address, size } => {
                let octets = if size == "none" {
                    None
                } else {
                    Some(size.parse::<Octets>().map_err(anyhow::Error::msg)?.0)
                };
                store.set_quota(&address, octets).await?;
                done(context, &format!("{address} may hold {}.", quota_words(octets)));
            }
            User::Disable { address } => {
                store.set_disabled(&address, true).await?;
                done(
                    context,
                    &format!(
                        "{address} is disabled: mail is refused, nobody can log in, nothing is deleted."
                    ),
                );
            }
            User::Enable { address } => {
                store.set_disabled(&address, false).await?;
                done(context, &format!("{address} is enabled."));
            }
            User::AppPassword(command) => command.run(&store, context).await?,
            User::Totp(command) => command.run(&store, context).await?,
            User::Logins { address, limit } => {
                access::logins(&store, context, &address, limit).await?;
            }
            User::Sessions { address, revoke } => {
                access::sessions(&store, context, &address, revoke).await?;
            }
            User::Remove { address, with_all_mail } => {
                let Some(account) = store.account_by_address(&address).await? else {
                    bail!("there is no account {address}");
                };
                if account.message_count > 0 && !with_all_mail {
                    bail!(
                        "{address} holds {}: say --with-all-mail to delete them, or use `waxwing user disable`",
                        print::count(account.message_count, "message")
                    );
                }
                store.remove_account(&address).await?;
                done(context, &format!("{address} and its mail are gone."));
            }
        }
        Ok(())
    }
}

fn tell_password(context: &Context, what: &str, address: &Address, password: &Password) {
    if context.json {
        let shown = password.generated.then_some(&password.text);
        print::json(&json!({ "account": address, "password": shown }));
    } else if password.generated {
        println!("{address} was {what}. The password, shown this once: {}", password.text);
    } else {
        println!("{address} was {what}.");
    }
}

fn quota_words(octets: Option<u64>) -> String {
    octets.map_or_else(|| "any amount".to_owned(), |n| Octets(n).to_string())
}

fn as_json(account: &Account) -> Value {
    json!({
        "address": account.address,
        "name": account.display_name,
        "messages": account.message_count,
        "used_octets": account.used_octets,
        "quota_octets": account.quota_octets,
        "disabled": account.disabled,
        "created_at": account.created_at,
    })
}

async fn list(store: &Store, context: &Context, domain: Option<&str>) -> Result<()> {
    let accounts = store.accounts(domain).await?;
    if context.json {
        print::json(&json!(accounts.iter().map(as_json).collect::<Vec<_>>()));
        return Ok(());
    }
    if accounts.is_empty() {
        println!("No accounts. Make one with: waxwing user add alice@example.org");
        return Ok(());
    }
    let rows = accounts
        .iter()
        .map(|a| {
            vec![
                a.address.to_string(),
                a.display_name.clone(),
                a.message_count.to_string(),
                Octets(a.used_octets).to_string(),
                a.quota_octets.map_or_else(|| "–".into(), |q| Octets(q).to_string()),
                if a.disabled { "disabled".into() } else { String::new() },
            ]
        })
        .collect();
    print::table(&["address", "name", "messages", "used", "quota", ""], &[2, 3, 4], rows);
    Ok(())
}

async fn show(store: &Store, context: &Context, address: &Address) -> Result<()> {
    let Some(account) = store.account_by_address(address).await? else {
        bail!("there is no account {address}");
    };
    let mailboxes = store.mailboxes(account.id).await?;
    let totp = store.totp(account.id).await?;
    if context.json {
        let mut value = as_json(&account);
        value["totp"] = totp.map_or(
            Value::Null,
            |totp| json!({ "since": totp.since, "recovery_codes": totp.recovery_codes }),
        );
        value["mailboxes"] = mailboxes
            .iter()
            .map(|m| json!({ "name": m.name, "messages": m.total, "unseen": m.unseen, "octets": m.octets }))
            .collect();
        print::json(&value);
        return Ok(());
    }
    println!("{}  {}", account.address, account.display_name);
    println!("holds {} of {}", Octets(account.used_octets), quota_words(account.quota_octets));
    if let Some(totp) = totp {
        let left = print::count(totp.recovery_codes, "recovery code");
        println!("logs in with a code since {}; {left} left", totp.since);
    }
    println!();
    let rows = mailboxes
        .iter()
        .map(|m| {
            vec![
                m.name.clone(),
                m.total.to_string(),
                m.unseen.to_string(),
                Octets(m.octets).to_string(),
            ]
        })
        .collect();
    print::table(&["mailbox", "messages", "unseen", "size"], &[1, 2, 3], rows);
    Ok(())
}
