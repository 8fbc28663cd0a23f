//! Where a command ends: lines, with literals in them (RFC 5804 §4 `literal-c2s`, always `{n+}`).
//!
//! Every octet is looked at once, in whatever pieces it comes. A literal that is too long is passed over
//! without being kept, and the command is then answered, as the client goes on after it.

/// A command's lines may have this many octets, literals not counted.
const MAX_LINE_OCTETS: usize = 8 * 1024;

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Not a whole command yet.
    Incomplete,
    /// A command, with its final line end.
    Command(Vec<u8>),
    /// A command with a literal that is too long, or with too many; it was passed over.
    TooLarge,
    /// A line that is too long, or a literal beyond reason: the connection cannot go on.
    Hopeless,
}

/// Cuts a stream into commands.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Of `buffer`: what was looked at.
    scanned: usize,
    /// Of `buffer`: where the line being read begins.
    line: usize,
    /// Octets of a literal that are still to come and are not kept.
    skip: u64,
    too_large: bool,
    line_octets: usize,
    max_literal: u64,
    /// Octets of literals in this command.
    literals: u64,
}

impl Framer {
    /// Literals of one command have together at most `max_literal` octets.
    pub fn new(max_literal: u64) -> Framer {
        Framer {
            buffer: Vec::new(),
            scanned: 0,
            line: 0,
            skip: 0,
            too_large: false,
            line_octets: 0,
            max_literal,
            literals: 0,
        }
    }

    /// Takes octets of the stream.
    pub fn push(&mut self, octets: &[u8]) {
        let skipped = self.skip.min(octets.len() as u64);
        self.skip -= skipped;
        self.buffer.extend_from_slice(&octets[skipped as usize..]);
    }

    /// Forgets everything: after the TLS handshake nothing from before counts.
    pub fn clear(&mut self) {
        *self = Framer::new(self.max_literal);
    }

    /// Whether octets wait that belong to no command yet.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.skip == 0
    }

    /// The next command.
    pub fn next_frame(&mut self) -> Frame {
        while self.skip == 0 {
            let Some(rest) = self.buffer.get(self.scanned..) else { return Frame::Incomplete };
            let Some(lf) = memchr::memchr(b'\n', rest) else {
                let waiting = self.buffer.len().saturating_sub(self.line);
                // `scanned` may stand inside a literal that is still to come.
                if self.scanned <= self.buffer.len() {
                    self.scanned = self.buffer.len();
                }
                return match self.line_octets + waiting > MAX_LINE_OCTETS {
                    true => Frame::Hopeless,
                    false => Frame::Incomplete,
                };
            };
            let end = self.scanned + lf + 1;
            let line = &self.buffer[self.line..end];
            self.line_octets += line.len();
            if self.line_octets > MAX_LINE_OCTETS {
                return Frame::Hopeless;
            }
            let Some(octets) = literal(line) else { return self.take(end) };
            self.literals = self.literals.saturating_add(octets);
            if self.literals > self.max_literal.saturating_mul(16).max(1 << 26) {
                return Frame::Hopeless;
            }
            if self.literals > self.max_literal {
                self.too_large = true;
                // Passed over: first what is here already.
                let here = ((self.buffer.len() - end) as u64).min(octets);
                self.buffer.drain(end..end + here as usize);
                self.skip = octets - here;
                self.scanned = end;
            } else {
                self.scanned = end + octets as usize;
            }
            self.line = self.scanned;
        }
        Frame::Incomplete
    }

    fn take(&mut self, end: usize) -> Frame {
        let rest = self.buffer.split_off(end);
        let command = std::mem::replace(&mut self.buffer, rest);
        let too_large = std::mem::take(&mut self.too_large);
        (self.scanned, self.line, self.line_octets, self.literals) = (0, 0, 0, 0);
        if too_large { Frame::TooLarge } else { Frame::Command(command) }
    }
}

/// The length of the literal that a line announces at its end.
fn literal(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inner = line.strip_suffix(b"+}").or_else(|| line.strip_suffix(b"}"))?;
    let open = memchr::memrchr(b'{', inner)?;
    let digits = std::str::from_utf8(&inner[open + 1..]).ok()?;
    // Inside a quoted string a brace is a letter: an odd number of quotes stands before it.
    let mut quoted = false;
    let mut octets = inner[..open].iter();
    while let Some(b) = octets.next() {
        match b {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                octets.next();
            }
            _ => {}
        }
    }
    if quoted || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
        let mut framer = Framer::new(10);
        let mut out = Vec::new();
        for piece in pieces {
            framer.push(piece);
            loop {
                match framer.next_frame() {
                    Frame::Incomplete => break,
                    Frame::Hopeless => {
                        out.push(Frame::Hopeless);
                        return out;
                    }
                    frame => out.push(frame),
                }
            }
        }
        out
    }

    #[test]
    fn literals_in_any_pieces() {
        let whole = b"PUTSCRIPT \"a\" {5+}\r\nab\r\nc\r\nNOOP\r\n";
        let command = |text: &[u8]| Frame::Command(text.to_vec());
        let wanted = [command(&whole[..27]), command(b"NOOP\r\n")];
        assert_eq!(frames(&[whole]), wanted);
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(frames(&single), wanted);
    }

    #[test]
    fn what_is_too_large_is_passed_over() {
        let whole = b"PUTSCRIPT \"a\" {12+}\r\nab\r\ncdefghij\r\nNOOP\r\n";
        let wanted = [Frame::TooLarge, Frame::Command(b"NOOP\r\n".to_vec())];
        assert_eq!(frames(&[whole]), wanted);
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(frames(&single), wanted);
        assert_eq!(frames(&[b"X {99999999999999999999+}\r\n"]), [Frame::Hopeless]);
        assert_eq!(frames(&[&b"x".repeat(9000)]), [Frame::Hopeless]);
    }

    #[test]
    fn braces_in_quotes_are_letters() {
        assert_eq!(frames(&[b"NOOP \"{5+}\"\r\n"]).len(), 1);
        assert_eq!(literal(b"NOOP \"a {5+}\r\n"), None);
        assert_eq!(literal(b"NOOP \"a\\\"\" {5+}\r\n"), Some(5));
    }
}
