//! Notes that clients keep with mailboxes, and with the server (IMAP's METADATA, RFC 5464).
//!
//! An entry has a name such as `/private/comment` and a value of any octets. What begins with
//! `/private/` is seen by the account that wrote it and nobody else; what begins with `/shared/`
//! belongs to the mailbox. Names are in lower case here: in RFC 5464 case means nothing.

use crate::engine::{Repeat, Row, Tx, params};
use crate::messages::next_modseq;
use crate::{AccountId, MailboxId, Store, StoreError};

/// Octets in a value.
pub const METADATA_VALUE_OCTETS_MAX: usize = 32 * 1024;
/// Octets in a name.
pub const METADATA_NAME_OCTETS_MAX: usize = 255;
/// Private entries of an account, on the server and on all mailboxes.
const PRIVATE_MAX: i64 = 2_000;
/// Shared entries of a mailbox.
const SHARED_MAX: i64 = 200;
/// Octets of the values of an account's private entries, and of a mailbox's shared ones: all of them may
/// be asked for at once.
const PRIVATE_OCTETS_MAX: i64 = 4 * 1024 * 1024;
const SHARED_OCTETS_MAX: i64 = 1024 * 1024;

const SHARED: &str = "/shared/";

/// A name and its value.
pub type MetadataEntry = (String, Vec<u8>);

/// Why no entry was changed.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The mailbox, or the account, was removed meanwhile.
    #[error("no such mailbox")]
    NotFound,
    /// More than an account, or a mailbox, may have, by number or by their octets together.
    #[error("too many entries")]
    TooMany,
    /// A value of more than [`METADATA_VALUE_OCTETS_MAX`] octets.
    #[error("a value is too long")]
    TooLong,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// What `account` sees with a mailbox, or with the server, by name.
    pub async fn metadata(
        &self,
        mailbox: Option<MailboxId>,
        account: AccountId,
    ) -> Result<Vec<MetadataEntry>, StoreError> {
        const SQL: &str = "SELECT name, value FROM metadata \
            WHERE COALESCE(mailbox, 0) = ?1 AND (account IS NULL OR account = ?2) ORDER BY name";
        let engine = &self.inner.engine;
        engine
            .read((number(mailbox), account.0), |tx, (mailbox, account)| {
                Box::pin(async move {
                    tx.rows(SQL, params![*mailbox, *account], |row| {
                        Ok((row.text(0)?, row.bytes(1)?.to_vec()))
                    })
                    .await
                })
            })
            .await
    }

    /// Every entry that `account` sees, with its mailbox, its name, and a digest of its value: for
    /// noticing changes.
    pub async fn metadata_digests(
        &self,
        account: AccountId,
    ) -> Result<Vec<(Option<MailboxId>, String, u64)>, StoreError> {
        const SQL: &str = "SELECT mailbox, name, value FROM metadata WHERE account = ?1 \
            OR (account IS NULL AND mailbox IN (SELECT id FROM mailboxes WHERE account = ?1 \
            UNION SELECT mailbox FROM grants WHERE grantee IS NULL OR grantee = ?1))";
        let engine = &self.inner.engine;
        engine
            .read(account.0, |tx, account| {
                Box::pin(async move {
                    tx.rows(SQL, params![*account], |row| {
                        let digest = blake3::hash(row.bytes(2)?);
                        let (first, _) = digest.as_bytes().split_first_chunk().expect("32 octets");
                        let mailbox = row.opt_int(0)?.map(MailboxId);
                        Ok((mailbox, row.text(1)?, u64::from_be_bytes(*first)))
                    })
                    .await
                })
            })
            .await
    }

    /// Changes entries, all or none; `None` removes one. Sessions of those who see them are woken:
    /// of the account, and of the mailbox's owner.
    pub async fn set_metadata(
        &self,
        mailbox: Option<MailboxId>,
        account: AccountId,
        entries: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<(), MetadataError> {
        let long = |value: &Option<Vec<u8>>| {
            value.as_ref().is_some_and(|value| value.len() > METADATA_VALUE_OCTETS_MAX)
        };
        if entries.iter().any(|(_, value)| long(value)) {
            return Err(MetadataError::TooLong);
        }
        let engine = &self.inner.engine;
        engine
            .write((mailbox, account, entries), Repeat::Harmless, |tx, asked| {
                let (mailbox, account, entries) = asked;
                Box::pin(set_in(tx, *mailbox, *account, entries))
            })
            .await
    }
}

/// 0 is the server's.
fn number(mailbox: Option<MailboxId>) -> i64 {
    mailbox.map_or(0, |mailbox| mailbox.0)
}

async fn set_in(
    tx: &Tx,
    mailbox: Option<MailboxId>,
    account: AccountId,
    entries: &[(String, Option<Vec<u8>>)],
) -> Result<(), MetadataError> {
    const OWNER: &str = "SELECT account FROM mailboxes WHERE id = ?1";
    const REMOVE: &str = "DELETE FROM metadata \
        WHERE COALESCE(mailbox, 0) = ?1 AND COALESCE(account, 0) = ?2 AND name = ?3";
    const INSERT: &str = "INSERT INTO metadata (mailbox, account, name, value) \
        VALUES (NULLIF(CAST(?1 AS BIGINT), 0), NULLIF(CAST(?2 AS BIGINT), 0), ?3, ?4)";
    let owner = match mailbox {
        Some(mailbox) => tx.row(OWNER, params![mailbox.0], |row| row.int(0)).await?.map(AccountId),
        None => Some(account),
    };
    let owner = owner.ok_or(MetadataError::NotFound)?;
    // Two accounts in one order, as everywhere.
    let mut accounts = [owner, account];
    accounts.sort_unstable();
    for account in accounts.iter().take(if owner == account { 1 } else { 2 }) {
        next_modseq(tx, *account, 0, 0).await?;
    }
    let mailbox = number(mailbox);
    for (name, value) in entries {
        let whose = if name.starts_with(SHARED) { 0 } else { account.0 };
        tx.run(REMOVE, params![mailbox, whose, name]).await?;
        if let Some(value) = value {
            tx.run(INSERT, params![mailbox, whose, name, value]).await?;
        }
    }
    check_count(tx, mailbox, account).await
}

async fn check_count(tx: &Tx, mailbox: i64, account: AccountId) -> Result<(), MetadataError> {
    const PRIVATE: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(value)), 0) AS BIGINT) \
        FROM metadata WHERE account = ?1";
    const SHARED: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(value)), 0) AS BIGINT) \
        FROM metadata WHERE COALESCE(mailbox, 0) = ?1 AND account IS NULL";
    let both = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?));
    let private = tx.row(PRIVATE, params![account.0], both).await?.unwrap_or_default();
    let shared = tx.row(SHARED, params![mailbox], both).await?.unwrap_or_default();
    let fits = private.0 <= PRIVATE_MAX
        && private.1 <= PRIVATE_OCTETS_MAX
        && shared.0 <= SHARED_MAX
        && shared.1 <= SHARED_OCTETS_MAX;
    if fits { Ok(()) } else { Err(MetadataError::TooMany) }
}
