//! What a message was like, in the words of an aggregate report (RFC 9990).

use waxwing_mailauth::dkim::Verification;
use waxwing_mailauth::report::aggregate::{
    Aligned, AlignmentMode, DiscoveryMethod, Disposition, DkimAuth, DkimResult, Observation,
    OverrideReason, OverrideType, Policy, PolicyPublished, SpfAuth, SpfResult, SpfScope,
};
use waxwing_mailauth::{dmarc, spf};
use waxwing_message::journey::Verdict;
use waxwing_message::{Address, ReversePath};

use super::Examination;

/// What the policy domain is told of this message.
pub(super) fn observation(
    examination: &Examination,
    dmarc: &dmarc::Outcome,
    record: &dmarc::Record,
    policy_domain: &str,
    envelope: (&ReversePath, Option<&Address>),
    verdict: &Verdict,
) -> Option<Observation> {
    let (reverse_path, recipient) = envelope;
    let disposition = disposition(dmarc, verdict);
    Some(Observation {
        policy: published(record, policy_domain),
        source_ip: examination.evidence.ip?,
        disposition,
        dkim: aligned(dmarc.dkim_aligned),
        spf: aligned(dmarc.spf_aligned),
        reasons: reasons(dmarc, disposition),
        header_from: dmarc.author_domain.clone(),
        envelope_from: Some(
            reverse_path.address().map_or("", |address| address.domain()).to_owned(),
        ),
        envelope_to: recipient.map(|address| address.domain().to_owned()),
        dkim_results: examination.dkim.iter().filter(|d| !d.domain.is_empty()).map(dkim).collect(),
        spf_results: examination.spf.iter().map(spf_auth).collect(),
    })
}

fn published(record: &dmarc::Record, domain: &str) -> PolicyPublished {
    let mode = |alignment| match alignment {
        dmarc::Alignment::Relaxed => AlignmentMode::Relaxed,
        dmarc::Alignment::Strict => AlignmentMode::Strict,
    };
    PolicyPublished {
        discovery_method: Some(DiscoveryMethod::TreeWalk),
        sp: record.subdomain_policy.map(policy),
        np: record.np.map(policy),
        adkim: Some(mode(record.adkim)),
        aspf: Some(mode(record.aspf)),
        testing: Some(record.testing),
        ..PolicyPublished::new(domain, policy(record.policy))
    }
}

fn policy(policy: dmarc::Policy) -> Policy {
    match policy {
        dmarc::Policy::None => Policy::None,
        dmarc::Policy::Quarantine => Policy::Quarantine,
        dmarc::Policy::Reject => Policy::Reject,
    }
}

/// RFC 9990 §3.1.1.9: what was done because of DMARC, not because of anything else.
fn disposition(dmarc: &dmarc::Outcome, verdict: &Verdict) -> Disposition {
    let asks = dmarc.published_policy != dmarc::Policy::None;
    match (dmarc.result, verdict) {
        (dmarc::DmarcResult::Pass, _) if asks => Disposition::Pass,
        (dmarc::DmarcResult::Fail, Verdict::Refuse { .. }) if asks => Disposition::Reject,
        (dmarc::DmarcResult::Fail, Verdict::SpamFolder) if asks => Disposition::Quarantine,
        _ => Disposition::None,
    }
}

/// Why less was done than the record asks for.
fn reasons(dmarc: &dmarc::Outcome, done: Disposition) -> Vec<OverrideReason> {
    if dmarc.result != dmarc::DmarcResult::Fail {
        return Vec::new();
    }
    let asked = match dmarc.published_policy {
        dmarc::Policy::None => Disposition::None,
        dmarc::Policy::Quarantine => Disposition::Quarantine,
        dmarc::Policy::Reject => Disposition::Reject,
    };
    if asked == done {
        return Vec::new();
    }
    let kind = match dmarc.policy == dmarc.published_policy {
        true => OverrideType::LocalPolicy,
        false => OverrideType::PolicyTestMode,
    };
    vec![OverrideReason { kind, comment: None }]
}

fn aligned(aligned: bool) -> Aligned {
    if aligned { Aligned::Pass } else { Aligned::Fail }
}

fn dkim(one: &Verification) -> DkimAuth {
    DkimAuth {
        domain: one.domain.clone(),
        selector: Some(one.selector.clone()),
        result: DkimResult::parse(one.result.as_str()).unwrap_or(DkimResult::Neutral),
        human_result: one.problem.is_some().then(|| one.reason.clone()),
    }
}

fn spf_auth(outcome: &spf::Outcome) -> SpfAuth {
    SpfAuth {
        domain: outcome.domain.clone(),
        scope: Some(match outcome.identity {
            spf::Identity::MailFrom => SpfScope::MailFrom,
            spf::Identity::Helo => SpfScope::Helo,
        }),
        result: SpfResult::parse(outcome.result.as_str()).unwrap_or(SpfResult::None),
        human_result: None,
    }
}
