//! Flags and keywords of other systems.

use std::sync::Arc;

use waxwing_store::{Flags, SystemFlags};

/// Octets of a keyword.
const KEYWORD_OCTETS_MAX: usize = 100;
/// Keywords of one message.
const KEYWORDS_MAX: usize = 100;
/// RFC 5788: it was forwarded.
pub const FORWARDED: &str = "$Forwarded";

/// Flags being gathered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// System flags.
    pub system: SystemFlags,
    keywords: Vec<String>,
}

impl Gathered {
    /// Adds system flags.
    pub fn system(&mut self, flags: SystemFlags) {
        self.system = self.system.with(flags);
    }

    /// Adds a keyword, if it is one (RFC 9051 §9 `flag-keyword`, an atom) and there is room.
    pub fn keyword(&mut self, keyword: &str) {
        let known = self.keywords.iter().any(|other| other.eq_ignore_ascii_case(keyword));
        if !known && is_keyword(keyword) && self.keywords.len() < KEYWORDS_MAX {
            self.keywords.push(keyword.to_owned());
        }
    }

    /// Adds a flag in IMAP's words: `\Seen`, `$Junk`. What is of the session (`\Recent`) or unknown
    /// to us is passed over.
    pub fn imap(&mut self, flag: &str) {
        match flag.strip_prefix('\\') {
            None => self.keyword(flag),
            Some(name) => {
                let known = SYSTEM.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
                self.system(known.map_or_else(SystemFlags::default, |(flag, _)| *flag));
            }
        }
    }

    /// As the store has them: keywords sorted.
    pub fn finish(mut self) -> Flags {
        self.keywords.sort();
        let keywords: Option<Arc<[Arc<str>]>> =
            (!self.keywords.is_empty()).then(|| self.keywords.into_iter().map(Arc::from).collect());
        Flags { system: self.system, keywords }
    }
}

/// RFC 9051 §2.3.2.
const SYSTEM: [(SystemFlags, &str); 5] = [
    (SystemFlags::SEEN, "Seen"),
    (SystemFlags::ANSWERED, "Answered"),
    (SystemFlags::FLAGGED, "Flagged"),
    (SystemFlags::DELETED, "Deleted"),
    (SystemFlags::DRAFT, "Draft"),
];

/// Names of the keywords of a message.
pub fn keywords(flags: &Flags) -> impl Iterator<Item = &str> {
    flags.keywords.iter().flat_map(|all| all.iter()).map(|keyword| &**keyword)
}

fn is_keyword(keyword: &str) -> bool {
    let special = |b: u8| matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']');
    (1..=KEYWORD_OCTETS_MAX).contains(&keyword.len())
        && keyword.bytes().all(|b| b.is_ascii_graphic() && !special(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imap_flags() {
        let mut gathered = Gathered::default();
        for flag in ["\\seen", "\\Recent", "$Junk", "$junk", "two words", "", "\\Flagged", "a(b"] {
            gathered.imap(flag);
        }
        let flags = gathered.finish();
        assert_eq!(flags.system, SystemFlags::SEEN.with(SystemFlags::FLAGGED));
        assert_eq!(keywords(&flags).collect::<Vec<_>>(), ["$Junk"]);
    }
}
