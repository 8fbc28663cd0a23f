//! From evidence and policy to a verdict: pure, total, the same every time.
//!
//! | in this order | verdict |
//! |---|---|
//! | the operator or the reader said so | what they said; `overridden` tells what it would have been |
//! | `refuse_at` points, when set | refused |
//! | DMARC fails, `p=reject`, and nothing speaks for a detour | refused, `550 5.7.26` |
//! | DMARC could not be told for now, `p=reject` | not now |
//! | a new sender over a doubtful connection, when greylisting | not now |
//! | DMARC fails, `p=reject` or `p=quarantine` | spam folder |
//! | `spam_at` points | spam folder |
//! | else | accepted |
//!
//! RFC 9989 §7.4 forbids to refuse a message for `p=reject` alone: mailing lists and forwarders break
//! what DMARC checks, and their subscribers would pay for it. So a message is refused only when
//! nothing shows that it took such a detour; else it ends in the spam folder. A chain of trusted
//! sealers (RFC 8617) that saw it pass rescues it altogether.
//!
//! Nothing is ever dropped: who is refused or put off is told why, and the spam folder is the
//! reader's own.

use serde::{Deserialize, Serialize};
use waxwing_message::journey::{Check, Reason, Verdict};

use super::evidence::{Authenticity, DmarcFacts, DmarcPolicy, DmarcResult, Evidence, ListKind};
use super::reputation::{Leaning, ReputationOutcome};
use super::weights;

/// What the operator wants, or the reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpamPolicy {
    /// Points that put a message into the spam folder.
    pub spam_at: i32,
    /// Points that refuse a message; never when `None`.
    pub refuse_at: Option<i32>,
    /// Put off new senders whose connection is doubtful, once.
    pub greylist: bool,
    /// How long they are to wait.
    pub greylist_wait_secs: u64,
    /// Refuse what fails DMARC when its domain asks for that.
    pub obey_dmarc_reject: bool,
    /// Put into the spam folder what fails DMARC when its domain asks for that.
    pub obey_dmarc_quarantine: bool,
    /// Exceptions; the first that fits counts.
    pub overrides: Vec<Override>,
    /// The blocklists to ask.
    pub blocklists: Vec<Blocklist>,
    /// Domains whose ARC seals are believed.
    pub trusted_sealers: Vec<String>,
}

impl Default for SpamPolicy {
    fn default() -> SpamPolicy {
        SpamPolicy {
            spam_at: 50,
            refuse_at: None,
            greylist: false,
            greylist_wait_secs: 300,
            obey_dmarc_reject: true,
            obey_dmarc_quarantine: true,
            overrides: Vec::new(),
            blocklists: Vec::new(),
            trusted_sealers: Vec::new(),
        }
    }
}

/// A blocklist and what a listing weighs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocklist {
    /// Its zone, such as `bl.example.net`.
    pub zone: String,
    /// What it lists.
    pub kind: ListKind,
    /// Points of a listing, 0 to 100.
    pub weight: i32,
}

/// What is done with the mail of a sender in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// An address (`alice@example.org`), or a domain with all below it (`example.org`).
    pub who: String,
    /// What.
    pub what: Treatment,
    /// `accept` also where nothing proves that the message is theirs. Anybody can write their name.
    #[serde(default)]
    pub even_unproven: bool,
}

/// What an override does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// Into the mailbox.
    Accept,
    /// Into the spam folder.
    SpamFolder,
    /// Refused.
    Refuse,
    /// The wish of their domain for what fails DMARC is not obeyed.
    IgnoreDmarc,
}

/// A verdict and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What is to be done.
    pub verdict: Verdict,
    /// The sum of the reasons' weights.
    pub weight: i32,
    /// The weightiest first.
    pub reasons: Vec<Reason>,
    /// What was chosen here that goes before the reasons, and what they would have led to.
    pub overridden: Option<String>,
}

/// Judges a message.
pub fn judge(evidence: &Evidence, policy: &SpamPolicy) -> Judgement {
    let mut reasons = weights::reasons(evidence);
    let exception = exception(evidence, policy);
    if let Some((who, Fit::Unproven)) = exception {
        let text = format!(
            "Mail from {} is to be accepted, but nothing proves that this is theirs",
            shown(&who.who)
        );
        reasons.push(weights::reason(Check::Policy, 0, text));
    }
    rank(&mut reasons);
    let weight = reasons.iter().fold(0_i32, |sum, one| sum.saturating_add(one.weight));
    let usual = usual(evidence, policy, weight, &reasons);
    let mut judgement = Judgement { verdict: usual, weight, reasons, overridden: None };
    if let Some((exception, Fit::Proven)) = exception {
        treat(&mut judgement, exception, evidence, policy);
    }
    judgement
}

