//! MTA-STS (RFC 8461): a domain says by HTTPS which hosts take its mail, and that they do so only
//! over TLS with a certificate that holds.
//!
//! ```text
//! _mta-sts.example.org TXT "v=STSv1; id=20260101T000000Z;"      §3.1: that there is a policy, and which
//! https://mta-sts.example.org/.well-known/mta-sts.txt           §3.2: the policy
//!     version: STSv1
//!     mode: enforce            | testing | none
//!     mx: mx1.example.org      as often as needed; `*.example.org` stands for one label
//!     max_age: 604800          seconds it may be kept
//! ```
//!
//! | in the file | is |
//! |---|---|
//! | unknown key | ignored (§3.2) |
//! | a key a second time, except `mx` | ignored (§3.2) |
//! | no `version`, `mode` or `max_age`; no `mx` outside `mode: none`; anything against the grammar | no policy |
//! | `max_age` above a year | a year |
//! | lines that end in LF or CRLF, white space at their end, empty lines at the end | fine |
//!
//! Keys and the words `STSv1`, `enforce`, `testing`, `none` are case-sensitive (`%s` in §3.2);
//! host names are not.

use std::fmt;

use aws_lc_rs::digest;

use super::fields::{self, RecordError};

/// The longest policy file that is read (RFC 8461 §3.3 suggests this).
pub const MAX_FILE_OCTETS: usize = 64 * 1024;
/// The longest a policy is kept: a year (RFC 8461 §3.2).
pub const MAX_AGE_SECS: u32 = 31_557_600;
/// Where the policy is at its host (RFC 8461 §3.3).
pub const PATH: &str = "/.well-known/mta-sts.txt";

const VERSION: &str = "v=STSv1";

/// Where the record of a domain is.
pub fn record_name(domain: &str) -> String {
    format!("_mta-sts.{domain}")
}

/// Which host has the policy of a domain.
pub fn policy_host(domain: &str) -> String {
    format!("mta-sts.{domain}")
}

/// The `_mta-sts` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Changes when the policy does: 1 to 32 letters and digits.
    pub id: String,
}

impl Record {
    /// The record among all texts at the name, each with its strings joined. `None` when there is
    /// none; an error counts as none too, but can be told (RFC 8461 §3.1).
    pub fn select<'t>(
        texts: impl IntoIterator<Item = &'t [u8]>,
    ) -> Result<Option<Record>, RecordError> {
        fields::select(texts, VERSION, Record::parse)
    }

    /// One record.
    pub fn parse(text: &[u8]) -> Result<Record, RecordError> {
        let mut id = None;
        for (name, value) in fields::fields(text, VERSION)? {
            match name {
                "id" if is_id(value) => {
                    id.get_or_insert_with(|| value.to_owned());
                }
                "id" => {
                    return Err(RecordError::Syntax("the id is not 1 to 32 letters and digits"));
                }
                _ if fields::is_extension_value(value) => {}
                _ => return Err(RecordError::Syntax("a field's value is none")),
            }
        }
        id.map(|id| Record { id }).ok_or(RecordError::Missing("id"))
    }
}

/// As it is published.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}; id={};", self.id)
    }
}

fn is_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// What a failure to comply leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is sent to a host that does not comply.
    Enforce,
    /// It is sent, and reported.
    Testing,
    /// As if there were no policy.
    None,
}

impl Mode {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        }
    }

    fn parse(text: &str) -> Option<Mode> {
        [Mode::Enforce, Mode::Testing, Mode::None].into_iter().find(|mode| mode.name() == text)
    }
}

/// A host, or all hosts one label below a name. Lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxPattern {
    wildcard: bool,
    name: String,
}

impl MxPattern {
    /// `["*."] Domain` (RFC 8461 §3.2, RFC 5321 §4.1.2).
    pub fn parse(text: &str) -> Option<MxPattern> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        is_domain(name).then(|| MxPattern { wildcard, name: name.to_ascii_lowercase() })
    }

    /// Whether a host's name (A-labels) is meant. `*` stands for exactly one label (RFC 8461 §4.1,
    /// RFC 6125 §6.4).
    pub fn matches(&self, host: &str) -> bool {
        match (self.wildcard, host.split_once('.')) {
            (false, _) => host.eq_ignore_ascii_case(&self.name),
            (true, Some((label, rest))) => {
                !label.is_empty() && rest.eq_ignore_ascii_case(&self.name)
            }
            (true, None) => false,
        }
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)
    }
}

fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What follows from a failure.
    pub mode: Mode,
    /// The hosts that may take the domain's mail.
    pub mx: Vec<MxPattern>,
    /// How long it may be kept, at most [`MAX_AGE_SECS`].
    pub max_age_secs: u32,
}

/// Why a policy file is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Above [`MAX_FILE_OCTETS`].
    #[error("the policy file is longer than 64 KiB")]
    TooLong,
    /// Not UTF-8.
    #[error("the policy file is not text")]
    NotText,
    /// Against the grammar of RFC 8461 §3.2.
    #[error("line {line} of the policy file: {why}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A field that must be there is not.
    #[error("the policy file has no `{0}`")]
    Missing(&'static str),
}

