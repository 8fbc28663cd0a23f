//! The roll of a mailbox: all its entries at one moment, packed, and shared by all who look at it.
//!
//! A roll never changes. The next moment's roll is made of it ([`Roll::advanced`]) and shares with it
//! whatever stayed: rows lie in pieces of some hundreds, and only pieces in which something happened
//! are made anew. So a thousand sessions that look at a mailbox of 100,000 messages hold it once, and
//! what happened between two moments is found by comparing two rolls ([`Roll::news_of`]), which
//! passes over the pieces that they share.
//!
//! | file | what it holds |
//! |---|---|
//! | `row` | an entry in 24 octets |
//! | `sets` | the sets of keywords that rows name |
//! | `shared` | the newest roll of each mailbox that somebody looks at |
//! | `ties` | which messages the entries are of |

mod row;
mod sets;
mod shared;
mod ties;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::{Entry, Flags, ModSeq, SystemFlags, Uid};
pub use row::Row;
use row::RowParts;
pub use sets::KeywordSet;
use sets::Sets;
pub(crate) use shared::Rolls;
pub use ties::{Tie, Ties};

/// Rows of a piece, at most.
const PIECE: usize = 256;

/// See the module's words. Places are counted from 0, in the order of UIDs.
#[derive(Debug, Clone, Default)]
pub struct Roll {
    pieces: Vec<Arc<Vec<Row>>>,
    /// Of each piece, the place after its last row.
    ends: Vec<u32>,
    sets: Arc<Sets>,
    modseq: u64,
    /// Looked for once.
    first_unseen: OnceLock<Option<u32>>,
}

/// What a roll has that an older one has not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RollNews {
    /// Rows whose flags or modseq are others: the place in the older roll, and in the newer.
    pub altered: Vec<Altered>,
    /// UIDs that are not there any more, ascending.
    pub vanished: Vec<Uid>,
    /// Places in the newer roll of what has come.
    pub new: Range<u32>,
}

/// One row of [`RollNews`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Altered {
    /// In the older roll.
    pub before: u32,
    /// In the newer one.
    pub now: u32,
    /// Not the modseq alone.
    pub flags: bool,
}

impl Roll {
    /// Of entries in the order of UIDs.
    pub fn new(entries: &[Entry], modseq: ModSeq) -> Roll {
        let mut roll = Roll { modseq: modseq.0, ..Roll::default() };
        for entry in entries {
            roll.push_entry(entry);
        }
        roll
    }

    /// How many messages there are.
    pub fn len(&self) -> u32 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The moment.
    pub fn modseq(&self) -> ModSeq {
        ModSeq(self.modseq)
    }

    /// The rows in order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    /// The row at that place.
    pub fn row(&self, place: u32) -> Option<&Row> {
        let piece = self.piece_of(place)?;
        self.pieces[piece].get((place - self.start(piece)) as usize)
    }

    /// The last row.
    pub fn last(&self) -> Option<&Row> {
        self.pieces.last()?.last()
    }

