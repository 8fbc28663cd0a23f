//! Adding messages, and the pieces that every kind of writing is made of. Acceptance uses them too.

use super::expunge::expunge_in;
use super::listing::{MailboxState, mailbox_state, modseq};
use super::transfer::Which;
use super::{Appended, NewMessage, SystemFlags, Uid};
use crate::blob::name_blob;
use crate::engine::{Tx, params};
use crate::instant::{count32, micros};
use crate::keywords::{self, Keywords, Packed};
use crate::{AccountId, AppendError, MailboxId, StoreError};
use waxwing_message::JourneyId;

pub(crate) struct Append {
    pub(crate) mailbox: MailboxId,
    pub(crate) messages: Vec<NewMessage>,
    pub(crate) summaries: Vec<Vec<u8>>,
    pub(crate) now: i64,
}

pub(super) async fn append_in(tx: &Tx, append: &Append) -> Result<Vec<Appended>, AppendError> {
    append_chosen(tx, append, &vec![true; append.messages.len()]).await
}

/// Adds those of the messages at whose place `chosen` says true.
pub(crate) async fn append_chosen(
    tx: &Tx,
    append: &Append,
    chosen: &[bool],
) -> Result<Vec<Appended>, AppendError> {
    let mailbox = append.mailbox;
    let state = lock_by_mailbox(tx, mailbox).await?.ok_or(AppendError::NoMailbox)?;
    let messages = append.messages.iter().zip(&append.summaries).zip(chosen);
    let messages: Vec<_> =
        messages.filter(|(_, chosen)| **chosen).map(|(message, _)| message).collect();
    let mut delta = Delta::default();
    for (message, _) in &messages {
        delta.add(message.flags.system, message.blob.size_octets as i64);
    }
    if over_quota(tx, state.account, delta.octets).await? {
        return Err(AppendError::OverQuota);
    }
    check_uid(state.uid_next + delta.total)?;
    let modseq_now = next_modseq(tx, state.account, delta.octets, delta.total).await?;
    move_counters(tx, mailbox, delta, delta.total, modseq_now).await?;

    let mut names = None;
    let mut used = Packed::new();
    let mut appended = Vec::with_capacity(messages.len());
    for (uid, (message, summary)) in (state.uid_next..).zip(messages) {
        let packed = if message.flags.keywords.is_none() {
            Packed::new()
        } else {
            if names.is_none() {
                names = Some(Keywords::load(tx, state.account).await?);
            }
            let names = names.as_mut().expect("loaded above");
            names.pack(tx, message.flags.keywords.as_ref()).await?
        };
        used = keywords::union(&used, &packed);
        let blob = name_blob(tx, &message.blob, 1, append.now).await?;
        let id =
            insert_message(tx, state.account, modseq_now, blob, message.journey, summary).await?;
        let entry = NewEntry {
            mailbox: mailbox.0,
            uid,
            message: id,
            modseq: modseq_now,
            flags: message.flags.system,
            keywords: &packed,
            size_octets: message.blob.size_octets as i64,
            received_at: micros(message.received_at),
            saved_at: append.now,
        };
        insert_entry(tx, &entry).await?;
        appended.push(Appended {
            uid_validity: state.uid_validity,
            uid: Uid(count32(uid)?),
            modseq: modseq(modseq_now)?,
        });
    }
    add_mailbox_keywords(tx, mailbox.0, &used).await?;
    Ok(appended)
}

pub(super) async fn replace_in(
    tx: &Tx,
    from: MailboxId,
    uids: &Vec<i64>,
    append: &Append,
) -> Result<Option<Appended>, AppendError> {
    lock_both(tx, from, append.mailbox).await?.ok_or(AppendError::NoMailbox)?;
    // The old one first: what it took is free for the new one.
    let (gone, _) = expunge_in(tx, from, uids, Which::All, append.now).await?;
    if gone.is_empty() {
        return Ok(None);
    }
    Ok(append_in(tx, append).await?.into_iter().next())
}

/// A row of `entries`.
pub(crate) struct NewEntry<'a> {
    pub(crate) mailbox: i64,
    pub(crate) uid: i64,
    pub(crate) message: i64,
    pub(crate) modseq: i64,
    pub(crate) flags: SystemFlags,
    pub(crate) keywords: &'a [u8],
    pub(crate) size_octets: i64,
    pub(crate) received_at: i64,
    pub(crate) saved_at: i64,
}

pub(crate) async fn insert_entry(tx: &Tx, new: &NewEntry<'_>) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO entries (mailbox, uid, message, modseq, flags, keywords, \
        size_octets, received_at, saved_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![
        new.mailbox,
        new.uid,
        new.message,
        new.modseq,
        i64::from(new.flags.0),
        new.keywords,
        new.size_octets,
        new.received_at,
        new.saved_at,
    ];
    tx.run(SQL, values).await.map(drop)
}

/// A message, which is to have one entry.
pub(crate) async fn insert_message(
    tx: &Tx,
    account: AccountId,
    modseq: i64,
    blob: i64,
    journey: Option<JourneyId>,
    summary: &[u8],
) -> Result<i64, StoreError> {
    const SQL: &str = "INSERT INTO messages (account, blob, indexed, journey, summary, created_modseq) \
        VALUES (?1, ?2, 0, ?3, ?4, ?5) RETURNING id";
    let journey = journey.as_ref().map(|id| id.0.as_bytes().as_slice());
    let values = params![account.0, blob, journey, summary, modseq];
    let id = tx.row(SQL, values, |row| row.int(0)).await?;
    id.ok_or_else(|| StoreError::Unavailable("an insertion gave no id".into()))
}

