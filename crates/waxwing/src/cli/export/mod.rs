//! `waxwing export`: an account's mail into files that other programs read.
//!
//! Mailboxes are read piece by piece, messages too: memory stays flat. Files appear whole or not at all. A
//! message that cannot be read is named, and does not stop the others.

mod maildir;
mod mbox;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use waxwing_message::Address;
use waxwing_store::{Entry, Mailbox, Store, Uid};

use super::progress::{Meter, Progress};
use super::{Context, print};
use crate::config::Octets;

/// Entries that are asked for at once.
const SLICE: usize = 500;
/// How much of a message is held at once.
const PIECE_OCTETS: u64 = 256 * 1024;
/// Failures that are told by name.
const FAILURES_TOLD: usize = 1_000;

/// Writes an account's mail into files.
#[derive(Args)]
pub struct Export {
    /// Whose.
    address: Address,
    /// Only this mailbox; may be given several times.
    #[arg(long, value_name = "NAME", global = true)]
    mailbox: Vec<String>,
    #[command(subcommand)]
    to: To,
}

#[derive(Subcommand)]
enum To {
    /// One mbox file (mboxrd) for each mailbox: INBOX.mbox, Work/2024.mbox.
    Mbox {
        /// The folder they come into.
        folder: PathBuf,
        /// Replace files that are there.
        #[arg(long)]
        replace: bool,
    },
    /// A Maildir with its folders (Maildir++). Into one that an export has made before, only what is new
    /// is written, and flags are brought up to date.
    Maildir {
        /// The folder that becomes the Maildir.
        folder: PathBuf,
    },
}

/// What an export came to.
#[derive(Debug, Default)]
struct Outcome {
    messages: u64,
    octets: u64,
    there: u64,
    mailboxes: BTreeMap<String, u64>,
    failed: Vec<(String, String)>,
    failed_count: u64,
    notes: Vec<String>,
}

/// Where messages are written.
enum Sink {
    Mbox(mbox::Folder),
    Maildir(maildir::Maildir),
}

impl Sink {
    fn begin(&mut self, mailbox: &Mailbox) -> Result<()> {
        match self {
            Sink::Mbox(folder) => folder.begin(mailbox),
            Sink::Maildir(maildir) => maildir.begin(mailbox),
        }
    }

    /// True: it was there already.
    fn begin_message(&mut self, mailbox: &Mailbox, entry: &Entry) -> Result<bool> {
        match self {
            Sink::Mbox(folder) => folder.begin_message(entry).map(|()| false),
            Sink::Maildir(maildir) => maildir.begin_message(mailbox, entry),
        }
    }

    fn write(&mut self, octets: &[u8]) -> Result<()> {
        match self {
            Sink::Mbox(folder) => folder.write(octets),
            Sink::Maildir(maildir) => maildir.write(octets),
        }
    }

    /// `whole`: false takes back what was written of the message.
    fn end_message(&mut self, whole: bool) -> Result<()> {
        match self {
            Sink::Mbox(folder) => folder.end_message(whole),
            Sink::Maildir(maildir) => maildir.end_message(whole),
        }
    }

    fn end(&mut self, notes: &mut Vec<String>) -> Result<()> {
        match self {
            Sink::Mbox(folder) => folder.end(),
            Sink::Maildir(maildir) => maildir.end(notes),
        }
    }
}

