//! What each piece of evidence weighs, all in one place.
//!
//! The scale: fifty points make spam by default, a hundred are certainty. One oddity of a connection
//! or a header never makes spam by itself; a forged sender, a listed client or a known spammer does.
//! What is proven weighs little by itself: spammers have SPF and DKIM too. It counts through the
//! reputation that is tied to it.

use waxwing_message::journey::{Check, Finding, Reason};

use super::evidence::{
    ArcFacts, ArcStatus, DkimFacts, DkimResult, DmarcFacts, DmarcPolicy, DmarcResult, Evidence,
    ListKind, Listed, SpfFacts, SpfResult,
};
use super::reputation::{Leaning, Level, ReputationOutcome};
use super::words::WordsOutcome;

/// Every reason that the evidence gives, unranked. Pure and total.
pub(super) fn reasons(evidence: &Evidence) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let vouched = vouched_by_arc(evidence);
    let direct = !evidence.relayed_by_trusted;
    if !direct {
        let text = "It came through a server that is trusted to pass mail on, so its connection tells nothing";
        reasons.push(reason(Check::Policy, 0, text));
    }
    if direct {
        reasons.extend(evidence.helo.iter().map(|one| found(one, helo_weight(&one.result))));
        reasons.extend(evidence.rdns.iter().map(|one| found(one, reverse_weight(&one.result))));
    }
    let listed = evidence.blocklists.iter().filter(|one| direct || one.kind == ListKind::Domain);
    reasons.extend(listed.map(blocklist));
    if let Some(facts) = evidence.spf.as_ref().filter(|_| direct) {
        reasons.push(spf(facts, evidence, vouched));
    }
    reasons.extend(dkim(evidence));
    reasons.extend(unproven(evidence, direct));
    reasons.extend(evidence.dmarc.as_ref().map(|facts| dmarc(facts, vouched || !direct)));
    reasons.extend(evidence.arc.as_ref().and_then(arc));
    reasons.extend(evidence.from.iter().map(|one| found(one, from_weight(&one.result))));
    reasons.extend(evidence.reputation.as_ref().and_then(reputation));
    let known = evidence.reputation.as_ref().is_some_and(|outcome| outcome.leaning().is_some());
    reasons.extend(evidence.words.as_ref().filter(|_| !known).and_then(words));
    reasons
}

/// Whether a chain of trusted sealers saw the message pass before it was changed on the way.
pub(super) fn vouched_by_arc(evidence: &Evidence) -> bool {
    evidence.arc.as_ref().is_some_and(|arc| {
        arc.status == ArcStatus::Pass && arc.trusted_sealer && arc.original_dmarc_pass
    })
}

/// One reason.
pub(super) fn reason(check: Check, weight: i32, text: impl Into<String>) -> Reason {
    Reason { check, weight, text: text.into() }
}

fn found(finding: &Finding, weight: i32) -> Reason {
    reason(finding.check, weight, finding.reason.clone())
}

fn helo_weight(result: &str) -> i32 {
    match result {
        "own-name" => 40,
        "localhost" => 20,
        "ip" | "literal-mismatch" | "malformed" => 15,
        "not-fqdn" | "unresolvable" => 12,
        _ => 0,
    }
}

fn reverse_weight(result: &str) -> i32 {
    match result {
        "none" => 20,
        "generic" => 18,
        "unconfirmed" => 12,
        "pass" => -2,
        _ => 0,
    }
}

fn from_weight(result: &str) -> i32 {
    match result {
        "none" | "several-fields" | "own-domain" => 60,
        "like-own-domain" | "like-colleague" | "mixed-scripts" => 50,
        "name-of-colleague" | "like-contact" => 45,
        "another-address" | "turned" | "no-address" | "malformed" => 40,
        "several-without-sender" => 30,
        "name-of-contact" => 15,
        "no-message-id" => 12,
        "no-date" | "repeated-field" => 10,
        "punycode" => 2,
        _ => 0,
    }
}

fn blocklist(listed: &Listed) -> Reason {
    let says = if listed.says.is_empty() {
        String::new()
    } else {
        format!(": “{}”", cut(&listed.says))
    };
    let text = format!("{} is listed by {}{says}", listed.name, listed.list);
    // A list can only speak against a sender, and no list is more than certain.
    reason(Check::Blocklist, listed.weight.clamp(0, 100), text)
}

