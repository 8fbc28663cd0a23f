//! Which report, if any, an incoming message carries.
//!
//! | what is looked at | is taken for |
//! |---|---|
//! | `message/feedback-report` of the kind `auth-failure` | a failure report |
//! | a part named or typed as XML, JSON, gzip or zip that holds `<feedback` | an aggregate report |
//! | the same that holds `organization-name` and `policies` | a TLS report |
//! | the text of a `multipart/report` without such parts | a failure report in plain text |
//!
//! A message is *said* to be a report when its subject or its type says so, or when a file has a report's
//! name. Only then is a part that cannot be opened or read an error; in any other message it is somebody's
//! file and none of our business. Messages inside the message are not looked into: a report that is
//! forwarded is correspondence.

use waxwing_message::Message;
use waxwing_message::parse::{Body, Part, PartId};

use super::Received;
use crate::report::failure::{read_failure, read_plain};
use crate::report::unpack::{is_gzip, is_zip};
use crate::report::{Limits, ReportError, read_aggregate, read_tls, unpack};

/// Parts that are unpacked at most.
const CANDIDATES_MAX: usize = 8;
/// Octets at the start of a file among which its kind shows.
const HEAD: usize = 4_096;

/// The report in a message. `None` when the message is none; an error when it is said to be one (see
/// above) and none can be read.
pub fn recognise(message: &Message<'_>) -> Option<Result<Received, ReportError>> {
    if let Some(report) = feedback(message) {
        return Some(report.map(Received::Failure));
    }
    let said = is_said(message);
    let mut error = None;
    let candidates = own_parts(message).filter(|(_, part)| is_candidate(part));
    for (id, part) in candidates.take(CANDIDATES_MAX) {
        match open(&message.decoded(id)) {
            Ok(Some(report)) => return Some(Ok(report)),
            Ok(None) => {}
            Err(_) if !said && !part.file_name().is_some_and(|name| is_report_name(&name)) => {}
            Err(failed) => error = error.or(Some(failed)),
        }
    }
    if let Some(error) = error {
        return Some(Err(error));
    }
    let text = own_parts(message).find(|(_, part)| part.media_type == "text");
    let plain = text.filter(|_| message.root().subtype == "report").and_then(|(id, _)| {
        let text = message.text(id).replace("\r\n", "\n");
        read_plain(&text)
    });
    match plain {
        Some(report) => Some(Ok(Received::Failure(report))),
        None => said.then_some(Err(ReportError::NoReport)),
    }
}

/// The leaves that are not in an enclosed message.
fn own_parts<'m>(message: &'m Message<'_>) -> impl Iterator<Item = (PartId, &'m Part<'m>)> {
    let mut inside = vec![false; message.parts.len()];
    for (i, part) in message.parts.iter().enumerate() {
        // Parents come before their children.
        if let Some(parent) = part.parent {
            let enclosed = matches!(message.part(parent).content, Body::Message(_));
            inside[i] = enclosed || inside[parent.0 as usize];
        }
    }
    let parts = message.parts.iter().enumerate();
    parts
        .filter(move |(i, part)| !inside[*i] && !matches!(part.content, Body::Multipart(_)))
        .map(|(i, part)| (PartId(u32::try_from(i).unwrap_or(u32::MAX)), part))
}

/// A failure report by its media type, with the message or header beside it.
fn feedback(message: &Message<'_>) -> Option<Result<super::FailureReport, ReportError>> {
    let (id, _) = own_parts(message)
        .find(|(_, part)| part.media_type == "message" && part.subtype == "feedback-report")?;
    let original = own_parts(message).find(|(_, part)| {
        let header = matches!(&*part.subtype, "rfc822-headers" | "global-headers");
        part.is_message() || header
    });
    let original = original.map(|(id, _)| message.decoded(id)).unwrap_or_default();
    match read_failure(&message.decoded(id), &original) {
        // Complaints about spam and the like are ARF too, and no business of this room.
        Ok(report) if report.feedback_type != "auth-failure" => None,
        read => Some(read),
    }
}

/// Whether the message says of itself that it is an aggregate or TLS report: RFC 9990 §3.5.2 and RFC 8460
/// §5.3 fix the subject and the type.
fn is_said(message: &Message<'_>) -> bool {
    let subject = message.subject().unwrap_or_default().to_ascii_lowercase();
    let words: Vec<&str> = subject.split_whitespace().take(40).collect();
    let by_subject = words.starts_with(&["report", "domain:"]) && words.contains(&"submitter:");
    let root = message.root();
    let by_type = root.subtype == "report"
        && root.param("report-type").is_some_and(|kind| kind.eq_ignore_ascii_case("tlsrpt"));
    by_subject || by_type
}

/// `receiver!policy-domain!begin!end…` (RFC 9990 §3.5.2, RFC 8460 §5.1).
fn is_report_name(name: &str) -> bool {
    let mut parts = name.split('!');
    let (Some(_), Some(domain), Some(begin), Some(end)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let end = end.split('.').next().unwrap_or_default();
    domain.contains('.') && digits(begin) && digits(end)
}

/// Whether a part could hold a report, by its type or name.
fn is_candidate(part: &Part<'_>) -> bool {
    let typed = match &*part.media_type {
        "application" => matches!(
            &*part.subtype,
            "gzip"
                | "x-gzip"
                | "gunzip"
                | "x-gunzip"
                | "gzip-compressed"
                | "zip"
                | "x-zip"
                | "x-zip-compressed"
                | "octet-stream"
                | "xml"
                | "json"
                | "tlsrpt+gzip"
                | "tlsrpt+json"
        ),
        "text" => matches!(&*part.subtype, "xml" | "json"),
        _ => false,
    };
    typed
        || part.file_name().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            [".xml", ".json", ".gz", ".zip"].iter().any(|ending| name.ends_with(ending))
        })
}

/// The report in a file; `None` when the file is something else.
fn open(octets: &[u8]) -> Result<Option<Received>, ReportError> {
    let packed = is_gzip(octets) || is_zip(octets);
    if !packed && !is_xml(octets) && !is_json(octets) {
        return Ok(None);
    }
    let unpacked = unpack(octets, &Limits::default())?;
    if is_xml(&unpacked) {
        read_aggregate(&unpacked).map(|report| Some(Received::Aggregate(report)))
    } else if is_json(&unpacked) {
        read_tls(&unpacked).map(|report| Some(Received::Tls(report)))
    } else {
        Ok(None)
    }
}

/// Whether this is the beginning of an aggregate report, in an encoding of eight or sixteen bits.
fn is_xml(octets: &[u8]) -> bool {
    let head: Vec<u8> = octets.iter().take(HEAD).copied().filter(|b| *b != 0).collect();
    memchr::memmem::find(&head, b"<feedback").is_some()
}

/// Whether this is a TLS report.
fn is_json(octets: &[u8]) -> bool {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets).trim_ascii_start();
    octets.starts_with(b"{")
        && [&b"\"organization-name\""[..], b"\"policies\""]
            .iter()
            .all(|name| memchr::memmem::find(octets, name).is_some())
}
