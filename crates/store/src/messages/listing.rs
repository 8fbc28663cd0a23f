//! Reading entries: what a mailbox holds, and what happened in it since.

use super::{Entry, Flags, MailboxChanges, MessageId, ModSeq, Outline, SystemFlags, Uid};
use crate::engine::{Row, Tx, params};
use crate::instant::{count, count32, timestamp};
use crate::keywords::Keywords;
use crate::{AccountId, MailboxId, Role, StoreError};

/// Account and highest modseq.
pub(crate) async fn mailbox_state(
    tx: &Tx,
    mailbox: MailboxId,
) -> Result<Option<MailboxState>, StoreError> {
    const SQL: &str = "SELECT account, uid_validity, uid_next, highest_modseq, forgotten_modseq, \
        role FROM mailboxes WHERE id = ?1";
    tx.row(SQL, params![mailbox.0], |row| {
        Ok(MailboxState {
            account: AccountId(row.int(0)?),
            uid_validity: count32(row.int(1)?)?,
            uid_next: row.int(2)?,
            highest_modseq: row.int(3)?,
            forgotten_modseq: row.int(4)?,
            role: row.opt_int(5)?.and_then(Role::of_code),
        })
    })
    .await
}

pub(crate) struct MailboxState {
    pub(crate) account: AccountId,
    pub(super) uid_validity: u32,
    pub(super) uid_next: i64,
    pub(crate) highest_modseq: i64,
    pub(super) forgotten_modseq: i64,
    pub(super) role: Option<Role>,
}

pub(crate) fn modseq(value: i64) -> Result<ModSeq, StoreError> {
    Ok(ModSeq(count(value)?))
}

/// Columns: uid, message, modseq, flags, keywords, size_octets, received_at, saved_at.
pub(crate) fn entry(row: &Row<'_>, keywords: &mut Keywords) -> Result<Entry, StoreError> {
    Ok(Entry {
        uid: Uid(count32(row.int(0)?)?),
        message: MessageId(row.int(1)?),
        modseq: modseq(row.int(2)?)?,
        flags: Flags { system: system(row.int(3)?)?, keywords: keywords.list(row.bytes(4)?) },
        size_octets: count(row.int(5)?)?,
        received_at: timestamp(row.int(6)?)?,
        saved_at: timestamp(row.int(7)?)?,
    })
}

pub(crate) fn system(value: i64) -> Result<SystemFlags, StoreError> {
    u8::try_from(value)
        .map(SystemFlags)
        .map_err(|_| StoreError::Damaged(format!("{value} is not a set of system flags")))
}

pub(super) async fn entries_in(
    tx: &Tx,
    mailbox: MailboxId,
) -> Result<(Vec<Entry>, ModSeq), StoreError> {
    const SQL: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 ORDER BY uid";
    let Some(state) = mailbox_state(tx, mailbox).await? else {
        return Ok((Vec::new(), ModSeq(0)));
    };
    let mut names = Keywords::load(tx, state.account).await?;
    let entries = tx.rows(SQL, params![mailbox.0], |row| entry(row, &mut names)).await?;
    Ok((entries, modseq(state.highest_modseq)?))
}

pub(super) async fn entries_of_in(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
) -> Result<Vec<Entry>, StoreError> {
    const SQL: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    let Some(state) = mailbox_state(tx, mailbox).await? else {
        return Ok(Vec::new());
    };
    let mut names = Keywords::load(tx, state.account).await?;
    tx.rows(SQL, params![mailbox.0, uids], |row| entry(row, &mut names)).await
}

pub(super) async fn outlines_in(tx: &Tx, mailbox: MailboxId) -> Result<Vec<Outline>, StoreError> {
    const SQL: &str = "SELECT uid, size_octets, flags FROM entries WHERE mailbox = ?1 ORDER BY uid";
    tx.rows(SQL, params![mailbox.0], |row| {
        Ok(Outline {
            uid: Uid(count32(row.int(0)?)?),
            size_octets: count(row.int(1)?)?,
            system: system(row.int(2)?)?,
        })
    })
    .await
}

pub(super) async fn entries_after_in(
    tx: &Tx,
    mailbox: MailboxId,
    after: Uid,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    const SQL: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND uid > ?2 ORDER BY uid LIMIT ?3";
    let Some(state) = mailbox_state(tx, mailbox).await? else {
        return Ok(Vec::new());
    };
    let mut names = Keywords::load(tx, state.account).await?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = params![mailbox.0, i64::from(after.0), limit];
    tx.rows(SQL, values, |row| entry(row, &mut names)).await
}

pub(super) async fn deleted_octets_in(tx: &Tx, mailbox: MailboxId) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT flags, size_octets FROM entries WHERE mailbox = ?1";
    let mut octets = 0;
    tx.each(SQL, params![mailbox.0], |row| {
        if system(row.int(0)?)?.contains(SystemFlags::DELETED) {
            octets += count(row.int(1)?)?;
        }
        Ok(true)
    })
    .await?;
    Ok(octets)
}

pub(crate) async fn changes_in(
    tx: &Tx,
    mailbox: MailboxId,
    since: ModSeq,
) -> Result<MailboxChanges, StoreError> {
    const CHANGED: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND modseq > ?2 ORDER BY uid";
    const VANISHED: &str = "SELECT first_uid, last_uid FROM tombstones \
        WHERE mailbox = ?1 AND modseq > ?2";
    let Some(state) = mailbox_state(tx, mailbox).await? else {
        return Ok(MailboxChanges {
            changed: Vec::new(),
            vanished: Vec::new(),
            highest_modseq: ModSeq(0),
            incomplete: true,
        });
    };
    let since = i64::try_from(since.0).unwrap_or(i64::MAX);
    let mut names = Keywords::load(tx, state.account).await?;
    let changed = tx.rows(CHANGED, params![mailbox.0, since], |row| entry(row, &mut names)).await?;
    let mut vanished = Vec::new();
    tx.each(VANISHED, params![mailbox.0, since], |row| {
        let (first, last) = (count32(row.int(0)?)?, count32(row.int(1)?)?);
        vanished.extend((first..=last).map(Uid));
        Ok(true)
    })
    .await?;
    vanished.sort_unstable();
    Ok(MailboxChanges {
        changed,
        vanished,
        highest_modseq: modseq(state.highest_modseq)?,
        incomplete: since < state.forgotten_modseq,
    })
}
