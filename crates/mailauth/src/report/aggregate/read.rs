//! Aggregate reports, read: RFC 9990, RFC 7489 appendix C, and what reporters make of them.
//!
//! One pass over the events of the parser. Elements are known by local name and parent, so namespaces,
//! order, extensions and unknown elements do not matter. What surrounds `feedback` is passed over: a large
//! mail gateway puts an `xs:schema` around it that never ends.
//!
//! | seen | read as |
//! |---|---|
//! | words in other cases, `hardfail`, `unknown`, `error` | the word meant |
//! | an authentication result that nobody knows | `neutral` |
//! | an alignment that is missing or unknown | `fail` |
//! | a policy or disposition that is missing or unknown | `none` |
//! | `reason` without type or comment | nothing |
//! | a bare `&`, octets that are not of the charset | itself, U+FFFD |
//! | text between elements | nothing |
//!
//! Bounds: octets, depth, rows, results, length of a text. A document type or an entity beyond the five
//! of XML ends the reading (RFC 9990, "Report Contents as an Attack").

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use waxwing_message::parse::charset;

use super::write::{SIGNATURES_MAX, is_xml};
use super::{
    AggregateReport, Aligned, AlignmentMode, AuthResults, DiscoveryMethod, Disposition, DkimAuth,
    DkimResult, Identifiers, OverrideReason, OverrideType, Policy, PolicyEvaluated,
    PolicyPublished, Row, SpfAuth, SpfResult, SpfScope,
};
use crate::report::ReportError;

/// Octets of XML that are read.
const OCTETS_MAX: usize = 20_000_000;
/// Elements inside elements; reports have six.
const DEPTH_MAX: usize = 32;
/// Rows that are read.
pub const ROWS_MAX: usize = 100_000;
/// Signatures, SPF results and reasons that are read, in all rows together.
pub const RESULTS_MAX: usize = 300_000;
/// Errors that are read.
const ERRORS_MAX: usize = 100;
/// XML 1.0 §2.3, S. Other white space is text.
const XML_WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
/// Octets of one text that are kept.
const TEXT_MAX: usize = 8_192;

/// Every element that has a meaning.
#[rustfmt::skip]
const ELEMENTS: &[&str] = &[
    "feedback", "version", "report_metadata", "org_name", "email", "extra_contact_info", "report_id",
    "date_range", "begin", "end", "error", "generator", "policy_published", "domain",
    "discovery_method", "p", "sp", "np", "fo", "adkim", "aspf", "testing", "pct", "record", "row",
    "source_ip", "count", "policy_evaluated", "disposition", "dkim", "spf", "reason", "type", "comment",
    "identifiers", "header_from", "envelope_from", "envelope_to", "auth_results", "selector", "result",
    "human_result", "scope",
];

/// Reads a report from its XML.
pub fn read_aggregate(xml: &[u8]) -> Result<AggregateReport, ReportError> {
    if xml.len() > OCTETS_MAX {
        return Err(ReportError::TooLarge { limit: OCTETS_MAX });
    }
    let text = decoded(xml);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().allow_dangling_amp = true;
    let mut report = Draft::default();
    loop {
        let event = reader.read_event().map_err(|error| ReportError::Xml {
            offset: usize::try_from(reader.error_position()).unwrap_or(usize::MAX),
            reason: error.to_string(),
        })?;
        match event {
            Event::Start(tag) => report.open(element(tag.local_name().as_ref()))?,
            Event::Empty(tag) => {
                report.open(element(tag.local_name().as_ref()))?;
                report.close()?;
            }
            Event::End(_) => report.close()?,
            Event::Text(piece) => report.push(&piece.decode().unwrap_or_default()),
            Event::CData(piece) => report.push(&piece.decode().unwrap_or_default()),
            Event::GeneralRef(reference) => report.refer(&reference)?,
            Event::DocType(_) => {
                return Err(ReportError::Entity("a document type".to_owned()));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return Err(ReportError::Missing("feedback")),
        }
        if report.ended {
            return report.finish();
        }
    }
}

/// The name of an element that has a meaning, else nothing.
fn element(name: &[u8]) -> &'static str {
    // Drafts before RFC 7489 had another name.
    if name.eq_ignore_ascii_case(b"identities") {
        return "identifiers";
    }
    let known = ELEMENTS.iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    known.copied().unwrap_or_default()
}

