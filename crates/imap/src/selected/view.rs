//! What one session has told its client of the selected mailbox.
//!
//! The store shares one [`Roll`] of a mailbox among all who look at it. A view is the roll as the client
//! knows it: the sequence number of a message is its place plus one, and that is all that a sequence
//! number means. The store moves on by itself; [`View::catch_up`] compares its newest roll with what the
//! client knows, and the view keeps the promise of RFC 9051 §7.5.1:
//!
//! | the store says | the view | the client hears |
//! |---|---|---|
//! | new entry | a row at the end | EXISTS |
//! | altered entry | the row's flags | FETCH |
//! | vanished | *marked* gone, the row stays | nothing yet |
//! | – (a command allows it) | rows that are gone are taken out | EXPUNGE, highest number first |
//!
//! Between marking and telling, numbers mean what the client believes they mean; the messages
//! behind them just have no content any more. While nothing is gone untold, which is nearly always,
//! the view is the store's roll and takes no memory of its own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use waxwing_store::{Flags, ModSeq, Roll, Row, Uid};

use super::keywords::Told;
use crate::wire::partial::PartialRange;
use crate::wire::sequence::SequenceSet;

/// See above.
#[derive(Debug, Default)]
pub struct View {
    /// As the client knows it.
    shown: Arc<Roll>,
    /// As the store had it last.
    now: Arc<Roll>,
    /// Vanished from the store, not from the client's sight. Empty: `shown` is `now`.
    gone: BTreeSet<Uid>,
    told: Told,
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
    /// A mailbox as it is on SELECT. The client is told of these keywords.
    pub fn new(roll: Arc<Roll>, keywords: impl IntoIterator<Item = Arc<str>>) -> View {
        let mut told = Told::default();
        told.learn(&roll);
        told.tell(keywords);
        View { shown: roll.clone(), now: roll, gone: BTreeSet::new(), told }
    }

    /// Keywords that the client knows, or will know by the next FLAGS response.
    pub fn known_keywords(&self) -> impl Iterator<Item = &Arc<str>> {
        self.told.known()
    }

    /// Whether a FLAGS response is due.
    pub fn take_untold_keywords(&mut self) -> bool {
        self.told.take_untold()
    }

    /// EXISTS.
    pub fn exists(&self) -> u32 {
        self.shown.len()
    }

    /// What has been brought in.
    pub fn modseq(&self) -> ModSeq {
        self.now.modseq()
    }

    /// As the client knows it, to be compared with later.
    pub fn shown(&self) -> &Arc<Roll> {
        &self.shown
    }