    /// The first row without `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        let unseen = |row: &Row| !row.system().contains(SystemFlags::SEEN);
        *self.first_unseen.get_or_init(|| self.rows().position(unseen).map(|place| place as u32))
    }

    /// The place of a UID.
    pub fn place_of(&self, uid: Uid) -> Option<u32> {
        let place = self.places_before(uid);
        self.row(place).filter(|row| row.uid() == uid).map(|_| place)
    }

    /// How many rows have lower UIDs than that one.
    pub fn places_before(&self, uid: Uid) -> u32 {
        let piece =
            self.pieces.partition_point(|piece| piece.last().is_some_and(|r| r.uid() < uid));
        let Some(rows) = self.pieces.get(piece) else { return self.len() };
        self.start(piece) + rows.partition_point(|row| row.uid() < uid) as u32
    }

    /// The set of keywords of one of its rows; `None` for the empty one.
    pub fn keywords(&self, row: &Row) -> Option<&KeywordSet> {
        self.sets.get(row.keywords())
    }

    /// The flags of one of its rows.
    pub fn flags(&self, row: &Row) -> Flags {
        Flags { system: row.system(), keywords: self.keywords(row).cloned() }
    }

    /// All sets of keywords that its rows have, and perhaps some that they had.
    pub fn keyword_sets(&self) -> &[KeywordSet] {
        self.sets.all()
    }

    /// Whether both have the same sets: a quick look that may say no where they are equal.
    pub fn shares_keyword_sets(&self, other: &Roll) -> bool {
        Arc::ptr_eq(&self.sets, &other.sets)
    }

    /// What has happened from this roll to a newer one of the same mailbox. Rows in `gone` are known
    /// to have vanished. UIDs only grow (RFC 9051 §2.3.1.1): what is new is above all that was here.
    pub fn news_of(&self, now: &Roll, gone: &BTreeSet<Uid>) -> RollNews {
        let numbers = self.numbers_in(now);
        let mut news = RollNews::default();
        let (mut a, mut b) = (Walk::of(self), Walk::of(now));
        loop {
            if a.passes_with(&mut b) {
                continue;
            }
            let (Some(before), Some(after)) = (a.row(), b.row()) else { break };
            if before.uid() < after.uid() {
                news.lost(before, gone);
                a.step();
            } else if before.uid() > after.uid() {
                b.step(); // it was never here, and never can be told
            } else {
                if before != after {
                    let flags = before.system() != after.system()
                        || numbers.as_ref().map_or(before.keywords(), |numbers| {
                            numbers[before.keywords() as usize]
                        }) != after.keywords();
                    if flags || before.modseq() != after.modseq() {
                        news.altered.push(Altered { before: a.place, now: b.place, flags });
                    }
                }
                a.step();
                b.step();
            }
        }
        while let Some(row) = a.row() {
            news.lost(row, gone);
            a.step();
        }
        let last = self.last().map_or(Uid(0), Row::uid);
        news.new = now.places_before(Uid(last.0.saturating_add(1)))..now.len();
        news
    }

    /// The numbers that this roll's sets have in another; `None` when they are the same. A set that
    /// is not there has a number that no row has.
    fn numbers_in(&self, other: &Roll) -> Option<Vec<u32>> {
        if Arc::ptr_eq(&self.sets, &other.sets) {
            return None;
        }
        let numbers = self.sets.all().iter().map(|set| other.sets.known(Some(set)));
        Some(std::iter::once(0).chain(numbers.map(|known| known.unwrap_or(u32::MAX))).collect())
    }

    /// This roll with what has changed in another, and all of its own rows: what has vanished stays.
    pub fn with_news(&self, now: &Roll, news: &RollNews) -> Roll {
        let mut roll = Roll { first_unseen: OnceLock::new(), ..self.clone() };
        for altered in &news.altered {
            if let Some(row) = now.row(altered.now) {
                roll.set_flags(altered.before, row.system(), now.keywords(row), row.modseq());
            }
        }
        for row in news.new.clone().filter_map(|place| now.row(place)) {
            let keywords = Sets::number(&mut roll.sets, now.keywords(row));
            let mut row = *row;
            row.renumber_keywords(keywords);
            roll.push(row);
        }
        roll
    }

    /// The roll of a later moment. `changed` and `vanished` ascend by UID.
    pub(crate) fn advanced(&self, changed: &[Entry], vanished: &[Uid], modseq: ModSeq) -> Roll {
        let mut roll = Roll { modseq: modseq.0, first_unseen: OnceLock::new(), ..self.clone() };
        roll.remove(vanished);
        for entry in changed {
            match roll.place_of(entry.uid) {
                Some(place) if roll.row(place).is_some_and(|row| row.modseq() >= entry.modseq) => {}
                Some(place) => {
                    let Flags { system, keywords } = &entry.flags;
                    roll.set_flags(place, *system, keywords.as_ref(), entry.modseq);
                }
                None if roll.last().is_none_or(|last| entry.uid > last.uid()) => {
                    roll.push_entry(entry);
                }
                None => {}
            }
        }
        roll.sweep();
        roll
    }

    fn push_entry(&mut self, entry: &Entry) {
        let keywords = Sets::number(&mut self.sets, entry.flags.keywords.as_ref());
        self.push(Row::new(RowParts {
            uid: entry.uid,
            size_octets: entry.size_octets,
            received_secs: entry.received_at.as_second(),
            keywords,
            modseq: entry.modseq,
            system: entry.flags.system,
        }));
    }

    fn push(&mut self, row: Row) {
        let end = self.len() + 1;
        match (self.pieces.last_mut(), self.ends.last_mut()) {
            (Some(piece), Some(last)) if piece.len() < PIECE => {
                Arc::make_mut(piece).push(row);
                *last = end;
            }
            _ => {
                self.pieces.push(Arc::new(vec![row]));
                self.ends.push(end);
            }
        }
    }

    /// The place is one of this roll's.
    fn set_flags(
        &mut self,
        place: u32,
        system: SystemFlags,
        keywords: Option<&KeywordSet>,
        modseq: ModSeq,
    ) {
        let keywords = Sets::number(&mut self.sets, keywords);
        let piece = self.piece_of(place).expect("the place was found in this roll");
        let at = (place - self.start(piece)) as usize;
        Arc::make_mut(&mut self.pieces[piece])[at].set_flags(system, keywords, modseq);
    }

    fn remove(&mut self, uids: &[Uid]) {
        let mut uids = uids;
        for piece in &mut self.pieces {
            let (Some(first), Some(last)) = (piece.first(), piece.last()) else { continue };
            uids = &uids[uids.partition_point(|&uid| uid < first.uid())..];
            let (here, rest) = uids.split_at(uids.partition_point(|&uid| uid <= last.uid()));
            uids = rest;
            if !here.is_empty() {
                let left = piece.iter().filter(|row| here.binary_search(&row.uid()).is_err());
                let left: Vec<Row> = left.copied().collect();
                *piece = Arc::new(left);
            }
        }
        self.pieces.retain(|piece| !piece.is_empty());
        // Many small pieces are as much trouble as none.
        if self.pieces.len() > 8
            && self.pieces.iter().map(|p| p.len()).sum::<usize>() < self.pieces.len() * PIECE / 4
        {
            let rows: Vec<Row> = self.rows().copied().collect();
            self.pieces = rows.chunks(PIECE).map(|rows| Arc::new(rows.to_vec())).collect();
        }
        let mut end = 0;
        self.ends.clear();
        self.ends.extend(self.pieces.iter().map(|piece| {
            end += piece.len() as u32;
            end
        }));
    }

    /// Forgets sets that no row has: a mailbox whose keywords change for ever takes no more memory
    /// for it.
    fn sweep(&mut self) {
        if !self.sets.want_sweeping() {
            return;
        }
        let old = std::mem::take(&mut self.sets);
        for piece in &mut self.pieces {
            for at in 0..piece.len() {
                let before = piece[at].keywords();
                let number = Sets::number(&mut self.sets, old.get(before));
                if number != before {
                    Arc::make_mut(piece)[at].renumber_keywords(number);
                }
            }
        }
        Arc::make_mut(&mut self.sets).swept();
    }

    fn piece_of(&self, place: u32) -> Option<usize> {
        // Where nothing was ever expunged, pieces are full.
        let guess = place as usize / PIECE;
        if let Some(&end) = self.ends.get(guess)
            && place < end
            && place >= self.start(guess)
        {
            return Some(guess);
        }
        let piece = self.ends.partition_point(|&end| end <= place);
        (piece < self.ends.len()).then_some(piece)
    }

    fn start(&self, piece: usize) -> u32 {
        piece.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

impl RollNews {
    fn lost(&mut self, row: &Row, gone: &BTreeSet<Uid>) {
        if !gone.contains(&row.uid()) {
            self.vanished.push(row.uid());
        }
    }
}

/// A way through a roll.
struct Walk<'r> {
    roll: &'r Roll,
    piece: usize,
    at: usize,
    place: u32,
}

