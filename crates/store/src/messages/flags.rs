//! Changing flags and keywords.

use std::collections::BTreeMap;

use super::listing::{entry, modseq};
use super::writing::{Delta, add_mailbox_keywords, lock_by_mailbox, move_counters, next_modseq};
use super::{FlagChange, FlagResults, Flags, ModSeq, SystemFlags};
use crate::engine::{Tx, params};
use crate::keywords::{self, Keywords, Packed};
use crate::trust::{Judged, note_lessons};
use crate::{MailboxId, StoreError};

pub(super) struct StoreFlags {
    pub(super) mailbox: MailboxId,
    pub(super) uids: Vec<i64>,
    pub(super) change: FlagChange,
    pub(super) unchanged_since: Option<ModSeq>,
}

/// Gives also the moments before and after, if anything was altered.
pub(super) async fn store_flags_in(
    tx: &Tx,
    asked: &StoreFlags,
) -> Result<(FlagResults, Option<(ModSeq, ModSeq)>), StoreError> {
    const FIND: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    const CHANGE: &str = "UPDATE entries SET flags = ?3, keywords = ?4, modseq = ?5 \
        WHERE mailbox = ?1 AND uid IN LIST(?2)";
    // Who shows messages with `\Deleted` as gone shows it as new.
    const BACK: &str = "UPDATE messages SET created_modseq = ?2 WHERE id IN LIST(?1)";
    let mut results = FlagResults { entries: Vec::new(), modified: Vec::new() };
    let Some(state) = lock_by_mailbox(tx, asked.mailbox).await? else {
        return Ok((results, None));
    };
    let mut moved = None;
    let mut names = Keywords::load(tx, state.account).await?;
    let mut found = tx
        .rows(FIND, params![asked.mailbox.0, &asked.uids], |row| {
            Ok((entry(row, &mut names)?, row.bytes(4)?.to_vec()))
        })
        .await?;
    if let Some(limit) = asked.unchanged_since {
        let (newer, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(entry, _)| entry.modseq > limit);
        results.modified = newer.into_iter().map(|(entry, _)| entry.uid).collect();
        found = rest;
    }
    let (FlagChange::Set(given)
    | FlagChange::SetWithin(given, _)
    | FlagChange::Add(given)
    | FlagChange::Remove(given)) = &asked.change;
    let packed = if found.is_empty() {
        Packed::new()
    } else {
        names.pack(tx, given.keywords.as_ref()).await?
    };

    // Entries that become alike are written together.
    let mut groups: BTreeMap<(u8, Packed), Vec<i64>> = BTreeMap::new();
    let mut delta = Delta::default();
    let mut back = Vec::new();
    for (entry, old) in &mut found {
        let (system, new) = match &asked.change {
            FlagChange::Set(_) => (given.system, packed.clone()),
            FlagChange::SetWithin(_, mask) => {
                let given = SystemFlags(given.system.0 & mask.system.0);
                let keywords = if mask.keywords { &packed } else { &*old };
                (entry.flags.system.without(mask.system).with(given), keywords.clone())
            }
            FlagChange::Add(_) => {
                (entry.flags.system.with(given.system), keywords::union(old, &packed))
            }
            FlagChange::Remove(_) => {
                (entry.flags.system.without(given.system), keywords::difference(old, &packed))
            }
        };
        if system == entry.flags.system && new == *old {
            continue;
        }
        for (flag, counter, sign) in [
            (SystemFlags::SEEN, &mut delta.unseen, -1),
            (SystemFlags::DELETED, &mut delta.deleted, 1),
        ] {
            let (was, is) = (entry.flags.system.contains(flag), system.contains(flag));
            *counter += sign * (i64::from(is) - i64::from(was));
        }
        if entry.flags.system.without(system).contains(SystemFlags::DELETED) {
            back.push(entry.message.0);
        }
        entry.flags = Flags { system, keywords: names.list(&new) };
        entry.modseq = ModSeq(0); // Marked; the number comes below.
        groups.entry((system.0, new)).or_default().push(i64::from(entry.uid.0));
    }
    if !groups.is_empty() {
        let modseq_now = next_modseq(tx, state.account, 0, 0).await?;
        for ((system, keywords), uids) in &groups {
            let flags = i64::from(*system);
            let values = params![asked.mailbox.0, uids, flags, keywords, modseq_now];
            tx.run(CHANGE, values).await?;
        }
        if !back.is_empty() {
            tx.run(BACK, params![&back, modseq_now]).await?;
        }
        move_counters(tx, asked.mailbox, delta, 0, modseq_now).await?;
        add_mailbox_keywords(tx, asked.mailbox.0, &packed).await?;
        let changed = found.iter_mut().filter(|(entry, _)| entry.modseq == ModSeq(0));
        let given = match &asked.change {
            FlagChange::Remove(_) => None,
            FlagChange::SetWithin(_, mask) if !mask.keywords => None,
            FlagChange::Set(given) | FlagChange::SetWithin(given, _) | FlagChange::Add(given) => {
                given.keywords.as_deref()
            }
        };
        let given = given.unwrap_or_default().iter().map(|keyword| &**keyword);
        let judged = Judged::by_keywords(given);
        let modseq_now = modseq(modseq_now)?;
        moved = Some((modseq(state.highest_modseq)?, modseq_now));
        let messages: Vec<i64> = changed
            .map(|(entry, _)| {
                entry.modseq = modseq_now;
                entry.message.0
            })
            .collect();
        if let Some(judged) = judged {
            note_lessons(tx, state.account, &messages, judged).await?;
        }
    }
    results.entries = found.into_iter().map(|(entry, _)| entry).collect();
    Ok((results, moved))
}
