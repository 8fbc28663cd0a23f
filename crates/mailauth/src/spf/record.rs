//! The text of an SPF record into its terms: the grammar of RFC 7208 §12.
//!
//! ```text
//! v=spf1 ip4:192.0.2.0/24 -include:_spf.example.org ?a:mail.%{d}/28//64 redirect=other.example
//! └ version └ directive: qualifier, mechanism, domain-spec, prefix lengths   └ modifier
//! ```
//!
//! Everything borrows from the text. A record is right or wrong as a whole: an error anywhere makes
//! it useless (§4.6).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::SpfResult;
use super::macros::{MacroError, check_domain_spec, check_macro_string};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// As published.
    pub text: &'a str,
    /// The directives, in order.
    pub terms: Vec<Term<'a>>,
    /// `redirect=`: the record that counts when no term matches (§6.1).
    pub redirect: Option<DomainSpec<'a>>,
    /// `exp=`: where the explanation of a fail is (§6.2).
    pub explanation: Option<DomainSpec<'a>>,
    /// Modifiers that mean nothing here (§6), as written.
    pub other_modifiers: Vec<&'a str>,
}

/// One directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<'a> {
    /// As written, such as `~a:mail.example.org/28`.
    pub text: &'a str,
    /// What a match means.
    pub qualifier: Qualifier,
    /// What matches.
    pub mechanism: Mechanism<'a>,
}

/// What a match means (§4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    /// `+`, or nothing.
    Pass,
    /// `-`
    Fail,
    /// `~`
    SoftFail,
    /// `?`
    Neutral,
}

impl Qualifier {
    /// The result that a match gives.
    pub fn result(self) -> SpfResult {
        match self {
            Qualifier::Pass => SpfResult::Pass,
            Qualifier::Fail => SpfResult::Fail,
            Qualifier::SoftFail => SpfResult::SoftFail,
            Qualifier::Neutral => SpfResult::Neutral,
        }
    }
}

