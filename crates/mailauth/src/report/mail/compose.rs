//! Reports made into messages.
//!
//! | report | shape | file |
//! |---|---|---|
//! | aggregate | `multipart/mixed`: words, `application/gzip` | `receiver!domain!begin!end!id.xml.gz` (RFC 9990 §3.5.2) |
//! | TLS | `multipart/report; report-type=tlsrpt`: words, `application/tlsrpt+gzip` | `submitter!domain!begin!end!id.json.gz` (RFC 8460 §5.1) |
//! | failure | `multipart/report; report-type=feedback-report`: words, fields, message or header | |
//!
//! The same report makes the same file name and file, as a resent report must (RFC 9990 §3.5.2). They say
//! `Auto-Submitted` so that no vacation program answers (RFC 3834 §5). To be believed they must be signed
//! by the submitter's domain; that happens on their way out.

use jiff::Timestamp;
use waxwing_message::Address;
use waxwing_message::compose::entity::Entity;
use waxwing_message::compose::header::FieldWriter;
use waxwing_message::compose::{Attachment, Draft, Mailbox};
use waxwing_message::parse::date;

use crate::report::failure::{Disclosure, FailureReport, shown, write_failure};
use crate::report::{AggregateReport, TlsReport, gzip, write_aggregate, write_tls};

/// Whom a report is from and to.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Our address for reports; its domain must pass DMARC (RFC 9990 §3.5.2).
    pub from: &'a Mailbox,
    /// Where it goes: the addresses of the record, or some of them.
    pub to: &'a [Address],
    /// The domain that reports, as `Submitter:` in the subject and first in the file's name.
    pub submitter: &'a str,
    /// Now.
    pub at: Timestamp,
    /// Of this message, without angle brackets.
    pub message_id: &'a str,
    /// Makes boundaries.
    pub random: [u8; 16],
    /// The most octets that the recipient takes: `!10m` after a URI (RFC 7489 §6.2).
    pub size_limit: Option<u64>,
}

/// Why a report cannot go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The recipient must not be sent more than so much (RFC 9990 §3.5: such a URI must not be used).
    #[error("the report takes {octets} octets and its recipient allows {limit}")]
    OverLimit {
        /// Of the file after compression and encoding.
        octets: u64,
        /// What the record allows.
        limit: u64,
    },
    /// There are no addresses to send to.
    #[error("the report has no recipient")]
    NoRecipient,
}

/// An aggregate report as a message.
pub fn compose_aggregate(
    report: &AggregateReport,
    to: &Outgoing<'_>,
) -> Result<Vec<u8>, ComposeError> {
    let domain = &report.policy.domain;
    let file = attachment(
        "application/gzip",
        file_name(to.submitter, domain, report.begin, report.end, &report.report_id, "xml.gz"),
        gzip(&write_aggregate(report)),
    );
    to.check(&file)?;
    let count: u64 = report.rows.iter().fold(0, |sum, row| sum.saturating_add(row.count));
    let words = format!(
        "This is the DMARC aggregate report of {} about mail from {domain},\n\
         between {} and {}: {count} messages.\n\n\
         It is meant for programs. The attached file holds it as XML (RFC 9990).\n",
        report.org_name, report.begin, report.end,
    );
    let mut draft = Draft::new().from(to.from.clone());
    for address in to.to {
        draft = draft.to(address.clone());
    }
    let message = draft
        .subject(subject(domain, to.submitter, &report.report_id))
        .date(to.at)
        .message_id(to.message_id)
        .header("Auto-Submitted", "auto-generated")
        .text(words)
        .attach(file);
    Ok(message.to_bytes(to.random))
}

/// A TLS report as a message (RFC 8460 §5.3). `domain` is the one it is about.
pub fn compose_tls(
    report: &TlsReport,
    domain: &str,
    to: &Outgoing<'_>,
) -> Result<Vec<u8>, ComposeError> {
    let file = attachment(
        "application/tlsrpt+gzip",
        file_name(to.submitter, domain, report.begin, report.end, &report.report_id, "json.gz"),
        gzip(&write_tls(report)),
    );
    to.check(&file)?;
    // RFC 8460 §5.3: the id has the form of a message id.
    let id = match report.report_id.contains('@') {
        true => report.report_id.clone(),
        false => format!("{}@{}", report.report_id, to.submitter),
    };
    let mut out = to.fields(&subject(domain, to.submitter, &id));
    out.raw("TLS-Report-Domain", &ascii(domain));
    out.raw("TLS-Report-Submitter", &ascii(to.submitter));
    // RFC 8460 §3: a report about broken TLS must arrive over it; RFC 8689 §5 says so to relays.
    out.raw("TLS-Required", "No");
    let words = format!(
        "This is the report of {} on TLS when mail was delivered to {domain},\n\
         between {} and {}.\n\n\
         It is meant for programs. The attached file holds it as JSON (RFC 8460).\n",
        report.organization_name, report.begin, report.end,
    );
    let parts = vec![Entity::text("plain", &words), Entity::attachment(&file, false)];
    let entity = Entity::multipart("report", parts).with_param("report-type", "tlsrpt");
    Ok(finished(out, &entity, to.random))
}

