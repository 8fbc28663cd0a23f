//! Content-Transfer-Encoding undone (RFC 2045 §6), forgivingly.
//!
//! Base64 passes over everything outside its alphabet and goes on after padding, since mailing
//! lists append lines and some programs pad in the middle; quoted-printable leaves a `=` that
//! escapes nothing as it stands. Both are linear and never make more octets than they are given.

use std::borrow::Cow;

use memchr::memchr;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransferEncoding {
    /// `7bit`, and what is meant when nothing is said.
    #[default]
    SevenBit,
    /// `8bit`.
    EightBit,
    /// `binary`.
    Binary,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
    /// `x-uuencode` and its other names, from before MIME.
    Uuencode,
    /// Something else: the octets are given as they are (RFC 2045 §6.4).
    Unknown,
}

impl TransferEncoding {
    /// Reads the value of a Content-Transfer-Encoding field.
    pub fn parse(value: &[u8]) -> TransferEncoding {
        let word = value
            .split(|b| matches!(b, b';' | b'('))
            .next()
            .unwrap_or_default()
            .trim_ascii()
            .trim_ascii_start();
        let word = word.strip_prefix(b"\"").and_then(|w| w.strip_suffix(b"\"")).unwrap_or(word);
        let is = |names: &[&str]| names.iter().any(|n| word.eq_ignore_ascii_case(n.as_bytes()));
        if word.is_empty() || is(&["7bit", "7-bit"]) {
            TransferEncoding::SevenBit
        } else if is(&["base64"]) {
            TransferEncoding::Base64
        } else if is(&["quoted-printable"]) {
            TransferEncoding::QuotedPrintable
        } else if is(&["8bit", "8-bit"]) {
            TransferEncoding::EightBit
        } else if is(&["binary"]) {
            TransferEncoding::Binary
        } else if is(&["x-uuencode", "x-uue", "uuencode", "uue"]) {
            TransferEncoding::Uuencode
        } else {
            TransferEncoding::Unknown
        }
    }

    /// Whether the octets stand as they are.
    pub fn is_identity(self) -> bool {
        !matches!(self, Self::QuotedPrintable | Self::Base64 | Self::Uuencode)
    }

    /// Undoes the encoding.
    pub fn decode(self, body: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Base64 => Cow::Owned(base64(body)),
            Self::QuotedPrintable => Cow::Owned(quoted_printable(body)),
            Self::Uuencode => Cow::Owned(uuencode(body)),
            _ => Cow::Borrowed(body),
        }
    }
}

/// Undoes an encoding piece by piece: however the body is cut, what is given is what
/// [`TransferEncoding::decode`] gives of the whole.
///
/// Holds a line of quoted-printable that has not ended, and all of a uuencoded body.
#[derive(Debug)]
pub struct Decoder {
    encoding: TransferEncoding,
    /// Of a quantum of base64 that is not complete.
    quantum: (u32, u32),
    /// What cannot be decoded before more comes.
    held: Vec<u8>,
}

impl Decoder {
    /// For a body that is encoded so.
    pub fn new(encoding: TransferEncoding) -> Decoder {
        Decoder { encoding, quantum: (0, 0), held: Vec::new() }
    }

    /// Takes the next piece, and appends to `out` what it says.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::Base64 => self.quantum = base64_piece(piece, self.quantum, out),
            TransferEncoding::QuotedPrintable => {
                let Some(end) = memchr::memrchr(b'\n', piece) else {
                    return self.held.extend_from_slice(piece);
                };
                let (lines, rest) = piece.split_at(end + 1);
                if self.held.is_empty() {
                    quoted_printable_lines(lines, out);
                } else {
                    self.held.extend_from_slice(lines);
                    quoted_printable_lines(&self.held, out);
                    self.held.clear();
                }
                self.held.extend_from_slice(rest);
            }
            TransferEncoding::Uuencode => self.held.extend_from_slice(piece),
            _ => out.extend_from_slice(piece),
        }
    }

    /// The body is over.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::Base64 => base64_tail(self.quantum.0, self.quantum.1, out),
            TransferEncoding::QuotedPrintable => quoted_printable_lines(&self.held, out),
            TransferEncoding::Uuencode => out.extend_from_slice(&uuencode(&self.held)),
            _ => {}
        }
    }
}

/// No base64 digit.
const NONE: u32 = 0xff00_0000;
/// What each octet means in each of the four places of a quantum, already shifted.
const PLACES: [[u32; 256]; 4] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [[NONE; 256]; 4];
    let mut i = 0;
    while i < 64 {
        let mut place = 0;
        while place < 4 {
            table[place][alphabet[i] as usize] = (i as u32) << (18 - 6 * place);
            place += 1;
        }
        i += 1;
    }
    table
};

/// Base64 (RFC 2045 §6.8).
pub fn base64(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    let (bits, digits) = base64_piece(encoded, (0, 0), &mut out);
    base64_tail(bits, digits, &mut out);
    out
}