/// The text, by its byte order mark or by the charset that it declares.
fn decoded(xml: &[u8]) -> Cow<'_, str> {
    if xml.starts_with(b"\xff\xfe") {
        return charset::decode(xml, Some(b"utf-16le"));
    }
    if xml.starts_with(b"\xfe\xff") {
        return charset::decode(xml, Some(b"utf-16be"));
    }
    let head = &xml[..xml.len().min(200)];
    let head = &head[..memchr::memmem::find(head, b"?>").unwrap_or(0)];
    let label = memchr::memmem::find(head, b"encoding").and_then(|at| {
        let mut parts = head[at..].split(|b| matches!(b, b'"' | b'\''));
        parts.next();
        parts.next()
    });
    // The claim was read octet by octet, so it is no sixteen bits wide, whatever it says.
    let label = label.filter(|label| !label.to_ascii_lowercase().starts_with(b"utf-16"));
    charset::decode(xml, label.or(Some(b"utf-8")))
}

/// A report while it is read.
#[derive(Default)]
struct Draft {
    /// The elements that are open.
    open: Vec<&'static str>,
    /// Since the last tag.
    text: String,
    ended: bool,
    results: usize,
    version: Option<String>,
    org_name: String,
    email: String,
    extra_contact_info: Option<String>,
    report_id: String,
    begin: Option<Timestamp>,
    end: Option<Timestamp>,
    errors: Vec<String>,
    generator: Option<String>,
    policy: Option<PolicyPublished>,
    rows: Vec<Row>,
    row: RowDraft,
}

/// A row while it is read.
#[derive(Default)]
struct RowDraft {
    source_ip: Option<IpAddr>,
    count: Option<u64>,
    disposition: Option<Disposition>,
    dkim: Option<Aligned>,
    spf: Option<Aligned>,
    reasons: Vec<OverrideReason>,
    identifiers: Identifiers,
    results: AuthResults,
    /// Of the result or reason that is being read.
    part: Part,
}

/// The texts of a result or reason.
#[derive(Default)]
struct Part {
    domain: String,
    selector: Option<String>,
    result: String,
    human_result: Option<String>,
    scope: Option<SpfScope>,
    kind: String,
    comment: Option<String>,
}

