//! What one session has told its client of the selected mailbox.
//!
//! The view is a vector of [`Row`]s in the order of UIDs: the sequence number of a message is its
//! place in the vector plus one, and that is all that a sequence number means. The store moves on
//! by itself; [`View::apply`] brings its changes in, and the view keeps the promise of RFC 9051
//! §7.5.1:
//!
//! | the store says | the view | the client hears |
//! |---|---|---|
//! | new entry | a row at the end | EXISTS |
//! | altered entry | the row's flags | FETCH |
//! | vanished | *marked* gone, the row stays | nothing yet |
//! | – (a command allows it) | rows that are gone are taken out | EXPUNGE, highest number first |
//!
//! Between marking and telling, numbers mean what the client believes they mean; the messages
//! behind them just have no content any more.

use std::collections::BTreeSet;
use std::ops::Range;

use waxwing_store::{Entry, Flags, MailboxChanges, ModSeq, Uid};

use super::keywords::Keywords;
use super::row::{Row, RowParts};
use crate::wire::partial::PartialRange;
use crate::wire::sequence::SequenceSet;

/// See above.
#[derive(Debug, Default)]
pub struct View {
    rows: Vec<Row>,
    keywords: Keywords,
    /// Vanished from the store, not from the client's sight.
    gone: BTreeSet<Uid>,
    /// Everything up to here has been brought in.
    modseq: u64,
}

/// What the client must hear of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// There are more messages than before.
    pub more: bool,
    /// Places of rows whose flags or modseq are not as the client knows them, ascending.
    pub altered: Vec<u32>,
}

/// Messages of a view: places in it, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    ranges: Vec<Range<u32>>,
}

/// A sequence number that the client has never been told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchNumber;

impl View {
    /// A mailbox as it is on SELECT.
    pub fn new(entries: &[Entry], modseq: ModSeq) -> View {
        let mut view = View { modseq: modseq.0, ..View::default() };
        view.rows.reserve_exact(entries.len());
        for entry in entries {
            view.push(entry);
        }
        view
    }

    /// Keywords that the client is told of by SELECT.
    pub fn tell_keywords(&mut self, keywords: impl IntoIterator<Item = std::sync::Arc<str>>) {
        self.keywords.tell(keywords);
        self.keywords.take_untold();
    }

    /// The keyword sets of the rows.
    pub fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// Whether a FLAGS response is due.
    pub fn take_untold_keywords(&mut self) -> bool {
        self.keywords.take_untold()
    }

    /// EXISTS.
    pub fn exists(&self) -> u32 {
        self.rows.len() as u32
    }

    /// What has been brought in.
    pub fn modseq(&self) -> ModSeq {
        ModSeq(self.modseq)
    }

    /// The rows in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row at that place.
    pub fn row(&self, place: u32) -> Option<&Row> {
        self.rows.get(place as usize)
    }

    /// The place of a UID.
    pub fn place_of(&self, uid: Uid) -> Option<u32> {
        self.rows.binary_search_by_key(&uid, Row::uid).ok().map(|at| at as u32)
    }

    /// The flags of a row.
    pub fn flags(&self, row: &Row) -> Flags {
        Flags { system: row.system(), keywords: self.keywords.set(row.keywords()).cloned() }
    }

    fn push(&mut self, entry: &Entry) {
        let keywords = self.keywords.number(entry.flags.keywords.as_ref());
        self.rows.push(Row::new(RowParts {
            uid: entry.uid,
            size_octets: entry.size_octets,
            received_secs: entry.received_at.as_second(),
            keywords,
            modseq: entry.modseq,
            system: entry.flags.system,
        }));
    }

    /// Brings one entry up to date that the client is being told of anyway. Gives its place and
    /// whether flags changed.
    pub fn refresh(&mut self, entry: &Entry) -> Option<(u32, bool)> {
        let place = self.place_of(entry.uid)?;
        let keywords = self.keywords.number(entry.flags.keywords.as_ref());
        let row = &mut self.rows[place as usize];
        if entry.modseq < row.modseq() {
            return Some((place, false)); // an answer that was overtaken
        }
        let changed = row.system() != entry.flags.system || row.keywords() != keywords;
        row.set_flags(entry.flags.system, keywords, entry.modseq);
        Some((place, changed))
    }

