//! How DSN parameters carry arbitrary text: `xtext` (RFC 3461 §4) and, for ORCPT of type `utf-8`,
//! `utf-8-addr-xtext` and `utf-8-addr-unitext` (RFC 6533 §3).
//!
//! | form | plain | everything else |
//! |---|---|---|
//! | xtext | `!`–`~` without `+` `=` | `+2B`: each octet in upper-case hexadecimal |
//! | utf-8-addr-xtext | the same, without `\` | `\x{3B1}`: each character |
//! | utf-8-addr-unitext | the same, and UTF-8 as it is (needs SMTPUTF8) | `\x{5C}` |
//!
//! What is decoded ends up in header fields of a report, so control characters are an error here
//! and not a surprise there.

/// Encodes as xtext.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if matches!(octet, b'!'..=b'~') && octet != b'+' && octet != b'=' {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("+{octet:02X}"));
        }
    }
    out
}

/// Decodes xtext; `None` when it is malformed, not UTF-8 or has control characters.
pub fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'+' => out.push(hex_digit(octets.next()?)? << 4 | hex_digit(octets.next()?)?),
            b'=' => return None,
            b'!'..=b'~' => out.push(octet),
            _ => return None,
        }
    }
    printable(String::from_utf8(out).ok()?)
}

/// Encodes an address of type `utf-8`: as `utf-8-addr-unitext` when `smtputf8` was negotiated, else
/// in ASCII.
pub fn encode_utf8_address(address: &str, smtputf8: bool) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        let plain = matches!(c, '!'..='~') && !matches!(c, '+' | '=' | '\\');
        if plain || (smtputf8 && !c.is_ascii()) {
            out.push(c);
        } else {
            out.push_str(&format!("\\x{{{:02X}}}", u32::from(c)));
        }
    }
    out
}

/// Decodes either form of a `utf-8` address. `+XX` is understood too, since senders mix the forms.
pub fn decode_utf8_address(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(embedded) = rest.strip_prefix("\\x{") {
            let (digits, after) = embedded.split_once('}')?;
            out.push(embedded_character(digits)?);
            rest = after;
        } else if let Some(encoded) = rest.strip_prefix('+') {
            let octet = u8::from_str_radix(encoded.get(..2)?, 16).ok().filter(u8::is_ascii)?;
            out.push(char::from(octet));
            rest = &encoded[2..];
        } else if matches!(c, '=' | '\\' | ' ') {
            return None;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    printable(out)
}

/// `HEXPOINT` of RFC 6533 §3: two to six hexadecimal digits.
fn embedded_character(digits: &str) -> Option<char> {
    let well_formed =
        (2..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !well_formed {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

/// RFC 3461 §4 has upper case only; lower case is understood.
fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn printable(text: String) -> Option<String> {
    if text.chars().any(char::is_control) { None } else { Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encodes_what_rfc_3461_says() {
        // RFC 3461 §4: "+" followed by two upper-case digits; "+" and "=" are never plain.
        assert_eq!(encode("a+b=c d"), "a+2Bb+3Dc+20d");
        assert_eq!(decode("a+2Bb+3Dc+20d").as_deref(), Some("a+b=c d"));
    }

    #[test]
    fn refuses_malformed_text() {
        for text in ["+", "+2", "+2G", "a=b", "a b", "\u{e9}", "+0A", "+0D+0A", "+FF"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        for text in ["\\x{}", "\\x{41", "\\x{D800}", "\\x{1234567}", "\\", "a=b", "\\x{0A}"] {
            assert_eq!(decode_utf8_address(text), None, "{text:?}");
        }
    }

    #[test]
    fn utf8_addresses_go_both_ways() {
        assert_eq!(encode_utf8_address("δοκ@x", false), "\\x{3B4}\\x{3BF}\\x{3BA}@x");
        assert_eq!(encode_utf8_address("δοκ+@x", true), "δοκ\\x{2B}@x");
        assert_eq!(decode_utf8_address("\\x{3B4}@x").as_deref(), Some("δ@x"));
        assert_eq!(decode_utf8_address("a+2Bδ@x").as_deref(), Some("a+δ@x"));
    }

    proptest! {
        #[test]
        fn round_trips(text in "\\PC*", smtputf8: bool) {
            prop_assert_eq!(decode(&encode(&text)), Some(text.clone()));
            let encoded = encode_utf8_address(&text, smtputf8);
            prop_assert_eq!(decode_utf8_address(&encoded), Some(text));
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = decode(&text);
            let _ = decode_utf8_address(&text);
        }
    }
}
