//! Changing flags and keywords.

use std::collections::BTreeMap;

use super::listing::{entry, modseq};
use super::writing::{Delta, add_mailbox_keywords, lock_by_mailbox, move_counters, next_modseq};
use super::{Entry, FlagChange, FlagResults, Flags, ModSeq, SystemFlags};
use crate::engine::{Row, Tx, params};
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
    // Who shows messages with `\Deleted` as gone shows it as new.
    const BACK: &str = "UPDATE messages SET created_modseq = ?2 WHERE id IN LIST(?1)";
    let mut results = FlagResults { entries: Vec::new(), modified: Vec::new() };
    let Some(state) = lock_by_mailbox(tx, asked.mailbox).await? else {
        return Ok((results, None));
    };
    let mut moved = None;
    let mut names = Keywords::load(tx, state.account).await?;
    let mut found = find(tx, asked, &mut names).await?;
    if let Some(limit) = asked.unchanged_since {
        let (newer, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| found.entry.modseq > limit);
        results.modified = newer.into_iter().map(|found| found.entry.uid).collect();
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
    let mut groups: BTreeMap<(u8, Packed), Alike> = BTreeMap::new();
    let mut delta = Delta::default();
    let mut back = Vec::new();
    for Found { entry, keywords: old, nth } in &mut found {
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
        groups.entry((system.0, new)).or_default().add(i64::from(entry.uid.0), *nth);
    }
    if !groups.is_empty() {
        let modseq_now = next_modseq(tx, state.account, 0, 0).await?;
        for ((system, keywords), alike) in &groups {
            alike.change(tx, asked.mailbox, *system, keywords, modseq_now).await?;
        }
        if !back.is_empty() {
            tx.run(BACK, params![&back, modseq_now]).await?;
        }
        move_counters(tx, asked.mailbox, delta, 0, modseq_now).await?;
        add_mailbox_keywords(tx, asked.mailbox.0, &packed).await?;
        let entries = found.iter_mut().map(|found| &mut found.entry);
        let changed = entries.filter(|entry| entry.modseq == ModSeq(0));
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
            .map(|entry| {
                entry.modseq = modseq_now;
                entry.message.0
            })
            .collect();
        if let Some(judged) = judged {
            note_lessons(tx, state.account, &messages, judged).await?;
        }
    }
    results.entries = found.into_iter().map(|found| found.entry).collect();
    Ok((results, moved))
}

/// An entry that was asked for.
struct Found {
    entry: Entry,
    keywords: Packed,
    /// Two with numbers that follow each other have no other entry between them.
    nth: i64,
}

/// The entries, by UID. Most often nearly all from one UID to another are asked for: then they are read in
/// one go, with the few that are not.
async fn find(tx: &Tx, asked: &StoreFlags, names: &mut Keywords) -> Result<Vec<Found>, StoreError> {
    const EACH: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    const RANGE: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid";
    let mailbox = asked.mailbox.0;
    let mut read = |row: &Row<'_>, nth| {
        let keywords = row.bytes(4)?.to_vec();
        Ok(Found { entry: entry(row, names)?, keywords, nth })
    };
    let (first, last) = (asked.uids.first(), asked.uids.last());
    let range = first.zip(last).filter(|_| asked.uids.is_sorted());
    let dense = |&(first, last): &(&i64, &i64)| last - first < 2 * asked.uids.len() as i64;
    let Some((first, last)) = range.filter(dense) else {
        let read = |row: &Row<'_>| read(row, row.int(0)?);
        return tx.rows(EACH, params![mailbox, &asked.uids], read).await;
    };
    let mut found = Vec::with_capacity(asked.uids.len());
    let mut wanted = asked.uids.iter().peekable();
    let mut nth = 0;
    tx.each(RANGE, params![mailbox, *first, *last], |row| {
        let uid = row.int(0)?;
        nth += 1;
        while wanted.next_if(|wanted| **wanted < uid).is_some() {}
        if wanted.next_if(|wanted| **wanted == uid).is_some() {
            found.push(read(row, nth)?);
        }
        Ok(true)
    })
    .await?;
    Ok(found)
}

/// Entries that become alike: in runs without any other entry in between.
#[derive(Default)]
struct Alike {
    runs: Vec<(i64, i64)>,
    uids: Vec<i64>,
    last: Option<i64>,
}

impl Alike {
    /// One more, whose UID is higher than those before.
    fn add(&mut self, uid: i64, nth: i64) {
        match self.runs.last_mut().filter(|_| self.last.is_some_and(|last| last + 1 == nth)) {
            Some(run) => run.1 = uid,
            None => self.runs.push((uid, uid)),
        }
        self.uids.push(uid);
        self.last = Some(nth);
    }

    /// Run by run where these are long: that takes half the time.
    async fn change(
        &self,
        tx: &Tx,
        mailbox: MailboxId,
        system: u8,
        keywords: &Packed,
        modseq: i64,
    ) -> Result<(), StoreError> {
        const EACH: &str = "UPDATE entries SET flags = ?3, keywords = ?4, modseq = ?5 \
            WHERE mailbox = ?1 AND uid IN LIST(?2)";
        const RUN: &str = "UPDATE entries SET flags = ?4, keywords = ?5, modseq = ?6 \
            WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3";
        const LONG: usize = 8;
        let (mailbox, flags) = (mailbox.0, i64::from(system));
        if self.runs.len() * LONG > self.uids.len() {
            let values = params![mailbox, &self.uids, flags, keywords, modseq];
            return tx.run(EACH, values).await.map(drop);
        }
        for (first, last) in &self.runs {
            let values = params![mailbox, *first, *last, flags, keywords, modseq];
            tx.run(RUN, values).await?;
        }
        Ok(())
    }
}
