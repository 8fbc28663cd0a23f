//! DMARC: does an authenticated domain stand for the author in From? (RFC 9989; records of RFC 7489
//! are read)
//!
//! ```text
//! author's domain ─▶ discover: _dmarc.…  up the tree, at most eight questions
//!                        │ record, organizational domain
//!                        ▼
//! SPF, DKIM results ─▶ evaluate: is one that passed aligned? ─▶ pass, or the policy that applies
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`record`] | [`Record`]: the tags (§4.7) |
//! | `walk` | the DNS tree walk, which takes the place of a public suffix list (§4.10) |
//! | `evaluate` | [`evaluate`]: alignment and policy (§4.4, §5.3) |
//! | `destination` | who may be sent reports about whom (RFC 9990 §4) |
//!
//! A From field with no author's domain, or with several, is the caller's matter (§5.3.1). Not here:
//! the reports themselves, in [`report`](crate::report).

use serde::{Deserialize, Serialize};
use waxwing_dns::{LookupError, Resolve};
use waxwing_message::journey::{Check, Finding, LookupSeen};

use crate::lookup::Recorder;
use crate::spf::SpfResult;

mod destination;
mod evaluate;
pub mod record;
mod walk;

pub use destination::{
    Destination, external_destination, external_destination_ok, external_failure_destination,
};
pub use evaluate::evaluate;
pub use record::{
    Alignment, Covers, FailureOptions, NotDmarc, Policy, PolicyTags, Psd, Record, ReportUri,
};

/// What DMARC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcResult {
    /// No policy is published: DMARC says nothing.
    None,
    /// An aligned domain is authenticated.
    Pass,
    /// None is.
    Fail,
    /// The DNS did not answer, and it would matter (§5.3.6).
    TempError,
    /// The record's policy cannot be read, and it asks for no reports (§4.10.1).
    PermError,
}

impl DmarcResult {
    /// The word of RFC 9989's Authentication-Results.
    pub fn as_str(self) -> &'static str {
        match self {
            DmarcResult::None => "none",
            DmarcResult::Pass => "pass",
            DmarcResult::Fail => "fail",
            DmarcResult::TempError => "temperror",
            DmarcResult::PermError => "permerror",
        }
    }
}

impl std::fmt::Display for DmarcResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What SPF said of the MAIL FROM identity.
#[derive(Debug, Clone, Copy)]
pub struct SpfInput<'a> {
    /// Its verdict.
    pub result: SpfResult,
    /// The domain that was examined; the HELO name for the null reverse-path.
    pub domain: &'a str,
}

/// One DKIM signature.
#[derive(Debug, Clone, Copy)]
pub struct DkimInput<'a> {
    /// `d=`
    pub domain: &'a str,
    /// `s=`
    pub selector: &'a str,
    /// Whether it verifies.
    pub pass: bool,
}

/// The result for one message, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What DMARC says.
    pub result: DmarcResult,
    /// The domain in From, in A-labels.
    pub author_domain: String,
    /// Its organizational domain, as far as the DNS answered.
    pub organizational_domain: String,
    /// Where the record was found.
    pub policy_domain: Option<String>,
    /// The record.
    pub record: Option<Record>,
    /// The policy that is to be applied if the message fails: the published one, one level lower while
    /// the domain tests.
    pub policy: Policy,
    /// What `p`, `sp` or `np` says for this author's domain. Whether the domain exists (`np`) is only
    /// asked for messages that fail.
    pub published_policy: Policy,
    /// Whether SPF passed for an aligned domain.
    pub spf_aligned: bool,
    /// Whether a signature of an aligned domain verifies.
    pub dkim_aligned: bool,
    /// Why, in words for people.
    pub reason: String,
    /// The questions to the DNS.
    pub lookups: Vec<LookupSeen>,
}

impl Outcome {
    /// As a message's journey keeps it.
    pub fn finding(&self) -> Finding {
        Finding {
            check: Check::Dmarc,
            result: self.result.as_str().to_owned(),
            about: self.author_domain.clone(),
            reason: self.reason.clone(),
            lookups: self.lookups.clone(),
        }
    }
}

/// What the DNS says of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The domain that was asked for, in A-labels.
    pub domain: String,
    /// The record that covers its mail (§4.10.1).
    pub record: Option<Record>,
    /// Where it was found.
    pub policy_domain: Option<String>,
    /// The organizational domain (§4.10.2), as far as the DNS answered.
    pub organizational_domain: String,
    /// The question that the DNS could not answer; the walk ended there.
    pub failed: Option<String>,
    /// Places with more than one record, which count as none (§4.10).
    pub ambiguous: Vec<String>,
    /// The questions to the DNS.
    pub lookups: Vec<LookupSeen>,
}

/// The DNS could not say. Another try may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the DNS could not say TXT of {name}: {error}")]
pub struct TemporaryFailure {
    /// What was asked for.
    pub name: String,
    /// Why.
    pub error: LookupError,
}

/// Finds the record that covers mail of a domain, and the domain's organizational domain.
pub async fn discover(resolver: &impl Resolve, domain: &str) -> Discovery {
    let recorder = Recorder::new(resolver);
    let mut walker = walk::Walker::new(&recorder);
    let domain = walk::canonical(domain).unwrap_or_else(|| domain.to_owned());
    let walk = walker.walk(&domain).await;
    let at = walk.policy_at();
    Discovery {
        record: at.and_then(|at| walker.record(at)).cloned(),
        policy_domain: at.map(|at| walker.domain(at).to_owned()),
        organizational_domain: walk.organizational_domain(&walker).to_owned(),
        failed: walk.failed.as_ref().map(TemporaryFailure::to_string),
        ambiguous: walker.ambiguous().map(str::to_owned).collect(),
        lookups: recorder.take(),
        domain,
    }
}
