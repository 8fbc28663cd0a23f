//! The output buffer and how IMAP's data is written into it (RFC 9051 §4): no allocation per
//! field, and every string in the form that the client can read.
//!
//! Strings go out quoted when that is possible and as literals otherwise. Octets above 127 stand in
//! quoted strings only when the client has said that it reads UTF-8 (IMAP4rev2 or UTF8=ACCEPT) and
//! they are UTF-8; in literals they may always stand. NUL may not stand in either: it becomes
//! 0x80, as other servers do it, so that sizes hold.

use waxwing_store::{Flags, SystemFlags};

use super::{date, utf7};

/// Longer strings go out as literals: many clients have small buffers for quoted ones.
const MAX_QUOTED_OCTETS: usize = 1000;

/// Octets on their way to the client.
#[derive(Debug, Default)]
pub struct Out {
    buffer: Vec<u8>,
    /// The client reads UTF-8 in quoted strings and mailbox names.
    utf8: bool,
}

impl Out {
    /// How strings and mailbox names are to be written from now on.
    pub fn set_utf8(&mut self, utf8: bool) {
        self.utf8 = utf8;
    }

    /// Whether the client reads UTF-8.
    pub fn utf8(&self) -> bool {
        self.utf8
    }

    /// What waits to be sent.
    pub fn waiting(&self) -> &[u8] {
        &self.buffer
    }

    /// It was sent; the memory is kept for more.
    pub fn sent(&mut self) {
        self.buffer.clear();
    }

    /// Gives the memory back.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    /// Octets as they are.
    pub fn raw(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        self.buffer.extend_from_slice(octets.as_ref());
        self
    }

    /// Octets of a literal: as they are, but for NUL.
    pub fn literal_data(&mut self, octets: &[u8]) -> &mut Self {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(octets);
        let written = &mut self.buffer[start..];
        let mut at = 0;
        while let Some(found) = memchr::memchr(0, &written[at..]) {
            written[at + found] = 0x80;
            at += found + 1;
        }
        self
    }

    /// The end of a response.
    pub fn line_end(&mut self) -> &mut Self {
        self.raw(b"\r\n")
    }

    /// A number.
    pub fn number(&mut self, n: impl Into<u64>) -> &mut Self {
        let mut n = n.into();
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                return self.raw(&digits[at..]);
            }
        }
    }

    /// `{n}` and its line end; exactly `n` octets must follow.
    pub fn literal_mark(&mut self, octets: u64) -> &mut Self {
        self.raw(b"{").number(octets).raw(b"}\r\n")
    }

    /// RFC 9051 §9 `string`.
    pub fn string(&mut self, text: &[u8]) -> &mut Self {
        if !self.quotable(text) {
            return self.literal_mark(text.len() as u64).literal_data(text);
        }
        self.raw(b"\"");
        let mut rest = text;
        while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
            self.raw(&rest[..at]).raw([b'\\', rest[at]]);
            rest = &rest[at + 1..];
        }
        self.raw(rest).raw(b"\"")
    }

    fn quotable(&self, text: &[u8]) -> bool {
        let mut high = false;
        for &b in text {
            match b {
                0 | b'\r' | b'\n' => return false,
                0x80.. => high = true,
                _ => {}
            }
        }
        text.len() <= MAX_QUOTED_OCTETS
            && (!high || (self.utf8 && std::str::from_utf8(text).is_ok()))
    }

    /// RFC 9051 §9 `nstring`.
    pub fn nstring(&mut self, text: Option<&[u8]>) -> &mut Self {
        match text {
            Some(text) => self.string(text),
            None => self.raw(b"NIL"),
        }
    }

    /// RFC 4466 §6: the same, or a literal8 for what holds NUL.
    pub fn nstring8(&mut self, text: Option<&[u8]>) -> &mut Self {
        match text {
            Some(text) if text.contains(&0) => {
                self.raw(b"~").literal_mark(text.len() as u64).raw(text)
            }
            text => self.nstring(text),
        }
    }

    /// RFC 9051 §9 `mailbox`: UTF-8, or modified UTF-7 for rev1 clients (RFC 3501 §5.1.3).
    pub fn mailbox(&mut self, name: &str) -> &mut Self {
        if self.utf8 {
            return self.string(name.as_bytes());
        }
        self.raw(b"\"");
        utf7::encode(name, |b| {
            if matches!(b, b'"' | b'\\') {
                self.buffer.push(b'\\');
            }
            self.buffer.push(b);
        });
        self.raw(b"\"")
    }

    /// Flags between parentheses.
    pub fn flags(&mut self, flags: &Flags) -> &mut Self {
        self.flags_of(flags.system, flags.keywords.as_deref().unwrap_or_default())
    }

    /// Flags between parentheses.
    pub fn flags_of(&mut self, system: SystemFlags, keywords: &[std::sync::Arc<str>]) -> &mut Self {
        const NAMES: [(SystemFlags, &str); 5] = [
            (SystemFlags::ANSWERED, "\\Answered"),
            (SystemFlags::FLAGGED, "\\Flagged"),
            (SystemFlags::DELETED, "\\Deleted"),
            (SystemFlags::SEEN, "\\Seen"),
            (SystemFlags::DRAFT, "\\Draft"),
        ];
        self.raw(b"(");
        let mut first = true;
        let system = NAMES.iter().filter(|(bit, _)| system.contains(*bit)).map(|(_, name)| *name);
        for name in system.chain(keywords.iter().map(|keyword| &**keyword)) {
            if !std::mem::take(&mut first) {
                self.raw(b" ");
            }
            self.raw(name);
        }
        self.raw(b")")
    }

    /// RFC 9051 §9 `date-time`, in UTC, with its quotes.
    pub fn date_time(&mut self, epoch_secs: i64) -> &mut Self {
        use std::io::Write;
        let (day, month, year, hour, minute, second) = date::utc_parts(epoch_secs);
        // Writing to a Vec cannot fail.
        let _ = write!(
            self.buffer,
            "\"{day:>2}-{month}-{year:04} {hour:02}:{minute:02}:{second:02} +0000\""
        );
        self
    }

    /// A sequence set of ranges.
    pub fn ranges(&mut self, ranges: &[(u32, u32)]) -> &mut Self {
        for (i, &(first, last)) in ranges.iter().enumerate() {
            if i > 0 {
                self.raw(",");
            }
            self.number(first);
            if last != first {
                self.raw(":").number(last);
            }
        }
        self
    }

    /// A sequence set of ascending numbers: neighbours become ranges.
    pub fn set(&mut self, numbers: impl IntoIterator<Item = u32>) -> &mut Self {
        let mut numbers = numbers.into_iter().peekable();
        let mut first = true;
        while let Some(start) = numbers.next() {
            let mut end = start;
            while let Some(next) = numbers.next_if(|&n| end.checked_add(1) == Some(n)) {
                end = next;
            }
            if !std::mem::take(&mut first) {
                self.raw(b",");
            }
            self.number(start);
            if end != start {
                self.raw(b":").number(end);
            }
        }
        self
    }
}

