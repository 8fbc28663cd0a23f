//! Where a command ends: lines and the literals between them, found as octets arrive.
//!
//! ```text
//! a LOGIN {5}CRLF        ← a line that ends in a literal mark: go on, if the literal is wanted
//! alice {6}CRLF          ← 5 octets, then the line goes on, and ends in another mark
//! secretCRLF             ← 6 octets, and a line end without a mark: the command is complete
//! ```
//!
//! No atom may hold `{` and no quoted string may hold a line end, so a mark at the end of a line is
//! always a literal. The framer decides nothing about sizes: it tells the caller of each literal
//! and goes on when the caller has said that its octets are part of the command (APPEND's message
//! never is: it goes into a spool). Each octet is looked at once.

/// A literal is announced at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteralMark {
    /// Its length.
    pub octets: u64,
    /// The client waits for a continuation request (RFC 9051 §4.3); RFC 7888's `+` does not.
    pub synchronizing: bool,
    /// `~{…}`: may hold NUL (RFC 3516 §4.4, `literal8`).
    pub binary: bool,
    /// Where its octets begin in the input.
    pub data_at: usize,
}

/// What the input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Not a whole command yet.
    Incomplete,
    /// A literal follows: [`Framer::accept_literal`] or give up.
    Literal(LiteralMark),
    /// The command is `input[..text]`; the next one begins at `next`.
    Complete {
        /// Without its final line end.
        text: usize,
        /// With it.
        next: usize,
    },
}

/// Finds the end of one command. Make a new one for the next.
#[derive(Debug, Default, Clone)]
pub struct Framer {
    /// Everything before was looked at.
    scanned: usize,
    /// Where the line that is being looked at began.
    line_at: usize,
    pending: Option<LiteralMark>,
}

impl Framer {
    /// Looks at what has arrived: `input` always begins with the command and only grows.
    pub fn advance(&mut self, input: &[u8]) -> Frame {
        if let Some(mark) = self.pending {
            return Frame::Literal(mark);
        }
        let Some(unseen) = input.get(self.scanned..) else { return Frame::Incomplete };
        let Some(found) = memchr::memchr(b'\n', unseen) else {
            self.scanned = input.len();
            return Frame::Incomplete;
        };
        let next = self.scanned + found + 1;
        let line = &input[self.line_at..next - 1];
        // A bare LF is taken for a line end, as every other server does: telnet users send it.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.scanned = next;
        match literal_mark(line, next) {
            Some(mark) => {
                self.pending = Some(mark);
                Frame::Literal(mark)
            }
            None => Frame::Complete { text: self.line_at + line.len(), next },
        }
    }

    /// The announced literal is part of the command.
    pub fn accept_literal(&mut self) {
        if let Some(mark) = self.pending.take() {
            let octets = usize::try_from(mark.octets).unwrap_or(usize::MAX);
            self.scanned = mark.data_at.saturating_add(octets);
            self.line_at = self.scanned;
        }
    }

    /// How many octets the command has at least: for limits.
    pub fn needs(&self) -> usize {
        self.scanned
    }
}

/// RFC 9051 §9 `literal`, RFC 7888 §8: `{n}` or `{n+}` at the end of a line, after `~` for a
/// literal8.
pub fn literal_mark(line: &[u8], data_at: usize) -> Option<LiteralMark> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.len() - inner.iter().rev().take(21).position(|&b| b == b'{')? - 1;
    let number = &inner[open + 1..];
    let (number, synchronizing) = match number.strip_suffix(b"+") {
        Some(number) => (number, false),
        None => (number, true),
    };
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let octets = std::str::from_utf8(number).ok()?.parse().unwrap_or(u64::MAX);
    Some(LiteralMark { octets, synchronizing, binary: inner[..open].ends_with(b"~"), data_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All literals accepted: where the command's text ends.
    fn whole(input: &[u8]) -> Option<(usize, usize)> {
        let mut framer = Framer::default();
        loop {
            match framer.advance(input) {
                Frame::Incomplete => return None,
                Frame::Literal(_) => framer.accept_literal(),
                Frame::Complete { text, next } => return Some((text, next)),
            }
        }
    }

    #[test]
    fn a_command_with_two_literals() {
        let input = b"a LOGIN {5}\r\nalice {6+}\r\nsecret\r\nb NOOP\r\n";
        let (text, next) = whole(input).unwrap();
        assert_eq!(&input[..text], b"a LOGIN {5}\r\nalice {6+}\r\nsecret");
        assert_eq!(&input[next..], b"b NOOP\r\n");
    }

    #[test]
    fn marks() {
        let mark =
            |line: &[u8]| literal_mark(line, 0).map(|m| (m.octets, m.synchronizing, m.binary));
        assert_eq!(mark(b"a APPEND x {310}"), Some((310, true, false)));
        assert_eq!(mark(b"a APPEND x ~{310+}"), Some((310, false, true)));
        assert_eq!(mark(b"{99999999999999999999}"), Some((u64::MAX, true, false)));
        assert_eq!(mark(b"a NOOP"), None);
        assert_eq!(mark(b"{}"), None);
        assert_eq!(mark(b"{+}"), None);
        assert_eq!(mark(b"{1 2}"), None);
        assert_eq!(mark(b"}"), None);
    }

    #[test]
    fn a_literal_that_would_overflow_is_only_incomplete() {
        assert_eq!(whole(b"{99999999999999999999}\r\nabc\r\n"), None);
    }

    proptest! {
        /// However the octets are cut, the command ends at the same place.
        #[test]
        fn incremental_is_whole(
            input in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'3'), any::<u8>()], 0..60),
            cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let mut framer = Framer::default();
            let mut ends: Vec<usize> = cuts.into_iter().map(|c| c.min(input.len())).collect();
            ends.sort_unstable();
            ends.push(input.len());
            let mut found = None;
            'arriving: for end in ends {
                loop {
                    match framer.advance(&input[..end]) {
                        Frame::Incomplete => continue 'arriving,
                        Frame::Literal(_) => framer.accept_literal(),
                        Frame::Complete { text, next } => { found = Some((text, next)); break 'arriving }
                    }
                }
            }
            prop_assert_eq!(found, whole(&input));
        }
    }
}
