//! Patterns of LIST (RFC 9051 §6.3.9): `*` stands for anything, `%` for anything within one level.
//!
//! A pattern is a row of characters with gaps between them; a gap is closed, `%` or `*`. The state
//! of a match is the set of gaps that the name read so far may have come to, one bit each, and every
//! character of the name moves the whole set in a few operations on words (the "shift-and" method).
//! So a name takes time in its own length, times one word for each 64 characters of the pattern,
//! whatever the wildcards are; nothing is ever tried twice.

use crate::name::DELIMITER;

/// One pattern, ready to be asked of many names.
#[derive(Debug)]
pub struct Pattern {
    /// Bit `i`: the gap before character `i` is `*`.
    anything: Vec<u64>,
    /// The same for `%`.
    one_level: Vec<u64>,
    /// Where each character stands, sorted by it: bit `i` of its set, if it is character `i`.
    places: Vec<(char, Vec<u64>)>,
    /// The gap at the end.
    end: usize,
    /// RFC 9051 §5.1: whether it fits INBOX, which is the same in any case.
    fits_inbox: bool,
    reached: Vec<u64>,
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Pattern {
        let mut pattern = Pattern::exact(text);
        pattern.fits_inbox = Pattern::exact(&text.to_ascii_uppercase()).fits("INBOX");
        pattern
    }

    /// Whether a name fits.
    pub fn matches(&mut self, name: &str) -> bool {
        if name == "INBOX" { self.fits_inbox } else { self.fits(name) }
    }

    fn exact(text: &str) -> Pattern {
        let end = text.chars().filter(|c| !matches!(c, '*' | '%')).count();
        let none = vec![0_u64; end / 64 + 1];
        let mut pattern = Pattern {
            anything: none.clone(),
            one_level: none.clone(),
            places: Vec::new(),
            end,
            fits_inbox: false,
            reached: none.clone(),
        };
        let mut gap = 0;
        for c in text.chars() {
            match c {
                '*' => set(&mut pattern.anything, gap),
                '%' => set(&mut pattern.one_level, gap),
                c => {
                    let at = pattern.places.binary_search_by_key(&c, |&(known, _)| known);
                    let at = at.unwrap_or_else(|at| {
                        pattern.places.insert(at, (c, none.clone()));
                        at
                    });
                    set(&mut pattern.places[at].1, gap);
                    gap += 1;
                }
            }
        }
        pattern
    }

    fn fits(&mut self, name: &str) -> bool {
        self.reached.fill(0);
        self.reached[0] = 1;
        for c in name.chars() {
            let places = self.places.binary_search_by_key(&c, |&(known, _)| known).ok();
            let places = places.map(|at| self.places[at].1.as_slice());
            let (mut carry, mut alive) = (0, 0);
            for (at, word) in self.reached.iter_mut().enumerate() {
                let passed = *word & places.map_or(0, |places| places[at]);
                let mut stays = *word & self.anything[at];
                if c != DELIMITER {
                    stays |= *word & self.one_level[at];
                }
                *word = (passed << 1) | carry | stays;
                carry = passed >> 63;
                alive |= *word;
            }
            if alive == 0 {
                return false;
            }
        }
        self.reached[self.end / 64] >> (self.end % 64) & 1 == 1
    }
}

fn set(bits: &mut [u64], at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a*", "a", true),
            ("%/b", "a/b", true),
            ("*b", "a/b", true),
            ("%%c", "abc", true),
            ("inbox", "INBOX", true),
            ("In%X", "INBOX", true),
            ("INBOXE", "INBOX", false),
            ("a", "A", false),
            ("", "a", false),
            ("*%*x", "abcx", true),
            ("%b", "a/b", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }

    /// Longer than one word, and with its last gap at the very edge of one.
    #[test]
    fn long_patterns() {
        for letters in [63, 64, 65, 127, 128, 129, 300] {
            let name = "ab".repeat(letters)[..letters].to_owned();
            let wild: String = name.chars().flat_map(|c| ['%', c]).collect();
            for mut pattern in [Pattern::new(&name), Pattern::new(&wild)] {
                assert!(pattern.matches(&name));
                assert!(!pattern.matches(&name[..letters - 1]));
                assert!(!pattern.matches(&format!("{name}c")));
            }
            assert!(Pattern::new(&wild).matches(&format!("c{name}")));
            assert!(!Pattern::new(&wild).matches(&format!("c/{name}")));
        }
    }

    /// The definition, by recursion.
    fn fits(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|n| fits(rest, &name[n..])),
            ['%', rest @ ..] => {
                let level = name.iter().position(|&c| c == '/').unwrap_or(name.len());
                (0..=level).any(|n| fits(rest, &name[n..]))
            }
            [p, rest @ ..] => name.first() == Some(p) && fits(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn patterns_mean_what_they_say(pattern in "[ab/%*]{0,7}", name in "[ab/]{0,7}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), fits(&p, &n));
        }
    }
}
