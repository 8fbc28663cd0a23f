//! What is kept for telling who really sent a message: keys, senders, words, reports, policies.
//!
//! | module | what it keeps |
//! |---|---|
//! | `keys` | signing keys of our domains and their rotation |
//! | `acquaintance` | what an account knows when a message comes to it, in one look |
//! | `senders` | what each account knows of those who wrote to it; the greylist |
//! | `lessons` | what readers judged, the words and senders learned from it |
//! | `failures` | messages that failed, to be told to the domains they claim to be from |
//! | `reports` | observations to be reported to others |
//! | `received` | reports of others about us, and the mail that brings them |
//! | `policies` | other domains' policies about TLS |
//!
//! The store counts and keeps; what a word or a sender is, is for others to say.

mod acquaintance;
mod failures;
mod keys;
mod lessons;
mod policies;
mod received;
mod reports;
mod senders;

pub use acquaintance::*;
pub use failures::*;
pub use keys::*;
pub use lessons::*;
pub use policies::*;
pub use received::*;
pub use reports::*;
pub use senders::*;

pub(crate) use failures::note_failed;
pub(crate) use lessons::{Judged, note_lessons};
pub(crate) use received::note_report_mail;
pub(crate) use reports::observe;
pub(crate) use senders::{note_seen, note_written};

use crate::engine::{Repeat, params};
use crate::{Store, StoreError};

impl Store {
    /// A secret of this installation by name, made on first use: the same on every node.
    pub async fn secret(&self, name: &'static str) -> Result<[u8; 32], StoreError> {
        const MAKE: &str = "INSERT INTO secrets (name, value) VALUES (?1, ?2) \
            ON CONFLICT (name) DO NOTHING";
        const READ: &str = "SELECT value FROM secrets WHERE name = ?1";
        let engine = &self.inner.engine;
        let known = engine
            .read_brief(name, |tx, name| {
                Box::pin(async move {
                    tx.row(READ, params![*name], |row| Ok(row.bytes(0)?.to_vec())).await
                })
            })
            .await?;
        if let Some(known) = known {
            return whole(name, known);
        }
        let fresh: [u8; 32] = rand::random();
        let octets = engine
            .write((name, fresh), Repeat::Harmless, |tx, (name, fresh)| {
                Box::pin(async move {
                    tx.run(MAKE, params![*name, fresh]).await?;
                    tx.row(READ, params![*name], |row| Ok(row.bytes(0)?.to_vec())).await
                })
            })
            .await?;
        whole(name, octets.unwrap_or_default())
    }
}

fn whole(name: &str, octets: Vec<u8>) -> Result<[u8; 32], StoreError> {
    octets.try_into().map_err(|_| StoreError::Damaged(format!("the secret {name}")))
}