/// A set as text, for response codes.
pub fn set_text(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut out = Out::default();
    out.set(numbers);
    out.buffer.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cursor::Cursor;
    use crate::wire::sequence::SequenceSet;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Out)) -> String {
        let mut out = Out::default();
        write(&mut out);
        String::from_utf8_lossy(out.waiting()).into_owned()
    }

    #[test]
    fn strings() {
        assert_eq!(
            text(|o| {
                o.string(b"plain");
            }),
            "\"plain\""
        );
        assert_eq!(
            text(|o| {
                o.string(br#"a"b\c"#);
            }),
            r#""a\"b\\c""#
        );
        assert_eq!(
            text(|o| {
                o.string(b"a\r\nb");
            }),
            "{4}\r\na\r\nb"
        );
        assert_eq!(
            text(|o| {
                o.string("ü".as_bytes());
            }),
            "{2}\r\nü"
        );
        assert_eq!(
            text(|o| {
                o.set_utf8(true);
                o.string("ü".as_bytes());
            }),
            "\"ü\""
        );
        assert_eq!(
            text(|o| {
                o.nstring(None);
            }),
            "NIL"
        );
        assert_eq!(
            text(|o| {
                o.mailbox("Entwürfe \"a\"");
            }),
            "\"Entw&APw-rfe \\\"a\\\"\""
        );
        assert_eq!(
            text(|o| {
                o.set_utf8(true);
                o.mailbox("Entwürfe");
            }),
            "\"Entwürfe\""
        );
        let mut out = Out::default();
        out.string(b"a\0\0b");
        assert_eq!(out.waiting(), b"{4}\r\na\x80\x80b");
    }

    #[test]
    fn numbers_dates_flags() {
        assert_eq!(
            text(|o| {
                o.number(0u32).raw(" ").number(u64::MAX);
            }),
            "0 18446744073709551615"
        );
        assert_eq!(
            text(|o| {
                o.date_time(837_596_665);
            }),
            "\"17-Jul-1996 09:44:25 +0000\""
        );
        assert_eq!(
            text(|o| {
                o.date_time(0);
            }),
            "\" 1-Jan-1970 00:00:00 +0000\""
        );
        let flags = Flags {
            system: SystemFlags::SEEN.with(SystemFlags::FLAGGED),
            keywords: Some(["$Junk".into(), "a".into()].into()),
        };
        assert_eq!(
            text(|o| {
                o.flags(&flags);
            }),
            "(\\Flagged \\Seen $Junk a)"
        );
        assert_eq!(
            text(|o| {
                o.flags(&Flags::default());
            }),
            "()"
        );
    }

    proptest! {
        /// What is written as a string is read back as the same string.
        #[test]
        fn strings_round_trip(octets in proptest::collection::vec(1u8.., 0..80), utf8: bool) {
            let mut out = Out::default();
            out.set_utf8(utf8);
            out.string(&octets);
            let read = Cursor::new(out.waiting()).string();
            prop_assert_eq!(read.as_deref(), Ok(&octets[..]));
        }

        #[test]
        fn sets_round_trip(numbers in proptest::collection::btree_set(1u32..60, 1..40)) {
            let wire = set_text(numbers.iter().copied());
            let set = SequenceSet::parse(&mut Cursor::new(wire.as_bytes())).unwrap();
            let read: Vec<u32> = set.resolved(0).flat_map(|(a, b)| a..=b).collect();
            prop_assert_eq!(read, numbers.into_iter().collect::<Vec<_>>());
        }
    }
}
