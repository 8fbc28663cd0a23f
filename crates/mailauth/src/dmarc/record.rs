//! The text of a DMARC record into its tags (RFC 9989 §4.7, §4.8; RFC 7489 §6.3 for those that are
//! gone).
//!
//! ```text
//! v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; rua=mailto:dmarc@example.org
//! ```
//!
//! `v=DMARC1` must come first, exactly so. Of the rest, unknown tags and wrong values are as if they
//! were not there, except that a wrong `p`, `sp` or `np` makes the record weaker: see
//! [`Record::usable`]. A tag that stands twice counts the first time.

use serde::{Deserialize, Serialize};
use waxwing_message::Address;

/// Destinations of one kind of report that are read: enough, and bounded.
const URIS_MAX: usize = 20;

/// A DMARC policy record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `p`: for the domain itself, and for what is below it when nothing else says more.
    pub policy: Policy,
    /// `sp`: for domains below that exist.
    pub subdomain_policy: Option<Policy>,
    /// `np`: for domains below that do not exist.
    pub np: Option<Policy>,
    /// `adkim`.
    pub adkim: Alignment,
    /// `aspf`.
    pub aspf: Alignment,
    /// `psd`.
    pub psd: Psd,
    /// `t=y`: policies are to be applied one level lower.
    pub testing: bool,
    /// `pct` of RFC 7489, 100 without it. RFC 9989 has it no longer; see [`Record::applied`].
    pub pct: u8,
    /// `fo`: when failure reports are wanted.
    pub fo: FailureOptions,
    /// `rua`: where aggregate reports are wanted.
    pub rua: Vec<ReportUri>,
    /// `ruf`: where failure reports are wanted.
    pub ruf: Vec<ReportUri>,
    /// `ri` of RFC 7489: seconds between aggregate reports, 86,400 without it.
    pub ri: u32,
    /// What the policy tags are like.
    pub policy_tags: PolicyTags,
    /// As published.
    pub text: String,
}

/// What a domain wants done with mail that fails.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Nothing.
    #[default]
    None,
    /// To be treated as suspicious.
    Quarantine,
    /// To be refused.
    Reject,
}

impl Policy {
    /// As in records and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
        }
    }

    /// One level lower (§4.7 `t`).
    pub fn weakened(self) -> Policy {
        match self {
            Policy::Reject => Policy::Quarantine,
            Policy::Quarantine | Policy::None => Policy::None,
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How near an authenticated domain must be to the author's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// The same organizational domain.
    #[default]
    Relaxed,
    /// The same domain.
    Strict,
}

impl Alignment {
    /// As in records: `r`, `s`.
    pub fn as_str(self) -> &'static str {
        match self {
            Alignment::Relaxed => "r",
            Alignment::Strict => "s",
        }
    }
}

/// Whether the domain is a public suffix, below which others register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Psd {
    /// `y`
    Yes,
    /// `n`: it is the organizational domain of what is below it.
    No,
    /// `u`, and when nothing is said: the tree walk finds out.
    #[default]
    Unsaid,
}

/// `fo`: which failures are to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FailureOptions {
    /// `0`: no mechanism gives an aligned pass. Also when nothing that is known is said.
    pub all: bool,
    /// `1`: any mechanism that does not give an aligned pass.
    pub any: bool,
    /// `d`: a signature that does not verify, aligned or not.
    pub dkim: bool,
    /// `s`: an SPF check that fails, aligned or not.
    pub spf: bool,
}

impl FailureOptions {
    /// `0`.
    pub const DEFAULT: FailureOptions =
        FailureOptions { all: true, any: false, dkim: false, spf: false };
}

/// What `p`, `sp` and `np` are like (§4.10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyTags {
    /// All that are there are right.
    Valid,
    /// There is no `p`.
    Missing,
    /// One of them has no meaning.
    Invalid,
}

/// Where reports are to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReportUri {
    /// As written, without the size.
    pub uri: String,
    /// For `mailto:`, the only scheme in use. Others are ignored by those who report (§4.7).
    pub address: Option<Address>,
    /// `!10m` of RFC 7489. RFC 9989 §4.8 has reporters ignore it.
    pub size_max_octets: Option<u64>,
}

/// A record that is none: `v=DMARC1` does not come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not begin with v=DMARC1")]
pub struct NotDmarc;

/// Whether the octets of a TXT record are a DMARC record: `"v" *WSP "=" *WSP "DMARC1"`, then `;` or the
/// end.
pub fn is_dmarc(octets: &[u8]) -> bool {
    after_version(octets).is_some()
}

