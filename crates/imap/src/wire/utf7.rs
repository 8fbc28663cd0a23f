//! Mailbox names of IMAP4rev1: modified UTF-7 (RFC 3501 §5.1.3), to and from UTF-8.
//!
//! Printable ASCII stands for itself, `&` is `&-`, everything else is UTF-16BE in base64 with `,`
//! for `/` and without padding, between `&` and `-`.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Writes `name` in modified UTF-7.
pub fn encode(name: &str, mut put: impl FnMut(u8)) {
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if is_direct(c) {
            put(c as u8);
            if c == '&' {
                put(b'-');
            }
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = rest.find(is_direct).unwrap_or(rest.len());
        put(b'&');
        encode_shifted(&rest[..end], &mut put);
        put(b'-');
        rest = &rest[end..];
    }
}

fn encode_shifted(run: &str, put: &mut impl FnMut(u8)) {
    let (mut bits, mut count) = (0u32, 0u32);
    for unit in run.encode_utf16() {
        bits = (bits << 16) | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            put(ALPHABET[(bits >> count) as usize & 63]);
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        put(ALPHABET[(bits << (6 - count)) as usize & 63]);
    }
}

/// Reads modified UTF-7. `None` when it is malformed, hides a printable ASCII character in base64
/// (RFC 3501 §5.1.3 forbids it; a hidden `/` would be another mailbox), or has octets above 127.
pub fn decode(encoded: &[u8]) -> Option<String> {
    let mut name = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        match b {
            b'&' => {
                let end = rest.iter().position(|&b| b == b'-')?;
                if end == 0 {
                    name.push('&');
                } else {
                    decode_shifted(&rest[..end], &mut name)?;
                }
                rest = &rest[end + 1..];
            }
            0x20..=0x7e => name.push(char::from(b)),
            _ => return None,
        }
    }
    Some(name)
}

fn decode_shifted(run: &[u8], name: &mut String) -> Option<()> {
    let mut units = Vec::with_capacity(run.len() * 6 / 16);
    let (mut bits, mut count) = (0u32, 0u32);
    for &b in run {
        let value = ALPHABET.iter().position(|&a| a == b)?;
        bits = (bits << 6) | value as u32;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((bits >> count) as u16);
        }
        bits &= (1 << count) - 1;
    }
    if count >= 6 || bits != 0 {
        return None;
    }
    for c in char::decode_utf16(units) {
        let c = c.ok()?;
        if is_direct(c) {
            return None;
        }
        name.push(c);
    }
    Some(())
}

fn is_direct(c: char) -> bool {
    matches!(c, ' '..='~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(name: &str) -> String {
        let mut out = String::new();
        encode(name, |b| out.push(char::from(b)));
        out
    }

    #[test]
    fn the_example_of_rfc_3501() {
        let name = "~peter/mail/台北/日本語";
        assert_eq!(encoded(name), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").as_deref(), Some(name));
        assert_eq!(encoded("Entwürfe & mehr"), "Entw&APw-rfe &- mehr");
        assert_eq!(encoded("🐦"), "&2D3cJg-");
    }

    #[test]
    fn what_is_refused() {
        let refused: [&[u8]; 8] =
            [b"&", b"&AP", b"&AC8-", b"&2D0-", b"&A-", b"&!!!-", "ü".as_bytes(), b"&APx-"];
        for bad in refused {
            assert_eq!(decode(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn round_trip(name in any::<String>()) {
            let wire = encoded(&name);
            prop_assert!(wire.bytes().all(|b| matches!(b, 0x20..=0x7e)));
            prop_assert_eq!(decode(wire.as_bytes()), Some(name));
        }

        #[test]
        fn any_octets_are_decoded_or_refused(wire in any::<Vec<u8>>()) {
            if let Some(name) = decode(&wire) {
                prop_assert_eq!(decode(encoded(&name).as_bytes()), Some(name));
            }
        }
    }
}