/// The weightiest first; ties in the order of checks and words, so that it is always the same.
fn rank(reasons: &mut [Reason]) {
    reasons.sort_by(|a, b| {
        let key = |one: &Reason| (std::cmp::Reverse(one.weight.unsigned_abs()), one.check);
        key(a).cmp(&key(b)).then_with(|| a.text.cmp(&b.text))
    });
}

/// The verdict without exceptions.
fn usual(evidence: &Evidence, policy: &SpamPolicy, weight: i32, reasons: &[Reason]) -> Verdict {
    if policy.refuse_at.is_some_and(|limit| weight >= limit) {
        return refuse_for_weight(reasons);
    }
    let dmarc = dmarc_verdict(evidence, policy);
    match dmarc {
        Some(verdict @ (Verdict::Refuse { .. } | Verdict::Defer { .. })) => verdict,
        _ if is_put_off(evidence, policy, reasons) => Verdict::Defer {
            text: format!(
                "This system does not know you yet; please try again in {} minutes",
                policy.greylist_wait_secs.div_ceil(60).max(1)
            ),
        },
        Some(verdict) => verdict,
        None if weight >= policy.spam_at => Verdict::SpamFolder,
        None => Verdict::Accept,
    }
}

/// What the author's domain asks for, when it is to be obeyed.
fn dmarc_verdict(evidence: &Evidence, policy: &SpamPolicy) -> Option<Verdict> {
    let dmarc = evidence.dmarc.as_ref()?;
    if evidence.relayed_by_trusted || weights::vouched_by_arc(evidence) {
        return None;
    }
    match (dmarc.result, dmarc.applied()) {
        (DmarcResult::Fail, DmarcPolicy::Reject) if policy.obey_dmarc_reject => {
            Some(if took_a_detour(evidence) {
                Verdict::SpamFolder
            } else {
                refuse_for_dmarc(dmarc)
            })
        }
        // The milder wish is contained in the stronger one.
        (DmarcResult::Fail, DmarcPolicy::Reject | DmarcPolicy::Quarantine) => {
            policy.obey_dmarc_quarantine.then_some(Verdict::SpamFolder)
        }
        // What to do is the receiver's choice (RFC 9989); guessing would lose mail or let forgeries in.
        (DmarcResult::TempError, DmarcPolicy::Reject) if policy.obey_dmarc_reject => {
            Some(Verdict::Defer {
                text: format!(
                    "The DNS did not tell whether this is from {}, which asks to refuse what is not; please try again",
                    ascii(&dmarc.domain)
                ),
            })
        }
        _ => None,
    }
}

/// Whether something other than the author's domain speaks for a genuine message that lost its
/// proof on the way (RFC 9989 §7.4, "other knowledge and analysis").
fn took_a_detour(evidence: &Evidence) -> bool {
    let known_good =
        evidence.reputation.as_ref().and_then(ReputationOutcome::leaning) == Some(Leaning::Ham);
    !evidence.forwarded.is_empty() || known_good
}

fn refuse_for_dmarc(dmarc: &DmarcFacts) -> Verdict {
    let domain = ascii(&dmarc.domain);
    Verdict::Refuse {
        // RFC 7372 §3.4: several authentication checks failed.
        status: "5.7.26".to_owned(),
        text: format!(
            "Neither SPF nor DKIM proves that this is from {domain}, which asks to refuse such mail (DMARC p=reject). \
             If you sent it: send it through a server of {domain}, or have its DKIM signature added"
        ),
    }
}

/// RFC 7372 §3.2 and §3.3 have codes for SPF and reverse DNS, when these weigh most.
fn refuse_for_weight(reasons: &[Reason]) -> Verdict {
    let against: Vec<&Reason> = reasons.iter().filter(|one| one.weight > 0).collect();
    let status = match against.first().map(|one| one.check) {
        Some(Check::Spf) => "5.7.23",
        Some(Check::ReverseDns) => "5.7.25",
        _ => "5.7.1",
    };
    let words: Vec<String> = against.iter().take(3).map(|one| ascii(&one.text)).collect();
    let text = format!(
        "This looks like spam: {}",
        if words.is_empty() { "by policy".into() } else { words.join("; ") }
    );
    Verdict::Refuse { status: status.to_owned(), text: text.chars().take(450).collect() }
}

