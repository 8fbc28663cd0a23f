//! Octets of a named charset to text.
//!
//! Every encoding of the WHATWG standard, by any of its labels, and UTF-7 (RFC 2152), which that
//! standard leaves out. Mail lies about its charset, so what claims to be US-ASCII, claims nothing,
//! or claims something unknown is taken as UTF-8 when it is valid UTF-8 and as windows-1252 when not.
//! Nothing fails: what cannot be read becomes U+FFFD.

use std::borrow::Cow;

use encoding_rs::{CoderResult, Encoding, UTF_8, WINDOWS_1252};

/// Decodes `octets`, which claim to be in the charset of that label.
pub fn decode<'a>(octets: &'a [u8], label: Option<&[u8]>) -> Cow<'a, str> {
    let label = label.unwrap_or_default().trim_ascii();
    if label.is_empty() {
        return guess(octets);
    }
    if is_utf7(label) {
        return Cow::Owned(decode_utf7(octets));
    }
    match encoding(label) {
        // A byte order mark is no text; encoding_rs removes only the one of its own encoding.
        Some(encoding) => encoding.decode_with_bom_removal(octets).0,
        None => guess(octets),
    }
}

/// Text, and whether reading it went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What could be read.
    pub text: String,
    /// Something was malformed, or the charset is unknown (`isEncodingProblem` of RFC 8621 §4.1.4).
    pub problem: bool,
}

/// Decodes as [`decode`] does, and tells whether it went well. What is not `whole` may end inside a
/// character: that is left out, and no problem.
pub fn decode_checked(octets: &[u8], label: Option<&[u8]>, whole: bool) -> Decoded {
    let label = label.unwrap_or_default().trim_ascii();
    if is_utf7(label) {
        let text = decode_utf7(octets);
        let problem = text.contains(char::REPLACEMENT_CHARACTER);
        return Decoded { text, problem };
    }
    let named = encoding(label);
    let unknown = named.is_none() && !label.is_empty() && !claims_nothing(label);
    let octets = match named {
        Some(_) => octets,
        None => octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets),
    };
    let (encoding, guessed) = match (named, std::str::from_utf8(octets)) {
        (Some(named), _) => (named, false),
        (None, Ok(_)) => (UTF_8, false),
        // What was cut may well be UTF-8 up to there.
        (None, Err(error)) if !whole && error.error_len().is_none() => (UTF_8, false),
        (None, Err(_)) => (WINDOWS_1252, true),
    };
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let mut text = String::with_capacity(octets.len());
    let (mut rest, mut malformed) = (octets, false);
    loop {
        let room = decoder.max_utf8_buffer_length(rest.len()).unwrap_or(rest.len());
        text.reserve(room);
        let (result, read, replaced) = decoder.decode_to_string(rest, &mut text, whole);
        malformed |= replaced;
        rest = &rest[read..];
        if result == CoderResult::InputEmpty {
            return Decoded { text, problem: malformed || guessed || unknown };
        }
    }
}

/// Decodes octets of which nothing is known.
pub fn guess(octets: &[u8]) -> Cow<'_, str> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0,
    }
}

/// The same for octets that are owned, without copying what is UTF-8.
pub(super) fn guess_owned(octets: Vec<u8>) -> String {
    match String::from_utf8(octets) {
        Ok(text) if !text.starts_with('\u{feff}') => text,
        Ok(text) => guess(text.as_bytes()).into_owned(),
        Err(error) => guess(error.as_bytes()).into_owned(),
    }
}

/// The encoding meant by a label; `None` when it says nothing useful.
fn encoding(label: &[u8]) -> Option<&'static Encoding> {
    if claims_nothing(label) {
        return None;
    }
    if label.eq_ignore_ascii_case(b"utf-8") {
        return Some(UTF_8);
    }
    Encoding::for_label_no_replacement(label).or_else(|| {
        // `cp1251`, `ibm866` are known; `cp-1251`, `windows1251` and `iso8859_5` are seen too.
        let plain: Vec<u8> = label
            .iter()
            .filter(|b| b.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase)
            .take(32)
            .collect();
        let digits = plain.iter().position(u8::is_ascii_digit)?;
        let number = &plain[digits..];
        let spelt = match &plain[..digits] {
            b"cp" | b"windows" | b"win" | b"xcp" => [b"windows-".as_slice(), number].concat(),
            b"iso" if number.starts_with(b"8859") => [b"iso-8859-", &number[4..]].concat(),
            _ => return None,
        };
        Encoding::for_label_no_replacement(&spelt)
    })
}