fn after_version(octets: &[u8]) -> Option<&[u8]> {
    let rest = octets.strip_prefix(b"v").or_else(|| octets.strip_prefix(b"V"))?;
    let rest = skip_wsp(rest).strip_prefix(b"=")?;
    let rest = skip_wsp(skip_wsp(rest).strip_prefix(b"DMARC1")?);
    match rest.first() {
        None => Some(rest),
        Some(b';') => Some(&rest[1..]),
        Some(_) => None,
    }
}

fn skip_wsp(octets: &[u8]) -> &[u8] {
    let wsp = octets.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    &octets[wsp..]
}

impl Record {
    /// Reads a record's octets, the strings of the TXT record joined (§4.5).
    pub fn parse_octets(octets: &[u8]) -> Result<Record, NotDmarc> {
        Record::parse(&String::from_utf8_lossy(octets))
    }

    /// Reads a record.
    pub fn parse(text: &str) -> Result<Record, NotDmarc> {
        let rest = after_version(text.as_bytes()).ok_or(NotDmarc)?;
        let tags = &text[text.len() - rest.len()..];
        let mut record = Record {
            policy: Policy::None,
            subdomain_policy: None,
            np: None,
            adkim: Alignment::Relaxed,
            aspf: Alignment::Relaxed,
            psd: Psd::Unsaid,
            testing: false,
            pct: 100,
            fo: FailureOptions::DEFAULT,
            rua: Vec::new(),
            ruf: Vec::new(),
            ri: 86_400,
            policy_tags: PolicyTags::Missing,
            text: text.to_owned(),
        };
        let mut seen = Seen::default();
        for tag in tags.split(';') {
            if let Some((name, value)) = tag.split_once('=') {
                record.read(name.trim_matches(WSP), value.trim_matches(WSP), &mut seen);
            }
        }
        if seen.invalid_policy {
            record.policy_tags = PolicyTags::Invalid;
        } else if seen.has("p") {
            record.policy_tags = PolicyTags::Valid;
        }
        Ok(record)
    }

    fn read(&mut self, name: &str, value: &str, seen: &mut Seen) {
        let Some(name) = seen.first(name) else { return };
        match name {
            "p" => self.policy = seen.policy(value).unwrap_or_default(),
            "sp" => self.subdomain_policy = seen.policy(value),
            "np" => self.np = seen.policy(value),
            "adkim" => self.adkim = alignment(value),
            "aspf" => self.aspf = alignment(value),
            "psd" if value.eq_ignore_ascii_case("y") => self.psd = Psd::Yes,
            "psd" if value.eq_ignore_ascii_case("n") => self.psd = Psd::No,
            "t" => self.testing = value.eq_ignore_ascii_case("y"),
            "pct" => self.pct = value.parse().ok().filter(|pct| *pct <= 100).unwrap_or(100),
            "fo" => self.fo = failure_options(value),
            "rua" => self.rua = uris(value),
            "ruf" => self.ruf = uris(value),
            "ri" => self.ri = value.parse().unwrap_or(86_400),
            _ => {}
        }
    }

    /// Whether the record says something (§4.10.1): its policy tags are right, or it asks for aggregate
    /// reports, and then counts as `p=none`.
    pub fn usable(&self) -> bool {
        self.policy_tags == PolicyTags::Valid || !self.rua.is_empty()
    }

    /// The policy that is published for mail of a domain: this one, or one below it (§4.10.1).
    pub fn published(&self, domain: Covers) -> Policy {
        if self.policy_tags != PolicyTags::Valid {
            return Policy::None;
        }
        let below = self.subdomain_policy.unwrap_or(self.policy);
        match domain {
            Covers::Itself => self.policy,
            Covers::Existing => below,
            Covers::NonExistent => self.np.unwrap_or(below),
        }
    }

    /// The policy that is to be applied: one level lower while the domain tests (§4.7 `t`).
    ///
    /// Deviates: RFC 9989 has no `pct`. Those who still publish `pct=0` mean what `t=y` says now
    /// (appendix A.6); any other number is taken for all of the mail, as without it.
    pub fn applied(&self, published: Policy) -> Policy {
        match self.testing || self.pct == 0 {
            true => published.weakened(),
            false => published,
        }
    }
}

/// Which domain a policy is asked for, seen from the record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// The record's own domain.
    Itself,
    /// One below that exists.
    Existing,
    /// One below that has no A, AAAA or MX record (§3.2.13).
    NonExistent,
}

const WSP: [char; 2] = [' ', '\t'];
const TAGS: [&str; 13] =
    ["v", "p", "sp", "np", "adkim", "aspf", "psd", "t", "pct", "fo", "rua", "ruf", "ri"];

