//! Aggregate reports: what a receiver saw of all mail that bore a domain's name in From, counted
//! (RFC 9990).
//!
//! ```text
//! feedback
//! ├─ version, report_metadata (who reports, about when)
//! ├─ policy_published (the record that was found)
//! └─ record… (one for each combination of source, results and identifiers)
//!    ├─ row (source_ip, count, policy_evaluated: disposition, aligned dkim and spf, reasons)
//!    ├─ identifiers (header_from, envelope_from, envelope_to)
//!    └─ auth_results (every dkim signature, spf)
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `write` | the XML of RFC 9990 |
//! | `read` | that, the XML of RFC 7489 appendix C, and drafts before both |
//! | `observe` | counts observations into reports |

mod observe;
mod read;
mod write;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use observe::{Observation, aggregate};
pub use read::{RESULTS_MAX, ROWS_MAX, read_aggregate};
pub use write::write_aggregate;

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateReport {
    /// Of the format, as the report has it: `1.0` by RFC 9990 §3.1.1.2 and RFC 7489 alike.
    pub version: Option<String>,
    /// Who reports.
    pub org_name: String,
    /// Whom to ask about the report.
    pub email: String,
    /// Another way to ask, such as a web page.
    pub extra_contact_info: Option<String>,
    /// Unique among the reports to a domain.
    pub report_id: String,
    /// Begin of the period.
    pub begin: Timestamp,
    /// End of the period.
    pub end: Timestamp,
    /// What was wrong with the record. Written as one element, since some readers take no more.
    pub errors: Vec<String>,
    /// Name and version of the program that made the report.
    pub generator: Option<String>,
    /// The record that was found.
    pub policy: PolicyPublished,
    /// What was seen.
    pub rows: Vec<Row>,
}

/// The DMARC record in force (RFC 9990 §3.1.1.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyPublished {
    /// The name at which the record was found.
    pub domain: String,
    /// How it was found.
    pub discovery_method: Option<DiscoveryMethod>,
    /// For the domain. A record without one, or with a word that is none, asks for nothing.
    pub p: Policy,
    /// For subdomains.
    pub sp: Option<Policy>,
    /// For subdomains that do not exist.
    pub np: Option<Policy>,
    /// When failure reports are wanted, as published.
    pub fo: Option<String>,
    /// How closely DKIM domains must match.
    pub adkim: Option<AlignmentMode>,
    /// How closely the SPF domain must match.
    pub aspf: Option<AlignmentMode>,
    /// `t=y`: the domain only tries its policy out.
    pub testing: Option<bool>,
    /// RFC 7489's share of messages under the policy. Read, never written: RFC 9990 has it no more.
    pub pct: Option<u8>,
}

impl PolicyPublished {
    /// A record that says nothing but its policy.
    pub fn new(domain: impl Into<String>, p: Policy) -> PolicyPublished {
        PolicyPublished {
            domain: domain.into(),
            discovery_method: None,
            p,
            sp: None,
            np: None,
            fo: None,
            adkim: None,
            aspf: None,
            testing: None,
            pct: None,
        }
    }
}

/// Messages that are alike in everything that is reported (RFC 9990 §3.1.1.7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Row {
    /// The client that brought them.
    pub source_ip: IpAddr,
    /// How many.
    pub count: u64,
    /// What DMARC made of them.
    pub policy_evaluated: PolicyEvaluated,
    /// The names they bore.
    pub identifiers: Identifiers,
    /// What each mechanism said.
    pub auth_results: AuthResults,
}

/// What DMARC made of a message (RFC 9990 §3.1.1.9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyEvaluated {
    /// What was done.
    pub disposition: Disposition,
    /// Whether an aligned signature passed.
    pub dkim: Aligned,
    /// Whether an aligned SPF domain passed.
    pub spf: Aligned,
    /// Why something else was done than the policy asks for.
    pub reasons: Vec<OverrideReason>,
}

/// Why a policy was not followed (RFC 9990 §3.1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OverrideReason {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: OverrideType,
    /// More about it.
    pub comment: Option<String>,
}

/// The names a message bore (RFC 9990 §3.1.1.10).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifiers {
    /// Domain of the author in From.
    pub header_from: String,
    /// Domain of the reverse-path; empty for the null reverse-path, `None` when it is not told.
    pub envelope_from: Option<String>,
    /// Domain of the recipient.
    pub envelope_to: Option<String>,
}

