//! Address fields (RFC 5322 §3.4 and §4.4): mailboxes, groups, and what broken mail has instead.
//!
//! The value is cut into tokens up to each `,` or `;`; what stands between them is one entry:
//!
//! | entry | becomes |
//! |---|---|
//! | `phrase <addr-spec>` | a mailbox with a name |
//! | `addr-spec` | a mailbox; its last comment is its name, as RFC 822 had it |
//! | one word | a mailbox without a domain |
//! | several words | a mailbox with only a name |
//! | `phrase :` | the start of a group, which ends at `;` or at the end |
//!
//! Routes (`<@a,@b:user@host>`) are dropped. A quote or comment that never closes is an ordinary
//! character, so that it hides no address. Every octet is looked at a bounded number of times.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::content::{comment_end, quoted, skip_cfws};
use super::{charset, words};

/// What an address field holds, in order, decoded for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressItem {
    /// A mailbox.
    Mailbox {
        /// Display name, decoded.
        name: Option<String>,
        /// Unquoted.
        local_part: String,
        /// Empty in broken mail.
        domain: String,
    },
    /// A group begins; its name, decoded.
    GroupStart(String),
    /// The group ends.
    GroupEnd,
}

impl AddressItem {
    /// The address of a mailbox as `local@domain`, when it is one that SMTP could carry.
    pub fn address(&self) -> Option<crate::Address> {
        match self {
            AddressItem::Mailbox { local_part, domain, .. } => {
                crate::Address::new(local_part, domain).ok()
            }
            _ => None,
        }
    }
}

/// The same with the octets as they stand: unquoted and unfolded, encoded words not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawAddressItem {
    /// A mailbox.
    Mailbox {
        /// Display name.
        name: Option<Vec<u8>>,
        /// Unquoted.
        local_part: Vec<u8>,
        /// Empty in broken mail.
        domain: Vec<u8>,
    },
    /// A group begins.
    GroupStart(Vec<u8>),
    /// The group ends.
    GroupEnd,
}

/// Reads an address field, decoded.
pub fn parse(value: &[u8]) -> Vec<AddressItem> {
    parse_raw(value)
        .into_iter()
        .map(|item| match item {
            RawAddressItem::Mailbox { name, local_part, domain } => AddressItem::Mailbox {
                name: name.map(words::decode_owned),
                local_part: charset::guess_owned(local_part),
                domain: charset::guess_owned(domain),
            },
            RawAddressItem::GroupStart(name) => AddressItem::GroupStart(words::decode_owned(name)),
            RawAddressItem::GroupEnd => AddressItem::GroupEnd,
        })
        .collect()
}

/// Reads an address field as it stands.
pub fn parse_raw(value: &[u8]) -> Vec<RawAddressItem> {
    let mut scanner = Scanner::new(value);
    let mut items = Vec::new();
    let mut entry = Entry::default();
    let mut in_group = false;
    while let Some(token) = scanner.next() {
        match token {
            Token::Word(word) => entry.words.push(word),
            Token::At(spaced) => {
                // `a@b.c d@e.f`: the comma was forgotten.
                if entry.at.is_some()
                    && entry.angle.is_none()
                    && let Some(local) = entry.words.pop_if(|w| w.spaced && &*w.text != b"@")
                {
                    entry.finish(&mut items);
                    entry.words.push(local);
                }
                entry.at = Some(entry.words.len());
                entry.words.push(Word { text: Cow::Borrowed(b"@"), spaced });
            }
            Token::Comment(text) => entry.comment = Some(text),
            Token::Angle(inner) => {
                if entry.angle.is_some() {
                    entry.finish(&mut items);
                }
                entry.words_before_angle = entry.words.len();
                entry.angle = Some(inner);
            }
            Token::Comma => entry.finish(&mut items),
            Token::Colon if !entry.is_address() => {
                let name = entry.take_phrase();
                if name.is_empty() {
                    continue;
                }
                if in_group {
                    items.push(RawAddressItem::GroupEnd);
                }
                in_group = true;
                items.push(RawAddressItem::GroupStart(name));
            }
            Token::Colon => entry.finish(&mut items),
            Token::Semicolon => {
                entry.finish(&mut items);
                if in_group {
                    items.push(RawAddressItem::GroupEnd);
                    in_group = false;
                }
            }
        }
    }
    entry.finish(&mut items);
    if in_group {
        items.push(RawAddressItem::GroupEnd);
    }
    items
}

