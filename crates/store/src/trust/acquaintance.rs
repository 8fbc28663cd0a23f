//! What an account knows when a message comes to it, in one look.

use super::lessons::has_learned;
use super::senders::{SenderIdentity, SenderRecord, records_in, written_to_in};
use crate::{AccountId, Store, StoreError};

/// What an account knows when a message comes to it.
#[derive(Debug, Clone, Default)]
pub struct Acquaintance {
    /// Of the identities asked about, in their order.
    pub records: Vec<SenderRecord>,
    /// Addresses that the account has written to, the latest first.
    pub written_to: Vec<String>,
    /// Whether anything was learned that words could be judged by ([`Store::word_counts`]): of this
    /// account or of everybody.
    pub has_learned: bool,
}

impl Store {
    /// What an account knows of these identities and in general, with at most so many of the addresses
    /// that it has written to: one look on the way of every message.
    pub async fn acquaintance(
        &self,
        account: AccountId,
        identities: Vec<SenderIdentity>,
        contacts: usize,
    ) -> Result<Acquaintance, StoreError> {
        let contacts = i64::try_from(contacts).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        engine
            .read_brief((account, identities, contacts), |tx, (account, identities, contacts)| {
                Box::pin(async move {
                    Ok(Acquaintance {
                        records: records_in(tx, *account, identities).await?,
                        written_to: written_to_in(tx, *account, *contacts).await?,
                        has_learned: has_learned(tx, *account).await?,
                    })
                })
            })
            .await
    }
}