impl<'r> Walk<'r> {
    fn of(roll: &'r Roll) -> Walk<'r> {
        Walk { roll, piece: 0, at: 0, place: 0 }
    }

    fn row(&self) -> Option<&'r Row> {
        self.roll.pieces.get(self.piece)?.get(self.at)
    }

    fn step(&mut self) {
        self.place += 1;
        self.at += 1;
        if self.roll.pieces.get(self.piece).is_some_and(|piece| self.at >= piece.len()) {
            self.at = 0;
            self.piece += 1;
        }
    }

    /// Passes over a piece that both have. Gives whether there was one.
    fn passes_with(&mut self, other: &mut Walk<'r>) -> bool {
        if self.at != 0 || other.at != 0 {
            return false;
        }
        match (self.roll.pieces.get(self.piece), other.roll.pieces.get(other.piece)) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {
                for walk in [self, other] {
                    walk.place += a.len() as u32;
                    walk.piece += 1;
                }
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn entry(uid: u32, modseq: u64, system: u8, keywords: &[&str]) -> Entry {
        Entry {
            uid: Uid(uid),
            message: MessageId(i64::from(uid)),
            modseq: ModSeq(modseq),
            flags: Flags {
                system: SystemFlags(system),
                keywords: (!keywords.is_empty())
                    .then(|| keywords.iter().map(|&k| k.into()).collect()),
            },
            size_octets: 1,
            received_at: Timestamp::UNIX_EPOCH,
            saved_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn listed(roll: &Roll) -> Vec<(u32, u64, u8, Vec<String>)> {
        let row = |row: &Row| {
            let keywords =
                roll.keywords(row).map(|set| set.iter().map(|k| k.to_string()).collect());
            (row.uid().0, row.modseq().0, row.system().0, keywords.unwrap_or_default())
        };
        roll.rows().map(row).collect()
    }

    #[test]
    fn what_did_not_change_is_shared() {
        let entries: Vec<Entry> = (1..=5 * PIECE as u32).map(|uid| entry(uid, 1, 0, &[])).collect();
        let roll = Roll::new(&entries, ModSeq(1));
        let changed = [entry(2, 2, 1, &["a"]), entry(5 * PIECE as u32 + 1, 2, 0, &[])];
        let next = roll.advanced(&changed, &[Uid(PIECE as u32 + 7)], ModSeq(2));
        let shared = roll.pieces.iter().filter(|a| next.pieces.iter().any(|b| Arc::ptr_eq(a, b)));
        assert_eq!(shared.count(), 3);
        assert_eq!(next.len(), roll.len());
        assert_eq!(next.place_of(Uid(PIECE as u32 + 8)), Some(PIECE as u32 + 6));
        let news = roll.news_of(&next, &BTreeSet::new());
        assert_eq!(news.altered, [Altered { before: 1, now: 1, flags: true }]);
        assert_eq!(news.vanished, [Uid(PIECE as u32 + 7)]);
        assert_eq!(news.new, next.len() - 1..next.len());
    }

    #[test]
    fn sets_that_nobody_has_are_forgotten() {
        let mut roll = Roll::new(&[entry(1, 1, 0, &[])], ModSeq(1));
        for n in 2..1000u64 {
            let keyword = n.to_string();
            roll = roll.advanced(&[entry(1, n, 0, &[&keyword])], &[], ModSeq(n));
            assert_eq!(listed(&roll), [(1, n, 0, vec![keyword])]);
        }
        assert!(roll.keyword_sets().len() < 70);
    }

    /// What a plain list would hold.
    type Model = Vec<(u32, u64, u8, Vec<String>)>;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Rolls that follow each other equal a plain list; comparing any two tells their difference,
        /// and the older with that news is the newer with what has vanished still in it.
        #[test]
        fn rolls_are_lists(
            first in 0u32..700,
            steps in proptest::collection::vec(
                (0u8..5, any::<prop::sample::Index>(), 0u32..400, 0u8..8), 1..40,
            ),
        ) {
            let keywords = |n: u8| if n == 0 { Vec::new() } else { vec![format!("k{n}")] };
            let mut model: Model = (1..=first).map(|uid| (uid, 1, 0, Vec::new())).collect();
            let entries: Vec<Entry> = model.iter().map(|row| entry(row.0, 1, 0, &[])).collect();
            let mut rolls = vec![Roll::new(&entries, ModSeq(1))];
            let (mut next, mut modseq) = (first + 1, 1);
            for (what, at, many, mark) in steps {
                modseq += 1;
                let (mut changed, mut vanished) = (Vec::new(), Vec::new());
                let from = if model.is_empty() { 0 } else { at.index(model.len()) };
                let to = model.len().min(from + many as usize);
                match what {
                    0 | 1 => {
                        for _ in 0..many {
                            model.push((next, modseq, mark, keywords(mark)));
                            changed.push(next);
                            next += 1;
                        }
                    }
                    2 | 3 => {
                        for row in model[from..to].iter_mut().step_by(1 + usize::from(what)) {
                            *row = (row.0, modseq, mark, keywords(mark));
                            changed.push(row.0);
                        }
                    }
                    _ => vanished.extend(model.drain(from..to).map(|row| Uid(row.0))),
                }
                let kept = keywords(mark);
                let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
                let changed: Vec<Entry> =
                    changed.iter().map(|&uid| entry(uid, modseq, mark, &kept)).collect();
                let roll = rolls.last().unwrap().advanced(&changed, &vanished, ModSeq(modseq));
                prop_assert_eq!(&listed(&roll), &model);
                prop_assert_eq!(roll.len() as usize, model.len());
                let unseen = model.iter().position(|row| row.2 & 1 == 0);
                prop_assert_eq!(roll.first_unseen(), unseen.map(|place| place as u32));
                for (place, row) in model.iter().enumerate() {
                    prop_assert_eq!(roll.place_of(Uid(row.0)), Some(place as u32));
                    prop_assert_eq!(roll.row(place as u32).map(|row| row.uid().0), Some(row.0));
                }
                prop_assert!(roll.row(roll.len()).is_none());
                rolls.push(roll);
            }
            let now = rolls.last().unwrap();
            for before in &rolls {
                let news = before.news_of(now, &BTreeSet::new());
                let (old, new) = (listed(before), listed(now));
                let mut expected = old.clone();
                let mut vanished = Vec::new();
                for row in &mut expected {
                    match new.binary_search_by_key(&row.0, |now| now.0) {
                        Ok(at) => *row = new[at].clone(),
                        Err(_) => vanished.push(Uid(row.0)),
                    }
                }
                prop_assert_eq!(&news.vanished, &vanished);
                let altered: Vec<(u32, bool)> = old.iter().zip(&expected).enumerate()
                    .filter(|(_, (old, new))| old != new)
                    .map(|(at, (old, new))| (at as u32, (old.2, &old.3) != (new.2, &new.3)))
                    .collect();
                let found: Vec<(u32, bool)> =
                    news.altered.iter().map(|altered| (altered.before, altered.flags)).collect();
                prop_assert_eq!(found, altered);
                let last = old.last().map_or(0, |row| row.0);
                expected.extend(new.iter().filter(|row| row.0 > last).cloned());
                prop_assert_eq!(listed(&before.with_news(now, &news)), expected);
            }
        }
    }
}
