//! The macro language of RFC 7208 §7: `%{i}`, `%{d2r}`, `%{L-}`, `%%`, `%_`, `%-`.
//!
//! | letter | stands for | | letter | stands for |
//! |---|---|---|---|---|
//! | `s` | the sender, `local@domain` | | `v` | `in-addr` or `ip6` |
//! | `l` | its local part | | `h` | the HELO name |
//! | `o` | its domain | | `c` | the client's address, to be read (*) |
//! | `d` | the domain of the record at hand | | `r` | the receiving host (*) |
//! | `i` | the client's address, in labels | | `t` | the time, in seconds since 1970 (*) |
//! | `p` | the client's validated name | | | (*) only in explanations |
//!
//! A capital letter escapes the value for a URL. Digits keep that many parts from the right, `r`
//! turns the parts around, delimiters say what separates them (else `.`).

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;

/// The longest name in the DNS, as text (§7.3: longer ones lose labels from the left).
const NAME_OCTETS_MAX: usize = 253;
/// What macros may make on the way to a name. Beyond it there is no such name.
const EXPANSION_OCTETS_MAX: usize = 8_192;
/// The longest explanation that is passed on. Longer ones are left out.
pub const EXPLANATION_OCTETS_MAX: usize = 1_000;

/// Why a macro string cannot be read or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MacroError {
    /// `%` that begins nothing known, an unknown letter, a zero, or no closing brace.
    #[error("a macro that does not exist")]
    Syntax,
    /// A character that is not printable ASCII, or a space outside of an explanation.
    #[error("a character that is not allowed")]
    Character,
    /// `c`, `r` or `t` outside of an explanation (§7.2).
    #[error("a macro that belongs into explanations")]
    OnlyInExplanations,
    /// It does not end in a macro or in a domain label after a dot (§7.1 `domain-end`).
    #[error("not a full domain name")]
    NotADomain,
    /// What it makes is too long.
    #[error("it becomes too long")]
    TooLong,
}

/// One piece of a macro string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Stands for itself.
    Literal(&'a str),
    /// `%%`, `%_` and `%-` stand for `%`, a space and `%20`.
    Escape(&'static str),
    /// `%{…}`.
    Macro(Macro<'a>),
}

/// `%{…}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Macro<'a> {
    /// In lower case.
    pub letter: u8,
    /// Whether it was a capital: the value is escaped for a URL.
    pub url: bool,
    /// How many parts are kept, from the right.
    pub keep: Option<usize>,
    /// Whether the parts are turned around.
    pub reverse: bool,
    /// What separates the parts; empty means `.`.
    pub delimiters: &'a str,
}

/// Cuts a macro string into tokens. The first error ends it.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a str,
}

/// The tokens of a macro string.
pub fn tokens(text: &str) -> Tokens<'_> {
    Tokens { rest: text }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Result<Token<'a>, MacroError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        let token = match rest.as_bytes() {
            [] => return None,
            [b'%', b'%', ..] => (2, Ok(Token::Escape("%"))),
            [b'%', b'_', ..] => (2, Ok(Token::Escape(" "))),
            [b'%', b'-', ..] => (2, Ok(Token::Escape("%20"))),
            [b'%', b'{', ..] => match rest.find('}') {
                Some(end) => (end + 1, read_macro(&rest[2..end]).map(Token::Macro)),
                None => (rest.len(), Err(MacroError::Syntax)),
            },
            [b'%', ..] => (rest.len(), Err(MacroError::Syntax)),
            _ => {
                let end = rest.find('%').unwrap_or(rest.len());
                (end, Ok(Token::Literal(&rest[..end])))
            }
        };
        let (used, token) = token;
        self.rest = if token.is_ok() { &rest[used..] } else { "" };
        Some(token)
    }
}

/// `macro-letter transformers *delimiter` (§7.1).
fn read_macro(inner: &str) -> Result<Macro<'_>, MacroError> {
    let first = *inner.as_bytes().first().ok_or(MacroError::Syntax)?;
    let letter = first.to_ascii_lowercase();
    if !b"slodiphvcrt".contains(&letter) {
        return Err(MacroError::Syntax);
    }
    let rest = &inner[1..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let keep = match &rest[..digits] {
        "" => None,
        // §7.3: a number must not be zero. One that is too large keeps everything.
        digits => match digits.parse::<usize>() {
            Ok(0) => return Err(MacroError::Syntax),
            Ok(keep) => Some(keep),
            Err(_) => None,
        },
    };
    let rest = &rest[digits..];
    let (reverse, delimiters) = match rest.strip_prefix(['r', 'R']) {
        Some(delimiters) => (true, delimiters),
        None => (false, rest),
    };
    if !delimiters.bytes().all(|b| b".-+,/_=".contains(&b)) {
        return Err(MacroError::Syntax);
    }
    Ok(Macro { letter, url: first.is_ascii_uppercase(), keep, reverse, delimiters })
}

/// Checks a `macro-string` (§7.1).
pub(super) fn check_macro_string(text: &str) -> Result<(), MacroError> {
    for token in tokens(text) {
        check_literal(&token?, false)?;
    }
    Ok(())
}

