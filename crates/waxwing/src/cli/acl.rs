//! `waxwing acl`: who may do what in whose mailbox.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use waxwing_message::Address;
use waxwing_store::{Account, Grant, GrantChange, Grantee, Mailbox, Rights, Store};

use super::domain::done;
use super::{Context, print};

/// Sharing commands.
#[derive(Subcommand)]
pub enum Acl {
    /// List who may do what in an account's mailboxes, the owner aside.
    List {
        /// Whose mailboxes.
        owner: Address,
        /// Only this one.
        mailbox: Option<String>,
    },
    /// Say what somebody may do in a mailbox. What was said before is forgotten.
    ///
    /// Rights are letters: l it is there, r read, s mark as seen, w other flags, i add messages, p post,
    /// k make mailboxes below, x delete it, t mark as deleted, e expunge, a give rights.
    Set {
        /// Whose mailbox.
        owner: Address,
        /// Which.
        mailbox: String,
        /// An account's address, or anyone.
        who: String,
        /// Such as lrs.
        rights: Rights,
        /// These rights are denied, whoever else gives them.
        #[arg(long)]
        deny: bool,
    },
    /// Take back what was given to somebody, or denied.
    Remove {
        /// Whose mailbox.
        owner: Address,
        /// Which.
        mailbox: String,
        /// An account's address, or anyone.
        who: String,
        /// What was denied, not what was given.
        #[arg(long)]
        deny: bool,
    },
}

impl Acl {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            Acl::List { owner, mailbox } => {
                let account = account(&store, &owner).await?;
                let mailboxes = match mailbox {
                    Some(name) => vec![open(&store, &account, &name).await?],
                    None => store.mailboxes(account.id).await?,
                };
                list(&store, context, &owner, &mailboxes).await
            }
            Acl::Set { owner, mailbox, who, rights, deny } => {
                let account = account(&store, &owner).await?;
                let mailbox = open(&store, &account, &mailbox).await?;
                let grantee = grantee(&store, &who).await?;
                store.change_grant(mailbox.id, grantee, deny, GrantChange::Set(rights)).await?;
                let may = if deny { "may not" } else { "may" };
                let text = format!("{who} {may} {rights} in {} of {owner}.", mailbox.name);
                done(context, &text);
                Ok(())
            }
            Acl::Remove { owner, mailbox, who, deny } => {
                let account = account(&store, &owner).await?;
                let mailbox = open(&store, &account, &mailbox).await?;
                let grantee = grantee(&store, &who).await?;
                store.change_grant(mailbox.id, grantee, deny, GrantChange::Forget).await?;
                let what = if deny { "denied to" } else { "given to" };
                let text = format!("Nothing is {what} {who} in {} of {owner}.", mailbox.name);
                done(context, &text);
                Ok(())
            }
        }
    }
}

async fn account(store: &Store, address: &Address) -> Result<Account> {
    let found = store.account_by_address(address).await?;
    found.with_context(|| format!("there is no account {address}"))
}

async fn open(store: &Store, account: &Account, name: &str) -> Result<Mailbox> {
    let address = &account.address;
    match store.mailbox_by_name(account.id, name).await? {
        Some(mailbox) => Ok(mailbox),
        None => bail!("{address} has no mailbox {name}: `waxwing user show {address}` lists them"),
    }
}

async fn grantee(store: &Store, who: &str) -> Result<Grantee> {
    if who == "anyone" {
        return Ok(Grantee::Anyone);
    }
    let address = Address::parse(who)
        .with_context(|| format!("{who:?} is neither an account's address nor anyone"))?;
    Ok(Grantee::Account(account(store, &address).await?.id))
}

async fn list(
    store: &Store,
    context: &Context,
    owner: &Address,
    mailboxes: &[Mailbox],
) -> Result<()> {
    let mut shared: Vec<(&str, Grant)> = Vec::new();
    for mailbox in mailboxes {
        let grants = store.grants(mailbox.id).await?;
        shared.extend(grants.into_iter().map(|grant| (mailbox.name.as_str(), grant)));
    }
    if context.json {
        let list: Vec<Value> = shared.iter().map(|(name, grant)| as_json(name, grant)).collect();
        print::json(&json!(list));
    } else if shared.is_empty() {
        println!(
            "{owner} shares nothing. Share with: waxwing acl set {owner} INBOX you@example.org lrs"
        );
    } else {
        let row = |(name, grant): &(&str, Grant)| {
            let sign = if grant.negative { "-" } else { "" };
            vec![(*name).to_owned(), format!("{sign}{}", who(grant)), grant.rights.to_string()]
        };
        let rows = shared.iter().map(row).collect();
        print::table(&["mailbox", "who", "rights"], &[], rows);
    }
    Ok(())
}

fn who(grant: &Grant) -> String {
    grant.address.as_ref().map_or_else(|| "anyone".to_owned(), ToString::to_string)
}

fn as_json(mailbox: &str, grant: &Grant) -> Value {
    json!({
        "mailbox": mailbox,
        "who": who(grant),
        "denied": grant.negative,
        "rights": grant.rights.to_string(),
    })
}
