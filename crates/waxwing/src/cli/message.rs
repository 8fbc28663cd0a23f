//! `waxwing message`: messages in mailboxes.

use std::io::Write as _;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use waxwing_message::summary::{Overview, OverviewAddress};
use waxwing_message::{Address, Summary};
use waxwing_store::{Entry, Mailbox, Store, SystemFlags, Uid};

use super::{Context, journey, print};
use crate::config::Octets;

/// How many summaries are asked for at once.
const SLICE: usize = 500;
/// How much of a message's content is held at once.
const CHUNK_OCTETS: u64 = 256 * 1024;

/// Message commands.
#[derive(Subcommand)]
pub enum Message {
    /// List a mailbox, newest last.
    List {
        /// Whose.
        address: Address,
        /// Which mailbox.
        #[arg(long, default_value = "INBOX")]
        mailbox: String,
        /// Only the last so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a message and its journey.
    Show {
        /// Whose.
        address: Address,
        /// Its UID, as `list` shows it.
        uid: u32,
        /// Which mailbox.
        #[arg(long, default_value = "INBOX")]
        mailbox: String,
        /// Print its octets as they are stored, and nothing else.
        #[arg(long)]
        raw: bool,
    },
}

impl Message {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            Message::List { address, mailbox, limit } => {
                let mailbox = open(&store, &address, &mailbox).await?;
                list(&store, context, &mailbox, limit).await
            }
            Message::Show { address, uid, mailbox, raw } => {
                let mailbox = open(&store, &address, &mailbox).await?;
                if raw {
                    print_raw(&store, &mailbox, Uid(uid)).await
                } else {
                    show(&store, context, &mailbox, Uid(uid)).await
                }
            }
        }
    }
}

async fn open(store: &Store, address: &Address, name: &str) -> Result<Mailbox> {
    let Some(account) = store.account_by_address(address).await? else {
        bail!("there is no account {address}");
    };
    match store.mailbox_by_name(account.id, name).await? {
        Some(mailbox) => Ok(mailbox),
        None => bail!("{address} has no mailbox {name}: `waxwing user show {address}` lists them"),
    }
}

fn text(raw: Option<&Vec<u8>>) -> String {
    raw.map(|raw| waxwing_message::parse::words::decode_text(raw)).unwrap_or_default()
}

fn people(items: &[OverviewAddress]) -> String {
    let shown: Vec<String> = items
        .iter()
        .filter_map(|item| match item {
            OverviewAddress::Mailbox { name, local_part, domain } => {
                let address = format!(
                    "{}@{}",
                    String::from_utf8_lossy(local_part),
                    String::from_utf8_lossy(domain)
                );
                Some(match name {
                    Some(_) => format!("{} <{address}>", text(name.as_ref())),
                    None => address,
                })
            }
            _ => None,
        })
        .collect();
    shown.join(", ")
}

fn flag_names(entry: &Entry) -> Vec<String> {
    const NAMES: [(SystemFlags, &str); 5] = [
        (SystemFlags::SEEN, "seen"),
        (SystemFlags::ANSWERED, "answered"),
        (SystemFlags::FLAGGED, "flagged"),
        (SystemFlags::DELETED, "deleted"),
        (SystemFlags::DRAFT, "draft"),
    ];
    let system = NAMES
        .iter()
        .filter(|(flag, _)| entry.flags.system.contains(*flag))
        .map(|(_, name)| (*name).to_owned());
    system
        .chain(entry.flags.keywords.iter().flat_map(|k| k.iter()).map(|k| k.to_string()))
        .collect()
}

fn as_json(entry: &Entry, overview: &Overview) -> Value {
    json!({
        "uid": entry.uid.0,
        "received_at": entry.received_at,
        "from": people(&overview.from),
        "to": people(&overview.to),
        "subject": text(overview.subject.as_ref()),
        "message_id": overview.message_id.as_ref().map(|id| String::from_utf8_lossy(id).into_owned()),
        "size_octets": entry.size_octets,
        "flags": flag_names(entry),
    })
}

