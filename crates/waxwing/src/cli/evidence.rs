//! Findings and verdicts in words: for `journey` and `verify`.

use waxwing_message::journey::{Finding, LookupSeen, Reason, Verdict};

/// Reasons that are shown: the rest weighs little.
const REASONS_SHOWN: usize = 8;

/// One line for each finding: `SPF pass  alice@wax.test: 127.0.0.1 is …`.
pub fn finding_lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(finding_line).collect()
}

fn finding_line(finding: &Finding) -> String {
    let about =
        if finding.about.is_empty() { String::new() } else { format!(" {}", finding.about) };
    let reason =
        if finding.reason.is_empty() { String::new() } else { format!(": {}", finding.reason) };
    format!("{} {}{about}{reason}", finding.check.name(), finding.result)
}

/// `TXT wax.test → v=spf1 mx -all`.
pub fn lookup_line(lookup: &LookupSeen) -> String {
    let signed = if lookup.dnssec { " (DNSSEC)" } else { "" };
    format!("{} {} → {}{signed}", lookup.record_type, lookup.name, lookup.answer)
}

/// The verdict, what overrode it, and the weightiest reasons.
pub fn verdict_lines(
    verdict: &Verdict,
    weight: i32,
    reasons: &[Reason],
    overridden: Option<&str>,
) -> Vec<String> {
    let mut lines = vec![format!("{} ({weight:+} points)", verdict_words(verdict))];
    lines.extend(overridden.map(|why| format!("decided beforehand: {why}")));
    let weighty = reasons.iter().filter(|reason| reason.weight != 0).take(REASONS_SHOWN);
    lines.extend(weighty.map(|reason| format!("{:+4}  {}", reason.weight, reason.text)));
    lines
}

fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accepted".to_owned(),
        Verdict::SpamFolder => "to the spam folder".to_owned(),
        Verdict::Defer { text } => format!("not now: {text}"),
        Verdict::Refuse { status, text } => format!("refused: {status} {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_message::journey::Check;

    #[test]
    fn a_verdict_shows_its_weightiest_reasons() {
        let reason = |weight, text: &str| Reason { check: Check::Spf, weight, text: text.into() };
        let reasons = [reason(60, "SPF fails"), reason(-5, "known"), reason(0, "nothing")];
        assert_eq!(
            verdict_lines(&Verdict::SpamFolder, 55, &reasons, Some("a choice")),
            [
                "to the spam folder (+55 points)",
                "decided beforehand: a choice",
                " +60  SPF fails",
                "  -5  known"
            ]
        );
    }
}
