//! Sequence sets (RFC 9051 §9 `sequence-set`): `1:3,7,*`, and `$` for the saved search result.

use super::cursor::{Bad, Cursor, Parse};

/// More ranges than this in one command are refused.
pub const MAX_RANGES: usize = 16_384;

/// A `seq-number`: a number, or `*` for the largest there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetNumber {
    /// A sequence number or UID, at least 1.
    Number(u32),
    /// `*`.
    Largest,
}

/// What a command is about. Ranges are as written: either end may be the larger one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// At least one.
    Ranges(Vec<(SetNumber, SetNumber)>),
    /// `$` (RFC 5182).
    Saved,
}

impl SequenceSet {
    /// Reads a set.
    pub fn parse(cursor: &mut Cursor<'_>) -> Parse<SequenceSet> {
        if cursor.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = SetNumber::parse(cursor)?;
            let last = if cursor.eat(b':') { SetNumber::parse(cursor)? } else { first };
            if ranges.len() == MAX_RANGES {
                return Err(Bad("That set has too many ranges"));
            }
            ranges.push((first, last));
            if !cursor.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    /// Whether `*` stands in it.
    pub fn has_largest(&self) -> bool {
        let largest = |&(first, last): &(SetNumber, SetNumber)| {
            first == SetNumber::Largest || last == SetNumber::Largest
        };
        matches!(self, SequenceSet::Ranges(ranges) if ranges.iter().any(largest))
    }

    /// The ranges with `*` known, each with the smaller end first. `largest` is 0 when there are
    /// no messages: then `*` is no number at all and ranges with it are empty, but for a range
    /// such as `5:*` in a mailbox of three, which has message 3 (RFC 9051 §9 `seq-range`).
    pub fn resolved(&self, largest: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let ranges: &[_] = match self {
            SequenceSet::Ranges(ranges) => ranges,
            SequenceSet::Saved => &[],
        };
        ranges.iter().filter_map(move |&(first, last)| {
            let number = |n| match n {
                SetNumber::Number(n) => Some(n),
                SetNumber::Largest => (largest > 0).then_some(largest),
            };
            let (first, last) = (number(first)?, number(last)?);
            Some((first.min(last), first.max(last)))
        })
    }
}

/// Ranges, ascending, none touching another.
pub fn merged(ranges: impl IntoIterator<Item = (u32, u32)>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = ranges.into_iter().collect();
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joined = next.0 <= kept.1.saturating_add(1);
        if joined {
            kept.1 = kept.1.max(next.1);
        }
        joined
    });
    ranges
}

/// What is in both, if both are as [`merged`] gives them.
pub fn in_both(a: &[(u32, u32)], b: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::new();
    while let (Some(&&(a_first, a_last)), Some(&&(b_first, b_last))) = (a.peek(), b.peek()) {
        let (first, last) = (a_first.max(b_first), a_last.min(b_last));
        if first <= last {
            both.push((first, last));
        }
        if a_last <= b_last {
            a.next();
        } else {
            b.next();
        }
    }
    both
}

/// The numbers from 1 to `last` that are not among `numbers`, which ascend.
pub fn gaps(numbers: impl IntoIterator<Item = u32>, last: u32) -> Vec<(u32, u32)> {
    let mut gaps = Vec::new();
    let mut next = 1u32;
    for number in numbers.into_iter().take_while(|&number| number <= last) {
        if number > next {
            gaps.push((next, number - 1));
        }
        next = number.saturating_add(1);
    }
    if next <= last {
        gaps.push((next, last));
    }
    gaps
}

impl SetNumber {
    fn parse(cursor: &mut Cursor<'_>) -> Parse<SetNumber> {
        if cursor.eat(b'*') {
            return Ok(SetNumber::Largest);
        }
        cursor.nz_number().map(SetNumber::Number).map_err(|_| Bad("A message set is malformed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn read(text: &str, largest: u32) -> Vec<(u32, u32)> {
        SequenceSet::parse(&mut Cursor::new(text.as_bytes())).unwrap().resolved(largest).collect()
    }

    #[test]
    fn sets() {
        assert_eq!(read("2,4:7,9,12:*", 15), [(2, 2), (4, 7), (9, 9), (12, 15)]); // RFC 9051 §9
        assert_eq!(read("*:4,5:7", 10), [(4, 10), (5, 7)]);
        assert_eq!(read("3291:*", 100), [(100, 3291)]);
        assert_eq!(read("1:*", 0), []);
        assert_eq!(read("1:*,3", 0), [(3, 3)]);
        let refused = |text: &str| SequenceSet::parse(&mut Cursor::new(text.as_bytes())).is_err();
        for text in ["", "0", "1:", ",1", "1,", ":", "a", "1:0"] {
            assert!(refused(text), "{text}");
        }
        assert!(refused(&"1,".repeat(MAX_RANGES + 1)));
    }

    fn all(ranges: &[(u32, u32)]) -> BTreeSet<u32> {
        ranges.iter().flat_map(|&(first, last)| first..=last).collect()
    }

    fn some_ranges() -> impl Strategy<Value = Vec<(u32, u32)>> {
        let range = (1u32..60, 0u32..8).prop_map(|(first, more)| (first, first + more));
        proptest::collection::vec(range, 0..12)
    }

    proptest! {
        /// As sets of numbers have it.
        #[test]
        fn ranges_are_sets(a in some_ranges(), b in some_ranges(), last in 0u32..70) {
            let (a, b) = (merged(a.clone()), merged(b));
            prop_assert!(a.windows(2).all(|two| two[0].1 + 1 < two[1].0));
            let both: BTreeSet<u32> = all(&a).intersection(&all(&b)).copied().collect();
            prop_assert_eq!(all(&in_both(&a, &b)), both);
            let others: BTreeSet<u32> = (1..=last).filter(|n| !all(&a).contains(n)).collect();
            prop_assert_eq!(all(&gaps(all(&a), last)), others);
        }
    }
}
