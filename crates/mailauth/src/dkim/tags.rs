//! Tag lists: `v=1; a=rsa-sha256; ...` in signatures, seals and key records (RFC 6376 §3.2).
//!
//! ```text
//! tag-list  = tag-spec *( ";" tag-spec ) [ ";" ]
//! tag-spec  = [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]
//! tag-name  = ALPHA *( ALPHA / DIGIT / "_" )
//! ```
//!
//! A value may hold UTF-8 (RFC 8616 §3). Names are case-sensitive and unknown ones are passed over,
//! but a name that stands twice makes the whole list invalid.

use std::ops::Range;

/// Tags that a list may have. RFC 6376 defines 14.
const TAGS_MAX: usize = 64;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    pub name: &'a [u8],
    /// Without the white space around it.
    pub value: &'a [u8],
    /// Everything between `=` and `;` in the list, white space included.
    pub range: Range<usize>,
}

/// A whole list, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tags<'a> {
    tags: Vec<Tag<'a>>,
}

impl<'a> Tags<'a> {
    /// Reads the list, or says what is wrong with it. What came before the fault is kept in
    /// `self` either way, so that a report can name the domain of a broken signature.
    pub fn parse(list: &'a [u8]) -> (Tags<'a>, Result<(), &'static str>) {
        let mut tags = Tags { tags: Vec::with_capacity(12) };
        let outcome = tags.fill(list);
        (tags, outcome)
    }

    fn fill(&mut self, list: &'a [u8]) -> Result<(), &'static str> {
        let mut at = 0;
        while at < list.len() {
            let end = memchr::memchr(b';', &list[at..]).map_or(list.len(), |n| at + n);
            let spec = &list[at..end];
            if trimmed(spec).is_empty() {
                // The semicolon after the last tag may have white space after it.
                let last = end == list.len() && !self.tags.is_empty();
                return if last { Ok(()) } else { Err("an empty tag") };
            }
            let equals = memchr::memchr(b'=', spec).ok_or("a tag without \"=\"")?;
            let name = trimmed(&spec[..equals]);
            if !is_name(name) {
                return Err("a malformed tag name");
            }
            let value = trimmed(&spec[equals + 1..]);
            // Without a branch for each octet, so that it takes many at a time.
            let control = |b: u8| (b < b' ') & !is_fws(b) | (b == 0x7f);
            if value.iter().fold(false, |any, b| any | control(*b)) {
                return Err("a control character in a tag");
            }
            if self.get(name).is_some() {
                return Err("a tag that stands twice");
            }
            if self.tags.len() == TAGS_MAX {
                return Err("too many tags");
            }
            self.tags.push(Tag { name, value, range: at + equals + 1..end });
            at = end + 1;
        }
        if self.tags.is_empty() { Err("no tags at all") } else { Ok(()) }
    }

    /// The tag of that name.
    pub fn tag(&self, name: &[u8]) -> Option<&Tag<'a>> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// Its value.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.tag(name).map(|tag| tag.value)
    }

    /// Its value as text, without white space anywhere; empty when the tag is absent.
    pub fn packed(&self, name: &[u8]) -> String {
        let Some(value) = self.get(name) else { return String::new() };
        let mut packed = Vec::with_capacity(value.len());
        value.split(|b| is_fws(*b)).for_each(|run| packed.extend_from_slice(run));
        text(packed)
    }

    /// The first tag of the list.
    pub fn first(&self) -> Option<&Tag<'a>> {
        self.tags.first()
    }
}

/// Octets as text; those that are not UTF-8 are replaced.
pub(crate) fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// What folding white space is made of.
pub(crate) fn is_fws(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without folding white space around it.
pub(crate) fn trimmed(mut octets: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = octets
        && is_fws(*first)
    {
        octets = rest;
    }
    while let [rest @ .., last] = octets
        && is_fws(*last)
    {
        octets = rest;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(list: &str) -> Result<(), &'static str> {
        Tags::parse(list.as_bytes()).1
    }

    #[test]
    fn white_space_is_free_around_names_and_values() {
        let list = b" v = 1 ;\r\n\tb=ab\r\n cd ; k9_=x=y;\r\n ";
        let (tags, outcome) = Tags::parse(list);
        assert_eq!(outcome, Ok(()));
        assert_eq!(tags.get(b"v"), Some(&b"1"[..]));
        assert_eq!(tags.packed(b"b"), "abcd");
        assert_eq!(tags.get(b"k9_"), Some(&b"x=y"[..]));
        assert_eq!(&list[tags.tag(b"b").unwrap().range.clone()], b"ab\r\n cd ");
    }

    #[test]
    fn faults() {
        for list in ["", "  ", ";", "a=1;;b=2", "a=1; ;", "a", "=1", "1a=2", "a-b=1", "a=1; a=2"] {
            assert!(outcome(list).is_err(), "{list}");
        }
        assert!(outcome("a=\u{1}").is_err());
        assert_eq!(outcome("a=1; A=2;"), Ok(()));
        assert_eq!(outcome("a="), Ok(()));
        assert_eq!(outcome("d=grå.example"), Ok(()));
    }
}
