//! `waxwing filter`: what the spam filter knows, and teaching it.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::json;
use waxwing_delivery::learn::learn_some;
use waxwing_message::Address;
use waxwing_store::{Account, Store};

use super::domain::done;
use super::{Context, print};
use crate::serve::road;

/// Lessons learned between two looks at how many are left.
const AT_ONCE: usize = 16;

/// Filter commands.
#[derive(Subcommand)]
pub enum Filter {
    /// Learn every message of a mailbox as spam or as wanted mail.
    Learn {
        /// Whose mailbox.
        address: Address,
        /// Which, such as Junk.
        mailbox: String,
        #[command(flatten)]
        verdict: Taught,
    },
    /// What was learned of an account, and from all.
    Show {
        /// Whose.
        address: Address,
    },
}

/// What the messages are.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Taught {
    /// Not wanted.
    #[arg(long)]
    spam: bool,
    /// Wanted.
    #[arg(long)]
    ham: bool,
}

impl Filter {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            Filter::Learn { address, mailbox, verdict } => {
                learn(context, &store, &address, &mailbox, verdict.spam).await
            }
            Filter::Show { address } => show(context, &store, &address).await,
        }
    }
}

async fn account(store: &Store, address: &Address) -> Result<Account> {
    match store.account_by_address(address).await? {
        Some(account) => Ok(account),
        None => bail!("there is no account {address}"),
    }
}

async fn learn(
    context: &Context,
    store: &Store,
    address: &Address,
    mailbox: &str,
    spam: bool,
) -> Result<()> {
    let account = account(store, address).await?;
    let Some(found) = store.mailbox_by_name(account.id, mailbox).await? else {
        bail!("{address} has no mailbox {mailbox}: `waxwing user show {address}` lists them");
    };
    let (entries, _) = store.entries(found.id).await?;
    let policy = road::policy(&context.config()?)?;
    let bar = match context.json {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(entries.len() as u64),
    };
    for entry in &entries {
        store.judge(entry.message, spam).await?;
        while learn_some(store, &policy, AT_ONCE).await? > 0 {}
        bar.inc(1);
    }
    bar.finish_and_clear();
    let what = if spam { "spam" } else { "wanted mail" };
    let count = print::count(entries.len() as u64, "message");
    done(context, &format!("Learned {count} of {mailbox} as {what}."));
    Ok(())
}

async fn show(context: &Context, store: &Store, address: &Address) -> Result<()> {
    let account = account(store, address).await?;
    let known = store.word_counts(account.id, Vec::new()).await?;
    let (own, shared) = (known.own_corpus, known.shared_corpus);
    let contacts = store.written_to(account.id, 1_000).await?.len();
    let waiting = store.lessons(1_000).await?.len();
    if context.json {
        print::json(&json!({
            "own": { "ham": own.ham, "spam": own.spam },
            "shared": { "ham": shared.ham, "spam": shared.spam },
            "written_to": contacts,
            "lessons_waiting": waiting,
        }));
        return Ok(());
    }
    println!("Learned from {address}: {} wanted, {} spam.", own.ham, own.spam);
    println!("Learned from everybody here: {} wanted, {} spam.", shared.ham, shared.spam);
    println!(
        "{address} has written to {}.",
        match contacts {
            1 => "1 address".to_owned(),
            n => format!("{n} addresses"),
        }
    );
    if waiting > 0 {
        println!("{} still to be learned from.", print::count(waiting as u64, "message"));
    }
    Ok(())
}
