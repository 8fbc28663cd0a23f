//! Unstructured text with encoded words (RFC 2047) and octets beyond ASCII (RFC 6532).
//!
//! Encoded words are decoded wherever they stand, also inside words and quotes, because mail in the
//! wild puts them there. Neighbours of one charset are joined as octets before the charset is
//! undone, so that a character split between two words survives. A fold becomes one space.

use memchr::memmem;

use super::{charset, transfer};

/// Text for people: unfolded, trimmed, encoded words decoded.
pub fn decode_text(value: &[u8]) -> String {
    let value = value.trim_ascii();
    if memchr::memchr(b'?', value).is_none() {
        let mut out = String::with_capacity(value.len());
        push_plain(&mut out, value);
        return out;
    }
    let mut out = String::with_capacity(value.len());
    let mut pending = Pending::default();
    let mut rest = value;
    let mut from = 0;
    // No word begins beyond the last end of one: looked up once, so that time stays linear.
    let last_end = memmem::rfind(value, b"?=").map_or(0, |n| n + 2);
    while let Some(at) = memmem::find(&rest[from..], b"=?").map(|n| n + from) {
        if value.len() - rest.len() + at >= last_end {
            break;
        }
        let Some(word) = encoded_word(&rest[at..]) else {
            from = at + 2;
            continue;
        };
        let between = &rest[..at];
        if pending.words == 0 || !between.iter().all(u8::is_ascii_whitespace) {
            pending.flush(&mut out);
            push_plain(&mut out, between);
        }
        pending.push(&word, &mut out);
        rest = &rest[at + word.octets..];
        from = 0;
    }
    pending.flush(&mut out);
    push_plain(&mut out, rest);
    out
}

/// The ids in a Message-ID, In-Reply-To, References or Content-ID field, without angle brackets.
///
/// White space inside the brackets goes. Without any brackets, the first word that holds an `@`
/// counts, or the only word.
pub fn message_ids(value: &[u8]) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some(open) = memchr::memchr(b'<', rest) {
        rest = &rest[open + 1..];
        let Some(end) = memchr::memchr2(b'<', b'>', rest) else { break };
        if rest[end] == b'>' {
            let id: Vec<u8> =
                rest[..end].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            if !id.is_empty() {
                ids.push(charset::guess(&id).into_owned());
            }
            rest = &rest[end + 1..];
        }
    }
    if !ids.is_empty() {
        return ids;
    }
    let bare = |word: &&[u8]| !word.is_empty() && !word.iter().any(|b| b"<>()".contains(b));
    let words = || value.split(u8::is_ascii_whitespace).filter(bare);
    let word = words().find(|word| word.contains(&b'@')).or_else(|| {
        let mut all = words();
        all.next().filter(|_| all.next().is_none())
    });
    word.map(|word| charset::guess(word).into_owned()).into_iter().collect()
}

/// An encoded word as it stands in the octets.
struct Word<'a> {
    charset: &'a [u8],
    encoding: u8,
    text: &'a [u8],
    octets: usize,
}

/// The encoded word that `rest` begins with: `=?charset*language?B-or-Q?text?=`.
///
/// Deviates: RFC 2047 §2 forbids white space in the text and more than 75 characters; real mail has both.
fn encoded_word(rest: &[u8]) -> Option<Word<'_>> {
    let inner = rest.strip_prefix(b"=?")?;
    let charset_end =
        inner.iter().position(|b| matches!(b, b'?' | b'=') || b.is_ascii_whitespace())?;
    let (charset, after) = inner.split_at(charset_end);
    let &[b'?', encoding, b'?', ref text @ ..] = after else { return None };
    if charset.is_empty() || !matches!(encoding, b'b' | b'B' | b'q' | b'Q') {
        return None;
    }
    let text_end = memmem::find(text, b"?=")?;
    let octets = 2 + charset_end + 3 + text_end + 2;
    let language = charset.iter().position(|&b| b == b'*').unwrap_or(charset.len());
    Some(Word { charset: &charset[..language], encoding, text: &text[..text_end], octets })
}

/// Octets of encoded words whose charset is still to be undone.
#[derive(Default)]
struct Pending<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    words: usize,
}

impl<'a> Pending<'a> {
    fn push(&mut self, word: &Word<'a>, out: &mut String) {
        if self.words > 0 && !self.charset.eq_ignore_ascii_case(word.charset) {
            self.flush(out);
        }
        self.charset = word.charset;
        self.words += 1;
        match word.encoding {
            b'b' | b'B' => self.octets.extend_from_slice(&transfer::base64(word.text)),
            _ => decode_q(word.text, &mut self.octets),
        }
    }