/// What stands between two commas.
#[derive(Default)]
struct Entry<'a> {
    words: Vec<Word<'a>>,
    /// Which word is the last `@` outside angle brackets.
    at: Option<usize>,
    angle: Option<&'a [u8]>,
    words_before_angle: usize,
    comment: Option<&'a [u8]>,
}

/// An atom, a quoted string or a domain literal; dots count as letters.
struct Word<'a> {
    text: Cow<'a, [u8]>,
    /// White space or a comment stood before it.
    spaced: bool,
}

impl Entry<'_> {
    fn is_address(&self) -> bool {
        self.at.is_some() || self.angle.is_some()
    }

    /// The words with one space between them, or the comment when there are none.
    fn take_phrase(&mut self) -> Vec<u8> {
        let phrase = match self.words.is_empty() {
            true => self.comment.map(comment_text).unwrap_or_default(),
            false => phrase(&self.words),
        };
        self.clear();
        phrase
    }

    /// Begins anew, and keeps the room for words.
    fn clear(&mut self) {
        self.words.clear();
        (self.at, self.angle, self.words_before_angle, self.comment) = (None, None, 0, None);
    }

    /// Turns what was gathered into an item, if it is one, and begins anew.
    fn finish(&mut self, items: &mut Vec<RawAddressItem>) {
        items.extend(self.item());
        self.clear();
    }

    fn item(&self) -> Option<RawAddressItem> {
        let comment = || self.comment.map(comment_text).filter(|text| !text.is_empty());
        if let Some(inner) = self.angle {
            let (local_part, domain) = addr_spec(inner);
            // A phrase after the brackets serves when there is none before.
            let before = &self.words[..self.words_before_angle];
            let name = if before.is_empty() { self.words.as_slice() } else { before };
            let name = if name.is_empty() { comment() } else { Some(phrase(name)) };
            let empty = local_part.is_empty() && domain.is_empty() && name.is_none();
            return (!empty).then_some(RawAddressItem::Mailbox { name, local_part, domain });
        }
        let (name, local_part, domain) = match (self.at, self.words.as_slice()) {
            (Some(at), words) => {
                // `John Smith john@example.com`: the brackets were forgotten.
                let (before, local) = words[..at].split_at(local_start(&words[..at]));
                let name = if before.is_empty() { comment() } else { Some(phrase(before)) };
                (name, concat(local), domain(&words[at + 1..]))
            }
            (None, []) => return None,
            (None, [word]) => (comment(), word.text.to_vec(), Vec::new()),
            (None, words) => (Some(phrase(words)), Vec::new(), Vec::new()),
        };
        Some(RawAddressItem::Mailbox { name, local_part, domain })
    }
}

