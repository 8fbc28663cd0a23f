//! The MIME tree, written: entities with their fields, boundaries and transfer encodings.
//!
//! A text is 7bit when it is ASCII in lines a mail server may not touch (998 octets, RFC 5321 §4.5.3.1.6),
//! quoted-printable when most of it is ASCII, else base64; files are base64. 8bit is used only for
//! messages and reports given as they are, which may not be encoded (RFC 2046 §5.2.1).
//!
//! Boundaries begin with `=_`, which neither base64 nor quoted-printable can produce (RFC 2045 §6.7), and go on
//! with random digits, which no other text contains.

use base64::Engine;

use super::Attachment;
use super::header::{FieldWriter, encoding_name};
use crate::parse::TransferEncoding;
use crate::parse::content;

/// Octets on a line, CRLF not counted: RFC 5322 §2.1.1.
const LONGEST_LINE: usize = 998;

/// A part to be written, with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Such as `text/plain`.
    media_type: String,
    params: Vec<(String, String)>,
    /// Content-* fields beside the type and the encoding, already written.
    fields: Vec<u8>,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    /// Encoded already.
    Leaf {
        encoding: TransferEncoding,
        octets: Vec<u8>,
    },
    /// Octets that the caller has, by a key of its own; and how they are to be encoded.
    Elsewhere {
        encoding: TransferEncoding,
        key: usize,
    },
    Parts(Vec<Entity>),
}

/// What is to be written, in order: see [`Entity::pieces`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These octets.
    Octets(Vec<u8>),
    /// The octets that the caller knows by that key: base64 in the lines of [`base64_lines`], or as they
    /// are.
    Elsewhere {
        /// The caller's.
        key: usize,
        /// How they are to be encoded.
        encoding: TransferEncoding,
    },
}

/// What decides how octets can be sent as they are, gathered piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looks {
    line: usize,
    longest_line: usize,
    eight_bit: bool,
    nul: bool,
}

impl Looks {
    /// Of these octets alone.
    pub fn of(octets: &[u8]) -> Looks {
        let mut looks = Looks::default();
        looks.add(octets);
        looks
    }

    /// The next octets.
    pub fn add(&mut self, octets: &[u8]) {
        self.eight_bit |= !octets.is_ascii();
        self.nul |= memchr::memchr(0, octets).is_some();
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', octets) {
            self.longest_line = self.longest_line.max(self.line + end + 1 - from);
            (self.line, from) = (0, end + 1);
        }
        self.line += octets.len() - from;
        self.longest_line = self.longest_line.max(self.line);
    }

    /// The encoding that says what they hold (RFC 2045 §2.7–§2.9).
    pub fn as_is(self) -> TransferEncoding {
        if self.longest_line > LONGEST_LINE + 2 || self.nul {
            TransferEncoding::Binary
        } else if self.eight_bit {
            TransferEncoding::EightBit
        } else {
            TransferEncoding::SevenBit
        }
    }
}

impl Entity {
    /// `text/SUBTYPE` in UTF-8 (or US-ASCII when it is that). Line ends of any kind become CRLF, and
    /// the last line gets one.
    pub fn text(subtype: &str, text: &str) -> Entity {
        let text = crlf(text);
        let encoding = encoding_for_text(text.as_bytes());
        let octets = match encoding {
            TransferEncoding::QuotedPrintable => quoted_printable(text.as_bytes()),
            TransferEncoding::Base64 => base64_lines(text.as_bytes()),
            _ => text.clone().into_bytes(),
        };
        let charset = if text.is_ascii() { "us-ascii" } else { "utf-8" };
        Entity::leaf(&format!("text/{subtype}"), encoding, octets).with_param("charset", charset)
    }

    /// The same, but nothing is added where the last line has no end: what is read back is what was
    /// given, line ends apart.
    pub fn exact_text(subtype: &str, text: &str) -> Entity {
        let ended = text.is_empty() || text.ends_with(['\r', '\n']);
        let mut entity = Entity::text(subtype, text);
        if let Body::Leaf { encoding, octets } = &mut entity.body
            && !ended
        {
            match encoding {
                // The line end is in the last quantum.
                TransferEncoding::Base64 => {
                    let text = crlf(text);
                    *octets = base64_lines(&text.as_bytes()[..text.len() - 2]);
                }
                _ => octets.truncate(octets.len() - 2),
            }
        }
        entity
    }

