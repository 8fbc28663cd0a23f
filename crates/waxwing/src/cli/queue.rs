//! `waxwing queue`: mail that waits to be sent.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};
use waxwing_store::{QueueEntry, QueueId, QueueState, Store};

use super::domain::done;
use super::{Context, journey, print};
use crate::config::Octets;

/// Queue commands. One entry is one message for one recipient.
#[derive(Subcommand)]
pub enum Queue {
    /// List what waits, next attempt first.
    List {
        /// Only for this domain.
        #[arg(long)]
        domain: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one entry and its message's journey.
    Show {
        /// The entry's number.
        id: i64,
    },
    /// Try again now, not when the schedule says.
    Retry {
        /// The entry's number.
        id: i64,
    },
    /// Keep it, and do not try until it is released.
    Hold {
        /// The entry's number.
        id: i64,
    },
    /// Undo `hold`.
    Release {
        /// The entry's number.
        id: i64,
    },
    /// Take it out of the queue. The sender is not told.
    Cancel {
        /// The entry's number.
        id: i64,
    },
}

impl Queue {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        let now = Timestamp::now();
        match self {
            Queue::List { domain, limit } => {
                list(&store, context, domain.as_deref(), limit).await?
            }
            Queue::Show { id } => show(&store, context, QueueId(id)).await?,
            Queue::Retry { id } => {
                store.retry_now(QueueId(id), now).await.with_context(|| format!("entry {id}"))?;
                done(
                    context,
                    &format!("Entry {id} is tried now. Follow it with: waxwing queue show {id}"),
                );
            }
            Queue::Hold { id } => {
                store.hold(QueueId(id), now).await.with_context(|| format!("entry {id}"))?;
                done(
                    context,
                    &format!("Entry {id} is held. Let it go with: waxwing queue release {id}"),
                );
            }
            Queue::Release { id } => {
                store.release(QueueId(id), now).await.with_context(|| format!("entry {id}"))?;
                done(context, &format!("Entry {id} goes on."));
            }
            Queue::Cancel { id } => {
                store.cancel(QueueId(id), now).await.with_context(|| format!("entry {id}"))?;
                done(context, &format!("Entry {id} is out of the queue. Its sender was not told."));
            }
        }
        Ok(())
    }
}

fn state(entry: &QueueEntry) -> &'static str {
    match entry.state {
        QueueState::Waiting => "waiting",
        QueueState::Leased => "sending",
        QueueState::Held => "held",
    }
}

fn as_json(entry: &QueueEntry) -> Value {
    json!({
        "id": entry.id.0,
        "journey": entry.journey,
        "state": state(entry),
        "reverse_path": entry.reverse_path.to_string(),
        "recipient": entry.recipient.address,
        "domain": entry.domain,
        "size_octets": entry.size_octets,
        "attempts": entry.attempts,
        "created_at": entry.created_at,
        "next_attempt_at": entry.next_attempt_at,
        "expires_at": entry.expires_at,
        "last_reason": entry.last_reason,
    })
}

async fn list(store: &Store, context: &Context, domain: Option<&str>, limit: usize) -> Result<()> {
    let entries = store.queue(domain, limit).await?;
    if context.json {
        print::json(&json!(entries.iter().map(as_json).collect::<Vec<_>>()));
        return Ok(());
    }
    if entries.is_empty() {
        println!("The queue is empty: everything was delivered.");
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = entries
        .iter()
        .map(|e| {
            vec![
                e.id.0.to_string(),
                e.reverse_path.to_string(),
                e.recipient.address.to_string(),
                Octets(e.size_octets).to_string(),
                e.attempts.to_string(),
                match e.state {
                    QueueState::Waiting => print::relative(e.next_attempt_at, now),
                    _ => state(e).to_owned(),
                },
                e.last_reason.clone(),
            ]
        })
        .collect();
    print::table(&["id", "from", "to", "size", "tries", "next", "last answer"], &[0, 3, 4], rows);
    Ok(())
}

async fn show(store: &Store, context: &Context, id: QueueId) -> Result<()> {
    let Some(entry) = store.queue_entry(id).await? else {
        bail!(
            "there is no queue entry {}: it may have been delivered or given up; `waxwing journey` tells",
            id.0
        );
    };
    let journey = store.journey(entry.journey).await?;
    if context.json {
        let mut value = as_json(&entry);
        value["events"] = json!(journey.map(|j| j.events));
        print::json(&value);
        return Ok(());
    }
    println!(
        "Entry {}: {} → {}, {}",
        id.0,
        entry.reverse_path,
        entry.recipient.address,
        state(&entry)
    );
    println!(
        "next attempt {}, given up {}",
        print::moment(entry.next_attempt_at),
        print::moment(entry.expires_at)
    );
    if let Some(journey) = journey {
        println!();
        journey::draw(&journey);
    }
    Ok(())
}
