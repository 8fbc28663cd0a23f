//! The messages that are sent: three sizes, each in the shape that mail of that size has.
//!
//! | size  | shape                                                                  |
//! |-------|------------------------------------------------------------------------|
//! | 4 KB  | one text/plain part of words                                           |
//! | 50 KB | multipart/alternative, 30% text and 70% HTML                           |
//! | 1 MB  | multipart/mixed, 2 KB of text and a base64 attachment of random octets |
//!
//! The generator shares its processors with the server that it measures, so nothing is rendered
//! while the clock runs except some 700 octets of header. The rest of a message is a window into
//! material made beforehand. The window is another one for each message, so no two messages have
//! equal bodies: a store that keeps equal content once gains nothing here.

use std::io::Write as _;

/// What ends a message's content on the wire (RFC 5321 §4.1.1.4).
const END_OF_DATA: &[u8] = b".\r\n";
const TEXT_LINE: usize = 72;
const BASE64_LINE: usize = 78;
const TEXT_MATERIAL_LINES: usize = 40_000;
const BASE64_MATERIAL_LINES: usize = 120_000;
const ATTACHED_TEXT_OCTETS: usize = 2048;

/// One of the three sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Plain4K,
    Html50K,
    Attachment1M,
}

impl Size {
    pub const ALL: [Size; 3] = [Size::Plain4K, Size::Html50K, Size::Attachment1M];

    /// Octets of the whole message, header and body, with CRLF line ends.
    pub fn octets(self) -> usize {
        match self {
            Size::Plain4K => 4 * 1024,
            Size::Html50K => 50 * 1024,
            Size::Attachment1M => 1024 * 1024,
        }
    }

    /// As people write it.
    pub fn label(self) -> &'static str {
        match self {
            Size::Plain4K => "4 KB",
            Size::Html50K => "50 KB",
            Size::Attachment1M => "1 MB",
        }
    }
}

/// The prepared material, some 12 MB, shared by all connections.
pub struct Material {
    text: Vec<u8>,
    html: Vec<u8>,
    base64: Vec<u8>,
}

/// One message's content in the pieces to be written, in order, with the final dot.
pub type Pieces<'a> = [&'a [u8]; 5];

impl Material {
    /// The same material every time.
    pub fn new() -> Material {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let words = vocabulary(&mut random);
        let text = word_lines(&mut random, &words, "");
        let html = word_lines(&mut random, &words, "<p>");
        let base64 = base64_lines(&mut random);
        Material { text, html, base64 }
    }

    /// So many lines of words, other ones for each number.
    pub fn lines(&self, lines: usize, number: u64) -> &[u8] {
        window(&self.text, TEXT_LINE, lines * TEXT_LINE, number)
    }

    /// The content of message `number` to `recipient`. `header` is the caller's scratch space.
    pub fn message<'a>(
        &'a self,
        size: Size,
        number: u64,
        recipient: &str,
        header: &'a mut Vec<u8>,
    ) -> Pieces<'a> {
        header.clear();
        write_header(header, size, number, recipient);
        let (middle, tail) = around_second_part(size);
        let body = size.octets() - header.len() - middle.len() - tail.len();
        let (first, second) = match size {
            Size::Plain4K => (body, 0),
            Size::Html50K => (body * 3 / 10, body - body * 3 / 10),
            Size::Attachment1M => (ATTACHED_TEXT_OCTETS, body - ATTACHED_TEXT_OCTETS),
        };
        let second = match size {
            Size::Attachment1M => window(&self.base64, BASE64_LINE, second, number),
            _ => window(&self.html, TEXT_LINE, second, number),
        };
        [header, window(&self.text, TEXT_LINE, first, number), middle, second, tail_of(size)]
    }
}

/// `length` octets from a line that depends on `number`. The piece is followed by a CRLF in every
/// shape, so it may end within a line.
fn window(material: &[u8], line: usize, length: usize, number: u64) -> &[u8] {
    let lines = (material.len() - length) / line;
    // A large odd stride: near numbers get windows far apart, all lines are visited in turn.
    let at = (number.wrapping_mul(15_485_863) % lines as u64) as usize * line;
    &material[at..at + length]
}