impl Policy {
    /// Reads a policy file (RFC 8461 §3.2).
    pub fn parse(file: &[u8]) -> Result<Policy, PolicyError> {
        if file.len() > MAX_FILE_OCTETS {
            return Err(PolicyError::TooLong);
        }
        let text = std::str::from_utf8(file).map_err(|_| PolicyError::NotText)?;
        let text = text.trim_end_matches(['\r', '\n', ' ', '\t']);
        let (mut version, mut mode, mut max_age_secs, mut mx) = (false, None, None, Vec::new());
        for (index, line) in text.split('\n').enumerate() {
            let wrong = |why| PolicyError::Line { line: index + 1, why };
            let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches([' ', '\t']);
            let (key, value) = line.split_once(':').ok_or(wrong("there is no `:`"))?;
            let value = value.trim_start_matches([' ', '\t']);
            match key {
                "version" if value == "STSv1" || version => version = true,
                "version" => return Err(wrong("the version is not STSv1")),
                "mode" if mode.is_some() => {}
                "mode" => {
                    let found = Mode::parse(value);
                    mode = Some(found.ok_or(wrong("the mode is not enforce, testing or none"))?);
                }
                "mx" => mx.push(MxPattern::parse(value).ok_or(wrong("this is no host name"))?),
                "max_age" if max_age_secs.is_some() => {}
                "max_age" => {
                    let found = seconds(value);
                    max_age_secs = Some(found.ok_or(wrong("this is no number of seconds"))?);
                }
                _ if !fields::is_name(key) => return Err(wrong("the key is none")),
                _ if value.is_empty() || value.chars().any(char::is_control) => {
                    return Err(wrong("the value is empty or holds control characters"));
                }
                _ => {}
            }
        }
        let mode = mode.ok_or(PolicyError::Missing("mode"))?;
        match () {
            () if !version => Err(PolicyError::Missing("version")),
            () if mx.is_empty() && mode != Mode::None => Err(PolicyError::Missing("mx")),
            () => {
                let max_age_secs = max_age_secs.ok_or(PolicyError::Missing("max_age"))?;
                Ok(Policy { mode, mx, max_age_secs })
            }
        }
    }

    /// Whether a mail exchanger's name is among the policy's (RFC 8461 §4.1).
    pub fn allows(&self, host: &str) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(host))
    }

    /// The file's lines, without their ends.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {}", self.mode.name())];
        lines.extend(self.mx.iter().map(|pattern| format!("mx: {pattern}")));
        lines.push(format!("max_age: {}", self.max_age_secs));
        lines
    }

    /// The file, as it is published.
    pub fn to_file(&self) -> String {
        self.lines().into_iter().map(|line| line + "\r\n").collect()
    }

    /// The record that goes with it. Its id follows from the contents, so that it changes when the
    /// policy does and never else.
    pub fn record(&self) -> Record {
        let hash = digest::digest(&digest::SHA256, self.to_file().as_bytes());
        Record { id: hash.as_ref()[..16].iter().map(|octet| format!("{octet:02x}")).collect() }
    }
}

