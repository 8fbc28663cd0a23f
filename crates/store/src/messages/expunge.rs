//! Removing entries, the tombstones that tell of them, and content that has no place left.

use super::listing::modseq;
use super::transfer::{Selected, Which, select};
use super::writing::{Delta, lock_by_mailbox, move_counters, next_modseq};
use super::{FlagMask, ModSeq, Uid};
use crate::blob::{release_blobs, rounds};
use crate::engine::{Row, Tx, params};
use crate::happened::note_departures;
use crate::instant::count32;
use crate::{AccountId, MailboxId, StoreError};

/// Gives also the moments before and after.
pub(super) async fn expunge_in(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
    which: Which,
    now: i64,
) -> Result<(Vec<Uid>, (ModSeq, ModSeq)), StoreError> {
    let Some(state) = lock_by_mailbox(tx, mailbox).await? else {
        return Ok((Vec::new(), (ModSeq(0), ModSeq(0))));
    };
    let before = modseq(state.highest_modseq)?;
    let selected = select(tx, mailbox, uids, which, FlagMask::ALL).await?;
    if selected.uids.is_empty() {
        return Ok((Vec::new(), (before, before)));
    }
    let Delta { octets, total, .. } = selected.delta;
    let modseq_now = next_modseq(tx, state.account, -octets, -total).await?;
    remove_entries(tx, state.account, mailbox, &selected, modseq_now).await?;
    drop_places(tx, &selected.messages, now).await?;
    let gone = selected.uids.iter().map(|uid| count32(*uid).map(Uid));
    Ok((gone.collect::<Result<_, _>>()?, (before, modseq(modseq_now)?)))
}

/// Deletes entries that are known to exist, with tombstones and counters.
pub(super) async fn remove_entries(
    tx: &Tx,
    account: AccountId,
    mailbox: MailboxId,
    selected: &Selected,
    modseq: i64,
) -> Result<(), StoreError> {
    const DELETE: &str = "DELETE FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2)";
    const TOMBSTONE: &str = "INSERT INTO tombstones (mailbox, modseq, first_uid, last_uid) \
        VALUES (?1, ?2, ?3, ?4)";
    let Selected { uids, messages, delta, .. } = selected;
    note_departures(tx, account, mailbox, messages, modseq).await?;
    tx.run(DELETE, params![mailbox.0, uids]).await?;
    for run in uids.chunk_by(|a, b| a + 1 == *b) {
        let (first, last) = (run[0], run[run.len() - 1]);
        tx.run(TOMBSTONE, params![mailbox.0, modseq, first, last]).await?;
    }
    move_counters(tx, mailbox, delta.negated(), 0, modseq).await
}

/// One entry is gone for each number given (one may stand there several times). Messages without an entry
/// go, with their words in the index and their hold on the blob.
pub(crate) async fn drop_places(tx: &Tx, messages: &[i64], now: i64) -> Result<(), StoreError> {
    const ONE_LEFT: &str = "DELETE FROM copies WHERE message IN LIST(?1) AND more = 1 \
        RETURNING message";
    const FEWER: &str = "UPDATE copies SET more = more - 1 WHERE message IN LIST(?1) \
        RETURNING message";
    const GONE: &str = "DELETE FROM messages WHERE id IN LIST(?1) RETURNING id, blob, indexed";
    let mut gone = Vec::new();
    for mut left in rounds(messages) {
        for copies in [ONE_LEFT, FEWER] {
            let mut stay = tx.rows(copies, params![&left], |row| row.int(0)).await?;
            stay.sort_unstable();
            left.retain(|message| stay.binary_search(message).is_err());
        }
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?, row.flag(2)?));
        gone.extend(tx.rows(GONE, params![&left], read).await?);
    }
    let blobs: Vec<i64> = gone.iter().map(|(_, blob, _)| *blob).collect();
    release_blobs(tx, &blobs, now).await?;
    let all: Vec<i64> = gone.iter().map(|(id, ..)| *id).collect();
    crate::threads::forget(tx, &all).await?;
    let indexed = gone.iter().filter(|(_, _, indexed)| *indexed).map(|(id, ..)| *id).collect();
    crate::search::forget(tx, &indexed).await
}

/// Mailboxes with more than `keep` ranges.
pub(super) async fn long_lists(tx: &Tx, keep: i64) -> Result<Vec<MailboxId>, StoreError> {
    const SQL: &str = "SELECT mailbox FROM tombstones GROUP BY mailbox HAVING COUNT(*) > ?1";
    tx.rows(SQL, params![keep], |row| Ok(MailboxId(row.int(0)?))).await
}

pub(super) async fn forget_in(tx: &Tx, mailbox: MailboxId, keep: i64) -> Result<u64, StoreError> {
    const NEWEST_TO_GO: &str = "SELECT modseq FROM tombstones WHERE mailbox = ?1 \
        ORDER BY modseq DESC LIMIT 1 OFFSET ?2";
    const FORGET: &str = "DELETE FROM tombstones WHERE mailbox = ?1 AND modseq <= ?2";
    const REMEMBER: &str = "UPDATE mailboxes SET forgotten_modseq = ?2 WHERE id = ?1";
    if lock_by_mailbox(tx, mailbox).await?.is_none() {
        return Ok(0);
    }
    let modseq = tx.row(NEWEST_TO_GO, params![mailbox.0, keep], |row| row.int(0)).await?;
    let Some(modseq) = modseq else { return Ok(0) };
    tx.run(REMEMBER, params![mailbox.0, modseq]).await?;
    tx.run(FORGET, params![mailbox.0, modseq]).await
}