fn write_header(out: &mut Vec<u8>, size: Size, number: u64, recipient: &str) {
    let content_type = match size {
        Size::Plain4K => "text/plain; charset=utf-8",
        Size::Html50K => "multipart/alternative; boundary=\"=_bench_part\"",
        Size::Attachment1M => "multipart/mixed; boundary=\"=_bench_part\"",
    };
    let first_part = match size {
        Size::Plain4K => "",
        _ => "--=_bench_part\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
    };
    write!(
        out,
        "Received: from client.sender.test ([198.51.100.7])\r\n\
         \tby relay.sender.test with ESMTPS id {number:012}\r\n\
         \tfor <{recipient}>; Mon, 01 Jun 2026 09:30:00 +0000\r\n\
         Date: Mon, 01 Jun 2026 09:30:00 +0000\r\n\
         From: \"Sender of the Bench\" <sender@sender.test>\r\n\
         To: <{recipient}>\r\n\
         Subject: Minutes of meeting number {number:012}, with notes\r\n\
         Message-ID: <{number:012}.bench@sender.test>\r\n\
         List-Unsubscribe: <https://sender.test/unsubscribe/{number:012}>\r\n\
         User-Agent: Bench\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: {content_type}\r\n\
         \r\n\
         {first_part}"
    )
    .expect("writing to a Vec cannot fail");
}

/// What stands between the two parts and after them; the tail without the final dot, for lengths.
fn around_second_part(size: Size) -> (&'static [u8], &'static [u8]) {
    let tail = tail_of(size);
    (middle_of(size), &tail[..tail.len() - END_OF_DATA.len()])
}

fn middle_of(size: Size) -> &'static [u8] {
    match size {
        Size::Plain4K => b"",
        Size::Html50K => {
            b"\r\n--=_bench_part\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n"
        }
        Size::Attachment1M => {
            b"\r\n--=_bench_part\r\nContent-Type: application/pdf; name=\"notes.pdf\"\r\n\
              Content-Disposition: attachment; filename=\"notes.pdf\"\r\n\
              Content-Transfer-Encoding: base64\r\n\r\n"
        }
    }
}

fn tail_of(size: Size) -> &'static [u8] {
    match size {
        Size::Plain4K => b"\r\n.\r\n",
        Size::Html50K => b"\r\n</body></html>\r\n--=_bench_part--\r\n.\r\n",
        Size::Attachment1M => b"\r\n--=_bench_part--\r\n.\r\n",
    }
}

/// 2,000 made-up words, short ones more often, so that text compresses about as letters do.
fn vocabulary(random: &mut Random) -> Vec<String> {
    let syllable = |random: &mut Random| {
        let consonants = b"bcdfghklmnprstvw";
        let vowels = b"aeiou";
        [consonants[random.below(16)] as char, vowels[random.below(5)] as char]
    };
    (0..2000)
        .map(|at| (0..1 + at / 600 + random.below(2)).flat_map(|_| syllable(random)).collect())
        .collect()
}

/// Lines of exactly [`TEXT_LINE`] octets, none beginning with a dot.
fn word_lines(random: &mut Random, words: &[String], opening: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(TEXT_MATERIAL_LINES * TEXT_LINE);
    let mut line = String::new();
    for _ in 0..TEXT_MATERIAL_LINES {
        line.clear();
        line.push_str(opening);
        while line.len() < TEXT_LINE - 2 {
            // The lesser of two draws: the beginning of the vocabulary is used most.
            let word = random.below(words.len()).min(random.below(words.len()));
            line.push_str(&words[word]);
            line.push(' ');
        }
        out.extend_from_slice(&line.as_bytes()[..TEXT_LINE - 2]);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn base64_lines(random: &mut Random) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(BASE64_MATERIAL_LINES * BASE64_LINE);
    for _ in 0..BASE64_MATERIAL_LINES {
        out.extend((0..BASE64_LINE - 2).map(|_| alphabet[random.below(64)]));
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Xorshift64*: the same material on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(size: Size, number: u64) -> Vec<u8> {
        let material = Material::new();
        material.message(size, number, "u00@bench.test", &mut Vec::new()).concat()
    }

    #[test]
    fn a_message_has_exactly_its_size_and_ends_once() {
        for size in Size::ALL {
            let content = content(size, 77);
            assert_eq!(content.len(), size.octets() + END_OF_DATA.len());
            assert!(content.ends_with(b"\r\n.\r\n"));
            let text = String::from_utf8(content).unwrap();
            let stuffed = text.split("\r\n").filter(|line| line.starts_with('.')).count();
            assert_eq!(stuffed, 1, "only the end of the data begins with a dot");
            assert!(text.split("\r\n").all(|line| line.len() <= 998));
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "no bare CR or LF");
        }
    }

    #[test]
    fn no_two_messages_have_equal_bodies() {
        for size in Size::ALL {
            let body = |number| content(size, number).split_off(900);
            assert_ne!(body(1), body(2));
        }
    }
}
