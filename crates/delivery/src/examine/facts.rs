//! From what mailauth says to what the filter judges, what is learned by, and what is reported.

use waxwing_filter::spam::connection::networks;
use waxwing_filter::spam::evidence::{ArcFacts, DkimFacts, DmarcFacts, Evidence, SpfFacts};
use waxwing_mailauth::dkim::{self, Verification, Verified};
use waxwing_mailauth::{arc, dmarc, spf};
use waxwing_message::ReversePath;
use waxwing_message::journey::KnownBy;
use waxwing_store::{SenderIdentity, SenderKind};

/// Longer names are nobody's.
const NAME_OCTETS_MAX: usize = 320;

pub(super) fn of_spf(outcome: &spf::Outcome) -> SpfFacts {
    SpfFacts {
        result: outcome.result,
        domain: outcome.domain.clone(),
        reason: outcome.reason.clone(),
    }
}

pub(super) fn of_dkim(one: &Verification) -> DkimFacts {
    DkimFacts {
        result: one.result,
        domain: one.domain.clone(),
        selector: one.selector.clone(),
        reason: one.reason.clone(),
    }
}

pub(super) fn dkim_input(one: &Verification) -> dmarc::DkimInput<'_> {
    dmarc::DkimInput {
        domain: &one.domain,
        selector: &one.selector,
        pass: one.result == dkim::DkimResult::Pass,
    }
}

pub(super) fn of_dmarc(outcome: &dmarc::Outcome) -> DmarcFacts {
    let aligned = match (outcome.dkim_aligned, outcome.spf_aligned) {
        (true, true) => Some("DKIM and SPF"),
        (true, false) => Some("DKIM"),
        (false, true) => Some("SPF"),
        (false, false) => None,
    };
    DmarcFacts {
        result: outcome.result,
        policy: outcome.record.as_ref().map(|_| outcome.policy),
        domain: outcome.author_domain.clone(),
        aligned: aligned.map(str::to_owned),
        // `policy` is what is to be applied already.
        testing: false,
    }
}

/// A chain vouches when every sealer is trusted, and the last of them wrote down that DMARC passed.
pub(super) fn of_arc(validation: &arc::Validation, trusted: &[String]) -> ArcFacts {
    let is_trusted = |domain: &str| {
        trusted.iter().any(|trusted| waxwing_dns::record::is_at_or_below(domain, trusted))
    };
    let sealers = &validation.sealers;
    let passed = validation.results_of_last.as_ref().is_some_and(|results| {
        let of = |method: &str| results.method(method).map(|one| one.result.as_str());
        // A later sealer repeats what the first saw as `arc=pass`.
        of("dmarc") == Some("pass") || (of("arc") == Some("pass") && sealers.len() > 1)
    });
    ArcFacts {
        status: validation.status,
        sealer: sealers.last().map(|sealer| sealer.domain.clone()).unwrap_or_default(),
        trusted_sealer: !sealers.is_empty() && sealers.iter().all(|s| is_trusted(&s.domain)),
        original_dmarc_pass: passed,
    }
}

/// SPF when the DNS took too long.
pub(super) fn spf_without_answer(request: &spf::Request<'_>) -> spf::Outcome {
    let (identity, sender, domain) = match request.sender {
        ReversePath::Address(address) => {
            (spf::Identity::MailFrom, address.to_string(), address.domain().to_owned())
        }
        ReversePath::Null => {
            let sender = format!("postmaster@{}", request.helo);
            (spf::Identity::Helo, sender, request.helo.to_owned())
        }
    };
    spf::Outcome {
        result: spf::SpfResult::TempError,
        identity,
        sender,
        domain,
        term: None,
        reason: "the DNS took too long".to_owned(),
        explanation: None,
        dns_terms: 0,
        void_lookups: 0,
        lookups: Vec::new(),
    }
}

/// Signatures when the DNS took too long.
pub(super) fn verified_without_answer() -> Verified {
    let pending = Verification {
        result: dkim::DkimResult::TempError,
        reason: "the DNS took too long".to_owned(),
        ..Verification::default()
    };
    Verified { dkim: vec![pending], arc: arc::Validation::default() }
}

/// DMARC when the DNS took too long.
pub(super) fn dmarc_without_answer(domain: &str) -> dmarc::Outcome {
    dmarc::Outcome {
        result: dmarc::DmarcResult::TempError,
        author_domain: domain.to_owned(),
        organizational_domain: domain.to_owned(),
        policy_domain: None,
        record: None,
        policy: dmarc::Policy::None,
        published_policy: dmarc::Policy::None,
        spf_aligned: false,
        dkim_aligned: false,
        reason: "the DNS took too long".to_owned(),
        lookups: Vec::new(),
    }
}

/// By what the sender may be known: only what is proven (of the author, when `proven`), and the client's
/// address.
pub(super) fn identities(
    author: Option<&str>,
    proven: bool,
    dmarc: Option<&dmarc::Outcome>,
    evidence: &Evidence,
) -> Vec<SenderIdentity> {
    let mut all = Vec::new();
    let mut add = |kind, name: &str| {
        let identity = SenderIdentity { kind, name: name.to_lowercase() };
        if !identity.name.is_empty()
            && identity.name.len() <= NAME_OCTETS_MAX
            && !all.contains(&identity)
        {
            all.push(identity);
        }
    };
    if let Some(author) = author.filter(|_| proven) {
        add(SenderKind::Address, author);
        if let Some((_, domain)) = author.rsplit_once('@') {
            add(SenderKind::Domain, domain);
        }
        add(SenderKind::OrganizationalDomain, dmarc.map_or("", |d| &d.organizational_domain));
    }
    for one in evidence.dkim.iter().filter(|one| one.result == dkim::DkimResult::Pass) {
        add(SenderKind::DkimDomain, &one.domain);
    }
    if let Some(spf) = evidence.spf.as_ref().filter(|spf| spf.result == spf::SpfResult::Pass) {
        add(SenderKind::SpfDomain, &spf.domain);
    }
    if let Some(ip) = evidence.ip {
        let [narrow, wide] = networks(ip);
        add(SenderKind::Ip, &narrow);
        add(SenderKind::Network, &wide);
    }
    all
}

/// What a journey calls each kind of identity.
const KINDS: [(SenderKind, &str); 7] = [
    (SenderKind::Address, "address"),
    (SenderKind::Domain, "domain"),
    (SenderKind::OrganizationalDomain, "organizational_domain"),
    (SenderKind::DkimDomain, "dkim_domain"),
    (SenderKind::SpfDomain, "spf_domain"),
    (SenderKind::Ip, "ip"),
    (SenderKind::Network, "network"),
];

/// As the journey shows an identity.
pub(super) fn shown(identity: &SenderIdentity) -> KnownBy {
    let kind = KINDS.iter().find(|(kind, _)| *kind == identity.kind).map_or("", |(_, name)| name);
    KnownBy { kind: kind.to_owned(), name: identity.name.clone() }
}

/// Back from the journey.
pub(crate) fn identity_of(shown: &KnownBy) -> Option<SenderIdentity> {
    let (kind, _) = KINDS.into_iter().find(|(_, name)| *name == shown.kind)?;
    Some(SenderIdentity { kind, name: shown.name.clone() })
}
