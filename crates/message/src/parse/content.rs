//! Content-Type, Content-Disposition and their parameters (RFC 2045 §5.1, RFC 2183, RFC 2231).
//!
//! Forgiven, because mail does it every day: unquoted values with spaces or other specials, missing
//! semicolons before a `name=`, empty parameters, encoded words (RFC 2047 §5 forbids them here),
//! plain 8-bit octets, and continuations out of order or with gaps.
//!
//! Continuations are sorted, not searched, so that a header of a million sections costs no more
//! than reading it.

use std::borrow::Cow;

use super::{charset, transfer, words};

/// The type and subtype of a Content-Type value, in lower case; `None` when it is malformed.
pub fn media_type(value: &[u8]) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    media_type_as_written(value).map(|(main, sub)| (lower(main), lower(sub)))
}

/// The same, as written.
pub fn media_type_as_written(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = skip_cfws(value, 0);
    let main = token(value, &mut at);
    at = skip_cfws(value, at);
    if value.get(at) != Some(&b'/') {
        return None;
    }
    at = skip_cfws(value, at + 1);
    let sub = token(value, &mut at);
    (!main.is_empty() && !sub.is_empty()).then_some((main, sub))
}

/// The word before the first parameter, in lower case: a disposition such as `attachment`.
pub fn first_word(value: &[u8]) -> Cow<'_, str> {
    let mut at = skip_cfws(value, 0);
    lower(token(value, &mut at))
}

/// A MIME token, ended by white space, `;`, `/` or a comment.
fn token<'a>(value: &'a [u8], at: &mut usize) -> &'a [u8] {
    let start = *at;
    while matches!(value.get(*at), Some(b) if !b.is_ascii_whitespace() && !b";/(,".contains(b)) {
        *at += 1;
    }
    &value[start..*at]
}

/// Lower case text; borrowed when it is already so.
pub(super) fn lower(word: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(word) {
        Ok(text) if !text.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(text.to_ascii_lowercase()),
        Err(_) => Cow::Owned(charset::guess(word).to_ascii_lowercase()),
    }
}

/// The first place at or after `at` that is neither white space nor comment (RFC 5322 §3.2.2).
pub(crate) fn skip_cfws(value: &[u8], mut at: usize) -> usize {
    loop {
        match value.get(at) {
            Some(b) if b.is_ascii_whitespace() => at += 1,
            Some(b'(') => at = comment_end(value, at),
            _ => return at,
        }
    }
}

/// The place after the comment that begins at `at`; the end of the value when it never closes.
pub(super) fn comment_end(value: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(&b) = value.get(at) {
        at += 1;
        match b {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    value.len()
}

/// The parameters of a Content-Type or Content-Disposition value: continuations joined, charsets
/// undone; names in lower case, in the order of their first appearance.
pub fn params(value: &[u8]) -> Vec<(String, String)> {
    joined(value, None)
        .into_iter()
        .map(|param| (lower(param.name).into_owned(), param.text()))
        .collect()
}

/// One parameter by name, as text.
pub fn param(value: &[u8], name: &str) -> Option<String> {
    joined(value, Some(name)).first().map(Joined::text)
}

/// One parameter by name, as octets without encoded words or charsets undone: for boundaries.
pub fn param_octets<'a>(value: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    joined(value, Some(name)).into_iter().next().map(|param| param.octets)
}

/// One `name*section*=value` as written.
struct Section<'a> {
    /// Without section and stars.
    name: &'a [u8],
    /// `None` for a parameter that is not continued.
    number: Option<u32>,
    /// Percent encoded.
    extended: bool,
    /// Quotes removed.
    value: Cow<'a, [u8]>,
}

/// A parameter put together.
struct Joined<'a> {
    name: &'a [u8],
    octets: Cow<'a, [u8]>,
    /// Of RFC 2231; `None` when the value was not extended.
    charset: Option<&'a [u8]>,
}

impl Joined<'_> {
    fn text(&self) -> String {
        match self.charset {
            Some(label) => charset::decode(&self.octets, Some(label)).into_owned(),
            None if memchr::memmem::find(&self.octets, b"=?").is_some() => {
                words::decode_text(&self.octets)
            }
            None => charset::guess(&self.octets).into_owned(),
        }
    }
}