/// What matches (§5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism<'a> {
    /// Everyone.
    All,
    /// Whoever passes another domain's record.
    Include(DomainSpec<'a>),
    /// The addresses of a host; of the domain itself without one.
    A(Option<DomainSpec<'a>>, Prefixes),
    /// The addresses of a domain's mail exchangers.
    Mx(Option<DomainSpec<'a>>, Prefixes),
    /// The names of the client's address. Not to be published any more (§5.5).
    Ptr(Option<DomainSpec<'a>>),
    /// IPv4 addresses, and the length of the prefix they share.
    Ip4(Ipv4Addr, u8),
    /// IPv6 addresses, and the length of the prefix they share.
    Ip6(Ipv6Addr, u8),
    /// Everyone for whom this name has an IPv4 address.
    Exists(DomainSpec<'a>),
}

impl Mechanism<'_> {
    /// Whether it counts against the limit of ten (§4.6.4).
    pub fn asks_dns(&self) -> bool {
        !matches!(self, Mechanism::All | Mechanism::Ip4(..) | Mechanism::Ip6(..))
    }
}

/// The lengths of the prefixes of `a` and `mx` (§5.3 `dual-cidr-length`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// 0 to 32.
    pub v4: u8,
    /// 0 to 128.
    pub v6: u8,
}

impl Prefixes {
    /// Single addresses.
    pub const WHOLE: Prefixes = Prefixes { v4: 32, v6: 128 };
}

/// A domain name with macros in it (§7.1), checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainSpec<'a>(&'a str);

impl<'a> DomainSpec<'a> {
    /// As written.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether the name depends on who sends.
    pub fn has_macros(&self) -> bool {
        self.0.contains('%')
    }
}

impl fmt::Display for DomainSpec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What is wrong with a record, which is all wrong then (§4.6).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not begin with `v=spf1`.
    #[error("it does not begin with v=spf1")]
    Version,
    /// It has characters outside of ASCII (§3.1).
    #[error("it has characters outside of ASCII")]
    NotAscii,
    /// One term cannot be read.
    #[error("the term {term:?}: {problem}")]
    Term {
        /// As written, cut at 80 octets.
        term: String,
        /// In words.
        problem: Problem,
    },
}

/// What is wrong with a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither a mechanism nor a modifier of any name.
    #[error("there is no such mechanism")]
    Unknown,
    /// A domain must follow after a colon.
    #[error("a domain is missing")]
    DomainMissing,
    /// `all`, and prefix lengths where there are none.
    #[error("nothing may follow here")]
    Trailing,
    /// Not an IPv4 address.
    #[error("not an IPv4 address")]
    Ip4,
    /// Not an IPv6 address.
    #[error("not an IPv6 address")]
    Ip6,
    /// A prefix longer than the address, or with a leading zero.
    #[error("not a prefix length")]
    Prefix,
    /// `redirect` and `exp` stand once at most (§6).
    #[error("it stands there twice")]
    Twice,
    /// A domain or a macro is wrong.
    #[error("{0}")]
    Macro(#[from] MacroError),
}

/// Whether the octets of a TXT record are an SPF record (§4.5): `v=spf1` in any case, and then a space
/// or the end.
pub fn is_spf(octets: &[u8]) -> bool {
    match octets.split_at_checked(6) {
        Some((version, rest)) => {
            version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
        }
        None => false,
    }
}

impl<'a> Record<'a> {
    /// Reads a record's octets, the strings of the TXT record joined (§3.3).
    pub fn parse_octets(octets: &'a [u8]) -> Result<Record<'a>, RecordError> {
        Record::parse(std::str::from_utf8(octets).map_err(|_| RecordError::NotAscii)?)
    }

    /// Reads a record.
    pub fn parse(text: &'a str) -> Result<Record<'a>, RecordError> {
        if !is_spf(text.as_bytes()) {
            return Err(RecordError::Version);
        }
        if !text.is_ascii() {
            return Err(RecordError::NotAscii);
        }
        let mut record = Record {
            text,
            terms: Vec::with_capacity(8),
            redirect: None,
            explanation: None,
            other_modifiers: Vec::new(),
        };
        // Only the space separates (§4.6.1): other white space is part of a term, and wrong.
        for term in text[6..].split(' ').filter(|term| !term.is_empty()) {
            record.read(term).map_err(|problem| RecordError::Term {
                term: term[..term.floor_char_boundary(80)].to_owned(),
                problem,
            })?;
        }
        Ok(record)
    }

    fn read(&mut self, text: &'a str) -> Result<(), Problem> {
        let end = text.bytes().position(|b| matches!(b, b':' | b'/' | b'='));
        let end = end.unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if let Some(value) = rest.strip_prefix('=') {
            return self.read_modifier(text, name, value);
        }
        let (qualifier, name) = match name.as_bytes().first() {
            Some(b'+') => (Qualifier::Pass, &name[1..]),
            Some(b'-') => (Qualifier::Fail, &name[1..]),
            Some(b'~') => (Qualifier::SoftFail, &name[1..]),
            Some(b'?') => (Qualifier::Neutral, &name[1..]),
            _ => (Qualifier::Pass, name),
        };
        self.terms.push(Term { text, qualifier, mechanism: read_mechanism(name, rest)? });
        Ok(())
    }

    /// §6: `name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )`.
    fn read_modifier(&mut self, text: &'a str, name: &str, value: &'a str) -> Result<(), Problem> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.bytes().all(is_name) {
            return Err(Problem::Unknown);
        }
        let known = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.explanation
        } else {
            check_macro_string(value)?;
            self.other_modifiers.push(text);
            return Ok(());
        };
        if known.is_some() {
            return Err(Problem::Twice);
        }
        *known = Some(read_domain(value)?);
        Ok(())
    }
}

/// `name` is without its qualifier; `rest` is empty or begins with `:` or `/`.
fn read_mechanism<'a>(name: &str, rest: &'a str) -> Result<Mechanism<'a>, Problem> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("ip4") {
        let (network, prefix) = read_network(rest, 32)?;
        return Ok(Mechanism::Ip4(network.parse().map_err(|_| Problem::Ip4)?, prefix));
    }
    if is("ip6") {
        let (network, prefix) = read_network(rest, 128)?;
        return Ok(Mechanism::Ip6(network.parse().map_err(|_| Problem::Ip6)?, prefix));
    }
    if is("include") {
        return Ok(Mechanism::Include(required_domain(rest)?));
    }
    if is("a") {
        let (domain, prefixes) = split_prefixes(rest)?;
        return Ok(Mechanism::A(optional_domain(domain)?, prefixes));
    }
    if is("mx") {
        let (domain, prefixes) = split_prefixes(rest)?;
        return Ok(Mechanism::Mx(optional_domain(domain)?, prefixes));
    }
    if is("all") {
        return if rest.is_empty() { Ok(Mechanism::All) } else { Err(Problem::Trailing) };
    }
    if is("exists") {
        return Ok(Mechanism::Exists(required_domain(rest)?));
    }
    if is("ptr") {
        return Ok(Mechanism::Ptr(optional_domain(rest)?));
    }
    Err(Problem::Unknown)
}