/// What each mechanism said, whether aligned or not (RFC 9990 §3.1.1.11).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AuthResults {
    /// One for each signature; at most 100 are written (RFC 9990 §3.1.3).
    pub dkim: Vec<DkimAuth>,
    /// At most one is written: RFC 9990 §3.1.1.11 has one where RFC 7489 had several.
    pub spf: Vec<SpfAuth>,
}

/// One signature (RFC 9990 §3.1.1.12).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DkimAuth {
    /// `d=`.
    pub domain: String,
    /// `s=`. RFC 7489 did not ask for it; what lacks it is read with `None` and written empty.
    pub selector: Option<String>,
    /// What came of it.
    pub result: DkimResult,
    /// Why, for people.
    pub human_result: Option<String>,
}

/// What SPF said (RFC 9990 §3.1.1.13).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpfAuth {
    /// The domain that was asked.
    pub domain: String,
    /// Where the domain is from. RFC 9990 knows `mfrom` only.
    pub scope: Option<SpfScope>,
    /// What came of it.
    pub result: SpfResult,
    /// Why, for people.
    pub human_result: Option<String>,
}

words! {
    /// What a domain asks to be done with mail that fails.
    Policy {
        /// Nothing.
        None = "none",
        /// Treat it with suspicion.
        Quarantine = "quarantine",
        /// Refuse it.
        Reject = "reject",
    }
}

words! {
    /// What was done with a message.
    Disposition {
        /// Nothing, since the policy asks for nothing or was overridden.
        None = "none",
        /// Nothing, since it passed DMARC under a policy that asks for something. New in RFC 9990.
        Pass = "pass",
        /// It was treated with suspicion.
        Quarantine = "quarantine",
        /// It was refused.
        Reject = "reject",
    }
}

words! {
    /// Whether a mechanism passed for an aligned domain.
    Aligned {
        /// It did.
        Pass = "pass",
        /// It did not.
        Fail = "fail",
    }
}

words! {
    /// How closely domains must match.
    AlignmentMode {
        /// The same organisational domain.
        Relaxed = "r" | "relaxed",
        /// The same domain.
        Strict = "s" | "strict",
    }
}

words! {
    /// How a record was found.
    DiscoveryMethod {
        /// With the Public Suffix List, as RFC 7489 had it.
        Psl = "psl",
        /// Up the tree of the DNS (RFC 9989).
        TreeWalk = "treewalk",
    }
}

words! {
    /// Why a policy was not followed.
    OverrideType {
        /// The receiver decided otherwise.
        LocalPolicy = "local_policy",
        /// It came through a list, which breaks signatures.
        MailingList = "mailing_list",
        /// Something else; the comment says what.
        Other = "other",
        /// The record says `t=y`.
        PolicyTestMode = "policy_test_mode",
        /// It came through a forwarder that is known and trusted.
        TrustedForwarder = "trusted_forwarder",
        /// RFC 7489: forwarded. Written as `local_policy`.
        Forwarded = "forwarded",
        /// RFC 7489: outside the share of `pct`. Written as `policy_test_mode`.
        SampledOut = "sampled_out",
    }
}

words! {
    /// What came of a signature (RFC 8601 §2.7.1).
    DkimResult {
        /// Not signed, or nothing was said.
        None = "none",
        /// Good.
        Pass = "pass",
        /// Does not hold.
        Fail = "fail" | "hardfail",
        /// Good, but not acceptable to the receiver.
        Policy = "policy",
        /// Could not be processed; also a word that nobody knows.
        Neutral = "neutral",
        /// Could not be checked for now.
        TempError = "temperror",
        /// Cannot ever be checked.
        PermError = "permerror" | "invalid",
    }
}

words! {
    /// What SPF said (RFC 8601 §2.7.2).
    SpfResult {
        /// No record, or nothing was said.
        None = "none",
        /// The domain says neither; also a word that nobody knows.
        Neutral = "neutral",
        /// The client may send for the domain.
        Pass = "pass",
        /// It may not.
        Fail = "fail" | "hardfail",
        /// It probably may not.
        SoftFail = "softfail",
        /// Could not be checked for now.
        TempError = "temperror" | "unknown",
        /// Cannot ever be checked.
        PermError = "permerror" | "error",
    }
}

words! {
    /// Where the domain that SPF asked is from.
    SpfScope {
        /// EHLO.
        Helo = "helo",
        /// The reverse-path.
        MailFrom = "mfrom" | "mailfrom",
    }
}