/// Decodes a piece that follows an unfinished quantum: its digits, and how many there are. Gives the
/// one that is unfinished then.
fn base64_piece(piece: &[u8], unfinished: (u32, u32), out: &mut Vec<u8>) -> (u32, u32) {
    let mut rest = piece;
    let (mut bits, mut digits) = unfinished;
    loop {
        if digits == 0 {
            rest = base64_run(rest, out);
        }
        let Some((&b, after)) = rest.split_first() else { break };
        rest = after;
        let value = PLACES[3][b as usize];
        if value != NONE {
            bits = bits << 6 | value;
            digits += 1;
            if digits == 4 {
                out.extend_from_slice(&[(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]);
                (bits, digits) = (0, 0);
            }
        } else if b == b'=' {
            base64_tail(bits, digits, out);
            (bits, digits) = (0, 0);
        }
    }
    (bits, digits)
}

/// Decodes whole quanta for as long as four digits stand together, and gives what is left.
fn base64_run<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut buffer = [0u8; 3 * 32];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some((quantum, after)) = rest.split_first_chunk::<4>() else { break };
            let bits = PLACES[0][quantum[0] as usize]
                | PLACES[1][quantum[1] as usize]
                | PLACES[2][quantum[2] as usize]
                | PLACES[3][quantum[3] as usize];
            if bits >= NONE {
                break;
            }
            let [_, octets @ ..] = bits.to_be_bytes();
            buffer[filled..filled + 3].copy_from_slice(&octets);
            filled += 3;
            rest = after;
        }
        out.extend_from_slice(&buffer[..filled]);
        if filled < buffer.len() {
            return rest;
        }
    }
}

fn base64_tail(bits: u32, digits: u32, out: &mut Vec<u8>) {
    match digits {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
}

/// Quoted-printable (RFC 2045 §6.7).
pub fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    quoted_printable_lines(encoded, &mut out);
    out
}

fn quoted_printable_lines(encoded: &[u8], out: &mut Vec<u8>) {
    let mut rest = encoded;
    while !rest.is_empty() {
        let (line, end, after) = match memchr(b'\n', rest) {
            Some(lf) if lf > 0 && rest[lf - 1] == b'\r' => {
                (&rest[..lf - 1], &rest[lf - 1..=lf], &rest[lf + 1..])
            }
            Some(lf) => (&rest[..lf], &rest[lf..=lf], &rest[lf + 1..]),
            None => (rest, &rest[rest.len()..], &rest[rest.len()..]),
        };
        rest = after;
        // White space at the end of a line was added on the way: RFC 2045 §6.7 (3).
        let line = line.trim_ascii_end();
        match line.strip_suffix(b"=") {
            Some(soft) => escapes(soft, out),
            None => {
                escapes(line, out);
                out.extend_from_slice(end);
            }
        }
    }
}

fn escapes(mut line: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'=', line) {
        out.extend_from_slice(&line[..at]);
        let escape = line.get(at + 1..at + 3).and_then(hex_octet);
        out.push(escape.unwrap_or(b'='));
        line = &line[at + if escape.is_some() { 3 } else { 1 }..];
    }
    out.extend_from_slice(line);
}

/// Two hexadecimal digits of either case.
pub(super) fn hex_octet(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let value = |b: u8| (b as char).to_digit(16);
    Some((value(*high)? << 4 | value(*low)?) as u8)
}

/// Uuencode as POSIX describes it: from `begin` to `end`. Without `begin`, everything.
pub fn uuencode(encoded: &[u8]) -> Vec<u8> {
    let begins = |line: &[u8]| line.starts_with(b"begin ");
    let mut lines = encoded.split(|&b| b == b'\n');
    if encoded.split(|&b| b == b'\n').any(begins) {
        lines.by_ref().find(|line| begins(line));
    }
    let mut out = Vec::with_capacity(encoded.len() / 4 * 3);
    for line in lines.map(|line| line.trim_ascii_end()) {
        let Some((&count, digits)) = line.split_first() else { continue };
        if line == b"end" || !(b' '..=b'`').contains(&count) {
            break;
        }
        let mut left = ((count - b' ') & 63) as usize;
        for quantum in digits.chunks(4) {
            let bits = (0..4).fold(0u32, |bits, i| {
                let digit = quantum.get(i).map_or(0, |b| b.wrapping_sub(b' ') & 63);
                bits << 6 | u32::from(digit)
            });
            let octets = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
            let take = left.min(3);
            out.extend_from_slice(&octets[..take]);
            left -= take;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_vectors_of_rfc_4648() {
        let vectors: [(&[u8], &[u8]); 7] = [
            (b"", b""),
            (b"Zg==", b"f"),
            (b"Zm8=", b"fo"),
            (b"Zm9v", b"foo"),
            (b"Zm9vYg==", b"foob"),
            (b"Zm9vYmE=", b"fooba"),
            (b"Zm9vYmFy", b"foobar"),
        ];
        for (encoded, plain) in vectors {
            assert_eq!(base64(encoded), plain);
        }
    }

    #[test]
    fn base64_passes_over_what_is_no_digit() {
        assert_eq!(base64(b"Zm9v\r\nYm\r\nFy\r\n"), b"foobar");
        assert_eq!(base64(b"Zg==Zg=="), b"ff");
        assert_eq!(base64(b"Zm9vYg"), b"foob");
        assert_eq!(base64(b"****Z*m*9*v"), b"foo");
    }

    #[test]
    fn quoted_printable_of_rfc_2045() {
        let encoded = b"Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.";
        assert_eq!(
            quoted_printable(encoded),
            b"Now's the time for all folk to come to the aid of their country."
        );
        assert_eq!(quoted_printable(b"a=3D=e9  \r\nb= \r\nc=zz="), b"a=\xe9\r\nbc=zz");
    }

    #[test]
    fn uuencode_of_the_classic_example() {
        assert_eq!(uuencode(b"begin 644 cat.txt\n#0V%T\n`\nend\n"), b"Cat");
    }

    #[test]
    fn names_are_read_with_their_faults() {
        assert_eq!(TransferEncoding::parse(b" Base64;"), TransferEncoding::Base64);
        assert_eq!(TransferEncoding::parse(b" 7BIT (comment)"), TransferEncoding::SevenBit);
        assert_eq!(TransferEncoding::parse(b""), TransferEncoding::SevenBit);
        assert_eq!(TransferEncoding::parse(b"spam"), TransferEncoding::Unknown);
    }
}
