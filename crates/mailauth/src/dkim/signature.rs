//! One signature field, read: DKIM-Signature (RFC 6376 §3.5), and its kin in ARC (RFC 8617 §4.1),
//! which differ in what must and must not be there.
//!
//! | tag | DKIM-Signature | ARC-Message-Signature | ARC-Seal |
//! |---|---|---|---|
//! | `v=` | must be 1 | not defined | not defined |
//! | `i=` | identity, at or below `d=` | instance | instance |
//! | `h=` | must have From | must not have ARC-Seal | must not be there |
//! | `bh=`, `c=`, `l=` | yes | yes | not defined |
//! | `cv=` | not defined | not defined | must be there |
//!
//! A field that cannot be read still tells what can be read of it, for the report.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use jiff::Timestamp;

use super::record::colons;
use super::tags::{Tags, text};
use super::{Canonicalization, Problem, Verification, name};
use crate::key::Algorithm;

/// What kind of field it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dkim,
    ArcMessage,
    ArcSeal,
}

/// What is needed to verify.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub algorithm: Algorithm,
    pub signature: Vec<u8>,
    /// Where `b=` has its value, within the field's value.
    pub b: Range<usize>,
    /// All zero in a seal.
    pub body_hash: [u8; 32],
    pub header: Canonicalization,
    pub body: Canonicalization,
    pub length: Option<u64>,
    /// `SELECTOR._domainkey.DOMAIN`.
    pub key_name: String,
    /// The identity's domain is the signing domain itself, not one below.
    pub exact_identity: bool,
    made: Option<u64>,
    expires: Option<u64>,
}

/// Seconds that a signer's clock may be ahead.
const CLOCK_DRIFT_SECS: u64 = 300;

impl Terms {
    /// Whether the signature is good at `now` as far as its own times tell.
    pub fn in_time(&self, now: Timestamp) -> Result<(), Problem> {
        let now = u64::try_from(now.as_second()).unwrap_or(0);
        if let Some(at) = self.expires
            && at < now
        {
            return Err(Problem::Expired { at: timestamp(at) });
        }
        match self.made {
            Some(at) if at > now + CLOCK_DRIFT_SECS => Err(Problem::Future { at: timestamp(at) }),
            _ => Ok(()),
        }
    }
}

