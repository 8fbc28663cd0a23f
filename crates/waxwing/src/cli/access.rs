//! `waxwing user app-password`, `logins`, `sessions`: what opens an account beside its password, and
//! who came through which door.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde_json::json;
use waxwing_message::Address;
use waxwing_store::{Account, ConsentId, LoginNote, Outcome, Scope, Store};

use super::domain::done;
use super::{Context, print};

/// App password commands.
#[derive(Subcommand)]
pub enum AppPassword {
    /// Make one, and print it this once.
    Add {
        /// Whose.
        address: Address,
        /// Such as "phone": told apart by it.
        name: String,
        /// What it opens: imap, pop3, smtp, sieve, or mail for the first three. May be repeated.
        #[arg(long, default_value = "mail", value_parser = scope)]
        scope: Vec<Scope>,
    },
    /// List them.
    List {
        /// Whose.
        address: Address,
    },
    /// Make one useless, and end the sessions that it opened.
    Revoke {
        /// Whose.
        address: Address,
        /// As it was called.
        name: String,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "one of mail, imap, pop3, smtp, sieve".to_owned())
}

impl AppPassword {
    pub async fn run(self, store: &Store, context: &Context) -> Result<()> {
        match self {
            AppPassword::Add { address, name, scope } => {
                let scopes = scope.into_iter().fold(Scope::NONE, Scope::and);
                let made = store.add_app_password(&address, &name, scopes).await?;
                if context.json {
                    print::json(&json!({
                        "account": address,
                        "name": name,
                        "scopes": scopes.names(),
                        "password": *made.secret,
                    }));
                } else {
                    println!(
                        "App password {name:?} for {address} ({}), shown this once: {}",
                        scopes.names().join(", "),
                        *made.secret
                    );
                }
            }
            AppPassword::List { address } => list(store, context, &address).await?,
            AppPassword::Revoke { address, name } => {
                store.revoke_app_password(&address, &name).await?;
                let text = format!("App password {name:?} of {address} opens nothing any more.");
                done(context, &text);
            }
        }
        Ok(())
    }
}

pub async fn account(store: &Store, address: &Address) -> Result<Account> {
    let found = store.account_by_address(address).await?;
    found.with_context(|| format!("there is no account {address}"))
}

async fn list(store: &Store, context: &Context, address: &Address) -> Result<()> {
    let all = store.app_passwords(account(store, address).await?.id).await?;
    if context.json {
        let each = all.iter().map(|app| {
            json!({
                "name": app.name,
                "scopes": app.scopes.names(),
                "created_at": app.created_at,
                "last_used_at": app.last_used_at,
            })
        });
        print::json(&each.collect());
        return Ok(());
    }
    if all.is_empty() {
        println!("No app passwords. Make one with: waxwing user app-password add {address} phone");
        return Ok(());
    }
    let rows = all.into_iter().map(|app| {
        let used = app.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        vec![app.name, app.scopes.names().join(", "), app.created_at.to_string(), used]
    });
    print::table(&["name", "opens", "made", "last used"], &[], rows.collect());
    Ok(())
}

/// `waxwing user logins`.
pub async fn logins(store: &Store, context: &Context, address: &Address, limit: u32) -> Result<()> {
    let notes = store.logins(account(store, address).await?.id, limit).await?;
    if context.json {
        let each = notes.iter().map(|note| {
            json!({
                "outcome": note.outcome.name(),
                "count": note.count,
                "last_at": note.last_at,
                "protocol": note.protocol.name(),
                "address": note.address,
                "tls": note.tls,
                "mechanism": note.mechanism,
                "client": note.client,
            })
        });
        print::json(&each.collect());
        return Ok(());
    }
    if notes.is_empty() {
        println!("Nobody has logged in as {address}, and nobody has tried.");
        return Ok(());
    }
    let columns = ["last", "", "times", "protocol", "from", "how", "with"];
    print::table(&columns, &[2], notes.iter().map(row).collect());
    Ok(())
}

fn row(note: &LoginNote) -> Vec<String> {
    let outcome = match note.outcome {
        Outcome::Admitted => "let in",
        Outcome::Wrong => "WRONG",
        Outcome::Disabled => "disabled",
        Outcome::NotHere => "not for this",
        Outcome::PasswordAlone => "needs an app password",
        Outcome::CodeAsked => "right password, code asked for",
        Outcome::WrongCode => "WRONG CODE, right password",
    };
    let tls = if note.tls { "" } else { ", no TLS" };
    vec![
        note.last_at.to_string(),
        outcome.to_owned(),
        note.count.to_string(),
        note.protocol.name().to_owned(),
        note.address.map_or_else(|| "–".to_owned(), |address| address.to_string()),
        format!("{}{tls}", note.mechanism),
        note.client.clone().unwrap_or_default(),
    ]
}

/// `waxwing user sessions`.
pub async fn sessions(
    store: &Store,
    context: &Context,
    address: &Address,
    revoke: Option<i64>,
) -> Result<()> {
    let account = account(store, address).await?;
    if let Some(number) = revoke {
        if !store.revoke_consent(account.id, ConsentId(number)).await? {
            bail!("{address} has given no program number {number} access: see the list");
        }
        done(context, &format!("Program {number} has no access to {address} any more."));
        return Ok(());
    }
    let consents = store.consents(account.id).await?;
    if context.json {
        let each = consents.iter().map(|consent| {
            json!({
                "number": consent.id.0,
                "client": consent.client_name,
                "scopes": consent.scopes.names(),
                "created_at": consent.created_at,
                "last_used_at": consent.last_used_at,
            })
        });
        print::json(&each.collect());
        return Ok(());
    }
    if consents.is_empty() {
        println!("{address} has given no program access.");
        return Ok(());
    }
    let rows = consents.into_iter().map(|consent| {
        vec![
            consent.id.0.to_string(),
            consent.client_name,
            consent.scopes.names().join(", "),
            consent.created_at.to_string(),
            consent.last_used_at.to_string(),
        ]
    });
    print::table(&["number", "program", "opens", "since", "last used"], &[0], rows.collect());
    Ok(())
}
