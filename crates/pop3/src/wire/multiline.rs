//! A message as a multi-line response (RFC 1939 §3), piece by piece: a message never has to be
//! whole in memory.
//!
//! - A line that begins with `.` gets another.
//! - A lone LF becomes CRLF. What came by SMTP has none, but a message that was appended or
//!   imported may; a client that takes LF for a line end would otherwise see `LF . CRLF` as the
//!   end of the response, and the rest of the message as the server's answers. (Such a message is
//!   then longer than LIST says.) A lone CR stays.
//! - The last line gets its CRLF if it has none, and then comes the line with the dot.

/// Turns a message's octets into those of a multi-line response.
#[derive(Debug)]
pub struct Stuffer {
    last: Last,
}

/// What the octet before was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    LineEnd,
    Cr,
    Other,
}

impl Default for Stuffer {
    fn default() -> Self {
        Stuffer { last: Last::LineEnd }
    }
}

impl Stuffer {
    /// Appends the next piece of the message.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while !piece.is_empty() {
            if self.last == Last::LineEnd && piece[0] == b'.' {
                out.push(b'.');
            }
            let Some(lf) = memchr::memchr(b'\n', piece) else {
                out.extend_from_slice(piece);
                let ends_with_cr = piece.ends_with(b"\r");
                self.last = if ends_with_cr { Last::Cr } else { Last::Other };
                return;
            };
            let line = &piece[..lf];
            out.extend_from_slice(line);
            let has_cr =
                if line.is_empty() { self.last == Last::Cr } else { line.ends_with(b"\r") };
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            self.last = Last::LineEnd;
            piece = &piece[lf + 1..];
        }
    }

    /// Appends the end of the response.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.last {
            Last::LineEnd => b".\r\n",
            Last::Cr => b"\n.\r\n",
            Last::Other => b"\r\n.\r\n",
        });
    }
}

/// Finds where TOP cuts a message: after the header, the empty line and so many lines of the body
/// (RFC 1939 §7).
#[derive(Debug)]
pub struct TopCut {
    in_header: bool,
    /// Whether the line at hand has any octet besides CR.
    line_has_text: bool,
    body_lines_left: u64,
}

impl TopCut {
    /// `body_lines` of the body are wanted.
    pub fn new(body_lines: u64) -> TopCut {
        TopCut { in_header: true, line_has_text: false, body_lines_left: body_lines }
    }

    /// How much of this next piece belongs to the answer; less than all of it, or `true`, means
    /// that the answer ends there.
    pub fn take(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut start = 0;
        for lf in memchr::memchr_iter(b'\n', piece) {
            self.see(&piece[start..lf]);
            let was_empty = !std::mem::take(&mut self.line_has_text);
            start = lf + 1;
            if !self.in_header {
                self.body_lines_left = self.body_lines_left.saturating_sub(1);
            } else if was_empty {
                self.in_header = false;
            }
            if !self.in_header && self.body_lines_left == 0 {
                return (start, true);
            }
        }
        self.see(&piece[start..]);
        (piece.len(), false)
    }

    fn see(&mut self, line_piece: &[u8]) {
        self.line_has_text |= line_piece.iter().any(|&octet| octet != b'\r');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuff(message: &[u8], piece_octets: usize) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        message.chunks(piece_octets.max(1)).for_each(|piece| stuffer.push(piece, &mut out));
        stuffer.finish(&mut out);
        out
    }

    fn top(message: &[u8], body_lines: u64, piece_octets: usize) -> Vec<u8> {
        let (mut cut, mut out) = (TopCut::new(body_lines), Vec::new());
        for piece in message.chunks(piece_octets.max(1)) {
            let (taken, done) = cut.take(piece);
            out.extend_from_slice(&piece[..taken]);
            if done {
                break;
            }
        }
        out
    }

    /// What a client does (RFC 1939 §3), written from its side.
    fn unstuff(response: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        let mut rest = response;
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("lines end") + 2;
            let (line, after) = rest.split_at(end);
            rest = after;
            if line == b".\r\n" {
                assert!(rest.is_empty(), "octets after the end");
                return message;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
    }

    #[test]
    fn dots_are_stuffed_and_lines_ended() {
        for (message, response) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"a\r\n.b\r\n..\r\nc.\r\n", b"a\r\n..b\r\n...\r\nc.\r\n.\r\n"),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"\n\n", b"\r\n\r\n.\r\n"),
            (b"a\rb\r\r\n", b"a\rb\r\r\n.\r\n"),
        ] {
            for piece_octets in 1..=message.len().max(1) {
                let out = stuff(message, piece_octets);
                assert_eq!(out, response, "{:?} by {piece_octets}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn top_gives_the_header_and_some_lines() {
        let message = b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\nthree";
        for (lines, expected) in [
            (0, &b"A: 1\r\nB: 2\r\n\r\n"[..]),
            (1, b"A: 1\r\nB: 2\r\n\r\none\r\n"),
            (2, b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\n"),
            (3, message),
            (u64::MAX, message),
        ] {
            for piece_octets in 1..=message.len() {
                assert_eq!(top(message, lines, piece_octets), expected, "{lines} lines");
            }
        }
        assert_eq!(top(b"A: 1\r\nno body\r\n", 0, 3), b"A: 1\r\nno body\r\n");
        assert_eq!(top(b"\r\nbody at once\r\nmore", 1, 3), b"\r\nbody at once\r\n");
        assert_eq!(top(b"A: 1\n\nunix\nlines\n", 1, 2), b"A: 1\n\nunix\n");
    }

    proptest! {
        #[test]
        fn a_message_of_proper_lines_comes_back_whole(
            lines in proptest::collection::vec("[.a]{0,4}\r?[.a]{1,2}|\\.{0,3}", 0..20),
            piece_octets in 1usize..9,
        ) {
            let message = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect::<String>();
            let response = stuff(message.as_bytes(), piece_octets);
            prop_assert_eq!(unstuff(&response), message.as_bytes());
        }

        /// No octets of a message can end the response early, neither for a client that takes only
        /// CRLF for a line end nor for one that takes LF too.
        #[test]
        fn nothing_ends_the_response_early(
            message in proptest::collection::vec(
                prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), any::<u8>()],
                0..60,
            ),
            piece_octets in 1usize..9,
        ) {
            let response = stuff(&message, piece_octets);
            unstuff(&response);
            let dot_lines = response
                .split(|&octet| octet == b'\n')
                .filter(|line| *line == b"." || *line == b".\r")
                .count();
            prop_assert_eq!(dot_lines, 1);
            prop_assert_eq!(stuff(&message, usize::MAX), response);
        }

        #[test]
        fn the_cut_does_not_depend_on_the_pieces(
            message in "([ab]{0,3}\r?\n?){0,20}",
            body_lines in 0u64..6,
            piece_octets in 1usize..9,
        ) {
            let message = message.as_bytes();
            prop_assert_eq!(
                top(message, body_lines, piece_octets),
                top(message, body_lines, usize::MAX)
            );
        }
    }
}