/// Which tags were read already.
#[derive(Default)]
struct Seen {
    tags: u16,
    invalid_policy: bool,
}

impl Seen {
    /// The tag in lower case, when it is known and comes for the first time.
    fn first(&mut self, name: &str) -> Option<&'static str> {
        let at = TAGS.iter().position(|tag| tag.eq_ignore_ascii_case(name))?;
        let fresh = self.tags & (1 << at) == 0;
        self.tags |= 1 << at;
        fresh.then_some(TAGS[at])
    }

    fn has(&self, name: &str) -> bool {
        TAGS.iter().position(|tag| *tag == name).is_some_and(|at| self.tags & (1 << at) != 0)
    }

    fn policy(&mut self, value: &str) -> Option<Policy> {
        let known = [Policy::None, Policy::Quarantine, Policy::Reject];
        let policy = known.into_iter().find(|policy| policy.as_str().eq_ignore_ascii_case(value));
        self.invalid_policy |= policy.is_none();
        policy
    }
}

fn alignment(value: &str) -> Alignment {
    match value.eq_ignore_ascii_case("s") {
        true => Alignment::Strict,
        false => Alignment::Relaxed,
    }
}

fn failure_options(value: &str) -> FailureOptions {
    let mut options = FailureOptions { all: false, ..FailureOptions::DEFAULT };
    for option in value.split(':') {
        match option.trim_matches(WSP) {
            "0" => options.all = true,
            "1" => options.any = true,
            "d" | "D" => options.dkim = true,
            "s" | "S" => options.spf = true,
            _ => {}
        }
    }
    let FailureOptions { all, any, dkim, spf } = options;
    if all || any || dkim || spf { options } else { FailureOptions::DEFAULT }
}

/// `dmarc-urilist` (§4.8); what is no URI is left out.
fn uris(value: &str) -> Vec<ReportUri> {
    value.split(',').filter_map(|uri| report_uri(uri.trim_matches(WSP))).take(URIS_MAX).collect()
}

fn report_uri(text: &str) -> Option<ReportUri> {
    let (uri, size) = match text.split_once('!') {
        Some((uri, size)) => (uri, size_octets(size)),
        None => (text, None),
    };
    let (scheme, rest) = uri.split_once(':')?;
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !scheme_ok || rest.is_empty() || !uri.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut address = None;
    if scheme.eq_ignore_ascii_case("mailto") {
        // RFC 6068: header fields may follow; they are not wanted here.
        let path = rest.split_once('?').map_or(rest, |(path, _)| path);
        address = Some(mailbox(&percent_decoded(path)?)?);
    }
    Some(ReportUri { uri: uri.to_owned(), address, size_max_octets: size })
}

/// Some who encode a comma leave out the quotes that it needs.
fn mailbox(text: &str) -> Option<Address> {
    let unquoted = || text.rsplit_once('@').and_then(|(l, domain)| Address::new(l, domain).ok());
    Address::parse(text).ok().or_else(unquoted)
}