/// The words with one space wherever white space or a comment stood.
fn phrase(words: &[Word<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(words.iter().map(|w| w.text.len() + 1).sum());
    for word in words {
        if word.spaced && !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(&word.text);
    }
    out
}

/// The words with nothing between them: RFC 5322 §4.4 allows white space around dots.
fn concat(words: &[Word<'_>]) -> Vec<u8> {
    words.iter().flat_map(|word| word.text.iter().copied()).collect()
}

/// Where the local part begins at the end of some words: as with domains, dots bind.
fn local_start(words: &[Word<'_>]) -> usize {
    let mut start = words.len().saturating_sub(1);
    while start > 0 {
        let (word, before) = (&words[start], &words[start - 1]);
        if word.spaced && !word.text.starts_with(b".") && !before.text.ends_with(b".") {
            break;
        }
        start -= 1;
    }
    start
}

/// The words of a domain, joined while a dot binds them: `a . example` is one domain (RFC 5322
/// §4.4), `a.example and more` ends at the space.
fn domain(words: &[Word<'_>]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for word in words {
        let bound = !word.spaced || out.ends_with(b".") || word.text.starts_with(b".");
        if !out.is_empty() && !bound {
            break;
        }
        out.extend_from_slice(&word.text);
    }
    out
}

/// What stands in angle brackets: local part and domain.
fn addr_spec(inner: &[u8]) -> (Vec<u8>, Vec<u8>) {
    // Nearly all are of letters alone, with one `@`.
    if let Some(at) = memchr(b'@', inner) {
        let (local, domain) = (&inner[..at], &inner[at + 1..]);
        let plain = |b: &u8| CLASSES[*b as usize] & PLAIN != 0;
        if at > 0 && local.iter().all(plain) && domain.iter().all(plain) {
            return (local.to_vec(), domain.to_vec());
        }
    }
    let start = skip_cfws(inner, 0);
    let inner = match inner.get(start) {
        // An old route (RFC 5322 §4.4): everything to the colon.
        Some(b'@') => &inner[memchr(b':', inner).map_or(inner.len(), |colon| colon + 1)..],
        _ => inner,
    };
    let mut scanner = Scanner::new(inner);
    scanner.nested = true;
    let mut words = Vec::new();
    let mut at = None;
    while let Some(token) = scanner.next() {
        match token {
            Token::Word(word) => words.push(word),
            // The last one counts: what stands before it is a local part that lacks its quotes.
            Token::At(spaced) => {
                at = Some(words.len());
                words.push(Word { text: Cow::Borrowed(b"@"), spaced });
            }
            _ => {}
        }
    }
    match at {
        Some(at) => (concat(&words[..at]), domain(&words[at + 1..])),
        None => (concat(&words), Vec::new()),
    }
}

/// The text of a comment without its outer parentheses, escapes undone, unfolded.
fn comment_text(comment: &[u8]) -> Vec<u8> {
    let inner = comment.strip_prefix(b"(").unwrap_or(comment);
    let inner = inner.strip_suffix(b")").unwrap_or(inner).trim_ascii();
    let mut out = Vec::with_capacity(inner.len());
    let mut octets = inner.iter();
    while let Some(&b) = octets.next() {
        match b {
            b'\\' => out.extend(octets.next()),
            b'\r' | b'\n' => {}
            b => out.push(b),
        }
    }
    out
}

enum Token<'a> {
    Word(Word<'a>),
    /// White space stood before it.
    At(bool),
    /// With its parentheses.
    Comment(&'a [u8]),
    /// Without its brackets.
    Angle(&'a [u8]),
    Comma,
    Colon,
    Semicolon,
}

/// Ends an atom in angle brackets.
const ENDS_INSIDE: u8 = 1;
/// Ends an atom elsewhere.
const ENDS_OUTSIDE: u8 = 2;
/// Stands for itself in most addresses.
const PLAIN: u8 = 4;
/// What each octet is to an atom.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut b = 0u8;
    while b < 128 {
        classes[b as usize] = match b {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0c | b'@' | b'"' | b'(' => ENDS_INSIDE | ENDS_OUTSIDE,
            b'<' | b'>' | b',' | b';' | b':' => ENDS_OUTSIDE,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' | b'+' | b'=' => PLAIN,
            _ => 0,
        };
        b += 1;
    }
    classes
};

/// Looking for the end of comments that have none would take quadratic time.
const MAX_OPEN_COMMENTS: u32 = 8;

struct Scanner<'a> {
    value: &'a [u8],
    at: usize,
    /// Inside angle brackets, where specials other than `@` are letters.
    nested: bool,
    /// Beyond these a quote, a comment or an encoded word cannot close: looked up once each.
    last_quote: usize,
    last_paren: usize,
    last_bracket: usize,
    /// How many comments were found not to close, after which no more are looked for.
    open_comments: u32,
    last_word_end: usize,
}

impl<'a> Scanner<'a> {
    fn new(value: &'a [u8]) -> Scanner<'a> {
        Scanner {
            value,
            at: 0,
            nested: false,
            last_quote: memchr::memrchr(b'"', value).unwrap_or(0),
            last_paren: memchr::memrchr(b')', value).unwrap_or(0),
            last_bracket: memchr::memrchr(b']', value).unwrap_or(0),
            open_comments: 0,
            last_word_end: memchr::memrchr(b'?', value).unwrap_or(0),
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let before = self.at;
        while self.value.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        let spaced =
            self.at > before || before.checked_sub(1).is_some_and(|i| self.value[i] == b')');
        let start = self.at;
        let first = *self.value.get(start)?;
        self.at += 1;
        let special = match first {
            b'@' => Some(Token::At(spaced)),
            b'"' if self.last_quote > start => {
                let (text, end) = quoted(self.value, start);
                self.at = end;
                Some(Token::Word(Word { text, spaced }))
            }
            b'(' => self.comment(start),
            b'[' if self.last_bracket > start => memchr(b']', &self.value[start..]).map(|end| {
                self.at = start + end + 1;
                Token::Word(Word { text: Cow::Borrowed(&self.value[start..self.at]), spaced })
            }),
            _ if self.nested => None,
            b'<' => Some(Token::Angle(self.angle())),
            b'>' => return self.next_after_stray(),
            b',' => Some(Token::Comma),
            b':' => Some(Token::Colon),
            b';' => Some(Token::Semicolon),
            _ => None,
        };
        Some(special.unwrap_or_else(|| {
            self.at = start;
            Token::Word(Word { text: self.atom(), spaced })
        }))
    }

    /// The comment at `start`, if it closes. `at` then stands after it.
    fn comment(&mut self, start: usize) -> Option<Token<'a>> {
        if self.last_paren <= start || self.open_comments >= MAX_OPEN_COMMENTS {
            return None;
        }
        let end = comment_end(self.value, start);
        if self.value[end - 1] != b')' {
            self.open_comments += 1;
            return None;
        }
        self.at = end;
        Some(Token::Comment(&self.value[start..end]))
    }

    /// A `>` that closes nothing is passed over, with all its neighbours of the kind.
    fn next_after_stray(&mut self) -> Option<Token<'a>> {
        while self.value.get(self.at).is_some_and(|b| b.is_ascii_whitespace() || *b == b'>') {
            self.at += 1;
        }
        self.next()
    }

    /// Letters up to white space or a special. An encoded word is one atom whatever it holds, since
    /// some programs leave commas and quotes in it.
    fn atom(&mut self) -> Cow<'a, [u8]> {
        let start = self.at;
        match self.encoded_word_end(start) {
            Some(end) => self.at = end,
            None if self.value[start] == b'\\' => {} // Its pair is taken below.
            None => self.at += 1,
        }
        let ends = if self.nested { ENDS_INSIDE } else { ENDS_OUTSIDE };
        while let Some(b) = self.value.get(self.at) {
            if CLASSES[*b as usize] & ends != 0 {
                break;
            }
            // A quoted pair is no special; at the end of a line it is no pair.
            let pair = *b == b'\\'
                && self.value.get(self.at + 1).is_some_and(|b| !matches!(b, b'\r' | b'\n'));
            self.at += if pair { 2 } else { 1 };
        }
        let atom = &self.value[start..self.at];
        if memchr(b'\\', atom).is_none() {
            return Cow::Borrowed(atom);
        }
        // RFC 822 had quoted pairs in atoms.
        let mut out = Vec::with_capacity(atom.len());
        let mut octets = atom.iter();
        while let Some(&b) = octets.next() {
            out.extend(if b == b'\\' { octets.next() } else { Some(&b) });
        }
        Cow::Owned(out)
    }

    fn encoded_word_end(&mut self, start: usize) -> Option<usize> {
        let rest = &self.value[start..];
        if !rest.starts_with(b"=?") || self.last_word_end <= start + 2 {
            return None;
        }
        let head = &rest[2..rest.len().min(80)];
        let charset = memchr(b'?', head)?;
        if head.get(charset + 2) != Some(&b'?') {
            return None;
        }
        // At most a line's worth is looked at, so that time stays linear.
        let text = 2 + charset + 3;
        let window = &rest[text.min(rest.len())..rest.len().min(text + 1000)];
        let end = memmem::find(window, b"?=")?;
        let word = &rest[..text + end + 2];
        (!word.iter().any(u8::is_ascii_whitespace)).then_some(start + word.len())
    }

    /// The inside of `<...>`, from after the `<`. A missing `>` is taken to stand before the next
    /// `<`, `,` or `;`, or at the end.
    fn angle(&mut self) -> &'a [u8] {
        let start = self.at;
        let route = self.value[start..].trim_ascii_start().first() == Some(&b'@');
        while let Some(&b) = self.value.get(self.at) {
            match b {
                b'>' => {
                    self.at += 1;
                    return &self.value[start..self.at - 1];
                }
                b'<' => break,
                b',' | b';' if !route => break,
                b'"' if self.last_quote > self.at => self.at = quoted(self.value, self.at).1,
                b'(' if self.comment(self.at).is_some() => {}
                _ => self.at += 1,
            }
        }
        &self.value[start..self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let mut out = Vec::new();
        for item in parse(value.as_bytes()) {
            out.push(match item {
                AddressItem::Mailbox { name: Some(name), local_part, domain } => {
                    format!("{name}|{local_part}|{domain}")
                }
                AddressItem::Mailbox { name: None, local_part, domain } => {
                    format!("{local_part}|{domain}")
                }
                AddressItem::GroupStart(name) => format!("{name}:"),
                AddressItem::GroupEnd => ";".into(),
            });
        }
        out.join(" ")
    }

    #[test]
    fn the_examples_of_rfc_5322_appendix_a() {
        assert_eq!(
            shown("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>"),
            "Mary Smith|mary|x.test jdoe|example.org Who?|one|y.test"
        );
        assert_eq!(
            shown("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>"),
            "boss|nil.test Giant; \"Big\" Box|sysservices|example.net"
        );
        assert_eq!(
            shown("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
            "A Group: Ed Jones|c|a.test joe|where.test John|jdoe|one.test ;"
        );
        assert_eq!(shown("Undisclosed recipients:;"), "Undisclosed recipients: ;");
        assert_eq!(
            shown("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            "Pete|pete|silly.test"
        );
        assert_eq!(
            shown("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;"),
            "Hidden recipients: ;"
        );
        assert_eq!(
            shown("Joe Q. Public <john.q.public@example.com>"),
            "Joe Q. Public|john.q.public|example.com"
        );
        assert_eq!(
            shown("Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example"),
            "Mary Smith|mary|example.net jdoe|test.example"
        );
    }

    #[test]
    fn quoted_local_parts_and_literals() {
        assert_eq!(shown("\"a b\"@[192.0.2.1]"), "a b|[192.0.2.1]");
        assert_eq!(shown("<\"j\\\"d\"@[IPv6:2001:db8::1]>"), "j\"d|[IPv6:2001:db8::1]");
        assert_eq!(shown("a@b.c (Full Name)"), "Full Name|a|b.c");
    }

    #[test]
    fn encoded_names() {
        assert_eq!(
            shown("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>"),
            "Keld Jørn Simonsen|keld|dkuug.dk"
        );
        assert_eq!(shown("=?utf-8?Q?Doe,_John?= <j@x.y>"), "Doe, John|j|x.y");
        assert_eq!(shown("a@b (=?utf-8?q?caf=C3=A9?=)"), "café|a|b");
    }

    #[test]
    fn broken_lists() {
        assert_eq!(shown("John <a@b.com"), "John|a|b.com");
        assert_eq!(shown("John <a@b.com, c@d.e"), "John|a|b.com c|d.e");
        assert_eq!(shown("Joe <a@b.com> <c@d.com>"), "Joe|a|b.com c|d.com");
        assert_eq!(shown("\"open <a@b.com>"), "\"open|a|b.com");
        assert_eq!(shown("open (x <a@b.com>"), "open (x|a|b.com");
        assert_eq!(shown("g: a@b.com"), "g: a|b.com ;");
        assert_eq!(shown("postmaster"), "postmaster|");
        assert_eq!(shown("James Derrick, Robert"), "James Derrick|| Robert|");
        assert_eq!(shown("<a@b@c.d>"), "a@b|c.d");
        assert_eq!(shown(" , ,;> <>"), "");
        assert_eq!(shown("a@ b<c>@d"), "a@ b|c|");
    }
}