fn read_domain(text: &str) -> Result<DomainSpec<'_>, Problem> {
    if text.is_empty() {
        return Err(Problem::DomainMissing);
    }
    check_domain_spec(text)?;
    Ok(DomainSpec(text))
}

fn required_domain(rest: &str) -> Result<DomainSpec<'_>, Problem> {
    read_domain(rest.strip_prefix(':').ok_or(Problem::DomainMissing)?)
}

fn optional_domain(rest: &str) -> Result<Option<DomainSpec<'_>>, Problem> {
    match rest.strip_prefix(':') {
        Some(domain) => read_domain(domain).map(Some),
        None if rest.is_empty() => Ok(None),
        None => Err(Problem::Trailing),
    }
}

/// `:network[/length]` of `ip4` and `ip6` (§5.6).
fn read_network(rest: &str, longest: u8) -> Result<(&str, u8), Problem> {
    let rest = rest.strip_prefix(':').ok_or(Problem::DomainMissing)?;
    match rest.split_once('/') {
        Some((network, length)) => Ok((network, read_length(length, longest)?)),
        None => Ok((rest, longest)),
    }
}

/// Takes `[/length4][//length6]` off the end (§5.3). A domain-spec may itself hold slashes, so that
/// only the end tells.
fn split_prefixes(rest: &str) -> Result<(&str, Prefixes), Problem> {
    let mut prefixes = Prefixes::WHOLE;
    let mut rest = rest;
    if let Some((before, length)) = digits_after(rest, "//") {
        prefixes.v6 = read_length(length, 128)?;
        rest = before;
    }
    if let Some((before, length)) = digits_after(rest, "/") {
        prefixes.v4 = read_length(length, 32)?;
        rest = before;
    }
    Ok((rest, prefixes))
}

fn digits_after<'a>(text: &'a str, slashes: &str) -> Option<(&'a str, &'a str)> {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (before, digits) = text.split_at(text.len() - digits);
    match digits {
        "" => None,
        digits => Some((before.strip_suffix(slashes)?, digits)),
    }
}

/// Deviates: §5.6 does not forbid leading zeros of a length; the published suite does.
fn read_length(text: &str, longest: u8) -> Result<u8, Problem> {
    let plain = text == "0"
        || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match text.parse::<u8>() {
        Ok(length) if plain && length <= longest => Ok(length),
        _ => Err(Problem::Prefix),
    }
}