fn spf(facts: &SpfFacts, evidence: &Evidence, vouched: bool) -> Reason {
    let client =
        evidence.ip.map_or_else(|| "this client".to_owned(), |ip| ip.to_canonical().to_string());
    let domain = &facts.domain;
    let because =
        if facts.reason.is_empty() { String::new() } else { format!(" ({})", cut(&facts.reason)) };
    let (weight, text) = match facts.result {
        SpfResult::Pass => (-2, format!("SPF passes: {domain} says that {client} may send for it")),
        SpfResult::Fail => {
            (25, format!("SPF fails: {domain} says {client} may not send for it{because}"))
        }
        SpfResult::SoftFail => {
            (10, format!("SPF: {domain} doubts that {client} may send for it{because}"))
        }
        SpfResult::Neutral => {
            (2, format!("SPF: {domain} does not say whether {client} may send for it"))
        }
        SpfResult::None => (3, format!("SPF: {domain} does not say who may send for it")),
        SpfResult::PermError => (5, format!("SPF: the record of {domain} is broken{because}")),
        SpfResult::TempError => (0, format!("SPF: the DNS of {domain} did not answer{because}")),
    };
    let proven = evidence.dmarc.as_ref().is_some_and(|dmarc| dmarc.result == DmarcResult::Pass);
    // Forwarding breaks SPF. When the author is proven otherwise, or a trusted sealer saw it pass, it
    // tells nothing.
    let weight = if weight > 0 && (proven || vouched) { 0 } else { weight };
    reason(Check::Spf, weight, text)
}

/// RFC 6376 §6.1: a signature that does not hold is worth what none is worth, and no less.
fn dkim(evidence: &Evidence) -> Option<Reason> {
    let holds = |one: &&DkimFacts| one.result == DkimResult::Pass;
    if let Some(signed) = evidence.dkim.iter().find(holds) {
        return Some(reason(Check::Dkim, -2, format!("DKIM: {} has signed it", signed.domain)));
    }
    if let Some(pending) = evidence.dkim.iter().find(|one| one.result == DkimResult::TempError) {
        let text = format!("DKIM: the DNS of {} did not answer for its key", pending.domain);
        return Some(reason(Check::Dkim, 0, text));
    }
    if let Some(broken) = evidence.dkim.first() {
        let because = if broken.reason.is_empty() {
            String::new()
        } else {
            format!(" ({})", cut(&broken.reason))
        };
        let text = format!("DKIM: the signature of {} does not hold{because}", broken.domain);
        return Some(reason(Check::Dkim, 3, text));
    }
    evidence.dkim_checked.then(|| reason(Check::Dkim, 3, "DKIM: nobody has signed it"))
}

/// Neither SPF nor DKIM says anything at all about the sender.
fn unproven(evidence: &Evidence, direct: bool) -> Option<Reason> {
    let spf = evidence.spf.as_ref().is_some_and(|spf| spf.result == SpfResult::None);
    let unsigned = evidence.dkim_checked && evidence.dkim.is_empty();
    let text = "Nothing proves who sent it: its domain has no SPF record, and it is not signed";
    (spf && unsigned && direct).then(|| reason(Check::Policy, 10, text))
}

fn dmarc(facts: &DmarcFacts, excused: bool) -> Reason {
    let domain = &facts.domain;
    let (weight, text) = match facts.result {
        DmarcResult::Pass => {
            let how =
                facts.aligned.as_ref().map(|how| format!(" ({})", cut(how))).unwrap_or_default();
            (-5, format!("DMARC passes: it is from {domain}{how}"))
        }
        DmarcResult::Fail => {
            let (weight, wish) = match facts.applied() {
                DmarcPolicy::None => (10, "asks for nothing"),
                DmarcPolicy::Quarantine => (40, "asks to treat it as suspicious"),
                DmarcPolicy::Reject => (60, "asks to refuse it"),
            };
            (weight, format!("DMARC fails: nothing proves that it is from {domain}, which {wish}"))
        }
        DmarcResult::None => (2, format!("DMARC: {domain} has no policy")),
        DmarcResult::PermError => (2, format!("DMARC: the policy of {domain} is broken")),
        DmarcResult::TempError => (0, format!("DMARC: the DNS of {domain} did not answer")),
    };
    reason(Check::Dmarc, if excused { weight.min(0) } else { weight }, text)
}

