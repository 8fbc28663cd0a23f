//! Whether and how a message failed, in the words of a failure report (RFC 9991).
//!
//! | `fo` | a report is wanted when |
//! |---|---|
//! | `0` | no mechanism gives an aligned pass |
//! | `1` | any mechanism does not give one |
//! | `d` | a signature does not verify, aligned or not |
//! | `s` | SPF fails, aligned or not |

use jiff::Timestamp;
use waxwing_mailauth::dkim::{DkimResult, Problem, Verification};
use waxwing_mailauth::dmarc::{self, DmarcResult, Psd};
use waxwing_mailauth::report::failure::{
    AuthFailure, DeliveryResult, Disclosure, FailureReport, Mechanism, shown, write_failure,
};
use waxwing_mailauth::spf::{self, SpfResult};
use waxwing_message::journey::Verdict;
use waxwing_message::parse::field::fields;
use waxwing_message::{Envelope, ReversePath};
use waxwing_store::Failed;

use super::Examination;

/// Octets of the header that are shown.
const HEADER_MAX: usize = 32 * 1024;
/// Recipients that are named, redacted.
const RECIPIENTS_MAX: usize = 10;

/// A message, and what was done with it.
pub(crate) struct Failing<'a> {
    pub envelope: &'a Envelope,
    pub raw: &'a [u8],
    pub verdict: &'a Verdict,
    pub now: Timestamp,
    /// Replaces local parts of recipients (RFC 6590).
    pub redact: &'a [u8; 32],
}

/// What is kept until the report is sent: already redacted.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct KeptFailure {
    /// The body of the `message/feedback-report`.
    pub report: String,
    /// The header.
    pub original: String,
}

impl Examination {
    /// Whether the domain that the author claims wants to hear of this message at once; which one.
    pub fn wants_failure_report(&self) -> Option<(&str, AuthFailure)> {
        let dmarc = self.dmarc.as_ref()?;
        let record = dmarc.record.as_ref().filter(|record| !record.ruf.is_empty())?;
        // RFC 9991 §3: `ruf` of a public suffix domain does not count.
        if record.psd == Psd::Yes {
            return None;
        }
        Some((dmarc.policy_domain.as_ref()?, self.failure(dmarc, record)?))
    }

    fn failure(&self, dmarc: &dmarc::Outcome, record: &dmarc::Record) -> Option<AuthFailure> {
        // What could not be looked up has not failed.
        if !matches!(dmarc.result, DmarcResult::Pass | DmarcResult::Fail) {
            return None;
        }
        let (spf, dkim) = (dmarc.spf_aligned, dmarc.dkim_aligned);
        if record.fo.all && !spf && !dkim || record.fo.any && !(spf && dkim) {
            return Some(AuthFailure::Dmarc);
        }
        let broken = self.dkim.iter().find(|one| has_failed(one)).filter(|_| record.fo.dkim);
        let refused =
            self.spf.as_ref().filter(|spf| record.fo.spf && spf.result == SpfResult::Fail);
        match (broken, refused) {
            (Some(broken), _) => Some(match broken.problem {
                Some(Problem::BodyHash { .. } | Problem::BodyCut { .. }) => AuthFailure::BodyHash,
                Some(Problem::KeyRevoked) => AuthFailure::Revoked,
                _ => AuthFailure::Signature,
            }),
            (None, Some(_)) => Some(AuthFailure::Spf),
            (None, None) => None,
        }
    }

    /// The failure, to be kept until it is told.
    pub fn failed(&self, failing: &Failing<'_>) -> Option<Failed> {
        let (domain, failure) = self.wants_failure_report()?;
        let dmarc = self.dmarc.as_ref()?;
        let disclosure = Disclosure { body: false, redact: Some(failing.redact) };
        let report = self.report(dmarc, failure, failing)?;
        let kept = KeptFailure {
            report: String::from_utf8_lossy(&write_failure(&report, &disclosure)).into_owned(),
            original: String::from_utf8_lossy(&shown(header(failing.raw), &disclosure))
                .into_owned(),
        };
        Some(Failed {
            domain: domain.to_owned(),
            way: self.way(dmarc, failure, &failing.envelope.reverse_path),
            at: failing.now,
            what: serde_json::to_string(&kept).ok()?,
        })
    }

