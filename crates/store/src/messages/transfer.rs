//! Copying and moving. Within an account only entries are made: the message is the same. In another
//! account the message gets a row of its own; its blob stays where it is.
//!
//! Deviates: RFC 8474 §5.1 wants one EMAILID for all copies of a message. Here it is an account's name
//! for a content, and the copy in another account has its own.

use std::collections::HashMap;

use super::expunge::{drop_places, remove_entries};
use super::listing::{MailboxState, modseq, system};
use super::writing::{
    Delta, NewEntry, add_mailbox_keywords, check_uid, insert_entry, lock_both, move_counters,
    next_modseq, over_quota,
};
use super::{Copied, FlagMask, SystemFlags, Uid};
use crate::blob::hold_blob;
use crate::engine::{Tx, params};
use crate::instant::count32;
use crate::keywords::{self, Keywords, Packed};
use crate::trust::{Judged, note_lessons};
use crate::{AppendError, MailboxId, StoreError};

pub(crate) struct Transfer {
    pub(crate) from: MailboxId,
    pub(crate) uids: Vec<i64>,
    pub(crate) to: MailboxId,
    pub(crate) moved: bool,
    /// The flags that go along.
    pub(crate) kept: FlagMask,
    pub(crate) now: i64,
}

/// What was selected for a transfer or an expunge.
pub(super) struct Selected {
    pub(super) uids: Vec<i64>,
    pub(super) messages: Vec<i64>,
    pub(super) keywords: Packed,
    pub(super) delta: Delta,
    /// The same with the flags that go along.
    pub(super) kept: Delta,
}

/// Which of the entries that were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those with `\Deleted`.
    Deleted,
}

pub(super) async fn select(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
    which: Which,
    mask: FlagMask,
) -> Result<Selected, StoreError> {
    const SQL: &str = "SELECT uid, message, flags, keywords, size_octets FROM entries \
        WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    let mut selected = Selected {
        uids: Vec::new(),
        messages: Vec::new(),
        keywords: Packed::new(),
        delta: Delta::default(),
        kept: Delta::default(),
    };
    tx.each(SQL, params![mailbox.0, uids], |row| {
        let flags = system(row.int(2)?)?;
        if which == Which::Deleted && !flags.contains(SystemFlags::DELETED) {
            return Ok(true);
        }
        selected.uids.push(row.int(0)?);
        selected.messages.push(row.int(1)?);
        selected.delta.add(flags, row.int(4)?);
        selected.kept.add(SystemFlags(flags.0 & mask.system.0), row.int(4)?);
        let keywords = row.bytes(3)?;
        if !keywords.is_empty() && mask.keywords {
            selected.keywords = keywords::union(&selected.keywords, keywords);
        }
        Ok(true)
    })
    .await?;
    Ok(selected)
}

pub(crate) async fn transfer_in(tx: &Tx, asked: &Transfer) -> Result<Copied, AppendError> {
    let Transfer { from, to, moved, kept, .. } = *asked;
    let (source, target) = lock_both(tx, from, to).await?.ok_or(AppendError::NoMailbox)?;
    let selected = select(tx, from, &asked.uids, Which::All, kept).await?;
    let found = selected.uids.len() as i64;
    if found == 0 {
        let modseq = modseq(target.highest_modseq)?;
        return Ok(Copied { uid_validity: target.uid_validity, uids: Vec::new(), modseq });
    }
    let stays = source.account == target.account;
    let added = if moved && stays { Delta::default() } else { selected.delta };
    if over_quota(tx, target.account, added.octets).await? && !(moved && stays) {
        return Err(AppendError::OverQuota);
    }
    check_uid(target.uid_next + found)?;
    let modseq_now = next_modseq(tx, target.account, added.octets, added.total).await?;
    move_counters(tx, to, selected.kept, found, modseq_now).await?;
    if stays {
        within(tx, asked, &source, &target, &selected, modseq_now).await?;
    } else {
        across(tx, asked, &source, &target, &selected, modseq_now).await?;
    }
    let pairs = selected.uids.iter().zip(target.uid_next..);
    let uids = pairs.map(|(old, new)| Ok((Uid(count32(*old)?), Uid(count32(new)?))));
    Ok(Copied {
        uid_validity: target.uid_validity,
        uids: uids.collect::<Result<_, StoreError>>()?,
        modseq: modseq(modseq_now)?,
    })
}