/// Notes keywords as ever used in the mailbox.
pub(crate) async fn add_mailbox_keywords(
    tx: &Tx,
    mailbox: i64,
    packed: &[u8],
) -> Result<(), StoreError> {
    const KNOWN: &str = "SELECT keywords FROM mailboxes WHERE id = ?1";
    const CHANGE: &str = "UPDATE mailboxes SET keywords = ?2 WHERE id = ?1";
    if packed.is_empty() {
        return Ok(());
    }
    let known = tx.row(KNOWN, params![mailbox], |row| Ok(row.bytes(0)?.to_vec())).await?;
    let known = known.unwrap_or_default();
    let all = keywords::union(&known, packed);
    if all != known {
        tx.run(CHANGE, params![mailbox, &all]).await?;
    }
    Ok(())
}

/// UIDs have 32 bits (RFC 9051 §9, `nz-number`).
pub(crate) fn check_uid(last: i64) -> Result<(), StoreError> {
    if last >= i64::from(u32::MAX) {
        return Err(StoreError::Unavailable("the mailbox has given out all its UIDs".into()));
    }
    Ok(())
}

/// How counters move.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Delta {
    pub(super) total: i64,
    pub(super) unseen: i64,
    pub(super) deleted: i64,
    pub(super) octets: i64,
}

impl Delta {
    pub(super) fn add(&mut self, flags: SystemFlags, octets: i64) {
        self.total += 1;
        self.unseen += i64::from(!flags.contains(SystemFlags::SEEN));
        self.deleted += i64::from(flags.contains(SystemFlags::DELETED));
        self.octets += octets;
    }

    pub(super) fn negated(self) -> Delta {
        Delta {
            total: -self.total,
            unseen: -self.unseen,
            deleted: -self.deleted,
            octets: -self.octets,
        }
    }
}

/// Locks the account of a mailbox and then reads the mailbox: `None` when it does not exist.
pub(crate) async fn lock_by_mailbox(
    tx: &Tx,
    mailbox: MailboxId,
) -> Result<Option<MailboxState>, StoreError> {
    const LOCK: &str = "SELECT a.id FROM accounts a JOIN mailboxes m ON m.account = a.id \
        WHERE m.id = ?1 /*postgres:FOR NO KEY UPDATE OF a*/";
    if tx.row(LOCK, params![mailbox.0], |row| row.int(0)).await?.is_none() {
        return Ok(None);
    }
    mailbox_state(tx, mailbox).await
}

/// Locks the accounts of two mailboxes, the one with the smaller id first, so that no two
/// transactions wait for each other; then reads the mailboxes. `None` when one does not exist.
pub(super) async fn lock_both(
    tx: &Tx,
    first: MailboxId,
    second: MailboxId,
) -> Result<Option<(MailboxState, MailboxState)>, StoreError> {
    const LOCK: &str = "SELECT id FROM accounts WHERE id = ?1 /*postgres:FOR NO KEY UPDATE*/";
    let one = mailbox_state(tx, first).await?;
    let two = mailbox_state(tx, second).await?;
    let (Some(one), Some(two)) = (one, two) else { return Ok(None) };
    let mut accounts = [one.account.0, two.account.0];
    accounts.sort_unstable();
    for account in accounts {
        tx.row(LOCK, params![account], |row| row.int(0)).await?;
    }
    let one = mailbox_state(tx, first).await?;
    let two = mailbox_state(tx, second).await?;
    Ok(one.zip(two))
}

/// Takes the next modseq of an account and moves its counters.
pub(crate) async fn next_modseq(
    tx: &Tx,
    account: AccountId,
    octets: i64,
    messages: i64,
) -> Result<i64, StoreError> {
    const SQL: &str = "UPDATE accounts SET modseq = modseq + 1, used_octets = used_octets + ?2, \
        message_count = message_count + ?3 WHERE id = ?1 RETURNING modseq";
    let next = tx.row(SQL, params![account.0, octets, messages], |row| row.int(0)).await?;
    tx.touch(account);
    next.ok_or_else(|| StoreError::Unavailable("the account was removed meanwhile".into()))
}

pub(super) async fn over_quota(
    tx: &Tx,
    account: AccountId,
    octets: i64,
) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT used_octets, quota_octets FROM accounts WHERE id = ?1";
    let row = tx.row(SQL, params![account.0], |row| Ok((row.int(0)?, row.opt_int(1)?))).await?;
    Ok(row.is_some_and(|(used, quota)| quota.is_some_and(|quota| used + octets > quota)))
}

pub(super) async fn move_counters(
    tx: &Tx,
    mailbox: MailboxId,
    delta: Delta,
    new_uids: i64,
    modseq: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE mailboxes SET uid_next = uid_next + ?2, total = total + ?3, \
        unseen = unseen + ?4, deleted = deleted + ?5, octets = octets + ?6, highest_modseq = ?7 \
        WHERE id = ?1";
    let Delta { total, unseen, deleted, octets } = delta;
    let values = params![mailbox.0, new_uids, total, unseen, deleted, octets, modseq];
    tx.run(SQL, values).await.map(drop)
}
