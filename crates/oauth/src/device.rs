//! The codes of programs without a browser (RFC 8628): one that their owner types elsewhere.

/// RFC 8628 §3.4.
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// RFC 8628 §6.1: no vowels, so no words; nothing that is mistaken for something else. With eight of them
/// there are 2^34 codes.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// A code of eight letters from random octets; an octet of 240 or more would favour some letters and is
/// passed over, and `None` is for too few of the others.
pub fn user_code(random: &[u8]) -> Option<String> {
    let even = random.iter().filter(|&&octet| octet < 240);
    let letters = even.map(|octet| char::from(LETTERS[usize::from(octet % 20)]));
    let code: String = letters.take(LENGTH).collect();
    (code.len() == LENGTH).then_some(code)
}

/// As it is shown: `XXXX-XXXX`.
pub fn shown(code: &str) -> String {
    match code.split_at_checked(LENGTH / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

/// As it is typed: in any case, with anything between the letters (RFC 8628 §6.1). `None`: that cannot be
/// a code.
pub fn typed(text: &str) -> Option<String> {
    let letters = text.bytes().map(|octet| octet.to_ascii_uppercase());
    let code: Vec<u8> = letters.filter(|octet| LETTERS.contains(octet)).take(LENGTH + 1).collect();
    (code.len() == LENGTH).then(|| code.into_iter().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = user_code(&[255, 0, 20, 239, 240, 1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(code, "BBZCDFGH");
        assert_eq!(user_code(&[1, 2, 3, 4, 5, 6, 7, 250]), None);
        assert_eq!(shown(&code), "BBZC-DFGH");
        for text in ["BBZC-DFGH", "bbzcdfgh", " bbzc dfgh ", "b.b.z.c.d.f.g.h"] {
            assert_eq!(typed(text).as_ref(), Some(&code), "{text}");
        }
        for text in ["", "BBZCDFG", "BBZCDFGHJ", "ÄÄÄÄÄÄÄÄ"] {
            assert_eq!(typed(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_typed(random in any::<[u8; 32]>()) {
            if let Some(code) = user_code(&random) {
                prop_assert_eq!(typed(&shown(&code)), Some(code));
            }
        }
    }
}