/// Doubt about a connection that makes a new sender wait (RFC 6647).
const DOUBTFUL: i32 = 15;

fn is_put_off(evidence: &Evidence, policy: &SpamPolicy, reasons: &[Reason]) -> bool {
    let Some(seen) =
        evidence.greylist.as_ref().filter(|_| policy.greylist && !evidence.relayed_by_trusted)
    else {
        return false;
    };
    let waited = seen.first_seen_secs_ago.is_some_and(|secs| secs >= policy.greylist_wait_secs);
    let known = evidence.reputation.as_ref().is_some_and(|outcome| {
        !matches!(outcome, ReputationOutcome::Inconclusive { first_contact: true, .. })
    });
    let of_connection = |one: &&Reason| {
        matches!(one.check, Check::Helo | Check::ReverseDns | Check::Spf | Check::Blocklist)
    };
    let doubt = reasons
        .iter()
        .filter(of_connection)
        .fold(0_i32, |sum, one| sum.saturating_add(one.weight.max(0)));
    !waited && !known && doubt >= DOUBTFUL
}

/// Whether an exception holds for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It does.
    Proven,
    /// It would, but anybody could have written the name.
    Unproven,
}

/// The first exception that fits.
fn exception<'p>(evidence: &Evidence, policy: &'p SpamPolicy) -> Option<(&'p Override, Fit)> {
    let authentic = Authenticity::from(evidence);
    let mut unproven = None;
    for one in &policy.overrides {
        let from = evidence.from_address.as_deref().is_some_and(|address| names(&one.who, address));
        let envelope =
            evidence.reverse_path.as_deref().is_some_and(|address| names(&one.who, address));
        if !from && !envelope {
            continue;
        }
        let proven = from && authentic.from || envelope && authentic.spf_domain.is_some();
        // Against a sender, the name is enough. For one, it has to be proven.
        let for_sender = matches!(one.what, Treatment::Accept);
        if proven || !for_sender || one.even_unproven {
            return Some((one, Fit::Proven));
        }
        unproven = unproven.or(Some((one, Fit::Unproven)));
    }
    unproven
}

/// Whether an address is meant by an override's `who`.
fn names(who: &str, address: &str) -> bool {
    let who = who.trim().trim_start_matches('@');
    if who.contains('@') {
        return who.eq_ignore_ascii_case(address);
    }
    let domain = address.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let who = who.trim_start_matches('.').to_ascii_lowercase();
    !who.is_empty()
        && domain.strip_suffix(&who).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Lets an exception take the place of the usual verdict, and says so.
fn treat(
    judgement: &mut Judgement,
    exception: &Override,
    evidence: &Evidence,
    policy: &SpamPolicy,
) {
    let who = shown(&exception.who);
    let (verdict, chosen) = match exception.what {
        Treatment::Accept => (Verdict::Accept, format!("Mail from {who} is always accepted here")),
        Treatment::SpamFolder => {
            (Verdict::SpamFolder, format!("Mail from {who} always goes to the spam folder here"))
        }
        Treatment::Refuse => {
            let text = "Mail from this sender is not wanted here".to_owned();
            (
                Verdict::Refuse { status: "5.7.1".to_owned(), text },
                format!("Mail from {who} is always refused here"),
            )
        }
        Treatment::IgnoreDmarc => {
            let lenient = SpamPolicy {
                obey_dmarc_reject: false,
                obey_dmarc_quarantine: false,
                ..policy.clone()
            };
            let excused = weights::without_dmarc(&judgement.reasons);
            let weight = excused.iter().fold(0_i32, |sum, one| sum.saturating_add(one.weight));
            let verdict = usual(evidence, &lenient, weight, &excused);
            (verdict, format!("What DMARC says of {who} does not count here"))
        }
    };
    let would = told(&judgement.verdict);
    let unchanged = std::mem::discriminant(&verdict) == std::mem::discriminant(&judgement.verdict);
    let otherwise = if unchanged { String::new() } else { format!("; it would have been {would}") };
    judgement.overridden = Some(format!("{chosen}{otherwise}"));
    judgement.verdict = verdict;
}

fn told(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accepted",
        Verdict::SpamFolder => "put into the spam folder",
        Verdict::Defer { .. } => "put off",
        Verdict::Refuse { .. } => "refused",
    }
}

/// For an SMTP reply, which is ASCII (RFC 5321 §4.2).
fn ascii(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|c| match c {
            ' '..='~' => c,
            '“' | '”' => '"',
            _ => '?',
        })
        .collect()
}

fn shown(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { '?' } else { c }).collect()
}
