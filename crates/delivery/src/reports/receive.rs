//! Reports of others about our domains: read from the messages that bring them, after they were
//! delivered. The message stays where it is; its journey says what was read, or why nothing was.
//!
//! | | |
//! |---|---|
//! | which messages | those that [`may_be_report`](super::may_be_report) suspects, from other servers |
//! | believed | DMARC did not fail, and SPF or DKIM passed (RFC 9990 §3.5.2); TLS: signed by the reporter (RFC 8460 §3) |
//! | kept | when it is about a domain of ours, or one below it |
//! | bounds | one at a time, octets, rows, a minute, three attempts |

use std::time::Duration;

use serde_json::json;
use waxwing_dns::Resolve;
use waxwing_filter::spam::absurd::only_author;
use waxwing_mailauth::report::aggregate::{AggregateReport, Aligned, Disposition};
use waxwing_mailauth::report::{
    FailureReport, Received, ReportError, TlsReport, recognise, write_tls,
};
use waxwing_message::Message;
use waxwing_message::journey::{Check, Event, Finding, Step};
use waxwing_store::{ReportKind, ReportMail, StoreError, StoredReport};

use super::Reporter;
use crate::clock::Clock;

/// Octets of a message that is read: ten megabytes of report, encoded.
const MESSAGE_OCTETS_MAX: u64 = 15_000_000;
/// Bounded input takes bounded time; on a machine that is overwhelmed it may still take long.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// A message that was begun so often and never finished is given up.
const ATTEMPTS_MAX: u32 = 3;
/// Rows of an aggregate report that are kept: those that count most.
const ROWS_KEPT: usize = 5_000;
/// Characters of names that others chose.
const NAME_MAX: usize = 200;
/// Octets of a message's header that are kept of a failure report.
const ORIGINAL_KEPT: usize = 16 * 1024;

/// A report and the domain of its author.
struct Read {
    received: Received,
    author_domain: Option<String>,
}

/// What is known of a report before it is kept.
struct About {
    kind: ReportKind,
    /// Whose policy, in the report's words.
    domain: String,
    organization: String,
    name: String,
    begins_at: jiff::Timestamp,
    ends_at: jiff::Timestamp,
    passed: u64,
    failed: u64,
    what: String,
    summary: String,
}

impl<R: Resolve, C: Clock> Reporter<R, C> {
    /// Reads the next message that may be a report; false when there is none.
    pub async fn read_one(&self) -> Result<bool, StoreError> {
        let Some(mail) = self.store.begin_report_mail().await? else { return Ok(false) };
        let (report, step) = match self.read_mail(mail).await? {
            Ok(Some((report, step))) => (Some(report), Some(step)),
            Ok(None) => (None, None),
            Err(reason) => {
                tracing::info!(message = mail.message.0, reason, "a report was not read");
                (None, Some(Step::ReportNotRead { reason }))
            }
        };
        let at = self.clock.now();
        let events = step.into_iter().map(|step| Event { at, step }).collect();
        self.store.report_mail_read(mail.message, report, events).await?;
        Ok(true)
    }

    /// The report in the message and the step that tells of it; `None` when it is none, the reason
    /// when it is not to be kept.
    async fn read_mail(
        &self,
        mail: ReportMail,
    ) -> Result<Result<Option<(StoredReport, Step)>, String>, StoreError> {
        if mail.attempt > ATTEMPTS_MAX {
            return Ok(Err("reading it was begun several times and never came to an end".into()));
        }
        let Some(content) = self.store.message_content(mail.message).await? else {
            return Ok(Ok(None));
        };
        let octets = content.read(0, MESSAGE_OCTETS_MAX + 1).await?;
        if octets.len() as u64 > MESSAGE_OCTETS_MAX {
            let reason = format!("a message of more than {MESSAGE_OCTETS_MAX} octets is not read");
            return Ok(Err(reason));
        }
        let read = match self.parse(octets).await {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(Ok(None)),
            Err(reason) => return Ok(Err(reason)),
        };
        if let Err(reason) = self.believe(mail, &read).await? {
            return Ok(Err(reason));
        }
        self.keep(read).await
    }

    /// Looks for a report, off the threads that serve connections.
    async fn parse(&self, octets: Vec<u8>) -> Result<Option<Read>, String> {
        let reading = tokio::task::spawn_blocking(move || read(&octets));
        tokio::select! {
            done = reading => match done {
                Ok(found) => found.transpose().map_err(|error| error.to_string()),
                Err(_) => Err("the report breaks the program that reads it".to_owned()),
            },
            () = self.clock.sleep(READ_WITHIN) => {
                Err(format!("reading took more than {} seconds", READ_WITHIN.as_secs()))
            }
        }
    }