/// A failure report as a message (RFC 6591 §2, RFC 5965 §2).
pub fn compose_failure(
    report: &FailureReport,
    disclosure: &Disclosure<'_>,
    to: &Outgoing<'_>,
) -> Result<Vec<u8>, ComposeError> {
    let original = shown(&report.original, disclosure);
    let media_type = if disclosure.body { "message/rfc822" } else { "text/rfc822-headers" };
    let file = Attachment {
        media_type: media_type.to_owned(),
        file_name: None,
        content_id: None,
        content: original,
    };
    to.check(&file)?;
    let domain = report.reported_domain.as_deref().unwrap_or("a domain of yours");
    let source = report.source_ip.map_or_else(String::new, |ip| format!(" from {ip}"));
    let arrival = report.arrival_date.map_or_else(String::new, |at| format!(" at {at}"));
    let words = format!(
        "This is an authentication failure report about a message{source}{arrival}\n\
         that claims to be from {domain}. What failed is in the second part, for\n\
         programs (RFC 9991); what may be shown of the message is in the third.\n",
    );
    let out = to.fields(&format!("DMARC failure report for {domain}"));
    let parts = vec![
        Entity::text("plain", &words),
        Entity::as_is("message/feedback-report", write_failure(report, disclosure)),
        Entity::as_is(media_type, file.content),
    ];
    let entity = Entity::multipart("report", parts).with_param("report-type", "feedback-report");
    Ok(finished(out, &entity, to.random))
}

impl Outgoing<'_> {
    /// Whether the recipients take the file, as it travels (RFC 9990 §3.5: "after compression and after
    /// any encoding").
    fn check(&self, file: &Attachment) -> Result<(), ComposeError> {
        if self.to.is_empty() {
            return Err(ComposeError::NoRecipient);
        }
        let octets = (file.content.len() as u64).div_ceil(57).saturating_mul(78);
        match self.size_limit {
            Some(limit) if octets > limit => Err(ComposeError::OverLimit { octets, limit }),
            _ => Ok(()),
        }
    }

    /// The fields that all reports have.
    fn fields(&self, subject: &str) -> FieldWriter {
        let mut out = FieldWriter::default();
        out.mailboxes("From", std::slice::from_ref(self.from));
        let to: Vec<Mailbox> = self.to.iter().cloned().map(Mailbox::from).collect();
        out.mailboxes("To", &to);
        out.text("Subject", subject);
        out.raw("Date", &date::format(self.at));
        out.ids("Message-ID", &[self.message_id.to_owned()]);
        out.raw("Auto-Submitted", "auto-generated");
        out
    }
}

fn finished(mut fields: FieldWriter, entity: &Entity, random: [u8; 16]) -> Vec<u8> {
    fields.raw("MIME-Version", "1.0");
    let mut out = fields.into_bytes();
    entity.write(&mut out, random);
    out
}

/// RFC 9990 §3.5.2 and RFC 8460 §5.3 have the same form.
fn subject(domain: &str, submitter: &str, id: &str) -> String {
    format!("Report Domain: {domain} Submitter: {submitter} Report-ID: <{id}>")
}

fn file_name(
    submitter: &str,
    domain: &str,
    begin: Timestamp,
    end: Timestamp,
    id: &str,
    ending: &str,
) -> String {
    // `unique-id` is letters and digits.
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let id = if id.is_empty() { id } else { format!("!{id}") };
    format!("{submitter}!{domain}!{}!{}{id}.{ending}", begin.as_second(), end.as_second())
}

