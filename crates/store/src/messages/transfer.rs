//! Copying and moving within an account: entries only, content stays where it is.

use super::SystemFlags;
use super::expunge::remove_entries;
use super::listing::{mailbox_state, modseq, system};
use super::writing::{
    Delta, add_mailbox_keywords, check_uid, lock_by_mailbox, move_counters, next_modseq, over_quota,
};
use super::{Copied, Uid};
use crate::blob::rounds;
use crate::engine::{Tx, params};
use crate::instant::count32;
use crate::keywords::{self, Packed};
use crate::trust::{Judged, note_lessons};
use crate::{AppendError, MailboxId, StoreError};

pub(crate) struct Transfer {
    pub(crate) from: MailboxId,
    pub(crate) uids: Vec<i64>,
    pub(crate) to: MailboxId,
    pub(crate) moved: bool,
    pub(crate) now: i64,
}

/// What was selected for a transfer or an expunge.
pub(super) struct Selected {
    pub(super) uids: Vec<i64>,
    pub(super) messages: Vec<i64>,
    pub(super) keywords: Packed,
    pub(super) delta: Delta,
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
) -> Result<Selected, StoreError> {
    const SQL: &str = "SELECT uid, message, flags, keywords, size_octets FROM entries \
        WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    let mut selected = Selected {
        uids: Vec::new(),
        messages: Vec::new(),
        keywords: Packed::new(),
        delta: Delta::default(),
    };
    tx.each(SQL, params![mailbox.0, uids], |row| {
        let flags = system(row.int(2)?)?;
        if which == Which::Deleted && !flags.contains(SystemFlags::DELETED) {
            return Ok(true);
        }
        selected.uids.push(row.int(0)?);
        selected.messages.push(row.int(1)?);
        selected.delta.add(flags, row.int(4)?);
        let keywords = row.bytes(3)?;
        if !keywords.is_empty() {
            selected.keywords = keywords::union(&selected.keywords, keywords);
        }
        Ok(true)
    })
    .await?;
    Ok(selected)
}

pub(crate) async fn transfer_in(tx: &Tx, asked: &Transfer) -> Result<Copied, AppendError> {
    const COPY: &str = "INSERT INTO entries (mailbox, uid, message, modseq, flags, keywords, \
        size_octets, received_at, saved_at) \
        SELECT ?3, ?4 + ROW_NUMBER() OVER (ORDER BY uid), message, ?5, flags, keywords, \
        size_octets, received_at, ?6 FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2)";
    const MORE_PLACES: &str = "UPDATE messages SET places = places + 1 WHERE id IN LIST(?1)";
    let Transfer { from, to, moved, now, .. } = *asked;
    let target = lock_by_mailbox(tx, to).await?.ok_or(AppendError::NoMailbox)?;
    let account = target.account;
    let source = mailbox_state(tx, from).await?.filter(|source| source.account == account);
    let source = source.ok_or(AppendError::NoMailbox)?;
    let selected = select(tx, from, &asked.uids, Which::All).await?;
    let found = selected.uids.len() as i64;
    if found == 0 {
        let modseq = modseq(target.highest_modseq)?;
        return Ok(Copied { uid_validity: target.uid_validity, uids: Vec::new(), modseq });
    }
    let added = if moved { Delta::default() } else { selected.delta };
    if over_quota(tx, account, added.octets).await? && !moved {
        return Err(AppendError::OverQuota);
    }
    check_uid(target.uid_next + found)?;
    let modseq_now = next_modseq(tx, account, added.octets, added.total).await?;
    let before = target.uid_next - 1;
    let values = params![from.0, &selected.uids, to.0, before, modseq_now, now];
    tx.run(COPY, values).await?;
    move_counters(tx, to, selected.delta, found, modseq_now).await?;
    add_mailbox_keywords(tx, to.0, &selected.keywords).await?;
    if let Some(judged) = Judged::by_move(source.role, target.role) {
        note_lessons(tx, account, &selected.messages, judged).await?;
    }
    if moved {
        remove_entries(tx, from, &selected.uids, selected.delta, modseq_now).await?;
    } else {
        for round in rounds(&selected.messages) {
            tx.run(MORE_PLACES, params![&round]).await?;
        }
    }
    let pairs = selected.uids.iter().zip(target.uid_next..);
    let uids = pairs.map(|(old, new)| Ok((Uid(count32(*old)?), Uid(count32(new)?))));
    Ok(Copied {
        uid_validity: target.uid_validity,
        uids: uids.collect::<Result<_, StoreError>>()?,
        modseq: modseq(modseq_now)?,
    })
}