    /// Whether it comes from whom it says, by what was found when it came. What was not examined
    /// came from a server of ours.
    async fn believe(
        &self,
        mail: ReportMail,
        read: &Read,
    ) -> Result<Result<(), String>, StoreError> {
        let Some(id) = self.store.journey_of_message(mail.message).await? else {
            return Ok(Ok(()));
        };
        let Some(journey) = self.store.journey(id).await? else { return Ok(Ok(())) };
        let findings = journey.events.into_iter().find_map(|event| match event.step {
            Step::Examined { findings, .. } => Some(findings),
            _ => None,
        });
        Ok(findings.map_or(Ok(()), |findings| is_genuine(&findings, read)))
    }

    async fn keep(
        &self,
        read: Read,
    ) -> Result<Result<Option<(StoredReport, Step)>, String>, StoreError> {
        let author = read.author_domain.unwrap_or_default();
        let about = match read.received {
            Received::Aggregate(report) => of_aggregate(report),
            Received::Tls(report) => of_tls(&report),
            Received::Failure(report) => of_failure(&report, &author, self.clock.now()),
        };
        let Some(domain) = self.ours(&about.domain).await? else {
            return Ok(Err(format!(
                "it is about {}, which is no domain of this system",
                clean(&about.domain)
            )));
        };
        let organization = clean(&about.organization);
        let organization = if organization.is_empty() { author } else { organization };
        let step = Step::ReportRead {
            kind: kind_name(about.kind).to_owned(),
            domain: domain.clone(),
            organization: organization.clone(),
            summary: about.summary,
        };
        let report = StoredReport {
            kind: about.kind,
            domain,
            organization,
            name: clean(&about.name),
            begins_at: about.begins_at,
            ends_at: about.ends_at,
            received_at: self.clock.now(),
            passed: about.passed,
            failed: about.failed,
            what: about.what,
        };
        Ok(Ok(Some((report, step))))
    }

    /// The domain of ours that this is, or stands below.
    async fn ours(&self, domain: &str) -> Result<Option<String>, StoreError> {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let mut name = domain.as_str();
        // A name has at most 127 labels (RFC 1035 §2.3.4).
        for _ in 0..127 {
            if name.len() <= 253 && self.store.domain(name).await?.is_some() {
                return Ok(Some(name.to_owned()));
            }
            match name.split_once('.') {
                Some((_, parent)) => name = parent,
                None => break,
            }
        }
        Ok(None)
    }
}

/// As people read it.
fn kind_name(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Dmarc => "DMARC",
        ReportKind::Tls => "TLS",
        ReportKind::Failure => "DMARC failure",
    }
}

fn read(octets: &[u8]) -> Option<Result<Read, ReportError>> {
    let message = Message::parse(octets);
    let author_domain = only_author(&message)
        .and_then(|author| author.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase()));
    let received = recognise(&message)?;
    Some(received.map(|received| Read { received, author_domain }))
}

fn is_genuine(findings: &[Finding], read: &Read) -> Result<(), String> {
    let passes = |check| findings.iter().any(move |f| f.check == check && f.result == "pass");
    if findings.iter().any(|f| f.check == Check::Dmarc && f.result == "fail") {
        return Err("it fails DMARC, so that anybody may have written it".to_owned());
    }
    if !passes(Check::Dkim) && !passes(Check::Spf) {
        return Err("neither SPF nor DKIM says whom it is from".to_owned());
    }
    if matches!(read.received, Received::Tls(_)) {
        let author = read.author_domain.as_deref().unwrap_or_default();
        let signed = findings.iter().any(|finding| {
            finding.check == Check::Dkim
                && finding.result == "pass"
                && signing_domain(&finding.about).is_some_and(|signer| related(signer, author))
        });
        if !signed {
            // RFC 8460 §3: such a report "MUST be ignored".
            return Err(format!("it is not signed by {author}, whom it says it is from"));
        }
    }
    Ok(())
}

/// `d=` of a finding about a signature.
fn signing_domain(about: &str) -> Option<&str> {
    about.split_whitespace().find_map(|word| word.strip_prefix("d="))
}

/// The same domain, or one below the other.
fn related(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let below = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'));
    // Nobody signs for everybody below a top-level domain.
    a.contains('.') && b.contains('.') && (a == b || below(&a, &b) || below(&b, &a))
}