fn joined<'a>(value: &'a [u8], only: Option<&str>) -> Vec<Joined<'a>> {
    let mut sections: Vec<(usize, Section<'a>)> = Sections::new(value)
        .filter(|s| only.is_none_or(|name| s.name.eq_ignore_ascii_case(name.as_bytes())))
        .enumerate()
        .collect();
    if let [(_, one)] = sections.as_mut_slice()
        && !one.extended
        && one.number.is_none()
    {
        let octets = std::mem::take(&mut one.value);
        return vec![Joined { name: one.name, octets, charset: None }];
    }
    // Extended before continued before plain: RFC 2231 gives the plain one for old readers only.
    let kind = |s: &Section<'_>| match (s.extended, s.number) {
        (true, None) => 0,
        (_, Some(_)) => 1,
        (false, None) => 2,
    };
    let compare = |a: &[u8], b: &[u8]| {
        let (a, b) = (a.iter().map(u8::to_ascii_lowercase), b.iter().map(u8::to_ascii_lowercase));
        a.cmp(b)
    };
    sections.sort_by(|(i, a), (j, b)| {
        compare(a.name, b.name)
            .then(kind(a).cmp(&kind(b)))
            .then(a.number.cmp(&b.number))
            .then(i.cmp(j))
    });
    let mut params = Vec::new();
    for group in sections.chunk_by(|(_, a), (_, b)| a.name.eq_ignore_ascii_case(b.name)) {
        let first_seen = group.iter().map(|(i, _)| *i).min().unwrap_or(0);
        let leader = kind(&group[0].1);
        let run = group.iter().map(|(_, s)| s).take_while(|s| kind(s) == leader);
        let param = match leader {
            1 => join_sections(run),
            _ => join_sections(run.take(1)),
        };
        params.push((first_seen, param));
    }
    params.sort_by_key(|(first_seen, _)| *first_seen);
    params.into_iter().map(|(_, param)| param).collect()
}

/// Puts one parameter's sections together, already in order. A repeated section counts once.
fn join_sections<'s, 'a: 's>(sections: impl Iterator<Item = &'s Section<'a>>) -> Joined<'a> {
    let mut out = Joined { name: b"", octets: Cow::Borrowed(b"".as_slice()), charset: None };
    let mut last = None;
    for (i, section) in sections.enumerate() {
        if i > 0 && section.number == last {
            continue;
        }
        last = section.number;
        out.name = section.name;
        let (label, octets) = match (&section.value, section.extended) {
            (value, false) => (None, value.clone()),
            (Cow::Borrowed(value), true) => {
                let (label, rest) = if i == 0 { charset_of(value) } else { (None, *value) };
                (label, Cow::Owned(percent_decoded(rest)))
            }
            // Quoted and escaped and extended at once: the charset cannot be borrowed.
            (Cow::Owned(value), true) => {
                let (_, rest) = if i == 0 { charset_of(value) } else { (None, value.as_slice()) };
                (None, Cow::Owned(percent_decoded(rest)))
            }
        };
        if i == 0 {
            out.charset = label.filter(|label| !label.is_empty());
            out.octets = octets;
        } else {
            out.octets.to_mut().extend_from_slice(&octets);
        }
    }
    out
}

/// `charset'language'rest` (RFC 2231 §4).
fn charset_of(value: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut parts = value.splitn(3, |&b| b == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_language), Some(rest)) => (Some(charset), rest),
        _ => (None, value),
    }
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        match text.get(i + 1..i + 3).and_then(transfer::hex_octet) {
            Some(octet) if text[i] == b'%' => {
                out.push(octet);
                i += 3;
            }
            _ => {
                out.push(text[i]);
                i += 1;
            }
        }
    }
    out
}

/// The parameters as written, one after another.
struct Sections<'a> {
    value: &'a [u8],
    at: usize,
}

impl<'a> Sections<'a> {
    /// Begins after the first `;`, outside comments.
    fn new(value: &'a [u8]) -> Sections<'a> {
        let mut at = 0;
        loop {
            at = skip_cfws(value, at);
            match value.get(at) {
                None => break,
                Some(b';') => {
                    at += 1;
                    break;
                }
                // `application/x-stuff title=...`: the semicolon was forgotten.
                Some(_) if at > 0 && value[at - 1].is_ascii_whitespace() && is_name(value, at) => {
                    break;
                }
                Some(_) => at += 1,
            }
        }
        Sections { value, at }
    }

    /// An unquoted value: to the next `;`, or to white space with `name=` after it.
    fn bare_value(&mut self) -> Cow<'a, [u8]> {
        let start = self.at;
        while let Some(&b) = self.value.get(self.at) {
            if b == b';' {
                break;
            }
            self.at += 1;
            if b.is_ascii_whitespace() && is_name(self.value, self.at) {
                break;
            }
        }
        let mut bare = self.value[start..self.at].trim_ascii();
        // `charset=us-ascii (Plain text)`, the example of RFC 2045 §5.1; `a (1).pdf` is a name.
        if bare.ends_with(b")")
            && let Some(open) = memchr::memchr(b'(', bare)
            && comment_end(bare, open) == bare.len()
        {
            bare = bare[..open].trim_ascii_end();
        }
        super::field::unfold(bare)
    }
}