    /// Octets that the caller has. `message/rfc822` is to be given as it is (RFC 2046 §5.2.1).
    pub fn elsewhere(media_type: &str, encoding: TransferEncoding, key: usize) -> Entity {
        Entity {
            media_type: media_type.to_owned(),
            params: Vec::new(),
            fields: Vec::new(),
            body: Body::Elsewhere { encoding, key },
        }
    }

    /// Octets given as they are: ASCII or 8-bit text with CRLF, such as a message or a report.
    /// The encoding is named for what they hold.
    pub fn as_is(media_type: &str, octets: Vec<u8>) -> Entity {
        let encoding = Looks::of(&octets).as_is();
        Entity::leaf(media_type, encoding, octets)
    }

    /// A file. `inline` is for what HTML shows.
    pub fn attachment(file: &Attachment, inline: bool) -> Entity {
        let (media_type, params) = match content::media_type(file.media_type.as_bytes()) {
            Some((main, sub)) if main != "multipart" && safe_type(&main) && safe_type(&sub) => {
                (format!("{main}/{sub}"), content::params(file.media_type.as_bytes()))
            }
            _ => ("application/octet-stream".to_owned(), Vec::new()),
        };
        let mut entity = match media_type.as_str() {
            // RFC 2046 §5.2.1: a message is never encoded.
            "message/rfc822" => Entity::as_is(&media_type, file.content.clone()),
            _ => Entity::leaf(&media_type, TransferEncoding::Base64, base64_lines(&file.content)),
        };
        for (name, value) in params.iter().filter(|(name, _)| safe_type(name)) {
            entity = entity.with_param(name, value);
        }
        let mut fields = FieldWriter::default();
        let word = if inline { "inline" } else { "attachment" };
        let name = file.file_name.as_deref().map(|name| ("filename", name));
        fields.with_params("Content-Disposition", word, name.as_slice());
        if let Some(id) = &file.content_id {
            fields.ids("Content-ID", std::slice::from_ref(id));
        }
        entity.fields = fields.into_bytes();
        entity
    }

    /// `multipart/SUBTYPE` with at least one part.
    pub fn multipart(subtype: &str, parts: Vec<Entity>) -> Entity {
        Entity {
            media_type: format!("multipart/{subtype}"),
            params: Vec::new(),
            fields: Vec::new(),
            body: Body::Parts(parts),
        }
    }