fn of_aggregate(mut report: AggregateReport) -> About {
    let (mut passed, mut failed, mut refused) = (0u64, 0u64, 0u64);
    let mut sources: Vec<_> = report.rows.iter().map(|row| row.source_ip).collect();
    sources.sort_unstable();
    sources.dedup();
    for row in &report.rows {
        let evaluated = &row.policy_evaluated;
        let counted = match [evaluated.dkim, evaluated.spf].contains(&Aligned::Pass) {
            true => &mut passed,
            false => &mut failed,
        };
        *counted = counted.saturating_add(row.count);
        if evaluated.disposition == Disposition::Reject {
            refused = refused.saturating_add(row.count);
        }
    }
    let mut summary = format!(
        "{} from {}, {passed} passed, {failed} failed",
        count(passed.saturating_add(failed), "message"),
        count(sources.len() as u64, "address"),
    );
    if refused > 0 {
        summary.push_str(&format!(", {refused} refused"));
    }
    report.rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    if report.rows.len() > ROWS_KEPT {
        let more = report.rows.len() - ROWS_KEPT;
        report.rows.truncate(ROWS_KEPT);
        report.errors.push(format!("{more} more rows, of few messages each, were not kept"));
    }
    About {
        kind: ReportKind::Dmarc,
        domain: report.policy.domain.clone(),
        organization: report.org_name.clone(),
        name: report.report_id.clone(),
        begins_at: report.begin,
        ends_at: report.end,
        passed,
        failed,
        what: serde_json::to_string(&report).expect("a report is plain data"),
        summary,
    }
}

fn of_tls(report: &TlsReport) -> About {
    let sum = |count: fn(&waxwing_mailauth::report::tls::TlsPolicy) -> u64| {
        report.policies.iter().map(count).fold(0, u64::saturating_add)
    };
    let (passed, failed) = (sum(|p| p.successful_sessions), sum(|p| p.failed_sessions));
    let mut summary = format!("{} went well, {failed} failed", count(passed, "session"));
    let mut kinds: Vec<&str> = report
        .policies
        .iter()
        .flat_map(|policy| &policy.failure_details)
        .map(|detail| detail.result_type.as_str())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    if !kinds.is_empty() {
        kinds.truncate(8);
        summary.push_str(&format!(" ({})", clean(&kinds.join(", "))));
    }
    let domain = report.policies.first().map(|policy| policy.policy_domain.clone());
    About {
        kind: ReportKind::Tls,
        domain: domain.unwrap_or_default(),
        organization: report.organization_name.clone(),
        name: report.report_id.clone(),
        begins_at: report.begin,
        ends_at: report.end,
        passed,
        failed,
        what: String::from_utf8(write_tls(report)).expect("JSON is UTF-8"),
        summary,
    }
}

fn of_failure(report: &FailureReport, author: &str, now: jiff::Timestamp) -> About {
    let at = report.arrival_date.unwrap_or(now);
    let why = report.auth_failure.map_or("DMARC", |failure| failure.as_str());
    let source = report.source_ip.map(|ip| format!(" from {ip}")).unwrap_or_default();
    let original = String::from_utf8_lossy(&report.original);
    let original = &original[..original.floor_char_boundary(ORIGINAL_KEPT)];
    let incidents = report.incidents.unwrap_or(1);
    let what = json!({
        "auth_failure": why,
        "identity_alignment": report.identity_alignment,
        "authentication_results": report.authentication_results,
        "reported_domain": report.reported_domain,
        "source_ip": report.source_ip,
        "original_mail_from": report.original_mail_from,
        "arrival_date": report.arrival_date,
        "delivery_result": report.delivery_result,
        "incidents": incidents,
        "dkim_domain": report.dkim_domain,
        "dkim_selector": report.dkim_selector,
        "original": original,
    })
    .to_string();
    About {
        kind: ReportKind::Failure,
        domain: report.reported_domain.clone().unwrap_or_default(),
        organization: author.to_owned(),
        name: blake3::hash(what.as_bytes()).to_hex()[..32].to_owned(),
        begins_at: at,
        ends_at: at,
        passed: 0,
        failed: incidents,
        what,
        summary: format!("a message{source} failed: {why}"),
    }
}

/// `12 messages`, `1 address`.
fn count(n: u64, one: &str) -> String {
    match (n, one.ends_with('s')) {
        (1, _) => format!("1 {one}"),
        (_, true) => format!("{n} {one}es"),
        (_, false) => format!("{n} {one}s"),
    }
}

/// A name that others chose, fit for a column.
fn clean(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_must_be_the_reporters_own() {
        assert!(related("example.org", "mail.example.org"));
        assert!(related("mail.example.org", "example.org"));
        assert!(related("Example.org", "example.ORG"));
        let strangers = [("org", "example.org"), ("evil-example.org", "example.org"), ("", "")];
        for (signer, author) in strangers {
            assert!(!related(signer, author), "{signer} {author}");
        }
        assert_eq!(signing_domain("d=example.org s=x"), Some("example.org"));
    }
}
