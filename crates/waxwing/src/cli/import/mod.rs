//! `waxwing import`: mail from elsewhere into an account.
//!
//! ```text
//! source (mbox files, Maildir, another IMAP server) ──messages──▶ intake ──batches──▶ store
//! ```
//!
//! A source reads and says where each message belongs; [`intake`] finds out which are here already and
//! hands the others to the store, some at a time. Between them is a short queue: memory stays flat,
//! whatever the source holds. What is done is remembered in the transaction that does it, so an import
//! may be killed at any moment and run again, and goes on.

mod files;
mod imap;
mod intake;
mod maildir;
mod places;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use waxwing_message::Address;

use super::progress::{Meter, Progress};
use super::{Context, print};
use crate::config::Octets;
use intake::{Intake, Outcome, Outlet};
use places::Places;

/// Brings mail from elsewhere into an account, each message once.
#[derive(Args)]
pub struct Import {
    /// Into whose account.
    address: Address,
    /// Put everything below this mailbox, under the names it has there.
    #[arg(long, value_name = "MAILBOX", global = true)]
    into: Option<String>,
    /// Say what would be imported, and do nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// From mbox files (mboxrd, mboxo, mboxcl2), such as Thunderbird's folders or a Google export.
    Mbox {
        /// Files, or folders with files. A file is a mailbox called like it, unless it has Gmail's
        /// labels, which say more.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Put the messages of all files into this mailbox.
        #[arg(long, value_name = "NAME")]
        mailbox: Option<String>,
    },
    /// From a Maildir with its folders: Maildir++ (Dovecot, Courier) or one within another (mbsync).
    Maildir {
        /// The folder that has cur and new in it, or has such folders below it.
        path: PathBuf,
    },
    /// From another IMAP server. The password is asked for, or read from --password-file or the
    /// environment (WAXWING_IMPORT_PASSWORD).
    Imap(imap::From),
}

impl Import {
    pub async fn run(self, context: &Context) -> Result<ExitCode> {
        let store = context.store().await?;
        let Some(account) = store.account_by_address(&self.address).await? else {
            bail!(
                "there is no account {}: `waxwing user add {}` makes one",
                self.address,
                self.address
            );
        };
        let places = Places::open(&store, account.id, self.into, self.dry_run).await?;
        let meter = Arc::new(Meter::default());
        let (outlet, arriving) = Outlet::new(store.clone(), account.id, meter.clone());
        let source = match self.from {
            From::Mbox { paths, mailbox } => {
                let files = files::find(&paths)?;
                tokio::task::spawn_blocking(move || {
                    files::read(&files, mailbox.as_deref(), &outlet)
                })
            }
            From::Maildir { path } => {
                let folders = maildir::find(&path)?;
                tokio::task::spawn_blocking(move || maildir::read(&folders, &outlet))
            }
            From::Imap(from) => {
                let server = from.open().await?;
                tokio::spawn(async move { server.read(outlet).await })
            }
        };
        let progress = Progress::new(meter, "imported", context.json);
        let intake = Intake::new(store.clone(), account.id, places, self.dry_run, progress);
        let (mut outcome, took) = intake.take(arriving).await?;
        let ended = match outcome.over_quota {
            // The source has nobody to hand anything to, and ends.
            true => Ok(()),
            false => source.await.unwrap_or_else(|error| Err(anyhow::anyhow!("{error}"))),
        };
        store.close().await;
        outcome.ended = ended.err().map(|error| format!("{error:#}"));
        show(context, &self.address, &outcome, took, self.dry_run);
        Ok(if outcome.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn show(
    context: &Context,
    address: &Address,
    outcome: &Outcome,
    took: std::time::Duration,
    dry_run: bool,
) {
    if context.json {
        print::json(&json!({
            "account": address,
            "dry_run": dry_run,
            "imported": outcome.added,
            "octets": outcome.octets,
            "already_here": outcome.known,
            "left_out": outcome.left_out,
            "failed": outcome.failed_count,
            "failures": print::failures_json(&outcome.failed),
            "mailboxes": outcome.mailboxes,
            "over_quota": outcome.over_quota,
            "ended_early": outcome.ended,
            "notes": outcome.notes,
            "seconds": took.as_secs_f64(),
        }));
        return;
    }
    let verb = if dry_run { "Would import" } else { "Imported" };
    println!(
        "{verb} {} ({}) into {address} in {:.1} s.",
        print::count(outcome.added, "message"),
        Octets(outcome.octets),
        took.as_secs_f64(),
    );
    for (mailbox, count) in &outcome.mailboxes {
        println!("  {}: {count}", print::clean(mailbox));
    }
    if outcome.known > 0 {
        println!("{} were here already.", print::count(outcome.known, "message"));
    }
    if outcome.left_out > 0 {
        println!(
            "{} were deleted by their owner, and left out.",
            print::count(outcome.left_out, "message")
        );
    }
    for note in &outcome.notes {
        println!("{}", print::marked('·', note));
    }
    if outcome.failed_count > 0 {
        println!("{} could not be imported:", print::count(outcome.failed_count, "message"));
        print::failures(&outcome.failed);
        let more = outcome.failed_count - outcome.failed.len() as u64;
        if more > 0 {
            println!("  and {more} more.");
        }
    }
    if outcome.over_quota {
        println!(
            "{}",
            print::marked(
                '✗',
                &format!(
                    "{address} may not hold more: its quota is reached, and the rest was not imported. Raise it (`waxwing user quota {address} SIZE`) and run the same command again: it goes on from here."
                )
            )
        );
    }
    if let Some(why) = &outcome.ended {
        println!(
            "{}",
            print::marked(
                '✗',
                &format!(
                    "It ended early: {why}. Run the same command again: it goes on from here."
                )
            )
        );
    }
}