fn claims_nothing(label: &[u8]) -> bool {
    const NO_CLAIM: [&[u8]; 5] =
        [b"us-ascii", b"ascii", b"ansi_x3.4-1968", b"iso646-us", b"unknown-8bit"];
    NO_CLAIM.iter().any(|name| label.eq_ignore_ascii_case(name))
}

fn is_utf7(label: &[u8]) -> bool {
    [b"utf-7".as_slice(), b"utf7", b"unicode-1-1-utf-7", b"x-unicode-2-0-utf-7", b"csunicode11utf7"]
        .iter()
        .any(|name| label.eq_ignore_ascii_case(name))
}

/// RFC 2152. What is malformed becomes U+FFFD.
fn decode_utf7(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(plus) = memchr::memchr(b'+', rest) {
        out.push_str(&guess(&rest[..plus]));
        rest = &rest[plus + 1..];
        if let Some(after) = rest.strip_prefix(b"-") {
            out.push('+');
            rest = after;
            continue;
        }
        let shifted = rest.iter().position(|&b| sextet(b).is_none()).unwrap_or(rest.len());
        push_utf16_base64(&mut out, &rest[..shifted]);
        rest = &rest[shifted..];
        rest = rest.strip_prefix(b"-").unwrap_or(rest);
    }
    out.push_str(&guess(rest));
    out
}

fn push_utf16_base64(out: &mut String, base64: &[u8]) {
    let mut bits = 0u32;
    let mut count = 0;
    let mut units = Vec::with_capacity(base64.len() * 3 / 8);
    for value in base64.iter().filter_map(|&b| sextet(b)) {
        bits = bits << 6 | value;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((bits >> count) as u16);
            bits &= (1 << count) - 1;
        }
    }
    out.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

fn sextet(b: u8) -> Option<u32> {
    Some(match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    } as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lead_to_encodings() {
        assert_eq!(decode(b"caf\xe9", Some(b"ISO-8859-1")), "café");
        assert_eq!(decode(b"\x82\xa0", Some(b"Shift_JIS")), "あ");
        assert_eq!(decode(b"\xcf\xf0\xe8", Some(b"cp-1251")), "При");
        assert_eq!(decode(b"\xef\xbb\xbfx", Some(b"utf-8")), "x");
    }

    #[test]
    fn a_false_or_missing_claim_is_guessed() {
        assert_eq!(decode("café".as_bytes(), Some(b"us-ascii")), "café");
        assert_eq!(decode(b"caf\xe9", None), "café");
        assert_eq!(decode(b"caf\xe9", Some(b"x-none")), "café");
    }

    #[test]
    fn problems_are_told() {
        let checked = |octets: &[u8], label: &str, whole| {
            let decoded = decode_checked(octets, Some(label.as_bytes()), whole);
            (decoded.text, decoded.problem)
        };
        assert_eq!(checked("café".as_bytes(), "utf-8", true), ("café".into(), false));
        assert_eq!(checked(b"caf\xe9", "utf-8", true), ("caf\u{fffd}".into(), true));
        assert_eq!(checked(b"caf\xe9", "", true), ("café".into(), true));
        assert_eq!(checked("café".as_bytes(), "us-ascii", true), ("café".into(), false));
        assert_eq!(checked(b"cafe", "x-none", true), ("cafe".into(), true));
        assert_eq!(checked(b"caf\xc3", "utf-8", false), ("caf".into(), false));
        assert_eq!(checked(b"caf\xc3", "", false), ("caf".into(), false));
        assert_eq!(checked(b"\x82\xa0\x82", "shift_jis", false), ("あ".into(), false));
        assert_eq!(checked(b"\xef\xbb\xbfx", "", true), ("x".into(), false));
    }

    #[test]
    fn utf7_as_rfc_2152_has_it() {
        // RFC 2152, the examples of its section on use.
        assert_eq!(decode(b"A+ImIDkQ.", Some(b"utf-7")), "A\u{2262}\u{391}.");
        assert_eq!(decode(b"Hi Mom -+Jjo--!", Some(b"UTF-7")), "Hi Mom -\u{263a}-!");
        assert_eq!(decode(b"+ZeVnLIqe-", Some(b"utf-7")), "\u{65e5}\u{672c}\u{8a9e}");
        assert_eq!(decode(b"1 +- 1", Some(b"utf-7")), "1 + 1");
    }
}
