//! The fields of a failure report, and how much of the message goes with them.
//!
//! A failure report goes to whoever publishes the record of a domain, who need not be the author, so it
//! can tell strangers who wrote to whom (RFC 9991 §7). [`Disclosure`] chooses: by default the header
//! only, with the local parts of recipients replaced as RFC 6590 does it, alike in all reports so that they
//! can be brought together, and not to be undone without the key.

use aws_lc_rs::hmac;
use base64::Engine;
use waxwing_message::compose::header::FieldWriter;
use waxwing_message::parse::addresses::{self, AddressItem};
use waxwing_message::parse::date;
use waxwing_message::parse::field::{Header, fields, header_end};

use super::FailureReport;

/// How much of a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disclosure<'a> {
    /// The body too.
    pub body: bool,
    /// With a key, local parts of recipients are replaced.
    pub redact: Option<&'a [u8]>,
}

/// Fields whose addresses are recipients.
const RECIPIENT_FIELDS: [&str; 11] = [
    "To",
    "Cc",
    "Bcc",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
    "Apparently-To",
    "Delivered-To",
    "X-Original-To",
    "Envelope-To",
    "X-Envelope-To",
];
/// Fields that name recipients among other things.
const TRACE_FIELDS: [&str; 4] = ["Received", "X-Received", "Received-SPF", "List-Unsubscribe"];

/// The body of the `message/feedback-report` part (RFC 5965 §3, RFC 6591 §3, RFC 9991 §4).
pub fn write_failure(report: &FailureReport, disclosure: &Disclosure<'_>) -> Vec<u8> {
    let mut out = FieldWriter::default();
    let mut field = |name: &str, value: &str| out.raw(name, &ascii(value));
    field("Feedback-Type", &report.feedback_type);
    field("User-Agent", &report.user_agent);
    field("Version", "1");
    if let Some(failure) = report.auth_failure {
        field("Auth-Failure", failure.as_str());
    }
    if let Some(mechanisms) = &report.identity_alignment {
        let names: Vec<&str> = mechanisms.iter().map(|mechanism| mechanism.as_str()).collect();
        field(
            "Identity-Alignment",
            &if names.is_empty() { "none".into() } else { names.join(", ") },
        );
    }
    for results in &report.authentication_results {
        field("Authentication-Results", results);
    }
    let optional = [
        ("Original-Envelope-Id", report.original_envelope_id.clone()),
        ("Original-Mail-From", report.original_mail_from.as_ref().map(|path| format!("<{path}>"))),
    ];
    for (name, value) in optional {
        value.iter().for_each(|value| field(name, value));
    }
    for recipient in &report.original_rcpt_to {
        field("Original-Rcpt-To", &format!("<{}>", address(recipient, disclosure)));
    }
    let optional = [
        ("Arrival-Date", report.arrival_date.map(date::format)),
        ("Source-IP", report.source_ip.map(|ip| ip.to_canonical().to_string())),
        ("Source-Port", report.source_port.map(|port| port.to_string())),
        ("Reported-Domain", report.reported_domain.clone()),
        ("Delivery-Result", report.delivery_result.map(|result| result.as_str().to_owned())),
        ("Incidents", report.incidents.map(|count| count.to_string())),
        ("DKIM-Domain", report.dkim_domain.clone()),
        ("DKIM-Identity", report.dkim_identity.clone()),
        ("DKIM-Selector", report.dkim_selector.clone()),
        ("SPF-DNS", report.spf_dns.clone()),
    ];
    for (name, value) in optional {
        value.iter().for_each(|value| field(name, value));
    }
    out.into_bytes()
}

/// What is shown of a message.
pub fn shown(original: &[u8], disclosure: &Disclosure<'_>) -> Vec<u8> {
    let end = header_end(original);
    let mut out = match disclosure.redact {
        None => original[..end].to_vec(),
        Some(key) => redacted_header(&original[..end], key),
    };
    if disclosure.body {
        out.extend_from_slice(&original[end..]);
    }
    out
}

fn redacted_header(header: &[u8], key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len());
    let mut at = 0;
    for field in fields(header) {
        let among = |names: &[&str]| names.iter().any(|name| field.is(name));
        let replaced = if among(&RECIPIENT_FIELDS) {
            recipients(&field, key)
        } else if among(&TRACE_FIELDS) {
            let value = String::from_utf8_lossy(&field.unfolded()).into_owned();
            let mut writer = FieldWriter::default();
            writer
                .raw(&String::from_utf8_lossy(field.name), local_parts(value.trim(), key).as_str());
            writer.into_bytes()
        } else {
            continue;
        };
        out.extend_from_slice(&header[at..field.range.start]);
        out.extend_from_slice(&replaced);
        at = field.range.end;
    }
    out.extend_from_slice(&header[at..]);
    out
}

/// The field with its addresses alone: names tell as much as local parts do.
fn recipients(field: &Header<'_>, key: &[u8]) -> Vec<u8> {
    let items = addresses::parse(field.value).into_iter();
    let addresses = items.filter_map(|item| match item {
        AddressItem::Mailbox { local_part, domain, .. } => {
            Some(format!("{}@{domain}", redacted(&local_part, key)))
        }
        AddressItem::GroupStart(_) | AddressItem::GroupEnd => None,
    });
    let list: Vec<String> = addresses.collect();
    let list =
        if list.is_empty() { "undisclosed-recipients:;".to_owned() } else { list.join(", ") };
    let mut writer = FieldWriter::default();
    writer.raw(&String::from_utf8_lossy(field.name), &ascii(&list));
    writer.into_bytes()
}

/// A text with everything before an `@` that could be a local part replaced.
fn local_parts(text: &str, key: &[u8]) -> String {
    let local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let before = &rest[..at];
        // A quoted local part ends with its quote.
        let begin = match before.strip_suffix('"') {
            Some(inner) => inner.rfind('"').unwrap_or(before.len()),
            None => before.trim_end_matches(local).len(),
        };
        out.push_str(&before[..begin]);
        if begin < at {
            out.push_str(&redacted(before[begin..].trim_matches('"'), key));
        }
        out.push('@');
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out
}

fn address(path: &str, disclosure: &Disclosure<'_>) -> String {
    match (disclosure.redact, path.rsplit_once('@')) {
        (Some(key), Some((local_part, domain))) => {
            format!("{}@{domain}", redacted(local_part.trim_matches('"'), key))
        }
        (Some(key), None) => redacted(path, key),
        (None, _) => path.to_owned(),
    }
}

/// RFC 6590 asks for a keyed digest in base64 or the like; half of SHA-256 is plenty.
fn redacted(local_part: &str, key: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let digest = hmac::sign(&key, local_part.as_bytes());
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    // A leading or doubled dot cannot occur: the alphabet is letters, digits, `-` and `_`.
    engine.encode(&digest.as_ref()[..16])
}

/// ARF is ASCII; what is not becomes a question mark.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}
