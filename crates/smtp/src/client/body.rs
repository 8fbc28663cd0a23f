//! Message octets on their way out: line ends made whole, dots doubled (RFC 5321 §4.5.2).
//!
//! A lone CR or LF never leaves in DATA, nor in BDAT without BINARYMIME: some servers take
//! `LF . LF` for the end of the message, and a message could then carry commands past us. It
//! becomes CRLF, which is what its writer meant.

use memchr::memchr2;

/// Encodes one message, piece by piece.
#[derive(Debug)]
pub(super) struct BodyEncoder {
    /// Dots at line starts are doubled.
    dots: bool,
    line_start: bool,
    /// A CR was sent as CRLF; if LF follows, that was it.
    after_cr: bool,
}

impl BodyEncoder {
    /// For DATA.
    pub fn stuffing() -> BodyEncoder {
        BodyEncoder { dots: true, line_start: true, after_cr: false }
    }

    /// For BDAT.
    pub fn plain() -> BodyEncoder {
        BodyEncoder { dots: false, line_start: true, after_cr: false }
    }

    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.reserve(input.len() + input.len() / 32);
        let mut rest = input;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            if self.line_start && self.dots && first == b'.' {
                out.push(b'.');
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else {
                out.extend_from_slice(rest);
                self.line_start = false;
                return;
            };
            out.extend_from_slice(&rest[..end]);
            out.extend_from_slice(b"\r\n");
            self.line_start = true;
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
    }

    /// Ends DATA. A last line without line end gets one (RFC 5321 §4.1.1.4).
    pub fn finish(&self, out: &mut Vec<u8>) {
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(pieces: &[&[u8]]) -> String {
        let (mut encoder, mut out) = (BodyEncoder::stuffing(), Vec::new());
        for piece in pieces {
            encoder.encode(piece, &mut out);
        }
        encoder.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_dots_and_mends_line_ends() {
        assert_eq!(encoded(&[]), ".\r\n");
        assert_eq!(encoded(&[b".a\r\n..\r\nb.\r\n"]), "..a\r\n...\r\nb.\r\n.\r\n");
        assert_eq!(encoded(&[b"no line end"]), "no line end\r\n.\r\n");
        assert_eq!(encoded(&[b"a\n.\nb\r.\rc"]), "a\r\n..\r\nb\r\n..\r\nc\r\n.\r\n");
        assert_eq!(encoded(&[b"a\r", b"\n.", b"\r\n"]), "a\r\n..\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn the_end_comes_once_and_pieces_do_not_matter(
            input in prop::collection::vec(prop::sample::select(b"\r\n\r\n..ab".to_vec()), 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(input.len());
            let whole = encoded(&[&input]);
            prop_assert_eq!(&whole, &encoded(&[&input[..cut], &input[cut..]]));
            let framed = format!("\r\n{whole}");
            prop_assert_eq!(framed.matches("\r\n.\r\n").count(), 1);
            prop_assert!(!framed.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
