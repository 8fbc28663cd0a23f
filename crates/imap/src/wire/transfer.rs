//! Undoing a Content-Transfer-Encoding piece by piece (RFC 2045 §6), for BINARY: a 50 MB
//! attachment is decoded as it is sent.
//!
//! Lenient as mail readers are: octets outside of the base64 alphabet are passed over, and a
//! malformed `=` in quoted-printable stands for itself.

/// Decodes octets that come in pieces.
#[derive(Debug, Clone)]
pub enum Decoder {
    /// 7bit, 8bit, binary.
    Identity,
    /// base64.
    Base64 {
        /// Six bits each, high ones first.
        bits: u32,
        /// How many sextets `bits` has.
        sextets: u8,
        /// Padding was seen: what follows is not data.
        ended: bool,
    },
    /// quoted-printable: what may still become part of an escape, or be white space at a line's end.
    QuotedPrintable {
        /// Not decided yet.
        held: Vec<u8>,
    },
}

/// White space at the end of a line longer than this is kept.
const MAX_HELD: usize = 1024;

impl Decoder {
    /// For an encoding by name; `None` when it is not known.
    pub fn for_encoding(name: &[u8]) -> Option<Decoder> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("7bit") || is("8bit") || is("binary") || name.is_empty() {
            Some(Decoder::Identity)
        } else if is("base64") {
            Some(Decoder::Base64 { bits: 0, sextets: 0, ended: false })
        } else if is("quoted-printable") {
            Some(Decoder::QuotedPrintable { held: Vec::new() })
        } else {
            None
        }
    }

    /// Decodes the next piece onto `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Decoder::Identity => out.extend_from_slice(piece),
            Decoder::Base64 { bits, sextets, ended } => {
                for &b in piece {
                    base64_octet(b, bits, sextets, ended, out);
                }
            }
            Decoder::QuotedPrintable { held } => {
                for &b in piece {
                    quoted_printable_octet(b, held, out);
                }
            }
        }
    }

    /// There is no more.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Decoder::Identity => {}
            Decoder::Base64 { bits, sextets, .. } => {
                flush_base64(*bits, *sextets, out);
                *sextets = 0;
            }
            Decoder::QuotedPrintable { held } => match held.first() {
                Some(b'=') if held.len() > 1 && held.trim_ascii_end() != b"=" => out.append(held),
                _ => held.clear(), // a soft break, or white space at the end
            },
        }
    }
}

fn base64_octet(b: u8, bits: &mut u32, sextets: &mut u8, ended: &mut bool, out: &mut Vec<u8>) {
    let value = match b {
        _ if *ended => return,
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => {
            *ended = true;
            return;
        }
        _ => return,
    };
    *bits = (*bits << 6) | u32::from(value);
    *sextets += 1;
    if *sextets == 4 {
        flush_base64(*bits, 4, out);
        (*bits, *sextets) = (0, 0);
    }
}

fn flush_base64(bits: u32, sextets: u8, out: &mut Vec<u8>) {
    match sextets {
        4 => out.extend_from_slice(&bits.to_be_bytes()[1..]),
        3 => out.extend_from_slice(&(bits << 6).to_be_bytes()[1..3]),
        2 => out.extend_from_slice(&(bits << 12).to_be_bytes()[1..2]),
        _ => {}
    }
}

/// `held` is empty, or white space that a line end would remove, or the beginning of an escape.
fn quoted_printable_octet(b: u8, held: &mut Vec<u8>, out: &mut Vec<u8>) {
    let in_escape = held.first() == Some(&b'=');
    match b {
        b'\n' if in_escape && held[1..].iter().all(|b| b" \t\r".contains(b)) => held.clear(),
        b'\n' => {
            // RFC 2045 §6.7 (3): white space at the end of a line is not data.
            let cr = held.last() == Some(&b'\r');
            if in_escape {
                out.append(held);
            } else {
                held.clear();
                out.extend_from_slice(if cr { b"\r" } else { b"" });
            }
            out.push(b'\n');
        }
        _ if in_escape && held.len() == 2 && hex(held[1]).is_some() && hex(b).is_some() => {
            let (high, low) = (hex(held[1]).unwrap_or(0), hex(b).unwrap_or(0));
            out.push(high << 4 | low);
            held.clear();
        }
        _ if in_escape && held.len() == 1 && hex(b).is_some() => held.push(b),
        b' ' | b'\t' | b'\r' if held.len() < MAX_HELD && (!in_escape || !is_hex_begun(held)) => {
            held.push(b);
        }
        _ => {
            out.append(held);
            if b == b'=' {
                held.push(b);
            } else {
                out.push(b);
            }
        }
    }
}

fn is_hex_begun(held: &[u8]) -> bool {
    held.get(1).is_some_and(|&b| hex(b).is_some())
}

fn hex(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use proptest::prelude::*;

    fn decoded(encoding: &str, pieces: &[&[u8]]) -> Vec<u8> {
        let mut decoder = Decoder::for_encoding(encoding.as_bytes()).unwrap();
        let mut out = Vec::new();
        for piece in pieces {
            decoder.push(piece, &mut out);
        }
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn known_texts() {
        assert_eq!(decoded("BASE64", &[b"aGVs\r\nbG8g", b"d29ybGQ="]), b"hello world");
        assert_eq!(decoded("base64", &[b"aGVsbG8=aGVsbG8="]), b"hello");
        assert_eq!(
            decoded("quoted-printable", &[b"a=C3=BCb =\r\nc  \r\nd"]),
            "aüb c\r\nd".as_bytes()
        );
        assert_eq!(decoded("quoted-printable", &[b"=3", b"D=zz=4x="]), b"==zz=4x");
        assert_eq!(decoded("quoted-printable", &[b"a =\r", b"\nb=\nc= \r\nd"]), b"a bcd");
        assert_eq!(decoded("8bit", &[b"a\0b"]), b"a\0b");
        assert!(Decoder::for_encoding(b"x-uuencode").is_none());
    }

    proptest! {
        #[test]
        fn base64_round_trip(data: Vec<u8>, cut in 0usize..400) {
            let wire = base64::engine::general_purpose::STANDARD.encode(&data).into_bytes();
            let (a, b) = wire.split_at(cut.min(wire.len()));
            prop_assert_eq!(decoded("base64", &[a, b]), data);
        }

        #[test]
        fn quoted_printable_round_trip(data: Vec<u8>) {
            let wire: String = data.iter().map(|b| format!("={b:02X}")).collect::<Vec<_>>().join("=\r\n");
            prop_assert_eq!(decoded("quoted-printable", &[wire.as_bytes()]), data);
        }

        /// However it is cut, the outcome is the same.
        #[test]
        fn pieces_make_no_difference(
            wire in proptest::collection::vec(
                prop_oneof![Just(b'='), Just(b' '), Just(b'\r'), Just(b'\n'), Just(b'4'), any::<u8>()], 0..60),
            cut in 0usize..60,
            base64: bool,
        ) {
            let encoding = if base64 { "base64" } else { "quoted-printable" };
            let (a, b) = wire.split_at(cut.min(wire.len()));
            prop_assert_eq!(decoded(encoding, &[a, b]), decoded(encoding, &[&wire]));
        }
    }
}