    /// Adds a parameter of Content-Type.
    pub fn with_param(mut self, name: &str, value: &str) -> Entity {
        self.params.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a Content-Description.
    pub fn with_description(self, text: &str) -> Entity {
        let mut fields = FieldWriter::default();
        fields.text("Content-Description", text);
        self.with_written_fields(&fields.into_bytes())
    }

    /// Adds fields that a [`FieldWriter`] has written; none of them Content-Type or
    /// Content-Transfer-Encoding.
    pub fn with_written_fields(mut self, fields: &[u8]) -> Entity {
        self.fields.extend_from_slice(fields);
        self
    }

    fn leaf(media_type: &str, encoding: TransferEncoding, octets: Vec<u8>) -> Entity {
        Entity {
            media_type: media_type.to_owned(),
            params: Vec::new(),
            fields: Vec::new(),
            body: Body::Leaf { encoding, octets },
        }
    }

    /// Writes the entity's fields, an empty line and its body. `random` makes the boundaries. Octets that
    /// are elsewhere are left out: [`Entity::pieces`] is for those.
    pub fn write(&self, out: &mut Vec<u8>, random: [u8; 16]) {
        for piece in self.pieces(random) {
            if let Piece::Octets(octets) = piece {
                out.extend_from_slice(&octets);
            }
        }
    }

    /// The same, where some octets are elsewhere: a large file need not be in memory for it.
    pub fn pieces(&self, random: [u8; 16]) -> Vec<Piece> {
        let mut writing = Writing { random, ..Writing::default() };
        self.write_numbered(&mut writing);
        writing.pieces.push(Piece::Octets(writing.out));
        writing.pieces
    }

    /// Recurses as deep as the tree that the caller built.
    fn write_numbered(&self, writing: &mut Writing) {
        let boundary = matches!(self.body, Body::Parts(_)).then(|| {
            writing.boundaries += 1;
            let next = writing.boundaries;
            let digits: String =
                writing.random.iter().map(|octet| format!("{octet:02x}")).collect();
            // The number comes first, so that no boundary is the beginning of another.
            format!("=_{next}_{digits}")
        });
        let mut params: Vec<(&str, &str)> =
            self.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        params.extend(boundary.as_deref().map(|boundary| ("boundary", boundary)));
        let mut fields = FieldWriter::default();
        fields.with_params("Content-Type", &self.media_type, &params);
        fields.raw("Content-Transfer-Encoding", encoding_name(self.encoding()));
        writing.add(&fields.into_bytes());
        writing.add(&self.fields);
        writing.add(b"\r\n");
        match (&self.body, boundary) {
            (Body::Parts(parts), Some(boundary)) => {
                for part in parts {
                    writing.add(format!("--{boundary}\r\n").as_bytes());
                    part.write_numbered(writing);
                    writing.add(b"\r\n");
                }
                writing.add(format!("--{boundary}--\r\n").as_bytes());
            }
            (Body::Leaf { octets, .. }, _) => writing.add(octets),
            (Body::Elsewhere { encoding, key }, _) => writing.elsewhere(*key, *encoding),
            (Body::Parts(_), None) => {}
        }
    }

    /// A multipart says the most that its parts need (RFC 2045 §6.4).
    fn encoding(&self) -> TransferEncoding {
        let parts = match &self.body {
            Body::Leaf { encoding, .. } | Body::Elsewhere { encoding, .. } => return *encoding,
            Body::Parts(parts) => parts,
        };
        let any = |encoding| parts.iter().any(|part| part.encoding() == encoding);
        if any(TransferEncoding::Binary) {
            TransferEncoding::Binary
        } else if any(TransferEncoding::EightBit) {
            TransferEncoding::EightBit
        } else {
            TransferEncoding::SevenBit
        }
    }
}

/// A tree on its way to octets.
#[derive(Default)]
struct Writing {
    pieces: Vec<Piece>,
    /// The piece that grows.
    out: Vec<u8>,
    random: [u8; 16],
    /// So many were made.
    boundaries: u32,
}

impl Writing {
    fn add(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    fn elsewhere(&mut self, key: usize, encoding: TransferEncoding) {
        self.pieces.push(Piece::Octets(std::mem::take(&mut self.out)));
        self.pieces.push(Piece::Elsewhere { key, encoding });
    }
}

/// A word of a media type that can be written as it is (RFC 2045 §5.1 `token`).
pub fn safe_type(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 127
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

/// Every line end becomes CRLF, and a last line without one gets it.
fn crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest.as_bytes()) {
        out.push_str(&rest[..end]);
        out.push_str("\r\n");
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push_str("\r\n");
    }
    out
}

fn encoding_for_text(text: &[u8]) -> TransferEncoding {
    let plain = |b: &u8| matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    let odd = text.iter().filter(|b| !plain(b)).count();
    // A line that begins with `From ` is spoilt where mail is kept in mbox files, one with a lone
    // dot by careless SMTP programs; what fits a line is decided without its CRLF.
    let spoilt = |line: &[u8]| {
        line.len() > LONGEST_LINE + 1 || line.starts_with(b"From ") || line.trim_ascii_end() == b"."
    };
    if odd == 0 && !text.split(|&b| b == b'\n').any(spoilt) {
        TransferEncoding::SevenBit
    } else if odd <= text.len() / 4 {
        TransferEncoding::QuotedPrintable
    } else {
        TransferEncoding::Base64
    }
}

/// RFC 2045 §6.7, of text whose lines end with CRLF.
pub fn quoted_printable(text: &[u8]) -> Vec<u8> {
    const WIDTH: usize = 76;
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    let mut column = 0;
    let mut i = 0;
    while i < text.len() {
        if text[i..].starts_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            column = 0;
            i += 2;
            continue;
        }
        let line_ends = i + 1 == text.len() || text[i + 1..].starts_with(b"\r\n");
        let literal = match text[i] {
            b' ' | b'\t' => !line_ends,
            b'=' => false,
            b'.' => !(column == 0 && line_ends),
            b'F' => !(column == 0 && text[i..].starts_with(b"From ")),
            b => b.is_ascii_graphic(),
        };
        let width = if literal { 1 } else { 3 };
        // Room must remain for the `=` of a soft line break, unless the line ends here.
        if column + width > WIDTH - usize::from(!line_ends) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
            continue;
        }
        if literal {
            out.push(text[i]);
        } else {
            out.extend_from_slice(format!("={:02X}", text[i]).as_bytes());
        }
        column += width;
        i += 1;
    }
    out
}