impl Export {
    pub async fn run(self, context: &Context) -> Result<ExitCode> {
        let store = context.store().await?;
        let mailboxes = self.wanted(&store).await?;
        let mut sink = match self.to {
            To::Mbox { folder, replace } => Sink::Mbox(mbox::Folder::new(folder, replace)),
            To::Maildir { folder } => Sink::Maildir(maildir::Maildir::new(folder)),
        };
        let meter = Arc::new(Meter::default());
        meter.expect(mailboxes.iter().map(|mailbox| u64::from(mailbox.total)).sum());
        let mut progress = Progress::new(meter.clone(), "exported", context.json);
        let mut outcome = Outcome::default();
        for mailbox in &mailboxes {
            sink.begin(mailbox)?;
            write_all(&store, mailbox, &mut sink, &mut outcome, &meter, &mut progress).await?;
            sink.end(&mut outcome.notes).with_context(|| format!("writing {}", mailbox.name))?;
        }
        let took = progress.finish();
        store.close().await;
        show(context, &self.address, &outcome, took);
        Ok(if outcome.failed_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn wanted(&self, store: &Store) -> Result<Vec<Mailbox>> {
        let Some(account) = store.account_by_address(&self.address).await? else {
            bail!("there is no account {}: `waxwing user list` shows those that are", self.address);
        };
        let all = store.mailboxes(account.id).await?;
        if self.mailbox.is_empty() {
            return Ok(all);
        }
        let mut wanted: Vec<Mailbox> = Vec::new();
        for name in &self.mailbox {
            let Some(found) = store.mailbox_by_name(account.id, name).await? else {
                let names: Vec<&str> = all.iter().map(|mailbox| mailbox.name.as_str()).collect();
                bail!("{} has no mailbox {name}; it has: {}", self.address, names.join(", "));
            };
            if wanted.iter().all(|other| other.id != found.id) {
                wanted.push(found);
            }
        }
        Ok(wanted)
    }
}

/// Every message of a mailbox, in the order of UIDs.
async fn write_all(
    store: &Store,
    mailbox: &Mailbox,
    sink: &mut Sink,
    outcome: &mut Outcome,
    meter: &Meter,
    progress: &mut Progress,
) -> Result<()> {
    let (mut after, mut count) = (Uid(0), 0);
    loop {
        let slice = store.entries_after(mailbox.id, after, SLICE).await?;
        let Some(last) = slice.last() else { break };
        after = last.uid;
        for entry in &slice {
            match write_one(store, mailbox, entry, sink).await? {
                Written::New => {
                    count += 1;
                    outcome.messages += 1;
                    outcome.octets += entry.size_octets;
                }
                Written::There => outcome.there += 1,
                Written::Gone => {}
                Written::Not(why) => {
                    outcome.failed_count += 1;
                    if outcome.failed.len() < FAILURES_TOLD {
                        let what = format!("{}, UID {}", mailbox.name, entry.uid.0);
                        outcome.failed.push((what, why));
                    }
                }
            }
            meter.advance(1);
        }
        progress.show(outcome.messages, &mailbox.name);
    }
    outcome.mailboxes.insert(mailbox.name.clone(), count);
    Ok(())
}

enum Written {
    New,
    There,
    /// Expunged meanwhile.
    Gone,
    Not(String),
}

/// Errors of the store are about this message; errors of the files are the end.
async fn write_one(
    store: &Store,
    mailbox: &Mailbox,
    entry: &Entry,
    sink: &mut Sink,
) -> Result<Written> {
    let content = match store.content(mailbox.id, entry.uid).await {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(Written::Gone),
        Err(error) => return Ok(Written::Not(error.to_string())),
    };
    if sink.begin_message(mailbox, entry)? {
        return Ok(Written::There);
    }
    let mut offset = 0;
    while offset < content.size_octets {
        let why = match content.read(offset, PIECE_OCTETS).await {
            Ok(piece) if !piece.is_empty() => {
                sink.write(&piece)?;
                offset += piece.len() as u64;
                continue;
            }
            Ok(_) => format!("it ends early, at {offset} of {} octets", content.size_octets),
            Err(error) => error.to_string(),
        };
        sink.end_message(false)?;
        return Ok(Written::Not(why));
    }
    sink.end_message(true)?;
    Ok(Written::New)
}

fn show(context: &Context, address: &Address, outcome: &Outcome, took: std::time::Duration) {
    if context.json {
        print::json(&json!({
            "account": address,
            "exported": outcome.messages,
            "octets": outcome.octets,
            "already_there": outcome.there,
            "mailboxes": outcome.mailboxes,
            "failed": outcome.failed_count,
            "failures": print::failures_json(&outcome.failed),
            "notes": outcome.notes,
            "seconds": took.as_secs_f64(),
        }));
        return;
    }
    println!(
        "Exported {} ({}) of {address} in {:.1} s.",
        print::count(outcome.messages, "message"),
        Octets(outcome.octets),
        took.as_secs_f64(),
    );
    for (mailbox, count) in &outcome.mailboxes {
        println!("  {}: {count}", print::clean(mailbox));
    }
    if outcome.there > 0 {
        println!("{} were there already.", print::count(outcome.there, "message"));
    }
    for note in &outcome.notes {
        println!("{}", print::marked('·', note));
    }
    if outcome.failed_count > 0 {
        println!("{} could not be read:", print::count(outcome.failed_count, "message"));
        print::failures(&outcome.failed);
    }
}

/// A level of a mailbox's name as the name of a file: `.` and `..` are no names, and hidden files are
/// overlooked.
fn file_level(level: &str) -> String {
    match level.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => level.to_owned(),
    }
}
