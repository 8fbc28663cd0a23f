//! A part of a list of results: `1:500` from the first, `-1:-500` from the last (RFC 9394 §4
//! `partial-range`).

use std::ops::Range;

use super::cursor::{Bad, Cursor, Parse};
use super::out::Out;

/// See above. Ends are as written: either may be the larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialRange {
    ends: (u32, u32),
    from_last: bool,
}

impl PartialRange {
    /// Reads one.
    pub fn parse(cursor: &mut Cursor<'_>) -> Parse<PartialRange> {
        let from_last = cursor.eat(b'-');
        let first = cursor.nz_number()?;
        cursor.expect(b':', "A range of results is malformed")?;
        if cursor.eat(b'-') != from_last {
            return Err(Bad("A range of results counts from one end only"));
        }
        Ok(PartialRange { ends: (first, cursor.nz_number()?), from_last })
    }

    /// The places of the part in a list of that length.
    pub fn of(self, length: usize) -> Range<usize> {
        let (a, b) = self.ends;
        let first = (a.min(b) as usize - 1).min(length);
        let end = (a.max(b) as usize).min(length);
        match self.from_last {
            false => first..end,
            true => length - end..length - first,
        }
    }

    /// As it was written.
    pub fn write(self, out: &mut Out) {
        let sign = if self.from_last { "-" } else { "" };
        out.raw(sign).number(self.ends.0).raw(":").raw(sign).number(self.ends.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Parse<PartialRange> {
        let mut cursor = Cursor::new(text.as_bytes());
        let range = PartialRange::parse(&mut cursor)?;
        cursor.end()?;
        Ok(range)
    }

    #[test]
    fn parts() {
        let of = |text: &str, length| read(text).unwrap().of(length);
        assert_eq!(of("1:500", 23764), 0..500); // RFC 9394 §3.1
        assert_eq!(of("23500:24000", 23764), 23499..23764);
        assert!(of("24000:24500", 23764).is_empty());
        assert_eq!(of("-1:-100", 23764), 23664..23764);
        assert_eq!(of("-500:-400", 1000), of("-400:-500", 1000));
        assert_eq!(of("500:400", 1000), 399..500);
        for bad in ["", "1", "0:1", "1:*", "-1:2", "1:-2", "-0:-1", "1:4294967296"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(a in 1u32.., b in 1u32.., minus: bool, length in 0usize..100) {
            let sign = if minus { "-" } else { "" };
            let text = format!("{sign}{a}:{sign}{b}");
            let range = read(&text).unwrap();
            let mut out = Out::default();
            range.write(&mut out);
            prop_assert_eq!(out.waiting(), text.as_bytes());
            prop_assert!(range.of(length).end <= length);
        }
    }
}