fn size_octets(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let (high, low) = (hex(*rest.first()?)?, hex(*rest.get(1)?)?);
        octets.push(high * 16 + low);
        rest = &rest[2..];
    }
    String::from_utf8(octets).ok()
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_with_everything() {
        let text = "v=DMARC1; p=reject; sp = Quarantine ;np=none;adkim=s; aspf=S; psd=n; t=y; pct=20; \
                    fo=1:d:s; rua=mailto:a@example.org!10m, https://x.example/r ,mailto:b%2Cc@example.org; \
                    ruf=mailto:f@example.org; ri=3600; x-unknown=1;";
        let record = Record::parse(text).unwrap();
        assert_eq!(
            (record.policy, record.subdomain_policy),
            (Policy::Reject, Some(Policy::Quarantine))
        );
        assert_eq!((record.np, record.psd), (Some(Policy::None), Psd::No));
        assert_eq!((record.adkim, record.aspf), (Alignment::Strict, Alignment::Strict));
        assert!(record.testing && record.usable());
        assert_eq!((record.pct, record.ri), (20, 3600));
        assert_eq!(record.fo, FailureOptions { all: false, any: true, dkim: true, spf: true });
        let addresses: Vec<Option<String>> =
            record.rua.iter().map(|uri| uri.address.as_ref().map(Address::to_string)).collect();
        assert_eq!(
            addresses,
            [Some("a@example.org".to_owned()), None, Some("\"b,c\"@example.org".to_owned())]
        );
        assert_eq!(record.rua[0].size_max_octets, Some(10 << 20));
        assert_eq!(record.rua[0].uri, "mailto:a@example.org");
        assert_eq!(record.policy_tags, PolicyTags::Valid);
    }

    #[test]
    fn the_version_comes_first_and_exactly() {
        for right in ["v=DMARC1", "v=DMARC1;", "v = DMARC1 ; p=none", "V=DMARC1;p=none"] {
            assert!(is_dmarc(right.as_bytes()), "{right}");
        }
        for wrong in [
            "",
            "v=dmarc1; p=none",
            "v=DMARC12; p=none",
            "p=none; v=DMARC1",
            " v=DMARC1",
            "v=DMARC1 p=none",
        ] {
            assert!(Record::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_values_are_as_if_absent() {
        let record = Record::parse("v=DMARC1; p=none; adkim=x; aspf=; psd=q; t=maybe; pct=200; fo=9; ri=-1; rua=nothing,mailto:,mailto:x; bad; =").unwrap();
        let plain = Record::parse("v=DMARC1; p=none").unwrap();
        assert_eq!(Record { text: plain.text.clone(), ..record }, plain);
    }

    /// §4.10.1: a record without a valid `p`, or with an invalid `sp` or `np`.
    #[test]
    fn wrong_policies_need_a_report_address() {
        for (text, usable, tags) in [
            ("v=DMARC1", false, PolicyTags::Missing),
            ("v=DMARC1; rua=mailto:a@example.org", true, PolicyTags::Missing),
            ("v=DMARC1; p=bogus", false, PolicyTags::Invalid),
            ("v=DMARC1; p=bogus; rua=mailto:a@example.org", true, PolicyTags::Invalid),
            ("v=DMARC1; p=reject; sp=bogus", false, PolicyTags::Invalid),
            ("v=DMARC1; p=reject; np=bogus; rua=mailto:a@example.org", true, PolicyTags::Invalid),
            ("v=DMARC1; p=reject; np=bogus; rua=bogus", false, PolicyTags::Invalid),
        ] {
            let record = Record::parse(text).unwrap();
            assert_eq!((record.usable(), record.policy_tags), (usable, tags), "{text}");
            assert_eq!(record.published(Covers::Itself), Policy::None, "{text}");
        }
    }

    /// §4.7, §4.10.1.
    #[test]
    fn which_policy_covers_whom() {
        use Policy::{None, Quarantine, Reject};
        for (text, itself, existing, non_existent) in [
            ("v=DMARC1; p=reject", Reject, Reject, Reject),
            ("v=DMARC1; p=reject; sp=none", Reject, None, None),
            ("v=DMARC1; p=none; np=reject", None, None, Reject),
            ("v=DMARC1; p=none; sp=quarantine; np=reject", None, Quarantine, Reject),
        ] {
            let record = Record::parse(text).unwrap();
            assert_eq!(record.published(Covers::Itself), itself, "{text}");
            assert_eq!(record.published(Covers::Existing), existing, "{text}");
            assert_eq!(record.published(Covers::NonExistent), non_existent, "{text}");
        }
    }

    /// §4.7 `t`, and `pct` of RFC 7489.
    #[test]
    fn testing_weakens_by_one_level() {
        for (tags, applied) in [
            ("p=reject", Policy::Reject),
            ("p=reject; t=n", Policy::Reject),
            ("p=reject; t=y", Policy::Quarantine),
            ("p=quarantine; t=y", Policy::None),
            ("p=none; t=y", Policy::None),
            ("p=reject; pct=0", Policy::Quarantine),
            ("p=reject; pct=1", Policy::Reject),
        ] {
            let record = Record::parse(&format!("v=DMARC1; {tags}")).unwrap();
            assert_eq!(record.applied(record.policy), applied, "{tags}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::parse_octets(&octets);
            let mut record = b"v=DMARC1;".to_vec();
            record.extend(octets);
            prop_assert!(Record::parse_octets(&record).is_ok());
        }

        #[test]
        fn tags_are_read_in_any_order(tags in Just(vec!["p=reject", "sp=none", "np=quarantine", "adkim=s", "fo=1", "rua=mailto:a@b.example"]).prop_shuffle()) {
            let record = Record::parse(&format!("v=DMARC1; {}", tags.join(" ; "))).unwrap();
            let sorted = Record::parse("v=DMARC1;p=reject;sp=none;np=quarantine;adkim=s;fo=1;rua=mailto:a@b.example").unwrap();
            prop_assert_eq!(Record { text: sorted.text.clone(), ..record }, sorted);
        }
    }
}