/// Whether `ip` shares the first bits of `network`. Addresses of the other family never do.
pub fn network_holds(network: IpAddr, prefix: u8, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let differing = u32::from(network) ^ u32::from(ip);
            differing.checked_shr(32 - u32::from(prefix.min(32))).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let differing = u128::from(network) ^ u128::from(ip);
            differing.checked_shr(128 - u32::from(prefix.min(128))).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_of_every_kind_of_term() {
        let text = "v=spf1 +ip4:192.0.2.0/24 ip6:2001:db8::/32 ~A:mail.Example.org/28//64 MX \
                    ?ptr:%{d} -include:_spf.%{d2} exists:%{i}.x.example moo=%{c} \
                    exp=why.%{d} redirect=other.example -all";
        let record = Record::parse(text).unwrap();
        let texts: Vec<&str> = record.terms.iter().map(|term| term.text).collect();
        assert_eq!(texts[2], "~A:mail.Example.org/28//64");
        assert_eq!(
            record.terms[2].mechanism,
            Mechanism::A(Some(DomainSpec("mail.Example.org")), Prefixes { v4: 28, v6: 64 })
        );
        assert_eq!(record.terms[5].qualifier, Qualifier::Fail);
        assert_eq!(record.redirect.unwrap().as_str(), "other.example");
        assert_eq!(record.explanation.unwrap().as_str(), "why.%{d}");
        assert_eq!(record.other_modifiers, ["moo=%{c}"]);
        assert_eq!(record.terms.iter().filter(|term| term.mechanism.asks_dns()).count(), 5);
    }

    #[test]
    fn errors_name_the_term() {
        let said = |text: &str| Record::parse(text).unwrap_err().to_string();
        assert_eq!(
            said("v=spf1 ip4:192.0.2.256"),
            "the term \"ip4:192.0.2.256\": not an IPv4 address"
        );
        assert_eq!(said("v=spf1 a:museum"), "the term \"a:museum\": not a full domain name");
        assert_eq!(said("v=spf1 alll"), "the term \"alll\": there is no such mechanism");
        assert_eq!(
            said("v=spf1 exp=%{r}.a.b"),
            "the term \"exp=%{r}.a.b\": a macro that belongs into explanations"
        );
    }

    #[test]
    fn networks_hold_what_shares_their_prefix() {
        let holds = |network: &str, prefix, ip: &str| {
            network_holds(network.parse().unwrap(), prefix, ip.parse().unwrap())
        };
        assert!(holds("192.0.2.0", 24, "192.0.2.255"));
        assert!(!holds("192.0.2.0", 24, "192.0.3.0"));
        assert!(holds("192.0.2.1", 0, "10.0.0.1"));
        assert!(holds("192.0.2.1", 32, "192.0.2.1"));
        assert!(!holds("192.0.2.1", 32, "192.0.2.0"));
        assert!(holds("2001:db8::", 33, "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::", 33, "2001:db8:8000::1"));
        assert!(holds("::", 0, "2001:db8::1"));
        assert!(!holds("::", 0, "192.0.2.1"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "v=spf1 .{0,120}") {
            let _ = Record::parse(&text);
        }

        #[test]
        fn words_of_the_grammar_are_read_or_refused(
            terms in proptest::collection::vec("[-+~?]?(a|mx|ptr|ip4|ip6|include|exists|all|exp|redirect)[:/=]?[%{}a-z0-9./:-]{0,12}", 0..8),
        ) {
            let text = format!("v=spf1 {}", terms.join(" "));
            if let Ok(record) = Record::parse(&text) {
                // Every term is somewhere, as written and in its order.
                let written: Vec<&str> = record.terms.iter().map(|term| term.text).collect();
                let modifiers = terms.iter().filter(|t| t.contains('=')).count();
                prop_assert!(written.len() <= terms.len());
                prop_assert!(written.len() + modifiers >= terms.len());
                for term in written {
                    prop_assert!(terms.iter().any(|t| t == term));
                }
            }
        }

        #[test]
        fn networks_are_read_as_written(ip in any::<u32>(), prefix in 0u8..=32) {
            let text = format!("v=spf1 ip4:{}/{prefix}", Ipv4Addr::from(ip));
            let record = Record::parse(&text).unwrap();
            prop_assert_eq!(record.terms[0].mechanism, Mechanism::Ip4(ip.into(), prefix));
        }
    }
}
