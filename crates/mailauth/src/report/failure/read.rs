//! Failure reports, read.
//!
//! Reporters leave out fields that RFC 6591 demands, use words of their own, or send no
//! `message/feedback-report` at all, so everything but the kind of feedback is optional.

use std::net::IpAddr;

use waxwing_message::parse::charset;
use waxwing_message::parse::date;
use waxwing_message::parse::field::{Header, fields};

use super::{AuthFailure, DeliveryResult, FailureReport, Mechanism};
use crate::report::ReportError;

/// Recipients and results that are kept.
const LIST_MAX: usize = 100;
/// Octets of a value that are kept.
const VALUE_MAX: usize = 8_192;
/// Octets of the message that are kept.
const ORIGINAL_MAX: usize = 1 << 20;

/// Reads the body of a `message/feedback-report`, transfer encoding undone, and what came with it of the
/// message (cut when it is large). An error says that this is no feedback report.
pub fn read_failure(report: &[u8], original: &[u8]) -> Result<FailureReport, ReportError> {
    let mut out = FailureReport { original: cut(original), ..FailureReport::default() };
    // A header would end at its first empty line; some reporters begin with one.
    for field in fields(report.trim_ascii_start()) {
        read_field(&mut out, &field);
    }
    if out.feedback_type.is_empty() {
        return Err(ReportError::Missing("Feedback-Type"));
    }
    Ok(out)
}

fn read_field(out: &mut FailureReport, field: &Header<'_>) {
    let value = field.unfolded();
    let value = charset::guess(value.trim_ascii());
    let value = &value[..value.floor_char_boundary(VALUE_MAX)];
    let some = || Some(value.to_owned()).filter(|value| !value.is_empty());
    let Ok(name) = std::str::from_utf8(field.name) else { return };
    match name.trim().to_ascii_lowercase().as_str() {
        "feedback-type" => out.feedback_type = value.to_ascii_lowercase(),
        "user-agent" => out.user_agent = value.to_owned(),
        // RFC 6591 §3.1 has one word, its successors a list.
        "auth-failure" => out.auth_failure = value.split(',').find_map(AuthFailure::parse),
        // RFC 9991 §4: the mechanisms that failed, or `none`.
        "identity-alignment" => {
            let words = value.split([',', ' ']).filter_map(Mechanism::parse);
            out.identity_alignment = Some(words.take(2).collect());
        }
        "authentication-results" if out.authentication_results.len() < LIST_MAX => {
            out.authentication_results.extend(some());
        }
        "reported-domain" => out.reported_domain = some(),
        "source-ip" => {
            let ip: Option<IpAddr> = value.trim_matches(['[', ']']).parse().ok();
            out.source_ip = ip.map(|ip| ip.to_canonical());
        }
        "source-port" => out.source_port = value.parse().ok(),
        "original-mail-from" => out.original_mail_from = Some(path(value)),
        "original-rcpt-to" if out.original_rcpt_to.len() < LIST_MAX => {
            out.original_rcpt_to.extend(some().map(|value| path(&value)));
        }
        "original-envelope-id" => out.original_envelope_id = some(),
        "arrival-date" | "received-date" => out.arrival_date = date::parse(field.value),
        "delivery-result" => {
            let known = DeliveryResult::parse(value);
            out.delivery_result = Some(known.unwrap_or(DeliveryResult::Other));
        }
        "incidents" => out.incidents = value.parse().ok(),
        "dkim-domain" => out.dkim_domain = some(),
        "dkim-identity" => out.dkim_identity = some(),
        "dkim-selector" => out.dkim_selector = some(),
        "spf-dns" => out.spf_dns = some(),
        _ => {}
    }
}

/// Reads a report that is text alone, as a script that is common with Exim sends it: lines such as
/// `Sender IP Address: 192.0.2.1`, then the header of the message below a line of dashes. `None` when
/// the text is no such report.
pub fn read_plain(text: &str) -> Option<FailureReport> {
    let (words, original) = match text.find("\n------ This is a copy of the headers") {
        Some(at) => (&text[..at], text[at + 1..].split_once('\n').map_or("", |(_, rest)| rest)),
        None => (text, ""),
    };
    let value = |name: &str| {
        words.lines().take(LIST_MAX).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let failed = |name: &str| value(name).is_some_and(|word| word.eq_ignore_ascii_case("no"));
    let mechanisms = [("DKIM Alignment", Mechanism::Dkim), ("SPF Alignment", Mechanism::Spf)];
    let told = mechanisms.iter().any(|(name, _)| value(name).is_some());
    let failing = mechanisms.iter().filter(|(name, _)| failed(name)).map(|(_, which)| *which);
    Some(FailureReport {
        feedback_type: "auth-failure".to_owned(),
        auth_failure: Some(AuthFailure::Dmarc),
        identity_alignment: told.then(|| failing.collect()),
        reported_domain: Some(value("Sender Domain")?.to_owned()),
        source_ip: Some(value("Sender IP Address")?.parse().ok()?),
        arrival_date: value("Received date").and_then(|at| date::parse(at.as_bytes())),
        original: cut(original.trim_start().as_bytes()),
        ..FailureReport::default()
    })
}

fn cut(original: &[u8]) -> Vec<u8> {
    original[..original.len().min(ORIGINAL_MAX)].to_vec()
}

/// A path without its brackets.
fn path(value: &str) -> String {
    let bare = value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value);
    bare.trim().to_owned()
}
