//! Random secrets that people copy by hand: groups of five letters, without those that are mistaken for
//! others.

use zeroize::Zeroizing;

/// Five random bits each.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const GROUP: usize = 5;

/// `xxxxx-xxxxx-…`, in so many groups of 25 random bits.
pub(super) fn invent(groups: usize) -> Zeroizing<String> {
    let mut letters = Zeroizing::new(String::with_capacity(groups * GROUP));
    for _ in 0..groups {
        let random: Zeroizing<[u8; GROUP]> = Zeroizing::new(rand::random());
        letters.extend(random.iter().map(|octet| char::from(LETTERS[usize::from(octet % 32)])));
    }
    grouped(&letters)
}

/// Letters as people are shown them.
pub(super) fn grouped(letters: &str) -> Zeroizing<String> {
    let mut secret = Zeroizing::new(String::with_capacity(letters.len() / GROUP * (GROUP + 1)));
    for (place, letter) in letters.chars().enumerate() {
        if place > 0 && place % GROUP == 0 {
            secret.push('-');
        }
        secret.push(letter);
    }
    secret
}

/// The letters alone, with or without hyphens, in upper or lower case; `None` when it cannot be such a
/// secret.
pub(super) fn plain(text: &str, groups: usize) -> Option<Zeroizing<String>> {
    let mut plain = Zeroizing::new(String::with_capacity(groups * GROUP));
    for letter in text.bytes().filter(|octet| !matches!(octet, b'-' | b' ')) {
        let letter = letter.to_ascii_lowercase();
        if !LETTERS.contains(&letter) || plain.len() == groups * GROUP {
            return None;
        }
        plain.push(char::from(letter));
    }
    (plain.len() == groups * GROUP).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_people_type_them() {
        let secret = invent(5);
        assert_eq!(secret.len(), 29);
        assert_ne!(*secret, *invent(5));
        let letters = plain(&secret, 5).unwrap();
        assert_eq!(plain(&secret.to_uppercase(), 5).unwrap(), letters);
        assert_eq!(plain(&secret.replace('-', " "), 5).unwrap(), letters);
        assert_eq!(plain(&letters, 5).unwrap(), letters);
        for other in ["", "secret", &secret[1..], &format!("{}a", *secret), "ööööö-ööööö-ööööö"]
        {
            assert!(plain(other, 5).is_none(), "{other}");
        }
        assert!(plain(&secret, 3).is_none());
        assert_eq!(*grouped(&letters), *secret);
    }
}