impl Draft {
    fn open(&mut self, element: &'static str) -> Result<(), ReportError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(ReportError::TooDeep { limit: DEPTH_MAX });
        }
        match (self.parent(), element) {
            ("feedback", "record") => {
                if self.rows.len() >= ROWS_MAX {
                    return Err(ReportError::TooMany { what: "rows", limit: ROWS_MAX });
                }
                self.row = RowDraft::default();
            }
            ("feedback", "policy_published") => {
                self.policy = Some(PolicyPublished::new("", Policy::None));
            }
            ("auth_results", "dkim" | "spf") | ("policy_evaluated", "reason") => {
                self.results += 1;
                if self.results > RESULTS_MAX {
                    return Err(ReportError::TooMany { what: "results", limit: RESULTS_MAX });
                }
                self.row.part = Part::default();
            }
            _ => {}
        }
        self.text.clear();
        self.open.push(element);
        Ok(())
    }

    fn parent(&self) -> &'static str {
        self.open.last().copied().unwrap_or_default()
    }

    fn push(&mut self, piece: &str) {
        let room = TEXT_MAX.saturating_sub(self.text.len());
        let piece = &piece[..piece.floor_char_boundary(room)];
        // The parser lets pass what XML does not have.
        self.text.extend(piece.chars().map(|c| if is_xml(c) { c } else { ' ' }));
    }

    fn refer(&mut self, reference: &BytesRef<'_>) -> Result<(), ReportError> {
        if let Ok(Some(c)) = reference.resolve_char_ref() {
            self.push(c.encode_utf8(&mut [0; 4]));
            return Ok(());
        }
        let name = reference.decode().unwrap_or_default();
        match quick_xml::escape::resolve_xml_entity(&name) {
            Some(text) => self.push(text),
            None => {
                let end = name.floor_char_boundary(40);
                return Err(ReportError::Entity(format!("the entity &{};", &name[..end])));
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ReportError> {
        // The parser refuses an end without its beginning.
        let element = self.open.pop().unwrap_or_default();
        let text = std::mem::take(&mut self.text);
        let text = text.trim_matches(XML_WHITE_SPACE);
        match (self.parent(), element) {
            (_, "feedback") => self.ended = true,
            ("feedback", "version") => self.version = some(text),
            ("feedback", "record") => {
                let row = std::mem::take(&mut self.row).finish()?;
                self.rows.push(row);
            }
            ("report_metadata", _) => self.metadata(element, text),
            ("date_range", "begin") => self.begin = Some(timestamp("begin", text)?),
            ("date_range", "end") => self.end = Some(timestamp("end", text)?),
            ("policy_published", _) => {
                if let Some(policy) = &mut self.policy {
                    published(policy, element, text);
                }
            }
            (parent, _) => self.row.close(parent, element, text)?,
        }
        Ok(())
    }

    fn metadata(&mut self, element: &str, text: &str) {
        match element {
            "org_name" => self.org_name = text.to_owned(),
            "email" => self.email = text.to_owned(),
            "extra_contact_info" => self.extra_contact_info = some(text),
            "report_id" => self.report_id = text.to_owned(),
            "generator" => self.generator = some(text),
            "error" if self.errors.len() < ERRORS_MAX => self.errors.extend(some(text)),
            _ => {}
        }
    }

    fn finish(self) -> Result<AggregateReport, ReportError> {
        let policy = self.policy.ok_or(ReportError::Missing("policy_published"))?;
        if policy.domain.is_empty() {
            return Err(ReportError::Missing("policy_published/domain"));
        }
        Ok(AggregateReport {
            version: self.version,
            org_name: self.org_name,
            email: self.email,
            extra_contact_info: self.extra_contact_info,
            report_id: self.report_id,
            begin: self.begin.ok_or(ReportError::Missing("date_range/begin"))?,
            end: self.end.ok_or(ReportError::Missing("date_range/end"))?,
            errors: self.errors,
            generator: self.generator,
            policy,
            rows: self.rows,
        })
    }
}

fn published(policy: &mut PolicyPublished, element: &str, text: &str) {
    match element {
        "domain" => policy.domain = text.to_owned(),
        "discovery_method" => policy.discovery_method = DiscoveryMethod::parse(text),
        "p" => policy.p = Policy::parse(text).unwrap_or(Policy::None),
        "sp" => policy.sp = Policy::parse(text),
        "np" => policy.np = Policy::parse(text),
        "fo" => policy.fo = some(text),
        "adkim" => policy.adkim = AlignmentMode::parse(text),
        "aspf" => policy.aspf = AlignmentMode::parse(text),
        "testing" if text.eq_ignore_ascii_case("y") => policy.testing = Some(true),
        "testing" if text.eq_ignore_ascii_case("n") => policy.testing = Some(false),
        "pct" => policy.pct = text.parse().ok(),
        _ => {}
    }
}

impl RowDraft {
    fn close(&mut self, parent: &str, element: &str, text: &str) -> Result<(), ReportError> {
        match (parent, element) {
            ("row", "source_ip") => self.source_ip = Some(ip(text)?),
            ("row", "count") => {
                let count = text.parse().map_err(|_| ReportError::value("count", text))?;
                self.count = Some(count);
            }
            ("policy_evaluated", "disposition") => self.disposition = Disposition::parse(text),
            ("policy_evaluated", "dkim") => self.dkim = Aligned::parse(text),
            ("policy_evaluated", "spf") => self.spf = Aligned::parse(text),
            ("policy_evaluated", "reason") => {
                let reason = std::mem::take(&mut self.part).reason();
                self.reasons.extend(reason.filter(|_| self.reasons.len() < SIGNATURES_MAX));
            }
            ("identifiers", "header_from") => self.identifiers.header_from = text.to_owned(),
            ("identifiers", "envelope_from") => {
                self.identifiers.envelope_from = Some(text.to_owned());
            }
            ("identifiers", "envelope_to") => self.identifiers.envelope_to = some(text),
            ("auth_results", "dkim") => {
                let signature = std::mem::take(&mut self.part).dkim();
                if self.results.dkim.len() < SIGNATURES_MAX {
                    self.results.dkim.push(signature);
                }
            }
            ("auth_results", "spf") => {
                let spf = std::mem::take(&mut self.part).spf();
                if self.results.spf.len() < SIGNATURES_MAX {
                    self.results.spf.push(spf);
                }
            }
            ("dkim" | "spf" | "reason", _) => self.part.close(element, text),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Row, ReportError> {
        Ok(Row {
            source_ip: self.source_ip.ok_or(ReportError::Missing("row/source_ip"))?,
            count: self.count.ok_or(ReportError::Missing("row/count"))?,
            policy_evaluated: PolicyEvaluated {
                disposition: self.disposition.unwrap_or(Disposition::None),
                dkim: self.dkim.unwrap_or(Aligned::Fail),
                spf: self.spf.unwrap_or(Aligned::Fail),
                reasons: self.reasons,
            },
            identifiers: self.identifiers,
            auth_results: self.results,
        })
    }
}

impl Part {
    fn close(&mut self, element: &str, text: &str) {
        match element {
            "domain" => self.domain = text.to_owned(),
            "selector" => self.selector = some(text),
            "result" => self.result = text.to_owned(),
            "human_result" => self.human_result = some(text),
            "scope" => self.scope = SpfScope::parse(text),
            "type" => self.kind = text.to_owned(),
            "comment" => self.comment = some(text),
            _ => {}
        }
    }

    fn dkim(self) -> DkimAuth {
        let result = match self.result.as_str() {
            "" => DkimResult::None,
            word => DkimResult::parse(word).unwrap_or(DkimResult::Neutral),
        };
        let Part { domain, selector, human_result, .. } = self;
        DkimAuth { domain, selector, result, human_result }
    }

    fn spf(self) -> SpfAuth {
        let result = match self.result.as_str() {
            "" => SpfResult::None,
            word => SpfResult::parse(word).unwrap_or(SpfResult::Neutral),
        };
        let Part { domain, scope, human_result, .. } = self;
        SpfAuth { domain, scope, result, human_result }
    }

    fn reason(self) -> Option<OverrideReason> {
        match (OverrideType::parse(&self.kind), self.comment) {
            (Some(kind), comment) => Some(OverrideReason { kind, comment }),
            (None, None) if self.kind.is_empty() => None,
            (None, comment) => {
                let comment = comment.or(Some(self.kind));
                Some(OverrideReason { kind: OverrideType::Other, comment })
            }
        }
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Seconds since the epoch; some reporters add a fraction.
fn timestamp(field: &'static str, text: &str) -> Result<Timestamp, ReportError> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let seconds: Option<i64> = whole.parse().ok();
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.ok_or_else(|| ReportError::value(field, text))
}

fn ip(text: &str) -> Result<IpAddr, ReportError> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip: IpAddr = bare.parse().map_err(|_| ReportError::value("source_ip", text))?;
    Ok(ip.to_canonical())
}
