//! Alignment and policy (RFC 9989 §4.4, §4.10.1, §5.3).
//!
//! The organizational domain of an authenticated domain is found by a walk of its own, but only where
//! it can matter: a domain that does not stand at or below the author's organizational domain never
//! has the same one.

use waxwing_dns::record::is_at_or_below;
use waxwing_dns::{LookupError, RecordType, Resolve};

use super::record::{Alignment, Covers, Record};
use super::walk::{Walker, canonical};
use super::{DkimInput, DmarcResult, Outcome, Policy, PolicyTags, SpfInput, TemporaryFailure};
use crate::lookup::Recorder;
use crate::spf::SpfResult;

/// Walks for authenticated domains. A message has few; one that has more was made to cost.
const WALKS_MAX: u32 = 10;

/// Whether the author's domain is authenticated, and what its owner wants done if not. The author's
/// domain may have U-labels; a name that cannot be in the DNS gives [`DmarcResult::None`].
pub async fn evaluate(
    resolver: &impl Resolve,
    author_domain: &str,
    spf: &SpfInput<'_>,
    dkim: &[DkimInput<'_>],
) -> Outcome {
    let recorder = Recorder::new(resolver);
    let mut outcome = Outcome {
        result: DmarcResult::None,
        author_domain: author_domain.to_owned(),
        organizational_domain: author_domain.to_owned(),
        policy_domain: None,
        record: None,
        policy: Policy::None,
        published_policy: Policy::None,
        spf_aligned: false,
        dkim_aligned: false,
        reason: String::new(),
        lookups: Vec::new(),
    };
    match canonical(author_domain) {
        Some(author) => {
            outcome.author_domain = author;
            judge(&recorder, &mut outcome, spf, dkim).await;
        }
        None => outcome.reason = format!("{author_domain:?} is not a domain name"),
    }
    outcome.lookups = recorder.take();
    outcome
}

async fn judge(
    resolver: &impl Resolve,
    outcome: &mut Outcome,
    spf: &SpfInput<'_>,
    dkim: &[DkimInput<'_>],
) {
    let mut walker = Walker::new(resolver);
    let author = outcome.author_domain.clone();
    let walk = walker.walk(&author).await;
    outcome.organizational_domain = walk.organizational_domain(&walker).to_owned();
    // §5.3.6: without an answer to the first questions nothing can be said.
    if let (true, Some(failure)) = (walk.failed_at_once(), &walk.failed) {
        return temporary(outcome, failure);
    }
    let covering = walk.policy_at().and_then(|at| Some((at, walker.record(at)?)));
    let Some((at, record)) = covering else {
        outcome.reason = no_record(&author, &walker);
        return;
    };
    outcome.policy_domain = Some(walker.domain(at).to_owned());
    if !record.usable() {
        return unusable(outcome, walker.into_record(at));
    }
    let (aspf, adkim) = (record.aspf, record.adkim);
    // SPF that could not be checked is looked at too: had it passed, it might have been aligned.
    let spf_counts = matches!(spf.result, SpfResult::Pass | SpfResult::TempError);
    // Where the author's own record was found, the rest of the walk only says what is aligned with it:
    // nothing, when nothing is authenticated.
    let walk_matters = spf_counts || dkim.iter().any(|input| input.pass) || !walk.has_own();
    let mut alignments = Alignments {
        walker,
        author: &author,
        organization: outcome.organizational_domain.clone(),
        walks: 0,
        failure: walk.failed.clone().filter(|_| walk_matters),
    };
    let spf_near = spf_counts && alignments.aligned(spf.domain, aspf).await;
    outcome.spf_aligned = spf_near && spf.result == SpfResult::Pass;
    let mut signature = None;
    for input in dkim.iter().filter(|input| input.pass) {
        if alignments.aligned(input.domain, adkim).await {
            signature = Some(input);
            break;
        }
    }
    outcome.dkim_aligned = signature.is_some();

    let Alignments { walker, failure, .. } = alignments;
    let Some(record) = walker.into_record(at) else { return };
    let covers = if walk.has_own() { Covers::Itself } else { Covers::Existing };
    outcome.published_policy = record.published(covers);
    outcome.policy = record.applied(outcome.published_policy);
    if outcome.spf_aligned || outcome.dkim_aligned {
        outcome.result = DmarcResult::Pass;
        outcome.reason = passed(outcome, spf, signature);
    } else if let Some(failure) = &failure {
        temporary(outcome, failure);
    } else if spf_near {
        outcome.result = DmarcResult::TempError;
        outcome.reason = format!(
            "SPF could not be checked for {}, which speaks for {author}; no signature does",
            spf.domain
        );
    } else {
        failed(resolver, outcome, &record, covers, spf, dkim).await;
    }
    outcome.record = Some(record);
}

fn no_record<R: Resolve>(author: &str, walker: &Walker<'_, R>) -> String {
    match walker.ambiguous().next() {
        Some(domain) => {
            format!("{domain} publishes more than one DMARC record, which counts as none")
        }
        None => format!("no DMARC record covers {author}"),
    }
}

fn temporary(outcome: &mut Outcome, failure: &TemporaryFailure) {
    outcome.result = DmarcResult::TempError;
    outcome.reason = failure.to_string();
}

/// §4.10.1: no DMARC processing. A wrong policy is the publisher's error; none at all says nothing.
fn unusable(outcome: &mut Outcome, record: Option<Record>) {
    let domain = outcome.policy_domain.as_deref().unwrap_or_default();
    (outcome.result, outcome.reason) = match record.as_ref().map(|record| record.policy_tags) {
        Some(PolicyTags::Invalid) => (
            DmarcResult::PermError,
            format!("the DMARC record of {domain} has a policy that does not exist"),
        ),
        _ => (
            DmarcResult::None,
            format!("the DMARC record of {domain} has no policy and asks for no reports"),
        ),
    };
    outcome.record = record;
}

async fn failed(
    resolver: &impl Resolve,
    outcome: &mut Outcome,
    record: &Record,
    mut covers: Covers,
    spf: &SpfInput<'_>,
    dkim: &[DkimInput<'_>],
) {
    let np_matters = record.np.is_some_and(|np| np != record.published(Covers::Existing));
    if covers == Covers::Existing && np_matters {
        match exists(resolver, &outcome.author_domain).await {
            Ok(true) => {}
            Ok(false) => covers = Covers::NonExistent,
            Err(failure) => return temporary(outcome, &failure),
        }
    }
    outcome.result = DmarcResult::Fail;
    outcome.published_policy = record.published(covers);
    outcome.policy = record.applied(outcome.published_policy);
    outcome.reason = why_failed(outcome, record, covers, spf, dkim);
}

/// Whether a domain has any of A, AAAA and MX (§3.2.13).
async fn exists(resolver: &impl Resolve, domain: &str) -> Result<bool, TemporaryFailure> {
    for record_type in [RecordType::Mx, RecordType::A, RecordType::Aaaa] {
        match resolver.query(domain, record_type).await {
            Ok(_) => return Ok(true),
            // RFC 8020: no other type can be there.
            Err(LookupError::NxDomain { .. }) => return Ok(false),
            Err(error) if error.is_temporary() => {
                return Err(TemporaryFailure { name: domain.to_owned(), error });
            }
            Err(_) => {}
        }
    }
    Ok(false)
}

struct Alignments<'w, 'a, R> {
    walker: Walker<'w, R>,
    author: &'a str,
    organization: String,
    walks: u32,
    /// A question without an answer that might have made the difference.
    failure: Option<TemporaryFailure>,
}

impl<R: Resolve> Alignments<'_, '_, R> {
    /// Whether an authenticated domain is aligned with the author's (§4.4, §4.10.2).
    async fn aligned(&mut self, domain: &str, mode: Alignment) -> bool {
        let Some(domain) = canonical(domain) else { return false };
        if domain == self.author {
            return true;
        }
        if mode == Alignment::Strict || !is_at_or_below(&domain, &self.organization) {
            return false;
        }
        // After one question without an answer there is no verdict without the same domain.
        if self.failure.is_some() || self.walks == WALKS_MAX {
            return false;
        }
        // The organizational domain is its own: the walk from it finds the same records.
        if domain == self.organization {
            return true;
        }
        self.walks += 1;
        let walk = self.walker.walk(&domain).await;
        if walk.failed.is_some() {
            self.failure = walk.failed;
            return false;
        }
        walk.organizational_domain(&self.walker) == self.organization
    }
}

fn passed(outcome: &Outcome, spf: &SpfInput<'_>, signature: Option<&DkimInput<'_>>) -> String {
    let author = &*outcome.author_domain;
    let near = |domain| match str::eq_ignore_ascii_case(domain, author) {
        true => [author, ", the domain in From", "", ""],
        false => [domain, ", of one organization with ", author, " in From"],
    };
    let mut reason = String::with_capacity(160);
    if let Some(DkimInput { selector, domain, .. }) = signature {
        reason.extend(["DKIM signature ", selector, " is by "].into_iter().chain(near(domain)));
    }
    if outcome.spf_aligned {
        let between = if reason.is_empty() { "" } else { "; " };
        reason.extend([between, "SPF passes for "].into_iter().chain(near(spf.domain)));
    }
    reason
}

fn why_failed(
    outcome: &Outcome,
    record: &Record,
    covers: Covers,
    spf: &SpfInput<'_>,
    dkim: &[DkimInput<'_>],
) -> String {
    let author = &outcome.author_domain;
    let mut others: Vec<String> = Vec::new();
    if spf.result == SpfResult::Pass {
        others.push(format!("SPF passes for {}", spf.domain));
    }
    for input in dkim.iter().filter(|input| input.pass).take(3) {
        others.push(format!("a signature is by {}", input.domain));
    }
    let evidence = match others.is_empty() {
        true => format!("neither SPF nor a DKIM signature speaks for {author}"),
        false => format!("nothing speaks for {author}: {}", others.join(", ")),
    };
    let tag = match covers {
        Covers::NonExistent if record.np.is_some() => "np",
        Covers::Existing | Covers::NonExistent if record.subdomain_policy.is_some() => "sp",
        _ => "p",
    };
    let domain = outcome.policy_domain.as_deref().unwrap_or_default();
    let published = outcome.published_policy;
    let mut reason = format!("{evidence}; {domain} publishes {tag}={published}");
    if outcome.policy != published {
        reason.push_str(&format!(" and tests it: {} applies", outcome.policy));
    }
    reason
}