    /// Brings in what happened in the store. `modseqs`: the client wants to hear of modseqs that
    /// moved without a visible change of flags.
    pub fn apply(&mut self, changes: &MailboxChanges, modseqs: bool) -> News {
        let mut news = News::default();
        for entry in &changes.changed {
            let last = self.rows.last().map(Row::uid);
            match self.place_of(entry.uid) {
                Some(place) => {
                    let before = self.rows[place as usize].modseq();
                    let flags_changed = self.refresh(entry).is_some_and(|(_, changed)| changed);
                    if flags_changed || (modseqs && entry.modseq > before) {
                        news.altered.push(place);
                    }
                }
                // UIDs only grow (RFC 9051 §2.3.1.1): what is new is above all that was told.
                None if last.is_none_or(|last| entry.uid > last) => {
                    self.push(entry);
                    news.more = true;
                }
                None => {}
            }
        }
        for &uid in &changes.vanished {
            if self.place_of(uid).is_some() {
                self.gone.insert(uid);
            }
        }
        if changes.highest_modseq.0 > self.modseq {
            self.modseq = changes.highest_modseq.0;
        }
        self.keywords.sweep(&mut self.rows);
        news
    }

    /// Brings in a mailbox read whole, when the store no longer knows all that vanished.
    pub fn apply_whole(&mut self, entries: &[Entry], modseq: ModSeq, modseqs: bool) -> News {
        let mut here = entries.iter().map(|entry| entry.uid).peekable();
        let mut vanished = Vec::new();
        for row in &self.rows {
            while here.next_if(|&uid| uid < row.uid()).is_some() {}
            if here.peek() != Some(&row.uid()) {
                vanished.push(row.uid());
            }
        }
        let changes = MailboxChanges {
            changed: entries.to_vec(),
            vanished,
            highest_modseq: modseq,
            incomplete: false,
        };
        self.apply(&changes, modseqs)
    }

    /// Whether a message is gone behind the client's back.
    pub fn is_gone(&self, uid: Uid) -> bool {
        self.gone.contains(&uid)
    }

    /// Takes out what is gone. Gives the sequence numbers for EXPUNGE responses, highest first, so
    /// that each is right when it is read.
    pub fn take_gone(&mut self) -> Vec<u32> {
        let gone = std::mem::take(&mut self.gone);
        if gone.is_empty() {
            return Vec::new();
        }
        let numbers =
            gone.iter().rev().filter_map(|&uid| self.place_of(uid)).map(|at| at + 1).collect();
        self.rows.retain(|row| !gone.contains(&row.uid()));
        numbers
    }

    /// The same for VANISHED responses: UIDs, ascending.
    pub fn take_gone_uids(&mut self) -> Vec<u32> {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            self.rows.retain(|row| !gone.contains(&row.uid()));
        }
        gone.into_iter().map(|uid| uid.0).collect()
    }

    /// The messages of a set. `saved` is what `$` stands for: UID ranges.
    ///
    /// A UID that is not there is passed over (RFC 9051 §6.4.9); a sequence number that is not
    /// there is the client's mistake.
    pub fn pick(
        &self,
        set: &SequenceSet,
        uid: bool,
        saved: &[(u32, u32)],
    ) -> Result<Picked, NoSuchNumber> {
        let mut ranges = Vec::new();
        match set {
            SequenceSet::Saved => {
                ranges.extend(saved.iter().map(|&(first, last)| self.places_of(first, last)));
            }
            SequenceSet::Ranges(_) if uid => {
                let largest = self.rows.last().map_or(0, |row| row.uid().0);
                ranges
                    .extend(set.resolved(largest).map(|(first, last)| self.places_of(first, last)));
            }
            SequenceSet::Ranges(_) => {
                for (first, last) in set.resolved(self.exists()) {
                    if first > self.exists() {
                        return Err(NoSuchNumber);
                    }
                    ranges.push(first - 1..last.min(self.exists()));
                }
            }
        }
        Ok(Picked::from_ranges(ranges))
    }

    fn places_of(&self, first: u32, last: u32) -> Range<u32> {
        let start = self.rows.partition_point(|row| row.uid().0 < first);
        let end = self.rows.partition_point(|row| row.uid().0 <= last);
        start as u32..end as u32
    }

    /// UID ranges of places, for remembering a search result.
    pub fn uid_ranges(&self, places: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut last_place = None;
        for place in places {
            let Some(uid) = self.row(place).map(|row| row.uid().0) else { continue };
            match ranges.last_mut() {
                // Neighbours in the mailbox: no other UID is, or ever will be, between them.
                Some(range) if last_place == place.checked_sub(1) => range.1 = uid,
                _ => ranges.push((uid, uid)),
            }
            last_place = Some(place);
        }
        ranges
    }
}

