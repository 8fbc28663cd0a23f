//! Finds the end of DATA, undoes its transparency (RFC 5321 §4.5.2) and refuses lone CR and LF.
//!
//! Only `CRLF . CRLF` ends a message, and only `CRLF` ends a line. A server that also takes
//! `LF . LF` or `CR . CR` for an end lets a sender smuggle a second message past a relay that does
//! not; so a lone CR or LF spoils the message (RFC 5321 §2.3.8), and the rest is swallowed up to
//! the true end.
//!
//! | state | sees | becomes | and |
//! |---|---|---|---|
//! | LineStart | `.` | Dot | drops it |
//! | LineStart | other | Text | |
//! | Dot | CR | DotCr | drops it |
//! | Dot | other | Text | |
//! | DotCr | LF | | **the end** |
//! | DotCr | other | Text | lone CR |
//! | Text | CR | TextCr | |
//! | Text | LF | Text | lone LF |
//! | TextCr | LF | LineStart | |
//! | TextCr | other | Text | lone CR |
//!
//! Octets are handed on as ranges of the input, whole lines at a time: nothing is copied, and a
//! message without dots at line starts comes out in as many pieces as it came in.

use std::ops::Range;

use memchr::memchr;

/// Why a message's octets are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoneOctet {
    /// CR without LF.
    Cr,
    /// LF without CR.
    Lf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Dot,
    DotCr,
    Text,
    TextCr,
}

/// What one look at the input gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Message octets, as a range of the input; empty once a lone CR or LF was seen.
    pub octets: Range<usize>,
    /// How much of the input is done with. Less than all: call again with the rest.
    pub consumed: usize,
    /// The end of the message was found.
    pub ended: bool,
}

/// One message's DATA.
#[derive(Debug)]
pub(crate) struct DataScanner {
    state: State,
    spoiled: Option<LoneOctet>,
}

impl DataScanner {
    pub fn new() -> DataScanner {
        // The CRLF of the DATA command itself is the one before a dot on the first line.
        DataScanner { state: State::LineStart, spoiled: None }
    }

    /// The first lone CR or LF, if there was one.
    pub fn spoiled(&self) -> Option<LoneOctet> {
        self.spoiled
    }

    /// Looks at the input as far as one range of message octets goes.
    pub fn scan(&mut self, input: &[u8]) -> Scanned {
        let mut start = 0;
        let mut at = 0;
        while at < input.len() {
            match (self.state, input[at]) {
                (State::LineStart, b'.') => {
                    self.state = State::Dot;
                    if start < at {
                        return self.scanned(start..at, at + 1, false);
                    }
                    at += 1;
                    start = at;
                }
                (State::Dot, b'\r') => {
                    self.state = State::DotCr;
                    at += 1;
                    start = at;
                }
                (State::DotCr, b'\n') => return self.scanned(start..start, at + 1, true),
                (State::TextCr, b'\n') => {
                    self.state = State::LineStart;
                    at += 1;
                }
                (State::DotCr | State::TextCr, _) => {
                    self.spoil(LoneOctet::Cr);
                    self.state = State::Text;
                }
                (State::LineStart | State::Dot, _) => self.state = State::Text,
                (State::Text, _) => at += self.text(&input[at..]),
            }
        }
        self.scanned(start..at, at, false)
    }

    /// Goes to the end of the line or of the input.
    fn text(&mut self, input: &[u8]) -> usize {
        let end = memchr(b'\n', input);
        let line = &input[..end.unwrap_or(input.len())];
        let ends_in_cr = line.last() == Some(&b'\r');
        let inner = &line[..line.len() - usize::from(ends_in_cr)];
        if memchr(b'\r', inner).is_some() {
            self.spoil(LoneOctet::Cr);
        }
        self.state = match (end, ends_in_cr) {
            (Some(_), true) => State::LineStart,
            (Some(_), false) => {
                self.spoil(LoneOctet::Lf);
                State::Text
            }
            (None, true) => State::TextCr,
            (None, false) => State::Text,
        };
        end.map_or(input.len(), |end| end + 1)
    }

    fn spoil(&mut self, octet: LoneOctet) {
        self.spoiled.get_or_insert(octet);
    }

    fn scanned(&self, octets: Range<usize>, consumed: usize, ended: bool) -> Scanned {
        let octets = if self.spoiled.is_some() { 0..0 } else { octets };
        Scanned { octets, consumed, ended }
    }
}

/// The same care for BDAT without BINARYMIME, which has lines but no dots (RFC 3030 §2).
#[derive(Debug, Default)]
pub(crate) struct LineChecker {
    after_cr: bool,
    spoiled: Option<LoneOctet>,
}