    /// The rows in order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.shown.rows()
    }

    /// The row at that place.
    pub fn row(&self, place: u32) -> Option<&Row> {
        self.shown.row(place)
    }

    /// The highest UID; 0 in an empty mailbox.
    pub fn last_uid(&self) -> Uid {
        self.shown.last().map_or(Uid(0), Row::uid)
    }

    /// The place of a UID.
    pub fn place_of(&self, uid: Uid) -> Option<u32> {
        self.shown.place_of(uid)
    }

    /// The places from a UID on.
    pub fn places_from(&self, uid: Uid) -> Range<u32> {
        self.shown.places_before(uid)..self.exists()
    }

    /// The keywords of a row.
    pub fn keywords(&self, row: &Row) -> &[Arc<str>] {
        self.shown.keywords(row).map_or(&[], |set| set)
    }

    /// The flags of a row.
    pub fn flags(&self, row: &Row) -> Flags {
        self.shown.flags(row)
    }

    /// Brings in what happened in the store. `modseqs`: the client wants to hear of modseqs that
    /// moved without a visible change of flags.
    pub fn catch_up(&mut self, now: Arc<Roll>, modseqs: bool) -> News {
        if Arc::ptr_eq(&self.now, &now) {
            return News::default();
        }
        let found = self.shown.news_of(&now, &self.gone);
        if !self.shown.shares_keyword_sets(&now) {
            self.told.learn(&now);
        }
        self.gone.extend(&found.vanished);
        self.shown = match self.gone.is_empty() {
            true => now.clone(),
            false => Arc::new(self.shown.with_news(&now, &found)),
        };
        self.now = now;
        let altered = found.altered.iter().filter(|altered| altered.flags || modseqs);
        let altered = altered.map(|altered| altered.before).collect();
        News { more: !found.new.is_empty(), altered }
    }

    /// The news but for these messages, whose UIDs ascend: the client hears of them otherwise.
    pub fn news_of_others(&self, mut news: News, uids: &[Uid]) -> News {
        let is_one = |row: &Row| uids.binary_search(&row.uid()).is_ok();
        news.altered.retain(|&place| !self.row(place).is_some_and(is_one));
        news
    }

    /// Whether a message is gone behind the client's back.
    pub fn is_gone(&self, uid: Uid) -> bool {
        self.gone.contains(&uid)
    }

    /// Takes out what is gone. Gives the sequence numbers for EXPUNGE responses, highest first, so
    /// that each is right when it is read.
    pub fn take_gone(&mut self) -> Vec<u32> {
        let gone = std::mem::take(&mut self.gone);
        let numbers = gone.iter().rev().filter_map(|&uid| self.place_of(uid));
        let numbers = numbers.map(|place| place + 1).collect();
        self.shown = self.now.clone();
        numbers
    }

    /// The same for VANISHED responses: UIDs, ascending.
    pub fn take_gone_uids(&mut self) -> Vec<u32> {
        self.shown = self.now.clone();
        std::mem::take(&mut self.gone).into_iter().map(|uid| uid.0).collect()
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
                let largest = self.last_uid().0;
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
        let end = match last.checked_add(1) {
            Some(after) => self.shown.places_before(Uid(after)),
            None => self.exists(),
        };
        self.shown.places_before(Uid(first))..end
    }

    /// The messages whose UIDs are from `first` to `last`.
    pub fn between(&self, first: Uid, last: Uid) -> Picked {
        Picked::from_ranges(vec![self.places_of(first.0, last.0)])
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

    /// How many.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|range| range.len()).sum()
    }

    /// That part of it.
    pub fn part(&self, part: PartialRange) -> Picked {
        let Range { mut start, mut end } = part.of(self.len());
        let mut ranges = Vec::new();
        for range in &self.ranges {
            let (from, to) = (start.min(range.len()), end.min(range.len()));
            ranges.push(range.start + from as u32..range.start + to as u32);
            (start, end) = (start - from, end - to);
        }
        Picked::from_ranges(ranges)
    }

    /// The places, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
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
    use waxwing_store::{Entry, MessageId, SystemFlags};

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

    fn roll(entries: &[Entry]) -> Arc<Roll> {
        let modseq = entries.iter().map(|entry| entry.modseq).max();
        Arc::new(Roll::new(entries, modseq.unwrap_or(ModSeq(1))))
    }

    fn of_uids(uids: &[u32]) -> Arc<Roll> {
        roll(&uids.iter().map(|&uid| entry(uid, 1, 0, &[])).collect::<Vec<_>>())
    }

    fn view(uids: &[u32]) -> View {
        View::new(of_uids(uids), [])
    }

    fn uids(view: &View) -> Vec<u32> {
        view.rows().map(|row| row.uid().0).collect()
    }

    fn picked(view: &View, set: &str, uid: bool) -> Result<Vec<u32>, NoSuchNumber> {
        let set = SequenceSet::parse(&mut Cursor::new(set.as_bytes())).unwrap();
        view.pick(&set, uid, &[(5, 9)]).map(|picked| picked.iter().collect())
    }

    #[test]
    fn numbers_stay_until_the_client_hears() {
        let mut view = view(&[2, 5, 9]);
        let now = roll(&[entry(2, 1, 0, &[]), entry(9, 2, 1, &["new"]), entry(12, 2, 0, &[])]);
        let news = view.catch_up(now.clone(), false);
        assert_eq!(news, News { more: true, altered: vec![2] });
        assert_eq!(uids(&view), [2, 5, 9, 12]);
        assert!(view.is_gone(Uid(5)));
        assert_eq!(&*view.keywords(view.row(2).unwrap())[0], "new");
        assert!(view.take_untold_keywords() && !view.take_untold_keywords());
        // Once more while it is untold.
        let later = roll(&[entry(9, 2, 1, &["new"]), entry(12, 3, 2, &[])]);
        assert_eq!(view.catch_up(later.clone(), false), News { more: false, altered: vec![3] });
        assert_eq!(view.take_gone(), [2, 1]);
        assert_eq!(uids(&view), [9, 12]);
        assert!(Arc::ptr_eq(view.shown(), &later), "it is the store's own again");
        assert_eq!(view.take_gone(), [0u32; 0]);
    }

    #[test]
    fn expunges_count_down() {
        let mut view = view(&[1, 2, 3, 4, 5]);
        view.catch_up(of_uids(&[1, 3]), false);
        assert_eq!(view.take_gone(), [5, 4, 2]);
        assert_eq!(uids(&view), [1, 3]);
    }

    #[test]
    fn modseqs_are_news_only_to_those_who_ask() {
        let mut view = View::new(roll(&[entry(1, 1, 0, &["a"])]), []);
        assert_eq!(view.catch_up(roll(&[entry(1, 2, 0, &["a"])]), false).altered, [0u32; 0]);
        let touched = roll(&[entry(1, 3, 0, &["a"])]);
        assert_eq!(view.catch_up(touched.clone(), true).altered, [0]);
        assert_eq!(view.catch_up(touched, true).altered, [0u32; 0]);
        assert_eq!(view.catch_up(roll(&[entry(1, 4, 0, &["b"])]), false).altered, [0]);
    }

    #[test]
    fn picking() {
        let view = view(&[2, 5, 9, 12]);
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

    proptest! {
        /// A client that follows EXISTS and EXPUNGE literally has the same list as the view.
        #[test]
        fn the_client_counts_the_same(
            steps in proptest::collection::vec((0u8..4, any::<prop::sample::Index>()), 0..80),
        ) {
            let mut view = View::default();
            let mut next = 1u32;
            let mut store: Vec<u32> = Vec::new();
            let mut client: Vec<u32> = Vec::new();
            for (what, at) in steps {
                match what {
                    0 | 1 => {
                        store.push(next);
                        view.catch_up(of_uids(&store), false);
                        next += 1;
                    }
                    2 if !store.is_empty() => {
                        store.remove(at.index(store.len()));
                        view.catch_up(of_uids(&store), false);
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