fn attachment(media_type: &str, name: String, content: Vec<u8>) -> Attachment {
    let media_type = media_type.to_owned();
    Attachment { media_type, file_name: Some(name), content_id: None, content }
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use waxwing_message::Message;
    use waxwing_message::parse::PartId;

    use super::*;
    use crate::report::aggregate::{Policy, PolicyPublished};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn report(report_id: &str) -> AggregateReport {
        AggregateReport {
            version: None,
            org_name: "Receiver".into(),
            email: "reports@mail.receiver.example".into(),
            extra_contact_info: None,
            report_id: report_id.into(),
            begin: at(1_013_662_812),
            end: at(1_013_749_130),
            errors: Vec::new(),
            generator: None,
            policy: PolicyPublished::new("example.com", Policy::None),
            rows: Vec::new(),
        }
    }

    fn with_outgoing<T>(size_limit: Option<u64>, run: impl FnOnce(&Outgoing<'_>) -> T) -> T {
        run(&Outgoing {
            from: &Address::parse("reports@mail.receiver.example").unwrap().into(),
            to: &[Address::parse("rua@example.com").unwrap()],
            submitter: "mail.receiver.example",
            at: at(1_013_750_000),
            message_id: "m1@mail.receiver.example",
            random: [7; 16],
            size_limit,
        })
    }

    #[test]
    fn an_aggregate_report_has_the_subject_and_the_name_of_rfc_9990() {
        // The example of §3.5.2, once with its id and once without the optional one.
        let id = "sample-ridtxt@example.com";
        let raw = with_outgoing(None, |to| compose_aggregate(&report(id), to)).unwrap();
        let message = Message::parse(&raw);
        assert_eq!(
            message.subject().as_deref(),
            Some(
                "Report Domain: example.com Submitter: mail.receiver.example \
                 Report-ID: <sample-ridtxt@example.com>"
            )
        );
        let raw = with_outgoing(None, |to| compose_aggregate(&report(""), to)).unwrap();
        let message = Message::parse(&raw);
        let file = message.part(PartId(2));
        assert_eq!((&*file.media_type, &*file.subtype), ("application", "gzip"));
        assert_eq!(
            file.file_name().as_deref(),
            Some("mail.receiver.example!example.com!1013662812!1013749130.xml.gz")
        );
        let again = with_outgoing(None, |to| compose_aggregate(&report(""), to)).unwrap();
        assert_eq!(raw, again);
    }

    #[test]
    fn a_tls_report_has_the_form_of_rfc_8460() {
        let report = TlsReport {
            organization_name: "Company-X".into(),
            begin: at(1_459_468_800),
            end: at(1_459_555_199),
            contact_info: "sts-reporting@company-x.example".into(),
            report_id: "001".into(),
            policies: Vec::new(),
        };
        let raw = with_outgoing(None, |to| compose_tls(&report, "company-y.example", to)).unwrap();
        let message = Message::parse(&raw);
        assert_eq!(message.defects, []);
        assert_eq!(&*message.root().subtype, "report");
        assert_eq!(message.root().param("report-type").as_deref(), Some("tlsrpt"));
        assert_eq!(message.header("TLS-Report-Domain").unwrap().text(), "company-y.example");
        assert_eq!(message.header("TLS-Report-Submitter").unwrap().text(), "mail.receiver.example");
        assert_eq!(
            message.subject().as_deref(),
            Some(
                "Report Domain: company-y.example Submitter: mail.receiver.example \
                 Report-ID: <001@mail.receiver.example>"
            )
        );
        let file = message.part(PartId(2));
        assert_eq!((&*file.media_type, &*file.subtype), ("application", "tlsrpt+gzip"));
        assert_eq!(
            file.file_name().as_deref(),
            Some("mail.receiver.example!company-y.example!1459468800!1459555199!001.json.gz")
        );
    }

    #[test]
    fn a_size_limit_holds_for_the_file_as_it_travels() {
        let error = with_outgoing(Some(100), |to| compose_aggregate(&report("1"), to)).unwrap_err();
        let ComposeError::OverLimit { octets, limit: 100 } = error else { panic!("{error}") };
        let fits = with_outgoing(Some(octets), |to| compose_aggregate(&report("1"), to));
        let less = with_outgoing(Some(octets - 1), |to| compose_aggregate(&report("1"), to));
        assert!(fits.is_ok() && less.is_err());
        // Base64 takes no more than was counted.
        let raw = fits.unwrap();
        let message = Message::parse(&raw);
        assert!(message.part(PartId(2)).body.len() as u64 <= octets + 2);
    }
}