/// New entries of the same messages.
async fn within(
    tx: &Tx,
    asked: &Transfer,
    source: &MailboxState,
    target: &MailboxState,
    selected: &Selected,
    modseq: i64,
) -> Result<(), StoreError> {
    const COPY: &str = "INSERT INTO entries (mailbox, uid, message, modseq, flags, keywords, \
        size_octets, received_at, saved_at) \
        SELECT ?3, ?4 + ROW_NUMBER() OVER (ORDER BY uid), message, ?5, flags & ?7, \
        CASE WHEN CAST(?8 AS BIGINT) = 1 THEN keywords ELSE ?9 END, \
        size_octets, received_at, ?6 FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2)";
    const MORE: &str = "INSERT INTO copies (message, more) SELECT message, COUNT(*) FROM entries \
        WHERE mailbox = ?1 AND uid IN LIST(?2) GROUP BY message \
        ON CONFLICT (message) DO UPDATE SET more = copies.more + excluded.more";
    let Transfer { from, to, moved, kept, now, .. } = *asked;
    let before = target.uid_next - 1;
    let mask = i64::from(kept.system.0);
    let none: &[u8] = &[];
    let values =
        params![from.0, &selected.uids, to.0, before, modseq, now, mask, kept.keywords, none];
    tx.run(COPY, values).await?;
    add_mailbox_keywords(tx, to.0, &selected.keywords).await?;
    if let Some(judged) = Judged::by_move(source.role, target.role, selected.messages.len()) {
        note_lessons(tx, target.account, &selected.messages, judged).await?;
    }
    if moved {
        return remove_entries(tx, source.account, from, selected, modseq).await;
    }
    tx.run(MORE, params![from.0, &selected.uids]).await.map(drop)
}

/// A message on its way to another account.
struct Carried {
    message: i64,
    flags: SystemFlags,
    keywords: Packed,
    size_octets: i64,
    received_at: i64,
}

/// New messages of another account, on the same blobs. Its keywords have numbers of its own.
async fn across(
    tx: &Tx,
    asked: &Transfer,
    source: &MailboxState,
    target: &MailboxState,
    selected: &Selected,
    modseq: i64,
) -> Result<(), StoreError> {
    const ENTRIES: &str = "SELECT message, flags, keywords, size_octets, received_at FROM entries \
        WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    let Transfer { from, to, moved, kept, now, .. } = *asked;
    let carried = tx
        .rows(ENTRIES, params![from.0, &selected.uids], |row| {
            Ok(Carried {
                message: row.int(0)?,
                flags: SystemFlags(system(row.int(1)?)?.0 & kept.system.0),
                keywords: if kept.keywords { row.bytes(2)?.to_vec() } else { Packed::new() },
                size_octets: row.int(3)?,
                received_at: row.int(4)?,
            })
        })
        .await?;
    let mut theirs = Keywords::load(tx, source.account).await?;
    let mut ours = Keywords::load(tx, target.account).await?;
    let mut packed: HashMap<Packed, Packed> = HashMap::new();
    let mut made: HashMap<i64, i64> = HashMap::new();
    let mut used = Packed::new();
    for (uid, carried) in (target.uid_next..).zip(&carried) {
        if !packed.contains_key(&carried.keywords) {
            let names = theirs.list(&carried.keywords);
            packed.insert(carried.keywords.clone(), ours.pack(tx, names.as_ref()).await?);
        }
        let keywords = &packed[&carried.keywords];
        used = keywords::union(&used, keywords);
        let message = carry(tx, target, carried.message, modseq, &mut made).await?;
        let entry = NewEntry {
            mailbox: to.0,
            uid,
            message,
            modseq,
            flags: carried.flags,
            keywords,
            size_octets: carried.size_octets,
            received_at: carried.received_at,
            saved_at: now,
        };
        insert_entry(tx, &entry).await?;
    }
    add_mailbox_keywords(tx, to.0, &used).await?;
    if moved {
        let Delta { octets, total, .. } = selected.delta;
        let modseq = next_modseq(tx, source.account, -octets, -total).await?;
        remove_entries(tx, source.account, from, selected, modseq).await?;
        drop_places(tx, &selected.messages, now).await?;
    }
    Ok(())
}

/// One more entry in the target's account of a message of the source's: a new row the first time.
async fn carry(
    tx: &Tx,
    target: &MailboxState,
    message: i64,
    modseq: i64,
    made: &mut HashMap<i64, i64>,
) -> Result<i64, StoreError> {
    const COPY: &str = "INSERT INTO messages (account, blob, indexed, journey, summary, \
        created_modseq) SELECT ?2, blob, 0, journey, summary, ?3 FROM messages WHERE id = ?1 \
        RETURNING id, blob";
    const AGAIN: &str = "INSERT INTO copies (message, more) VALUES (?1, 1) \
        ON CONFLICT (message) DO UPDATE SET more = copies.more + 1";
    if let Some(&known) = made.get(&message) {
        tx.run(AGAIN, params![known]).await?;
        return Ok(known);
    }
    let values = params![message, target.account.0, modseq];
    let copied = tx.row(COPY, values, |row| Ok((row.int(0)?, row.int(1)?))).await?;
    let none = || StoreError::Damaged("an entry without a message".into());
    let (id, blob) = copied.ok_or_else(none)?;
    hold_blob(tx, blob).await?;
    made.insert(message, id);
    Ok(id)
}
