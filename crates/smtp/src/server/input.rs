//! What the client sent and the session has not yet used, and how lines are taken from it.
//!
//! A line ends with CRLF and with nothing else. It is bounded: when it grows beyond its limit the
//! octets are dropped as they come until its end, so that a line without end costs nothing.

use std::ops::Range;

use memchr::memchr;

/// The longest command line, CRLF included. RFC 5321 §4.5.3.1.4 has 512; every extension's
/// parameters together (SIZE 26, BODY 17, AUTH 500, RET and ENVID 115, SMTPUTF8 10, REQUIRETLS 11;
/// NOTIFY and ORCPT 529) and a long UTF-8 path stay below this.
pub(super) const MAX_COMMAND_OCTETS: usize = 2048;
/// The longest AUTH command or response, CRLF included: RFC 4954 §4.
pub(super) const MAX_AUTH_OCTETS: usize = 12288;
/// An empty buffer larger than this is given back.
const KEPT_CAPACITY: usize = 512;

/// What is at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its octets without CRLF, as a range of [`Input::octets`]'s buffer.
    Whole(Range<usize>),
    /// Its end has not come yet.
    Incomplete,
    /// It was too long and is gone.
    TooLong,
    /// It ended with a lone LF.
    LoneLf,
}

#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    /// Up to here it is used.
    used: usize,
    /// Up to here there is no line end.
    searched: usize,
    /// Within a line that is being dropped.
    dropping: bool,
}

impl Input {
    pub fn push(&mut self, octets: &[u8]) {
        self.compact();
        self.buffer.extend_from_slice(octets);
    }

    /// What has not been used.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    pub fn is_empty(&self) -> bool {
        self.used == self.buffer.len()
    }

    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// A range given by [`Line::Whole`] or [`Input::consume`]; good until the next `push`.
    pub fn octets(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Uses up the next octets, which keep their place until the next `push`.
    pub fn consume(&mut self, octets: usize) -> Range<usize> {
        let start = self.used;
        self.used = (start + octets).min(self.buffer.len());
        self.searched = self.searched.max(self.used);
        start..self.used
    }

    /// Forgets everything, as after STARTTLS.
    pub fn clear(&mut self) {
        *self = Input::default();
    }

    /// Takes a line, if its end is there. `in_auth`: it is a response within AUTH.
    pub fn take_line(&mut self, in_auth: bool) -> Line {
        let Some(found) = memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            if self.rest().len() > limit(self.rest(), in_auth) {
                self.dropping = true;
            }
            if self.dropping {
                // A CR at the very end may be half of the CRLF.
                let keep = usize::from(self.rest().last() == Some(&b'\r'));
                self.used = self.buffer.len() - keep;
            }
            return Line::Incomplete;
        };
        let end = self.searched + found;
        let line = self.used..end.max(self.used + 1) - 1;
        let too_long = self.dropping || end + 1 - self.used > limit(self.rest(), in_auth);
        let crlf = end > self.used && self.buffer[end - 1] == b'\r';
        self.used = end + 1;
        self.searched = self.used;
        self.dropping = false;
        match (crlf, too_long) {
            (false, _) => Line::LoneLf,
            (true, true) => Line::TooLong,
            (true, false) => Line::Whole(line),
        }
    }

    fn compact(&mut self) {
        if self.used == self.buffer.len() {
            self.buffer.clear();
            self.searched = 0;
        } else {
            self.buffer.drain(..self.used);
            self.searched -= self.used;
        }
        self.used = 0;
    }

    /// Gives memory back while nothing is buffered, so that an idle session is small.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.buffer.capacity() > KEPT_CAPACITY {
            self.buffer = Vec::new();
            self.used = 0;
            self.searched = 0;
        }
    }
}

fn limit(line: &[u8], in_auth: bool) -> usize {
    let auth = in_auth || line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
    if auth { MAX_AUTH_OCTETS } else { MAX_COMMAND_OCTETS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &mut Input) -> Vec<Line> {
        std::iter::from_fn(|| match input.take_line(false) {
            Line::Incomplete => None,
            line => Some(line),
        })
        .collect()
    }

    #[test]
    fn takes_lines_across_pushes() {
        let mut input = Input::default();
        input.push(b"NOOP\r\nRS");
        assert_eq!(lines(&mut input), [Line::Whole(0..4)]);
        input.push(b"ET\r");
        assert_eq!(lines(&mut input), []);
        input.push(b"\n\r\n");
        assert_eq!(lines(&mut input), [Line::Whole(0..4), Line::Whole(6..6)]);
        assert!(input.is_empty());
    }

    #[test]
    fn drops_a_line_without_end() {
        let mut input = Input::default();
        for _ in 0..1000 {
            input.push(&[b'x'; 4096]);
            assert_eq!(lines(&mut input), []);
        }
        assert!(input.buffer.capacity() <= 4 * 4096);
        input.push(b"\r");
        assert_eq!(lines(&mut input), []);
        input.push(b"\nNOOP\r\n");
        assert_eq!(lines(&mut input), [Line::TooLong, Line::Whole(2..6)]);
    }

    #[test]
    fn auth_lines_may_be_longer() {
        for (octets, line) in [
            (MAX_AUTH_OCTETS, Line::Whole(0..MAX_AUTH_OCTETS - 2)),
            (MAX_AUTH_OCTETS + 1, Line::TooLong),
        ] {
            let mut input = Input::default();
            let text = format!("auth {}\r\n", "x".repeat(octets - 7));
            input.push(text.as_bytes());
            assert_eq!(input.take_line(false), line);
        }
    }
}