    fn flush(&mut self, out: &mut String) {
        if self.words > 0 {
            let text = charset::decode(&self.octets, Some(self.charset));
            // A line end smuggled into a word would break the line it is shown in.
            out.extend(text.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
            self.octets.clear();
            self.words = 0;
        }
    }
}

/// RFC 2047 §4.2.
fn decode_q(text: &[u8], out: &mut Vec<u8>) {
    let mut i = 0;
    while i < text.len() {
        match text[i] {
            b'_' => out.push(b' '),
            b'\r' | b'\n' => {
                // A fold inside the word is no part of it.
                while text.get(i + 1).is_some_and(u8::is_ascii_whitespace) {
                    i += 1;
                }
            }
            b'=' => match text.get(i + 1..i + 3).and_then(transfer::hex_octet) {
                Some(octet) => {
                    out.push(octet);
                    i += 2;
                }
                None => out.push(b'='),
            },
            b => out.push(b),
        }
        i += 1;
    }
}

/// Octets that are no encoded word: unfolded, and read as what they most likely are.
fn push_plain(out: &mut String, octets: &[u8]) {
    if octets.is_empty() {
        return;
    }
    let unfolded = fold_to_space(octets);
    if unfolded.is_ascii() && !unfolded.contains(&0x1b) {
        out.push_str(std::str::from_utf8(&unfolded).unwrap_or_default());
    } else if unfolded.is_ascii() {
        // ISO-2022-JP put into a header as it is: old Japanese mail.
        out.push_str(&charset::decode(&unfolded, Some(b"iso-2022-jp")));
    } else {
        out.push_str(&charset::guess(&unfolded));
    }
}

/// A name or phrase that is already unfolded, as [`decode_text`] reads it; keeps the octets when they
/// are plain.
pub(super) fn decode_owned(octets: Vec<u8>) -> String {
    let plain = |b: &u8| matches!(b, 0x20..=0x7e) && *b != b'?';
    let trimmed = octets.trim_ascii().len() == octets.len();
    if trimmed && octets.iter().all(plain) {
        return String::from_utf8(octets).unwrap_or_default();
    }
    decode_text(&octets)
}

/// Each line end with the white space after it becomes one space.
fn fold_to_space(octets: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', octets).is_none() {
        return octets.into();
    }
    let mut out = Vec::with_capacity(octets.len());
    let mut in_fold = false;
    for &b in octets {
        if matches!(b, b'\r' | b'\n') {
            if !in_fold {
                while out.last().is_some_and(|b| matches!(b, b' ' | b'\t')) {
                    out.pop();
                }
                out.push(b' ');
            }
            in_fold = true;
        } else if !(in_fold && matches!(b, b' ' | b'\t')) {
            in_fold = false;
            out.push(b);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &str) -> String {
        decode_text(value.as_bytes())
    }

    #[test]
    fn the_examples_of_rfc_2047_section_8() {
        assert_eq!(decoded("=?ISO-8859-1?Q?a?="), "a");
        assert_eq!(decoded("=?ISO-8859-1?Q?a?= b"), "a b");
        assert_eq!(decoded("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?="), "ab");
        assert_eq!(decoded("=?ISO-8859-1?Q?a?=  \r\n     =?ISO-8859-1?Q?b?="), "ab");
        assert_eq!(decoded("=?ISO-8859-1?Q?a_b?="), "a b");
        assert_eq!(decoded("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?="), "a b");
    }

    #[test]
    fn a_character_split_between_words_survives() {
        assert_eq!(decoded("=?utf-8?q?caf=C3?= =?UTF-8?b?qQ==?="), "café");
    }

    #[test]
    fn octets_beyond_ascii_are_utf8_or_latin() {
        assert_eq!(decoded("Grüße"), "Grüße");
        assert_eq!(decode_text(b"Gr\xfc\xdfe"), "Grüße");
        assert_eq!(decode_text(b"\x1b$B$\"\x1b(B"), "あ");
    }

    #[test]
    fn half_words_stand_as_written() {
        assert_eq!(
            decoded("=? =?utf-8 =?utf-8?x?y?= =?utf-8?q?no end"),
            "=? =?utf-8 =?utf-8?x?y?= =?utf-8?q?no end"
        );
    }

    #[test]
    fn language_and_empty_words() {
        assert_eq!(decoded("=?US-ASCII*EN?Q?Keith_Moore?="), "Keith Moore");
        assert_eq!(decoded("x =?utf-8?q??= y"), "x  y");
    }
}
