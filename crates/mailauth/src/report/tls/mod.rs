//! TLS reports: how encryption went when a domain was delivered to (RFC 8460).
//!
//! ```text
//! organization-name, date-range, contact-info, report-id
//! policies…
//! ├─ policy (policy-type, policy-string…, policy-domain, mx-host…)
//! ├─ summary (sessions that succeeded, sessions that failed)
//! └─ failure-details… (result-type, who, to whom, how often)
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `wire` | the JSON, written and read |
//! | `observe` | counts observations into reports |

mod observe;
mod wire;

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use observe::{TlsObservation, aggregate_tls};
pub use wire::{read_tls, write_tls};

/// One report (RFC 8460 §4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsReport {
    /// Who reports.
    pub organization_name: String,
    /// Begin of the period.
    pub begin: Timestamp,
    /// End of the period.
    pub end: Timestamp,
    /// Whom to ask about the report.
    pub contact_info: String,
    /// Unique among the reports of the sender.
    pub report_id: String,
    /// What was seen under each policy.
    pub policies: Vec<TlsPolicy>,
}

/// What was seen under one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPolicy {
    /// What kind of policy it is.
    pub policy_type: PolicyType,
    /// The policy: lines of an MTA-STS file, or TLSA records.
    pub policy_strings: Vec<String>,
    /// The domain that the policy is for.
    pub policy_domain: String,
    /// The MX patterns of an MTA-STS policy.
    pub mx_hosts: Vec<String>,
    /// Sessions that went well.
    pub successful_sessions: u64,
    /// Sessions that did not.
    pub failed_sessions: u64,
    /// What went wrong.
    pub failure_details: Vec<FailureDetail>,
}

/// Sessions that failed alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureDetail {
    /// How they failed.
    pub result_type: ResultType,
    /// The address that connected.
    pub sending_mta_ip: Option<IpAddr>,
    /// The MX that was connected to, by name.
    pub receiving_mx_hostname: Option<String>,
    /// How it called itself.
    pub receiving_mx_helo: Option<String>,
    /// Its address.
    pub receiving_ip: Option<IpAddr>,
    /// How many.
    pub failed_sessions: u64,
    /// Where to read more: a URI.
    pub additional_information: Option<String>,
    /// More about it: the words of a TLS library.
    pub failure_reason_code: Option<String>,
}

words! {
    /// What kind of policy was in force (RFC 8460 §4.4).
    PolicyType {
        /// DANE: TLSA records.
        Tlsa = "tlsa",
        /// MTA-STS.
        Sts = "sts",
        /// Neither.
        NoPolicyFound = "no-policy-found",
    }
}

/// How a session failed (RFC 8460 §4.3). The registry may grow, so words that are new are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultType {
    /// The server does not offer STARTTLS (§4.3.1).
    StarttlsNotSupported,
    /// Its certificate is for other names.
    CertificateHostMismatch,
    /// Its certificate has expired.
    CertificateExpired,
    /// Its certificate is from an authority that is not trusted.
    CertificateNotTrusted,
    /// TLS failed in another way.
    ValidationFailure,
    /// A TLSA record cannot be read, or none fits (§4.3.2.1).
    TlsaInvalid,
    /// DNSSEC does not validate.
    DnssecInvalid,
    /// DANE is demanded and cannot be done.
    DaneRequired,
    /// The MTA-STS file cannot be fetched (§4.3.2.2).
    StsPolicyFetchError,
    /// The MTA-STS file is broken.
    StsPolicyInvalid,
    /// The certificate of the host that serves the MTA-STS file does not hold.
    StsWebpkiInvalid,
    /// A word that is not in RFC 8460.
    Other(String),
}

impl ResultType {
    const KNOWN: [(ResultType, &'static str); 11] = [
        (ResultType::StarttlsNotSupported, "starttls-not-supported"),
        (ResultType::CertificateHostMismatch, "certificate-host-mismatch"),
        (ResultType::CertificateExpired, "certificate-expired"),
        (ResultType::CertificateNotTrusted, "certificate-not-trusted"),
        (ResultType::ValidationFailure, "validation-failure"),
        (ResultType::TlsaInvalid, "tlsa-invalid"),
        (ResultType::DnssecInvalid, "dnssec-invalid"),
        (ResultType::DaneRequired, "dane-required"),
        (ResultType::StsPolicyFetchError, "sts-policy-fetch-error"),
        (ResultType::StsPolicyInvalid, "sts-policy-invalid"),
        (ResultType::StsWebpkiInvalid, "sts-webpki-invalid"),
    ];

    /// As it is written.
    pub fn as_str(&self) -> &str {
        if let ResultType::Other(word) = self {
            return word;
        }
        let known = Self::KNOWN.iter().find(|(known, _)| known == self);
        known.map(|(_, word)| *word).unwrap_or_default()
    }

    /// Reads the word, in any case; one that is not known is kept.
    pub fn parse(text: &str) -> ResultType {
        let text = text.trim();
        let known = Self::KNOWN.into_iter().find(|(_, word)| word.eq_ignore_ascii_case(text));
        known.map_or_else(|| ResultType::Other(text.to_owned()), |(known, _)| known)
    }
}

impl Serialize for ResultType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ResultType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ResultType, D::Error> {
        Cow::<str>::deserialize(deserializer).map(|word| ResultType::parse(&word))
    }
}
