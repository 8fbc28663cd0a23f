//! How TLS to other servers went, as data for TLS-RPT (RFC 8460): one [`TlsOutcome`] for each session
//! that was attempted, and for each policy that could not be had. Whoever writes the daily reports
//! gives a [`TlsSink`]; nothing is kept here.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use waxwing_mailauth::report::tls::PolicyType;

/// One session, or one failure to come by a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsOutcome {
    /// When it ended.
    pub at: Timestamp,
    /// Whose policy it was: the recipients' domain.
    pub policy_domain: String,
    /// Which kind of policy.
    pub policy_type: PolicyType,
    /// The policy as it was applied: the lines of an MTA-STS file, or TLSA records as in a zone.
    pub policy_strings: Vec<String>,
    /// The `mx` patterns of an MTA-STS policy.
    pub mx_patterns: Vec<String>,
    /// The host that was tried; `None` when it did not come to that.
    pub mx_host: Option<String>,
    /// Our address, when one was chosen.
    pub sending_ip: Option<IpAddr>,
    /// The host's address, when it was tried.
    pub receiving_ip: Option<IpAddr>,
    /// How it went.
    pub result: TlsResult,
    /// Why, in words; empty for a success.
    pub reason: String,
}

/// A success, or the failure by its name in RFC 8460 §4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsResult {
    /// TLS came about as the policy demands.
    Success,
    /// The server did not offer STARTTLS, or refused it.
    StarttlsNotSupported,
    /// The certificate is for other names.
    CertificateHostMismatch,
    /// The certificate has expired or is not valid yet.
    CertificateExpired,
    /// The certificate is signed by nobody that counts, or no TLSA record names it.
    CertificateNotTrusted,
    /// Anything else.
    ValidationFailure,
    /// TLSA records that cannot be used, or could not be had.
    TlsaInvalid,
    /// DNSSEC says that the answer is false.
    DnssecInvalid,
    /// We demand DANE and the domain has none.
    DaneRequired,
    /// The policy could not be fetched.
    StsPolicyFetchError,
    /// The policy or its record is none.
    StsPolicyInvalid,
    /// The policy host's own certificate does not hold.
    StsWebpkiInvalid,
}

/// Takes outcomes. Called while mail is being sent, so it must not wait.
pub trait TlsSink: Send + Sync {
    /// One more outcome.
    fn record(&self, outcome: TlsOutcome);
}

/// Forgets everything.
pub struct NoSink;

impl TlsSink for NoSink {
    fn record(&self, _outcome: TlsOutcome) {}
}