fn arc(facts: &ArcFacts) -> Option<Reason> {
    let sealer = &facts.sealer;
    match (facts.status, facts.trusted_sealer, facts.original_dmarc_pass) {
        (ArcStatus::Pass, true, true) => {
            let text = format!(
                "ARC: {sealer}, which is trusted, saw that it was genuine before it was passed on"
            );
            Some(reason(Check::Arc, -5, text))
        }
        (ArcStatus::Pass, true, false) => {
            Some(reason(Check::Arc, 0, format!("ARC: {sealer} did not see it pass either")))
        }
        (ArcStatus::Pass, false, _) => Some(reason(
            Check::Arc,
            0,
            format!("ARC: {sealer} vouches for it, but is not trusted here"),
        )),
        // RFC 8617 §5.2: a chain that fails is worth what none is worth.
        (ArcStatus::Fail | ArcStatus::None, ..) => None,
    }
}

fn reputation(outcome: &ReputationOutcome) -> Option<Reason> {
    match outcome {
        ReputationOutcome::Conclusive { leaning, level, reason: text } => {
            let (ham, spam) = match level {
                Level::Sender => (-60, 90),
                Level::WrittenTo => (-80, 0),
                Level::Domain => (-40, 70),
                Level::OrgDomain => (-35, 65),
                Level::Dkim => (-30, 65),
                Level::Spf => (-25, 60),
                Level::Ip => (-25, 60),
                Level::Network => (-20, 60),
            };
            let weight = if *leaning == Leaning::Ham { ham } else { spam };
            Some(reason(Check::Reputation, weight, text.clone()))
        }
        ReputationOutcome::Inconclusive { first_contact: true, reason: text } => {
            Some(reason(Check::FirstContact, 5, text.clone()))
        }
        ReputationOutcome::Inconclusive { first_contact: false, reason: text } => {
            Some(reason(Check::Reputation, 0, text.clone()))
        }
    }
}

/// What a probability of the words weighs; straight lines between these points.
const WORDS: [(f64, f64); 8] = [
    (0.0, -40.0),
    (0.02, -25.0),
    (0.2, -5.0),
    (0.5, 0.0),
    (0.8, 15.0),
    (0.95, 50.0),
    (0.99, 65.0),
    (1.0, 80.0),
];

/// The points of a probability; never fewer for a higher one.
pub(super) fn words_weight(probability: f64) -> i32 {
    if !probability.is_finite() {
        return 0;
    }
    let p = probability.clamp(0.0, 1.0);
    let line = WORDS.windows(2).find(|line| p <= line[1].0).unwrap_or(&WORDS[WORDS.len() - 2..]);
    let [(p0, w0), (p1, w1)] = [line[0], line[1]];
    (w0 + (w1 - w0) * (p - p0) / (p1 - p0)).round() as i32
}

fn words(outcome: &WordsOutcome) -> Option<Reason> {
    if !outcome.confident {
        return Some(reason(Check::Words, 0, "Too little was learned yet to judge its words"));
    }
    let weight = words_weight(outcome.probability);
    let side = if weight >= 0 { 1.0 } else { -1.0 };
    let told = outcome.weightiest.iter().filter(|(_, which)| which * side > 0.0).take(5);
    let told: Vec<String> = told.map(|(word, _)| format!("“{}”", cut(word))).collect();
    let like = match weight {
        15.. => "Its words are those of spam",
        ..-5 => "Its words are those of wanted mail",
        _ => "Its words say little",
    };
    let most =
        if told.is_empty() { String::new() } else { format!("; most of all {}", told.join(", ")) };
    Some(reason(Check::Words, weight, format!("{like}{most}")))
}

/// The beginning of a text from outside, on one line.
fn cut(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The same reasons with nothing said by DMARC against the sender.
pub(super) fn without_dmarc(reasons: &[Reason]) -> Vec<Reason> {
    let excused = |one: &Reason| match one.check {
        Check::Dmarc => Reason { weight: one.weight.min(0), ..one.clone() },
        _ => one.clone(),
    };
    reasons.iter().map(excused).collect()
}