/// Base64 in lines of 76 (RFC 2045 §6.8), the last with a line end too.
pub fn base64_lines(octets: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(octets.len() / 57 * 78 + 80);
    for line in octets.chunks(57) {
        base64::engine::general_purpose::STANDARD.encode_string(line, &mut out);
        out.push_str("\r\n");
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::transfer;

    #[test]
    fn encodings_are_chosen_by_what_the_text_holds() {
        let of = |text: &str| encoding_for_text(crlf(text).as_bytes());
        assert_eq!(of("plain\n"), TransferEncoding::SevenBit);
        assert_eq!(of("Grüße an alle, die dies lesen\n"), TransferEncoding::QuotedPrintable);
        assert_eq!(of("日本語の手紙\n"), TransferEncoding::Base64);
        assert_eq!(of("From here on\n"), TransferEncoding::QuotedPrintable);
        assert_eq!(of(&"x".repeat(998)), TransferEncoding::SevenBit);
        assert_eq!(of(&"x".repeat(999)), TransferEncoding::QuotedPrintable);
    }

    #[test]
    fn quoted_printable_lines_are_short_and_decode() {
        let text = format!("From me \r\n.\r\n{}\r\n={}\t\r\nend", "é".repeat(100), "x".repeat(76));
        let encoded = quoted_printable(text.as_bytes());
        for line in encoded.split(|&b| b == b'\n') {
            assert!(line.trim_ascii_end().len() <= 76);
            assert!(!line.starts_with(b"From ") && line != b".\r");
        }
        assert_eq!(transfer::quoted_printable(&encoded), text.as_bytes());
    }

    #[test]
    fn an_exact_text_gets_no_line_end() {
        let written = |text: &str| {
            let mut out = Vec::new();
            Entity::exact_text("plain", text).write(&mut out, [0; 16]);
            crate::Message::parse(&out).text(crate::parse::PartId::ROOT)
        };
        for text in ["a", "a\r\nb", "é and more of it", "日本語", "", "a\r\n", "From x\r\nend "]
        {
            assert_eq!(written(text), text);
        }
        assert_eq!(written("a\nb\r"), "a\r\nb\r\n");
    }

    #[test]
    fn octets_elsewhere_stand_between_pieces() {
        let tree = Entity::multipart(
            "mixed",
            vec![
                Entity::text("plain", "hi\n"),
                Entity::elsewhere("image/png", TransferEncoding::Base64, 7),
            ],
        );
        let pieces = tree.pieces([0; 16]);
        let [Piece::Octets(before), Piece::Elsewhere { key: 7, encoding }, Piece::Octets(after)] =
            pieces.as_slice()
        else {
            panic!("{pieces:?}")
        };
        assert_eq!(*encoding, TransferEncoding::Base64);
        assert!(before.ends_with(b"Content-Transfer-Encoding: base64\r\n\r\n"));
        assert!(after.starts_with(b"\r\n--=_1_"));
    }

    #[test]
    fn looks_are_the_same_however_octets_are_cut() {
        let line = "x".repeat(998);
        for (octets, encoding) in [
            (format!("{line}\r\nshort"), TransferEncoding::SevenBit),
            (format!("{line}x\r\nshort"), TransferEncoding::Binary),
            (format!("é\r\n{line}"), TransferEncoding::EightBit),
            ("a\0".to_owned(), TransferEncoding::Binary),
        ] {
            assert_eq!(Looks::of(octets.as_bytes()).as_is(), encoding);
            let mut cut = Looks::default();
            octets.as_bytes().chunks(7).for_each(|chunk| cut.add(chunk));
            assert_eq!(cut, Looks::of(octets.as_bytes()));
        }
    }

    #[test]
    fn line_ends_become_crlf() {
        assert_eq!(crlf("a\nb\rc\r\nd"), "a\r\nb\r\nc\r\nd\r\n");
        assert_eq!(crlf(""), "");
    }
}