impl LineChecker {
    /// Looks at the next octets of the message.
    pub fn check(&mut self, input: &[u8]) -> Option<LoneOctet> {
        let mut rest = input;
        while self.spoiled.is_none() && !rest.is_empty() {
            if self.after_cr && rest[0] != b'\n' {
                self.spoiled = Some(LoneOctet::Cr);
                break;
            }
            let end = memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            let ends_in_cr = line.last().map_or(self.after_cr, |&last| last == b'\r');
            let inner = &line[..line.len() - usize::from(line.last() == Some(&b'\r'))];
            if memchr(b'\r', inner).is_some() {
                self.spoiled = Some(LoneOctet::Cr);
            } else if end.is_some() && !ends_in_cr {
                self.spoiled = Some(LoneOctet::Lf);
            }
            self.after_cr = end.is_none() && ends_in_cr;
            rest = end.map_or(&[][..], |end| &rest[end + 1..]);
        }
        self.spoiled
    }

    /// The message ends here.
    pub fn finish(&self) -> Option<LoneOctet> {
        self.spoiled.or(self.after_cr.then_some(LoneOctet::Cr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What an octet-at-a-time reading of RFC 5321 §4.5.2 gives: message, rest, first lone octet.
    fn by_the_book(input: &[u8]) -> Option<(Vec<u8>, usize, Option<LoneOctet>)> {
        let with_crlf = [b"\r\n".as_slice(), input].concat();
        let end = with_crlf.windows(5).position(|w| w == b"\r\n.\r\n")?;
        let body = &with_crlf[2..(end + 2).max(2)];
        let mut message = Vec::new();
        let mut lone = None;
        for (at, &octet) in body.iter().enumerate() {
            let before = if at == 0 { b'\n' } else { body[at - 1] };
            let line_start = at == 0 || (at >= 2 && &body[at - 2..at] == b"\r\n");
            if octet == b'\n' && (before != b'\r' || at == 0) {
                lone = lone.or(Some(LoneOctet::Lf));
            }
            if octet == b'\r' && body.get(at + 1) != Some(&b'\n') {
                lone = lone.or(Some(LoneOctet::Cr));
            }
            if !(octet == b'.' && line_start) {
                message.push(octet);
            }
        }
        Some((message, end + 5 - 2, lone))
    }

    fn scan_in_pieces(input: &[u8], cuts: &[usize]) -> Option<(Vec<u8>, usize, Option<LoneOctet>)> {
        let mut scanner = DataScanner::new();
        let mut message = Vec::new();
        let mut at = 0;
        for cut in cuts.iter().copied().chain([input.len()]) {
            while at < cut.min(input.len()) {
                let piece = &input[at..cut.min(input.len())];
                let scanned = scanner.scan(piece);
                message.extend_from_slice(&piece[scanned.octets]);
                at += scanned.consumed;
                if scanned.ended {
                    return Some((message, at, scanner.spoiled()));
                }
            }
        }
        None
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        for false_end in
            ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\r\n\0.\r\n"]
        {
            let input = format!("a{false_end}b\r\n.\r\n");
            let (_, consumed, lone) = scan_in_pieces(input.as_bytes(), &[]).unwrap();
            assert_eq!(consumed, input.len(), "{false_end:?}");
            assert_eq!(lone.is_some(), false_end != "\r\n\0.\r\n", "{false_end:?}");
        }
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"\r\n\r\n..ab".to_vec()), 0..40)
    }

    proptest! {
        #[test]
        fn agrees_with_the_book(input in octets(), mut cuts in prop::collection::vec(0usize..40, 0..5)) {
            let input = [&input[..], b"\r\n.\r\n"].concat();
            cuts.sort_unstable();
            let (message, consumed, lone) = by_the_book(&input).unwrap();
            let (got, got_consumed, got_lone) = scan_in_pieces(&input, &cuts).unwrap();
            prop_assert_eq!(got_consumed, consumed);
            prop_assert_eq!(got_lone.is_some(), lone.is_some());
            if lone.is_none() {
                prop_assert_eq!(got, message);
            }
        }

        #[test]
        fn checks_lines_in_any_pieces(input in octets(), cut in 0usize..40) {
            let cut = cut.min(input.len());
            let mut checker = LineChecker::default();
            checker.check(&input[..cut]);
            checker.check(&input[cut..]);
            let clean = String::from_utf8(input).unwrap().replace("\r\n", "");
            prop_assert_eq!(checker.finish().is_some(), clean.contains(['\r', '\n']));
        }
    }
}