/// Whether `name=` stands here, so that a parameter begins.
fn is_name(value: &[u8], at: usize) -> bool {
    let rest = &value[at..];
    let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"-_*".contains(b)).count();
    name > 0 && rest.get(name) == Some(&b'=') && rest[0].is_ascii_alphabetic()
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        loop {
            self.at = skip_cfws(self.value, self.at);
            if *self.value.get(self.at)? == b';' {
                self.at += 1;
                continue;
            }
            let start = self.at;
            while matches!(self.value.get(self.at), Some(b) if !b"=;".contains(b)) {
                self.at += 1;
            }
            let name = self.value[start..self.at].trim_ascii();
            if self.value.get(self.at) != Some(&b'=') {
                continue; // A word without a value says nothing.
            }
            self.at = skip_cfws(self.value, self.at + 1);
            let value = match self.value.get(self.at) {
                Some(b'"') => {
                    let (text, end) = quoted(self.value, self.at);
                    self.at = end;
                    text
                }
                _ => self.bare_value(),
            };
            let section = section(name, value);
            if !section.name.is_empty() {
                return Some(section);
            }
        }
    }
}

/// Splits `name*3*` into its parts.
fn section<'a>(name: &'a [u8], value: Cow<'a, [u8]>) -> Section<'a> {
    let (base, extended) = match name.strip_suffix(b"*") {
        Some(base) => (base, true),
        None => (name, false),
    };
    let star = base.iter().rposition(|&b| b == b'*');
    let numbered = star.and_then(|star| {
        let digits = std::str::from_utf8(&base[star + 1..]).ok()?;
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        Some((&base[..star], number))
    });
    match numbered {
        Some((base, number)) => Section { name: base, number: Some(number), extended, value },
        None => Section { name: base, number: None, extended, value },
    }
}

/// A quoted string that begins at `at`: its text, unfolded and unescaped, and the place after it.
pub(super) fn quoted(value: &[u8], at: usize) -> (Cow<'_, [u8]>, usize) {
    let inner = &value[at + 1..];
    let stop = inner.iter().position(|b| b"\"\\\r\n".contains(b)).unwrap_or(inner.len());
    if inner.get(stop).is_none_or(|&b| b == b'"') {
        return (Cow::Borrowed(&inner[..stop]), (at + 1 + stop + 1).min(value.len()));
    }
    let mut out = inner[..stop].to_vec();
    let mut i = stop;
    while let Some(&b) = inner.get(i) {
        match b {
            b'"' => return (Cow::Owned(out), at + 1 + i + 1),
            b'\r' | b'\n' => {}
            b'\\' => {
                i += 1;
                out.extend(inner.get(i));
            }
            b => out.push(b),
        }
        i += 1;
    }
    (Cow::Owned(out), value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: &str) -> Vec<(String, String)> {
        params(value.as_bytes())
    }

    fn one(value: &str, name: &str) -> String {
        param(value.as_bytes(), name).unwrap_or_default()
    }

    #[test]
    fn types_with_comments_and_faults() {
        let (main, sub) = media_type(b" (a) Text (b) / (c) PLAIN (d); x=y").unwrap();
        assert_eq!((&*main, &*sub), ("text", "plain"));
        assert!(media_type(b"text").is_none());
        assert!(media_type(b"text/").is_none());
        assert!(media_type(b"").is_none());
    }

    #[test]
    fn continuations_of_rfc_2231_section_4_1() {
        let value = "application/x-stuff;\r\n title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n \
                     title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n title*2=\"isn't it!\"";
        assert_eq!(one(value, "title"), "This is even more ***fun*** isn't it!");
        let value = "message/external-body; access-type=URL; URL*0=\"ftp://\"; \
                     URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"";
        assert_eq!(one(value, "url"), "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar");
    }

    #[test]
    fn sections_in_any_order_and_split_characters() {
        assert_eq!(one("a/b; n*1*=%A9.txt; n*0*=utf-8''caf%C3", "n"), "café.txt");
        assert_eq!(one("a/b; n*10=k; n*2=c; n*0=a; n*1=b", "n"), "abck");
        assert_eq!(all("a/b; n=old; n*=utf-8''new%E2%82%AC"), [("n".into(), "new€".into())]);
    }

    #[test]
    fn sloppy_values() {
        assert_eq!(one("a/b; name=my file (1).pdf; x=y", "name"), "my file (1).pdf");
        assert_eq!(one("a/b; charset=us-ascii (Plain text)", "charset"), "us-ascii");
        assert_eq!(one("a/b; charset=us-ascii boundary=x", "boundary"), "x");
        assert_eq!(one("text/plain ;;;;; = ;; name=\"value\"", "name"), "value");
        assert_eq!(one("a/b; name=\"=?utf-8?q?caf=C3=A9?=.png\"", "name"), "café.png");
        assert_eq!(one("a/b; name=\"open", "name"), "open");
    }
}