/// Checks a `domain-spec` (§7.1).
pub(super) fn check_domain_spec(text: &str) -> Result<(), MacroError> {
    let mut last = None;
    for token in tokens(text) {
        let token = token?;
        check_literal(&token, false)?;
        if matches!(token, Token::Macro(Macro { letter: b'c' | b'r' | b't', .. })) {
            return Err(MacroError::OnlyInExplanations);
        }
        last = Some(token);
    }
    match last {
        None => Err(MacroError::NotADomain),
        Some(Token::Literal(end)) if !ends_in_toplabel(end) => Err(MacroError::NotADomain),
        Some(_) => Ok(()),
    }
}

fn check_literal(token: &Token<'_>, spaces: bool) -> Result<(), MacroError> {
    match token {
        Token::Literal(text)
            if !text.bytes().all(|b| b.is_ascii_graphic() || (spaces && b == b' ')) =>
        {
            Err(MacroError::Character)
        }
        _ => Ok(()),
    }
}

/// `"." toplabel [ "." ]` at the end: letters, digits and inner hyphens, not digits alone.
fn ends_in_toplabel(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, label)) = text.rsplit_once('.') else { return false };
    let octets = label.as_bytes();
    octets.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && octets.iter().any(|b| !b.is_ascii_digit())
        && octets.first() != Some(&b'-')
        && octets.last().is_some_and(|b| *b != b'-')
}

/// Whether a macro string needs the client's validated name, which takes lookups to know.
pub(super) fn needs_client_name(text: &str) -> bool {
    text.contains('%')
        && tokens(text).any(|t| matches!(t, Ok(Token::Macro(Macro { letter: b'p', .. }))))
}

/// What the letters stand for.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The client's address; never IPv4 mapped into IPv6.
    pub ip: IpAddr,
    /// The sender's local part.
    pub local_part: &'a str,
    /// The sender's domain.
    pub sender_domain: &'a str,
    /// The domain of the record at hand.
    pub domain: &'a str,
    /// The HELO name.
    pub helo: &'a str,
    /// The client's validated name, or `unknown`.
    pub client_name: &'a str,
    /// The receiving host.
    pub receiver: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// The name that a checked `domain-spec` stands for: without a final dot, and without labels from the
/// left when it is over 253 octets (§7.3). `None` when it cannot be a name because a local part with
/// other than ASCII went into it (RFC 8616 §4) or because it is far too long.
pub fn expand_domain<'t>(spec: &'t str, values: &Values<'_>) -> Option<Cow<'t, str>> {
    let mut name = if memchr::memchr(b'%', spec.as_bytes()).is_none() {
        Cow::Borrowed(spec.strip_suffix('.').unwrap_or(spec))
    } else {
        let mut name = String::with_capacity(spec.len() + 64);
        expand(spec, values, &mut name, EXPANSION_OCTETS_MAX).ok()?;
        if name.ends_with('.') {
            name.pop();
        }
        Cow::Owned(name)
    };
    if !name.is_ascii() {
        return None;
    }
    if name.len() > NAME_OCTETS_MAX {
        // The first dot from where at most 253 octets follow.
        let from = name.len() - NAME_OCTETS_MAX - 1;
        let dot = from + name[from..].find('.')?;
        name = Cow::Owned(name[dot + 1..].to_owned());
    }
    Some(name)
}

/// The explanation that `text` stands for (§6.2), or why it is not to be used.
pub fn expand_explanation(text: &str, values: &Values<'_>) -> Result<String, MacroError> {
    for token in tokens(text) {
        check_literal(&token?, true)?;
    }
    let mut explanation = String::with_capacity(text.len() + 64);
    expand(text, values, &mut explanation, EXPLANATION_OCTETS_MAX)?;
    // What the client said of itself goes in: it must not break our reply into lines.
    match explanation.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        true => Ok(explanation),
        false => Err(MacroError::Character),
    }
}

fn expand(
    text: &str,
    values: &Values<'_>,
    out: &mut String,
    octets_max: usize,
) -> Result<(), MacroError> {
    for token in tokens(text) {
        match token? {
            Token::Literal(literal) => out.push_str(literal),
            Token::Escape(escaped) => out.push_str(escaped),
            Token::Macro(part) => transform(&part, &value_of(part.letter, values), out),
        }
        if out.len() > octets_max {
            return Err(MacroError::TooLong);
        }
    }
    Ok(())
}

fn value_of<'v>(letter: u8, values: &Values<'v>) -> Cow<'v, str> {
    match letter {
        b's' => Cow::Owned(format!("{}@{}", values.local_part, values.sender_domain)),
        b'l' => Cow::Borrowed(values.local_part),
        b'o' => Cow::Borrowed(values.sender_domain),
        b'd' => Cow::Borrowed(values.domain),
        b'i' => Cow::Owned(dotted(values.ip)),
        b'p' => Cow::Borrowed(values.client_name),
        b'v' => Cow::Borrowed(if values.ip.is_ipv4() { "in-addr" } else { "ip6" }),
        b'h' => Cow::Borrowed(values.helo),
        b'c' => Cow::Owned(values.ip.to_string()),
        b'r' => Cow::Borrowed(values.receiver),
        _ => Cow::Owned(values.now.as_second().to_string()),
    }
}