/// `1*10(DIGIT)`, capped.
fn seconds(text: &str) -> Option<u32> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let secs: u64 = if digits { text.parse().ok()? } else { return None };
    Some(u32::try_from(secs).unwrap_or(u32::MAX).min(MAX_AGE_SECS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> Result<String, RecordError> {
        Record::parse(text.as_bytes()).map(|record| record.id)
    }

    #[test]
    fn the_rfcs_record_is_read() {
        // RFC 8461 §3.1.
        assert_eq!(id("v=STSv1; id=20160831085700Z;").unwrap(), "20160831085700Z");
        assert_eq!(id("v=STSv1;id=1").unwrap(), "1");
        assert_eq!(id("v=STSv1 ; x-y=z ;\tid=1 ; id=2").unwrap(), "1", "the first counts");
    }

    #[test]
    fn a_record_against_the_grammar_is_none() {
        for bad in [
            "v=STSv1",
            "v=STSv1;",
            "v=STSv1; x=1;",
            "v=STSv1; id=",
            "v=STSv1; id=a-b;",
            "v=STSv1; id=123456789012345678901234567890123",
            "v=STSv1; id=1;; x=1",
            "v=STSv1; id=1; x=a=b",
            "v=STSv1; id=1; x=a b",
            "v=stsv1; id=1",
            "V=STSv1; id=1",
            "v=STSv2; id=1",
            "id=1; v=STSv1",
        ] {
            assert!(id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_record_counts_and_two_are_none() {
        let select = |texts: &[&str]| Record::select(texts.iter().map(|text| text.as_bytes()));
        assert_eq!(select(&["v=spf1 -all", "v=STSv10; id=1"]), Ok(None));
        assert_eq!(select(&["x", "v=STSv1; id=7"]).unwrap().unwrap().id, "7");
        assert_eq!(select(&["v=STSv1; id=1", "v=STSv1; id=1"]), Err(RecordError::Several(2)));
    }

    /// RFC 8461 §3.2's example.
    const EXAMPLE: &str = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\nmax_age: 604800\n";

    #[test]
    fn the_rfcs_policy_is_read() {
        for file in [EXAMPLE.to_owned(), EXAMPLE.replace('\n', "\r\n"), EXAMPLE.replace(": ", ":")]
        {
            let policy = Policy::parse(file.as_bytes()).unwrap();
            assert_eq!((policy.mode, policy.max_age_secs), (Mode::Enforce, 604_800));
            let mx: Vec<String> = policy.mx.iter().map(ToString::to_string).collect();
            assert_eq!(mx, ["mail.example.com", "*.example.net", "backupmx.example.com"]);
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let policy = Policy::parse(EXAMPLE.as_bytes()).unwrap();
        for good in ["mail.example.com", "MAIL.example.COM", "a.example.net"] {
            assert!(policy.allows(good), "{good}");
        }
        // RFC 8461 §4.1: not the name itself, not two labels below.
        for bad in ["example.net", "a.b.example.net", ".example.net", "mail.example.org", "net", ""]
        {
            assert!(!policy.allows(bad), "{bad}");
        }
    }

    #[test]
    fn unknown_keys_and_repetitions_are_ignored() {
        let text = "version: STSv1\nmode: testing\nfuture_key: ä b\nmode: enforce\nmax_age: 1\nmax_age: x\nmx: a.example\n\n";
        let policy = Policy::parse(text.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age_secs), (Mode::Testing, 1));
        let none = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 86400").unwrap();
        assert_eq!((none.mode, none.mx.len()), (Mode::None, 0));
    }

    #[test]
    fn a_policy_that_is_too_generous_is_cut_to_a_year() {
        let policy = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 9999999999").unwrap();
        assert_eq!(policy.max_age_secs, MAX_AGE_SECS);
    }

    #[test]
    fn a_file_against_the_grammar_is_no_policy() {
        let with = |from: &str, to: &str| Policy::parse(EXAMPLE.replace(from, to).as_bytes());
        for (from, to) in [
            ("version: STSv1\n", ""),
            ("STSv1", "STSv2"),
            ("mode: enforce\n", ""),
            ("enforce", "Enforce"),
            ("max_age: 604800\n", ""),
            ("604800", "-1"),
            ("604800", "12345678901"),
            ("604800", "1w"),
            ("mail.example.com", "mail..example.com"),
            ("*.example.net", "*.*.example.net"),
            ("*.example.net", "a*.example.net"),
            ("mx: *.example.net", "mx *.example.net"),
            ("mx: *.example.net", "\n"),
            ("mx: *", "mx*: *"),
        ] {
            assert!(with(from, to).is_err(), "{from:?} → {to:?}");
        }
        let without_mx = b"version: STSv1\nmode: enforce\nmax_age: 1\n";
        assert_eq!(Policy::parse(without_mx), Err(PolicyError::Missing("mx")));
        let long = EXAMPLE.to_owned() + &"x: y\n".repeat(14_000);
        assert_eq!(Policy::parse(long.as_bytes()), Err(PolicyError::TooLong));
        assert_eq!(Policy::parse(b"\xff"), Err(PolicyError::NotText));
        assert!(Policy::parse(b"<html><body>hello</body></html>").is_err());
    }

    #[test]
    fn the_id_changes_with_the_policy_only() {
        let policy = Policy::parse(EXAMPLE.as_bytes()).unwrap();
        let mut other = policy.clone();
        assert_eq!(policy.record(), other.record());
        other.mode = Mode::Testing;
        assert_ne!(policy.record(), other.record());
        assert_eq!(Record::parse(policy.record().to_string().as_bytes()), Ok(policy.record()));
    }

    prop_compose! {
        fn policy()(
            mode in prop::sample::select(vec![Mode::Enforce, Mode::Testing]),
            mx in prop::collection::vec("(\\*\\.)?[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]{2,6}){1,3}", 1..5),
            max_age_secs in 0..=MAX_AGE_SECS,
        ) -> Policy {
            let mx = mx.iter().map(|mx| MxPattern::parse(mx).expect("a pattern")).collect();
            Policy { mode, mx, max_age_secs }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(policy in policy()) {
            prop_assert_eq!(Policy::parse(policy.to_file().as_bytes()), Ok(policy.clone()));
            let record = policy.record();
            prop_assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record));
        }

        #[test]
        fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..400), text in "(v=STSv1;|version: STSv1\n)?\\PC{0,80}") {
            for input in [&octets[..], text.as_bytes()] {
                let _ = (Record::parse(input), Policy::parse(input));
            }
        }

        #[test]
        fn what_is_read_can_be_written(lines in prop::collection::vec("(mode|mx|max_age|version|x): ?(none|enforce|STSv1|[0-9]{1,3}|[a-z]{1,3}\\.[a-z]{2})[ \r]?", 0..8)) {
            if let Ok(policy) = Policy::parse(lines.join("\n").as_bytes()) {
                prop_assert_eq!(Policy::parse(policy.to_file().as_bytes()), Ok(policy));
            }
        }
    }
}