    fn report(
        &self,
        dmarc: &dmarc::Outcome,
        failure: AuthFailure,
        failing: &Failing<'_>,
    ) -> Option<FailureReport> {
        let Failing { envelope, verdict, now, .. } = failing;
        let failed = [(dmarc.dkim_aligned, Mechanism::Dkim), (dmarc.spf_aligned, Mechanism::Spf)];
        let failed = failed.into_iter().filter(|(aligned, _)| !aligned).map(|(_, which)| which);
        // RFC 9991 §4: required of a failed signature of an aligned domain; of another it is told too.
        let broken = || self.dkim.iter().filter(|one| has_failed(one));
        let signature =
            broken().find(|one| is_aligned(&one.domain, dmarc)).or_else(|| broken().next());
        let spf = self.spf.as_ref().filter(|spf| spf.result != SpfResult::Pass);
        let results = self.results.to_payload();
        let paths = envelope.recipients.iter().take(RECIPIENTS_MAX);
        Some(FailureReport {
            feedback_type: "auth-failure".to_owned(),
            user_agent: concat!("Waxwing/", env!("CARGO_PKG_VERSION")).to_owned(),
            auth_failure: Some(failure),
            identity_alignment: Some(failed.collect()),
            authentication_results: vec![results.split_whitespace().collect::<Vec<_>>().join(" ")],
            reported_domain: Some(dmarc.author_domain.clone()),
            source_ip: Some(self.evidence.ip?),
            original_mail_from: Some(
                envelope.reverse_path.address().map(ToString::to_string).unwrap_or_default(),
            ),
            original_rcpt_to: paths.map(|recipient| recipient.address.to_string()).collect(),
            arrival_date: Some(*now),
            delivery_result: Some(match verdict {
                Verdict::Accept => DeliveryResult::Delivered,
                Verdict::SpamFolder => DeliveryResult::Spam,
                Verdict::Refuse { .. } => DeliveryResult::Reject,
                Verdict::Defer { .. } => DeliveryResult::Other,
            }),
            dkim_domain: signature.map(|one| one.domain.clone()),
            dkim_identity: signature.map(|one| one.identity.clone()),
            dkim_selector: signature.map(|one| one.selector.clone()),
            spf_dns: spf.and_then(spf_record),
            ..FailureReport::default()
        })
    }

    /// What messages that are told together have in common (RFC 9991 §3: "to report different failure
    /// paths").
    fn way(
        &self,
        dmarc: &dmarc::Outcome,
        failure: AuthFailure,
        reverse_path: &ReversePath,
    ) -> [u8; 32] {
        let mut parts = vec![failure.as_str().to_owned(), dmarc.author_domain.clone()];
        parts.extend(self.evidence.ip.map(|ip| ip.to_string()));
        parts.push(reverse_path.address().map_or("", |path| path.domain()).to_owned());
        parts.extend(self.spf.iter().map(|spf| spf.result.as_str().to_owned()));
        for one in &self.dkim {
            parts.push(format!("{} {} {}", one.domain, one.selector, one.result.as_str()));
        }
        *blake3::hash(parts.join("\0").as_bytes()).as_bytes()
    }
}

fn has_failed(signature: &Verification) -> bool {
    matches!(signature.result, DkimResult::Fail | DkimResult::PermError)
}

fn is_aligned(domain: &str, dmarc: &dmarc::Outcome) -> bool {
    let organization = &dmarc.organizational_domain;
    domain == organization
        || domain.strip_suffix(organization.as_str()).is_some_and(|rest| rest.ends_with('.'))
}

/// `txt : domain : "record"` (RFC 6591 §3.2), when there was one.
fn spf_record(spf: &spf::Outcome) -> Option<String> {
    let asked =
        spf.lookups.iter().find(|one| one.name == spf.domain && one.record_type == "TXT")?;
    let record = &asked.answer[asked.answer.find("v=spf1")?..];
    // Other texts of the name are parted by commas, which SPF does not have.
    let record = record.split(", ").next().unwrap_or(record);
    Some(format!("txt : {} : \"{}\"", spf.domain, record.replace(['"', '\\'], "")))
}

/// As much of the header as is shown, in whole fields.
fn header(raw: &[u8]) -> &[u8] {
    let ends = fields(raw).map(|field| field.range.end).take_while(|end| *end <= HEADER_MAX);
    &raw[..ends.last().unwrap_or(0)]
}