/// §7.3: IPv6 in nibbles with dots between, `2.0.0.1.0.D.B.8…`, so that `%{ir}` fits ip6.arpa.
fn dotted(ip: IpAddr) -> String {
    let ip = match ip {
        IpAddr::V4(ip) => return ip.to_string(),
        IpAddr::V6(ip) => ip,
    };
    let mut text = String::with_capacity(63);
    for octet in ip.octets() {
        for nibble in [octet >> 4, octet & 15] {
            if !text.is_empty() {
                text.push('.');
            }
            text.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
        }
    }
    text
}

/// §7.3: split, turn around, keep from the right, join with dots, escape.
fn transform(part: &Macro<'_>, value: &str, out: &mut String) {
    if part.keep.is_none() && !part.reverse && part.delimiters.is_empty() {
        return push(value, part.url, out);
    }
    let is_delimiter = |c: char| match part.delimiters {
        "" => c == '.',
        delimiters => delimiters.contains(c),
    };
    let mut parts: Vec<&str> = value.split(is_delimiter).collect();
    if part.reverse {
        parts.reverse();
    }
    let skip = part.keep.map_or(0, |keep| parts.len().saturating_sub(keep));
    for (at, piece) in parts[skip..].iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        push(piece, part.url, out);
    }
}

/// §7.3: a capital letter escapes everything but RFC 3986's unreserved characters.
fn push(text: &str, url: bool, out: &mut String) {
    if !url {
        return out.push_str(text);
    }
    for octet in text.bytes() {
        match octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            true => out.push(char::from(octet)),
            false => {
                out.push('%');
                for nibble in [octet >> 4, octet & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(ip: &str) -> Values<'static> {
        Values {
            ip: ip.parse().unwrap(),
            local_part: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            helo: "mx.example.org",
            client_name: "mx.example.org",
            receiver: "mail.example.net",
            now: Timestamp::from_second(1_700_000_000).unwrap(),
        }
    }

    fn expanded(text: &str, ip: &str) -> String {
        expand_domain(text, &values(ip)).unwrap().into_owned()
    }

    /// RFC 7208 §7.4's own examples.
    #[test]
    fn the_examples_of_section_7_4() {
        for (spec, name) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ] {
            assert_eq!(expanded(spec, "192.0.2.3"), name, "{spec}");
        }
        assert_eq!(
            expanded("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"),
            "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn explanations_have_more_letters_and_never_break_a_line() {
        let said = expand_explanation("%{c} at %{r}, %{t}: see%_%{S}", &values("2001:db8::1"));
        assert_eq!(
            said.unwrap(),
            "2001:db8::1 at mail.example.net, 1700000000: see strong-bad%40email.example.com"
        );
        let mut hostile = values("192.0.2.3");
        hostile.helo = "x\r\n250 ok";
        assert_eq!(expand_explanation("%{h}", &hostile), Err(MacroError::Character));
        assert_eq!(expand_explanation("a\r\nb", &hostile), Err(MacroError::Character));
        assert_eq!(expand_explanation(&"%{s}".repeat(1000), &hostile), Err(MacroError::TooLong));
    }

    #[test]
    fn other_than_ascii_in_a_local_part_is_no_name() {
        // RFC 8616 §4.
        let mut values = values("192.0.2.3");
        values.local_part = "jürgen";
        assert_eq!(expand_domain("%{l}.example.com", &values), None);
        assert_eq!(expand_domain("%{L}.example.com", &values).unwrap(), "j%C3%BCrgen.example.com");
        assert!(expand_domain("%{d}", &values).is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_expanded_without_panic(text in ".{0,80}") {
            let values = values("192.0.2.3");
            let _ = check_macro_string(&text);
            let _ = check_domain_spec(&text);
            if let Ok(said) = expand_explanation(&text, &values) {
                prop_assert!(said.len() <= EXPLANATION_OCTETS_MAX);
            }
            if let Some(name) = expand_domain(&text, &values) {
                prop_assert!(name.len() <= NAME_OCTETS_MAX);
            }
        }

        #[test]
        fn macros_of_the_grammar_are_accepted(
            letter in "[slodiphvSLODIPHV]",
            keep in proptest::option::of(1u32..200),
            reverse in "[rR]?",
            delimiters in "[-.+,/_=]{0,4}",
        ) {
            let keep = keep.map(|k| k.to_string()).unwrap_or_default();
            let text = format!("%{{{letter}{keep}{reverse}{delimiters}}}");
            prop_assert_eq!(check_domain_spec(&text), Ok(()));
            prop_assert!(expand_domain(&text, &values("2001:db8::1")).is_some());
        }

        #[test]
        fn text_without_macros_stands_for_itself(text in "[a-z0-9.:/-]{1,60}\\.example") {
            prop_assert_eq!(expand_domain(&text, &values("192.0.2.3")).unwrap(), text.as_str());
        }
    }
}