async fn list(store: &Store, context: &Context, mailbox: &Mailbox, limit: usize) -> Result<()> {
    let (entries, _) = store.entries(mailbox.id).await?;
    let shown = &entries[entries.len().saturating_sub(limit)..];
    let mut rows: Vec<(&Entry, Summary)> = Vec::new();
    for slice in shown.chunks(SLICE) {
        let uids: Vec<Uid> = slice.iter().map(|entry| entry.uid).collect();
        let mut found = store.summaries(mailbox.id, &uids).await?.into_iter().peekable();
        for entry in slice {
            // Both are in order of UID; what was expunged between the two reads is left out.
            if let Some((_, summary)) = found.next_if(|(uid, _)| *uid == entry.uid) {
                rows.push((entry, summary));
            }
        }
    }
    if context.json {
        print::json(&json!(rows.iter().map(|(e, s)| as_json(e, &s.overview)).collect::<Vec<_>>()));
        return Ok(());
    }
    if rows.is_empty() {
        println!("{} is empty.", mailbox.name);
        return Ok(());
    }
    let cells = rows
        .iter()
        .map(|(entry, summary)| {
            vec![
                entry.uid.0.to_string(),
                print::moment(entry.received_at),
                people(&summary.overview.from),
                text(summary.overview.subject.as_ref()),
                Octets(entry.size_octets).to_string(),
                flag_names(entry).join(" "),
            ]
        })
        .collect();
    print::table(&["uid", "received", "from", "subject", "size", "flags"], &[0, 4], cells);
    Ok(())
}

async fn show(store: &Store, context: &Context, mailbox: &Mailbox, uid: Uid) -> Result<()> {
    let (entries, _) = store.entries(mailbox.id).await?;
    let entry = entries.iter().find(|entry| entry.uid == uid);
    let summary = store.summaries(mailbox.id, &[uid]).await?.pop();
    let (Some(entry), Some((_, summary))) = (entry, summary) else {
        bail!("there is no message with UID {} in {}", uid.0, mailbox.name);
    };
    let journey = match store.journey_of(mailbox.id, uid).await? {
        Some(id) => store.journey(id).await?,
        None => None,
    };
    if context.json {
        let mut value = as_json(entry, &summary.overview);
        value["preview"] = json!(summary.preview);
        value["has_attachment"] = json!(summary.has_attachment);
        value["journey"] = json!(journey.as_ref().map(journey::as_json));
        print::json(&value);
        return Ok(());
    }
    let overview = &summary.overview;
    println!("From:     {}", print::clean(&people(&overview.from)));
    println!("To:       {}", print::clean(&people(&overview.to)));
    if !overview.cc.is_empty() {
        println!("Cc:       {}", print::clean(&people(&overview.cc)));
    }
    println!("Subject:  {}", print::clean(&text(overview.subject.as_ref())));
    println!("Received: {}", print::moment(entry.received_at));
    println!("Size:     {}, flags: {}\n", Octets(entry.size_octets), flag_names(entry).join(" "));
    println!("{}\n", print::clean(&summary.preview));
    match journey {
        Some(journey) => journey::draw(&journey),
        None => println!("It came by no journey: a client put it here."),
    }
    Ok(())
}

async fn print_raw(store: &Store, mailbox: &Mailbox, uid: Uid) -> Result<()> {
    let Some(content) = store.content(mailbox.id, uid).await? else {
        bail!("there is no message with UID {} in {}", uid.0, mailbox.name);
    };
    let mut out = std::io::stdout().lock();
    let mut offset = 0;
    while offset < content.size_octets {
        let chunk = content.read(offset, CHUNK_OCTETS).await?;
        if chunk.is_empty() {
            bail!("the stored message ends early, at {offset} of {} octets", content.size_octets);
        }
        out.write_all(&chunk)?;
        offset += chunk.len() as u64;
    }
    Ok(())
}