fn timestamp(secs: u64) -> Timestamp {
    i64::try_from(secs)
        .ok()
        .and_then(|secs| Timestamp::from_second(secs).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Reads the value of a signature field. The first part is what it says of itself.
pub(crate) fn read(kind: Kind, value: &[u8]) -> (Verification, Result<Terms, Problem>) {
    let (tags, outcome) = Tags::parse(value);
    read_tags(kind, &tags, outcome)
}

/// [`read`], from what [`Tags::parse`] gives.
pub(crate) fn read_tags(
    kind: Kind,
    tags: &Tags<'_>,
    outcome: Result<(), &'static str>,
) -> (Verification, Result<Terms, Problem>) {
    let said = said(tags);
    let terms = match outcome {
        Ok(()) => terms(kind, tags, &said),
        Err(what) => Err(Problem::Syntax { what }),
    };
    (said, terms)
}

/// What the tags say, whether it is right or not.
fn said(tags: &Tags<'_>) -> Verification {
    let written = tags.packed(b"d");
    let domain = name::ascii(&written).unwrap_or(written);
    let identity = match tags.get(b"i") {
        Some(_) => tags.packed(b"i"),
        None => ["@", &*domain].concat(),
    };
    Verification {
        selector: tags.packed(b"s").to_ascii_lowercase(),
        identity,
        algorithm: tags.packed(b"a"),
        signed_headers: tags.get(b"h").map(names).unwrap_or_default(),
        body_length: tags.get(b"l").and_then(number),
        signature_b: tags.packed(b"b"),
        domain,
        ..Verification::default()
    }
}

/// A list of names with no more than a colon between two: one text, where a list of texts would cost as
/// much as all the rest of reading a signature.
fn names(list: &[u8]) -> String {
    let mut names = Vec::with_capacity(list.len());
    for (i, name) in colons(list).enumerate() {
        if i > 0 {
            names.push(b':');
        }
        names.extend_from_slice(name);
    }
    text(names)
}

fn terms(kind: Kind, tags: &Tags<'_>, said: &Verification) -> Result<Terms, Problem> {
    let syntax = |what| Problem::Syntax { what };
    let needed = |name: &[u8], what| tags.get(name).filter(|v| !v.is_empty()).ok_or(syntax(what));
    if kind == Kind::Dkim && needed(b"v", "it has no version (v=)")? != b"1" {
        return Err(syntax("its version (v=) is not 1"));
    }
    let algorithm = algorithm(needed(b"a", "it has no algorithm (a=)")?)?;
    needed(b"b", "it has no signature (b=)")?;
    let signature = STANDARD_PAD_INDIFFERENT
        .decode(said.signature_b.as_bytes())
        .map_err(|_| syntax("its signature (b=) is not Base64"))?;
    let b = tags.tag(b"b").map(|tag| tag.range.clone()).unwrap_or_default();
    needed(b"d", "it has no domain (d=)")?;
    let domain = name::ascii(&said.domain).filter(|domain| domain.contains('.'));
    let domain = domain.ok_or(syntax("its domain (d=) is none"))?;
    needed(b"s", "it has no selector (s=)")?;
    let selector = name::ascii(&said.selector).ok_or(syntax("its selector (s=) is none"))?;
    let (made, expires) = times(tags)?;
    let exact_identity = match kind {
        Kind::Dkim => identity_is_domain(&said.identity, &domain)?,
        Kind::ArcMessage | Kind::ArcSeal => true,
    };
    let mut terms = Terms {
        algorithm,
        signature,
        b,
        body_hash: [0; 32],
        header: Canonicalization::Relaxed,
        body: Canonicalization::Relaxed,
        length: None,
        key_name: [&*selector, "._domainkey.", &*domain].concat(),
        exact_identity,
        made,
        expires,
    };
    match kind {
        // RFC 8617 §4.1.3: what it covers is fixed, so that it has no list of fields.
        Kind::ArcSeal if tags.get(b"h").is_some() => {
            Err(syntax("a seal has no list of fields (h=)"))
        }
        Kind::ArcSeal => Ok(terms),
        Kind::Dkim | Kind::ArcMessage => {
            message_terms(kind, tags, said, &mut terms)?;
            Ok(terms)
        }
    }
}

/// What covers header fields and the body.
fn message_terms(
    kind: Kind,
    tags: &Tags<'_>,
    said: &Verification,
    terms: &mut Terms,
) -> Result<(), Problem> {
    let syntax = |what| Problem::Syntax { what };
    tags.get(b"h").ok_or(syntax("it has no list of signed fields (h=)"))?;
    let signs = |name: &str| said.signed_headers.split(':').any(|h| h.eq_ignore_ascii_case(name));
    if kind == Kind::Dkim && !signs("From") {
        return Err(Problem::FromNotSigned);
    }
    // RFC 8617 §4.1.2.
    if kind == Kind::ArcMessage && signs("ARC-Seal") {
        return Err(syntax("it covers a seal, which it must not"));
    }
    if let Some(methods) = tags.get(b"q")
        && !colons(methods).any(|method| method == b"dns/txt")
    {
        return Err(syntax("it names no way to its key that is known (q=)"));
    }
    tags.get(b"bh").ok_or(syntax("it has no hash of the body (bh=)"))?;
    terms.body_hash = STANDARD_PAD_INDIFFERENT
        .decode(tags.packed(b"bh").as_bytes())
        .ok()
        .and_then(|hash| hash.try_into().ok())
        .ok_or(syntax("its hash of the body (bh=) is not a SHA-256 in Base64"))?;
    (terms.header, terms.body) = canonicalizations(kind, tags.get(b"c"))
        .ok_or(syntax("its canonicalization (c=) is unknown"))?;
    terms.length = tags
        .get(b"l")
        .map(|length| number(length).ok_or(syntax("its length (l=) is no number")))
        .transpose()?;
    Ok(())
}

fn algorithm(name: &[u8]) -> Result<Algorithm, Problem> {
    let shown = || String::from_utf8_lossy(name).into_owned();
    match name {
        b"rsa-sha256" => Ok(Algorithm::RsaSha256),
        b"ed25519-sha256" => Ok(Algorithm::Ed25519Sha256),
        // RFC 8301 §3.1.
        b"rsa-sha1" => Err(Problem::WeakAlgorithm { name: shown() }),
        _ => Err(Problem::UnknownAlgorithm { name: shown() }),
    }
}

/// RFC 6376 §3.5: simple for both when absent, and for the body when it is not named.
fn canonicalizations(kind: Kind, c: Option<&[u8]>) -> Option<(Canonicalization, Canonicalization)> {
    let (header, body) = match (c, kind) {
        (Some(c), _) => match c.iter().position(|b| *b == b'/') {
            Some(slash) => (&c[..slash], &c[slash + 1..]),
            None => (c, &b"simple"[..]),
        },
        // Deviates: RFC 8617 §4.1.2 changes no default; the published suite, and with it those who
        // pass it, take ARC to be relaxed where nothing else is said.
        (None, Kind::ArcMessage | Kind::ArcSeal) => (&b"relaxed"[..], &b"relaxed"[..]),
        (None, Kind::Dkim) => (&b"simple"[..], &b"simple"[..]),
    };
    Some((Canonicalization::parse(header)?, Canonicalization::parse(body)?))
}

/// `t=` and `x=`.
fn times(tags: &Tags<'_>) -> Result<(Option<u64>, Option<u64>), Problem> {
    let time = |name, what| match tags.get(name) {
        None => Ok(None),
        Some(value) => number(value).map(Some).ok_or(Problem::Syntax { what }),
    };
    let made = time(b"t", "its time (t=) is no number")?;
    let expires = time(b"x", "its expiry (x=) is no number")?;
    match (made, expires) {
        (Some(made), Some(expires)) if expires <= made => {
            Err(Problem::Syntax { what: "it expires before it was made (x=, t=)" })
        }
        times => Ok(times),
    }
}

/// Digits only; a number too large to count is as large as can be. RFC 6376 §3.5 bounds their
/// count.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 76 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |n: u64, digit: &u8| n.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

/// Whether the identity's domain is the signing domain (true) or below it (false). RFC 6376 §3.5: it
/// must be one of both.
fn identity_is_domain(identity: &str, domain: &str) -> Result<bool, Problem> {
    let of = identity.rsplit_once('@').and_then(|(_, of)| name::ascii(of));
    match of {
        Some(of) if of == domain => Ok(true),
        Some(of) if waxwing_dns::record::is_at_or_below(&of, domain) => Ok(false),
        _ => Err(Problem::DomainMismatch {
            identity: identity.to_owned(),
            domain: domain.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "v=1; a=rsa-sha256; d=example.org; s=sel; h=from; b=AAAA; \
                        bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn problem(value: &str) -> Option<Problem> {
        read(Kind::Dkim, value.as_bytes()).1.err()
    }

    fn with(tag: &str, value: &str) -> String {
        let kept = GOOD.split("; ").filter(|t| !t.starts_with(&format!("{tag}=")));
        kept.map(|t| format!("{t}; ")).chain([format!("{tag}={value}")]).collect()
    }

    #[test]
    fn what_must_be_there() {
        assert_eq!(problem(GOOD), None);
        for tag in ["v", "a", "d", "s", "h", "b", "bh"] {
            let without: Vec<&str> =
                GOOD.split("; ").filter(|t| !t.starts_with(&format!("{tag}="))).collect();
            assert!(matches!(problem(&without.join("; ")), Some(Problem::Syntax { .. })), "{tag}");
            assert!(problem(&with(tag, "")).is_some(), "{tag} is empty");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(matches!(problem(&with("a", "rsa-sha1")), Some(Problem::WeakAlgorithm { .. })));
        assert!(matches!(problem(&with("a", "rot13")), Some(Problem::UnknownAlgorithm { .. })));
        assert_eq!(problem(&with("h", "to:date")), Some(Problem::FromNotSigned));
        assert!(matches!(problem(&with("i", "a@b.org")), Some(Problem::DomainMismatch { .. })));
        assert!(matches!(
            problem(&with("i", "a@nexample.org")),
            Some(Problem::DomainMismatch { .. })
        ));
        assert_eq!(problem(&with("i", "a@b.Example.org")), None);
        for (tag, value) in [
            ("v", "2"),
            ("c", "loose"),
            ("c", "relaxed/"),
            ("q", "carrier/pigeon"),
            ("l", "-1"),
            ("t", "soon"),
            ("d", "legitimate.com(.attacker.com"),
            ("bh", "AAAA"),
            ("b", "*"),
        ] {
            let found = problem(&with(tag, value));
            assert!(matches!(found, Some(Problem::Syntax { .. })), "{tag}={value}: {found:?}");
        }
        assert!(problem(&format!("{GOOD}; t=10; x=10")).is_some());
        assert_eq!(
            problem(&format!("{GOOD}; t=10; x=11; z=From:x|To:y; q=a:dns/txt; new=1")),
            None
        );
    }

    #[test]
    fn times_are_compared() {
        let terms = |more: &str| read(Kind::Dkim, format!("{GOOD}; {more}").as_bytes()).1.unwrap();
        let now = Timestamp::from_second(1000).unwrap();
        assert!(matches!(terms("x=999").in_time(now), Err(Problem::Expired { .. })));
        assert_eq!(terms("x=1000").in_time(now), Ok(()));
        assert_eq!(terms("t=1300").in_time(now), Ok(()));
        assert!(matches!(terms("t=1301").in_time(now), Err(Problem::Future { .. })));
        assert_eq!(terms("x=99999999999999999999999").in_time(now), Ok(()));
    }

    #[test]
    fn a_broken_signature_still_tells_whose_it_is() {
        let (said, terms) = read(Kind::Dkim, b"v=1; d=Example.org; s=SEL; d=twice");
        assert!(terms.is_err());
        assert_eq!((said.domain.as_str(), said.selector.as_str()), ("example.org", "sel"));
    }
}