impl Picked {
    fn from_ranges(mut ranges: Vec<Range<u32>>) -> Picked {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|next, kept| {
            let joined = next.start <= kept.end;
            if joined {
                kept.end = kept.end.max(next.end);
            }
            joined
        });
        Picked { ranges }
    }

    /// That part of it.
    pub fn part(&self, part: PartialRange) -> Picked {
        let length = self.ranges.iter().map(|range| range.len()).sum();
        let Range { mut start, mut end } = part.of(length);
        let mut ranges = Vec::new();
        for range in &self.ranges {
            let (from, to) = (start.min(range.len()), end.min(range.len()));
            ranges.push(range.start + from as u32..range.start + to as u32);
            (start, end) = (start - from, end - to);
        }
        Picked::from_ranges(ranges)
    }

    /// The places, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|range| range.clone())
    }

    /// Whether it has that place.
    pub fn contains(&self, place: u32) -> bool {
        let at = self.ranges.partition_point(|range| range.end <= place);
        self.ranges.get(at).is_some_and(|range| range.contains(&place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cursor::Cursor;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use waxwing_store::{MessageId, SystemFlags};

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

    fn changes(changed: Vec<Entry>, vanished: &[u32], highest: u64) -> MailboxChanges {
        MailboxChanges {
            changed,
            vanished: vanished.iter().map(|&uid| Uid(uid)).collect(),
            highest_modseq: ModSeq(highest),
            incomplete: false,
        }
    }

    fn uids(view: &View) -> Vec<u32> {
        view.rows().iter().map(|row| row.uid().0).collect()
    }

    fn picked(view: &View, set: &str, uid: bool) -> Result<Vec<u32>, NoSuchNumber> {
        let set = SequenceSet::parse(&mut Cursor::new(set.as_bytes())).unwrap();
        view.pick(&set, uid, &[(5, 9)]).map(|picked| picked.iter().collect())
    }

    #[test]
    fn numbers_stay_until_the_client_hears() {
        let mut view =
            View::new(&[entry(2, 1, 0, &[]), entry(5, 1, 0, &[]), entry(9, 1, 0, &[])], ModSeq(1));
        let news =
            view.apply(&changes(vec![entry(9, 2, 1, &[]), entry(12, 2, 0, &[])], &[5], 2), false);
        assert_eq!(news, News { more: true, altered: vec![2] });
        assert_eq!(uids(&view), [2, 5, 9, 12]);
        assert!(view.is_gone(Uid(5)));
        assert_eq!(view.take_gone(), [2]);
        assert_eq!(uids(&view), [2, 9, 12]);
        assert_eq!(view.take_gone(), [0u32; 0]);
    }

    #[test]
    fn expunges_count_down() {
        let entries: Vec<Entry> = (1..=5).map(|uid| entry(uid, 1, 0, &[])).collect();
        let mut view = View::new(&entries, ModSeq(1));
        view.apply(&changes(vec![], &[2, 4, 5, 77], 3), false);
        assert_eq!(view.take_gone(), [5, 4, 2]);
        assert_eq!(uids(&view), [1, 3]);
    }

    #[test]
    fn modseqs_are_news_only_to_those_who_ask() {
        let mut view = View::new(&[entry(1, 1, 0, &["a"])], ModSeq(1));
        let touched = changes(vec![entry(1, 2, 0, &["a"])], &[], 2);
        assert_eq!(view.apply(&touched, false).altered, [0u32; 0]);
        let touched = changes(vec![entry(1, 3, 0, &["a"])], &[], 3);
        assert_eq!(view.apply(&touched, true).altered, [0]);
        assert_eq!(view.apply(&touched, true).altered, [0u32; 0]);
        let keyword = changes(vec![entry(1, 4, 0, &["b"])], &[], 4);
        assert_eq!(view.apply(&keyword, false).altered, [0]);
    }

    #[test]
    fn picking() {
        let entries: Vec<Entry> = [2, 5, 9, 12].map(|uid| entry(uid, 1, 0, &[])).into();
        let view = View::new(&entries, ModSeq(1));
        assert_eq!(picked(&view, "2:3,1,3", false), Ok(vec![0, 1, 2]));
        assert_eq!(picked(&view, "*", false), Ok(vec![3]));
        assert_eq!(picked(&view, "3:100", false), Ok(vec![2, 3]));
        let part = |text: &str| {
            let set = SequenceSet::parse(&mut Cursor::new(b"1,3:4")).unwrap();
            let part = PartialRange::parse(&mut Cursor::new(text.as_bytes())).unwrap();
            view.pick(&set, false, &[]).unwrap().part(part).iter().collect::<Vec<u32>>()
        };
        assert_eq!(part("1:2"), [0, 2]);
        assert_eq!(part("-1:-2"), [2, 3]);
        assert_eq!(part("2:9"), [2, 3]);
        assert_eq!(part("-3:-9"), [0]);
        assert_eq!(part("4:9"), [0u32; 0]);
        assert_eq!(picked(&view, "5", false), Err(NoSuchNumber));
        assert_eq!(picked(&view, "3:9,100:*", true), Ok(vec![1, 2, 3]));
        assert_eq!(picked(&view, "6", true), Ok(vec![]));
        assert_eq!(picked(&view, "$", false), Ok(vec![1, 2]));
        assert_eq!(picked(&View::default(), "1:*", false), Ok(vec![]));
        assert_eq!(picked(&View::default(), "1", false), Err(NoSuchNumber));
        assert_eq!(view.uid_ranges([0, 1, 3]), [(2, 5), (12, 12)]);
    }

    #[test]
    fn a_mailbox_read_again() {
        let entries: Vec<Entry> = [2, 5, 9].map(|uid| entry(uid, 1, 0, &[])).into();
        let mut view = View::new(&entries, ModSeq(1));
        let now = [entry(1, 4, 0, &[]), entry(5, 1, 2, &[]), entry(10, 4, 0, &[])];
        view.apply_whole(&now, ModSeq(4), false);
        assert_eq!(view.take_gone(), [3, 1]);
        assert_eq!(uids(&view), [5, 10]);
    }

    #[test]
    fn keyword_sets_are_swept() {
        let mut view = View::new(&[entry(1, 1, 0, &[])], ModSeq(1));
        for n in 2..1000u64 {
            let keyword = n.to_string();
            view.apply(&changes(vec![entry(1, n, 0, &[&keyword])], &[], n), false);
            assert_eq!(&*view.keywords().of(&view.rows()[0])[0], keyword);
        }
        assert!(view.rows()[0].keywords() < 70);
    }

    proptest! {
        /// A client that follows EXISTS and EXPUNGE literally has the same list as the view.
        #[test]
        fn the_client_counts_the_same(
            steps in proptest::collection::vec((0u8..4, any::<prop::sample::Index>()), 0..80),
        ) {
            let mut view = View::default();
            let (mut next, mut modseq) = (1u32, 0u64);
            let mut store: Vec<u32> = Vec::new();
            let mut client: Vec<u32> = Vec::new();
            for (what, at) in steps {
                modseq += 1;
                match what {
                    0 | 1 => {
                        store.push(next);
                        view.apply(&changes(vec![entry(next, modseq, 0, &[])], &[], modseq), false);
                        next += 1;
                    }
                    2 if !store.is_empty() => {
                        let uid = store.remove(at.index(store.len()));
                        view.apply(&changes(vec![], &[uid], modseq), false);
                    }
                    _ => {
                        for number in view.take_gone() {
                            client.remove(number as usize - 1);
                        }
                        prop_assert_eq!(&uids(&view), &store);
                    }
                }
                let told = client.len();
                client.extend(uids(&view).into_iter().skip(told)); // EXISTS, then a fetch of UIDs
                prop_assert_eq!(&client, &uids(&view));
            }
        }
    }
}
