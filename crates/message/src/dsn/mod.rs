//! Delivery status notifications: what a sender is told about the fate of a message.
//!
//! A report is `multipart/report; report-type=delivery-status` (RFC 6522) with three parts: words for people
//! ([`words`]), fields for programs ([`status`], RFC 3464), and the message or its header (RFC 3461 §6.2). It
//! goes to the reverse-path of the message from the null reverse-path, so that no report answers a report.
//!
//! A message that came with SMTPUTF8 is answered in the internationalised forms (RFC 6533): `message/global`
//! and addresses in UTF-8. Otherwise an address beyond ASCII is written in the ASCII form of RFC 6533 §3.
//!
//! Whether to report at all (NOTIFY, null reverse-path, loops) is decided elsewhere.

pub mod status;
pub mod words;

use jiff::Timestamp;

use crate::compose::Mailbox;
use crate::compose::entity::Entity;
use crate::compose::header::FieldWriter;
use crate::parse::date;
use crate::trace::{header_end, message_id};
use crate::{Address, OriginalRecipient};

pub use status::{DeliveryStatus, RecipientStatus};

/// What became of the message for a recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Never will be delivered.
    Failed,
    /// Not yet delivered; tried again.
    Delayed,
    /// In the recipient's mailbox.
    Delivered,
    /// Handed to a server that reports no deliveries (RFC 3461 §5.2.2).
    Relayed,
    /// Delivered to an alias or list and sent on to several (RFC 3461 §5.2.7).
    Expanded,
}

impl Action {
    /// As the `Action` field has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }

    /// Reads the value of an `Action` field.
    pub fn parse(text: &str) -> Option<Action> {
        let all = [Self::Failed, Self::Delayed, Self::Delivered, Self::Relayed, Self::Expanded];
        all.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(text))
    }
}

/// The fate of the message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientReport {
    /// The address that was tried last.
    pub recipient: Address,
    /// ORCPT of the envelope.
    pub original: Option<OriginalRecipient>,
    /// What happened.
    pub action: Action,
    /// RFC 3463, such as `5.1.1`.
    pub status: String,
    /// The host that answered, by name.
    pub remote_mta: Option<String>,
    /// What it answered: an SMTP reply as one line, such as `550 5.1.1 No such user`.
    pub diagnostic: Option<String>,
    /// Why, in our own words, when nobody answered: `the name has no address in the DNS`.
    pub reason: Option<String>,
    /// When it was last tried.
    pub last_attempt: Option<Timestamp>,
    /// When we give up; for delays.
    pub will_retry_until: Option<Timestamp>,
}

/// How much of the message goes back (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned<'a> {
    /// All of it: `message/rfc822`.
    Full(&'a [u8]),
    /// Its header: `text/rfc822-headers`. The whole message may be given; the body is left out.
    Header(&'a [u8]),
}

/// Everything a report says.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Our host name: `Reporting-MTA`.
    pub reporting_mta: &'a str,
    /// Whom the report is from, such as `Mail Delivery <mailer-daemon@wax.test>`.
    pub from: &'a Mailbox,
    /// The reverse-path of the message.
    pub to: &'a Address,
    /// Now.
    pub at: Timestamp,
    /// Of the report, without angle brackets.
    pub message_id: &'a str,
    /// ENVID of the envelope.
    pub envelope_id: Option<&'a str>,
    /// When the message came to us.
    pub arrival: Option<Timestamp>,
    /// Our id for the message, for whoever asks an operator.
    pub journey: Option<&'a str>,
    /// At least one.
    pub recipients: &'a [RecipientReport],
    /// What goes back.
    pub returned: Returned<'a>,
    /// The message came with SMTPUTF8, so the sender can read UTF-8 (RFC 6533).
    pub smtputf8: bool,
}

impl Report<'_> {
    /// The report as a message. `random` makes its boundaries.
    pub fn to_bytes(&self, random: [u8; 16]) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.mailboxes("From", std::slice::from_ref(self.from));
        fields.mailboxes("To", &[self.to.clone().into()]);
        fields.text("Subject", &words::subject(self));
        fields.raw("Date", &date::format(self.at));
        fields.ids("Message-ID", &[self.message_id.to_owned()]);
        let (Returned::Full(original) | Returned::Header(original)) = self.returned;
        if let Some(id) = message_id(original) {
            // RFC 3834 §3.1.5, and the report is shown with the message it speaks of.
            fields.ids("In-Reply-To", std::slice::from_ref(&id));
            fields.ids("References", &[id]);
        }
        // RFC 3834 §5: so that no vacation program answers.
        fields.raw("Auto-Submitted", "auto-replied");
        fields.raw("MIME-Version", "1.0");
        let mut out = fields.into_bytes();
        self.entity().write(&mut out, random);
        out
    }

    fn entity(&self) -> Entity {
        let status_type = match self.smtputf8 {
            true => "message/global-delivery-status",
            false => "message/delivery-status",
        };
        let status = self.status().to_bytes(self.smtputf8);
        let parts = vec![
            Entity::text("plain", &words::body(self)).with_description("Notification"),
            Entity::as_is(status_type, status).with_description("Delivery report"),
            self.returned_entity(),
        ];
        Entity::multipart("report", parts).with_param("report-type", "delivery-status")
    }

    fn returned_entity(&self) -> Entity {
        // RFC 6533 §4: the global forms are for originals with UTF-8 in their header.
        let original = match self.returned {
            Returned::Full(raw) | Returned::Header(raw) => raw,
        };
        let header = &original[..header_end(original)];
        let global = self.smtputf8 && !header.is_ascii();
        match self.returned {
            Returned::Full(raw) => {
                let media_type = if global { "message/global" } else { "message/rfc822" };
                Entity::as_is(media_type, raw.to_vec()).with_description("The message")
            }
            Returned::Header(_) => {
                let media_type =
                    if global { "message/global-headers" } else { "text/rfc822-headers" };
                Entity::as_is(media_type, header.to_vec()).with_description("Header of the message")
            }
        }
    }

    /// The part for programs.
    fn status(&self) -> DeliveryStatus {
        let recipients = self.recipients.iter().map(|to| RecipientStatus {
            original: to.original.clone(),
            final_recipient: OriginalRecipient {
                address_type: if to.recipient.needs_smtputf8() { "utf-8" } else { "rfc822" }.into(),
                address: to.recipient.to_string(),
            },
            action: to.action,
            status: to.status.clone(),
            remote_mta: to.remote_mta.clone(),
            diagnostic: to.diagnostic.clone(),
            last_attempt: to.last_attempt,
            will_retry_until: to.will_retry_until.filter(|_| to.action == Action::Delayed),
        });
        DeliveryStatus {
            reporting_mta: self.reporting_mta.to_owned(),
            envelope_id: self.envelope_id.map(str::to_owned),
            arrival: self.arrival,
            recipients: recipients.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::parse::{Body, PartId};

    const ORIGINAL: &[u8] =
        b"From: alice@wax.test\r\nMessage-ID: <m1@wax.test>\r\nSubject: hi\r\n\r\nhello\r\n";

    fn failed(to: &str, status: &str) -> RecipientReport {
        RecipientReport {
            recipient: Address::parse(to).unwrap(),
            original: None,
            action: Action::Failed,
            status: status.into(),
            remote_mta: Some("mx.wing.test".into()),
            diagnostic: Some("550 5.1.1 No such user".into()),
            reason: None,
            last_attempt: Some(Timestamp::from_second(880_127_706).unwrap()),
            will_retry_until: None,
        }
    }

    fn written(recipients: &[RecipientReport], returned: Returned<'_>, smtputf8: bool) -> Vec<u8> {
        let from =
            Mailbox::named("Mail Delivery", Address::parse("mailer-daemon@wax.test").unwrap());
        let report = Report {
            reporting_mta: "mx.wax.test",
            from: &from,
            to: &Address::parse("alice@wax.test").unwrap(),
            at: Timestamp::from_second(880_127_800).unwrap(),
            message_id: "r1@wax.test",
            envelope_id: Some("env+1"),
            arrival: Some(Timestamp::from_second(880_127_000).unwrap()),
            journey: Some("0192"),
            recipients,
            returned,
            smtputf8,
        };
        report.to_bytes([7; 16])
    }

    #[test]
    fn a_failure_has_its_three_parts() {
        let recipients = [failed("bob@wing.test", "5.1.1")];
        let raw = written(&recipients, Returned::Full(ORIGINAL), false);
        let message = Message::parse(&raw);
        assert_eq!(message.defects, []);
        assert_eq!(message.root().param("report-type").as_deref(), Some("delivery-status"));
        assert_eq!(message.header("Auto-Submitted").unwrap().text(), "auto-replied");
        assert_eq!(message.ids("References"), ["m1@wax.test"]);
        let types: Vec<_> = message.parts.iter().map(|p| &*p.subtype).collect();
        assert_eq!(types, ["report", "plain", "delivery-status", "rfc822", "plain"]);
        assert!(message.text(PartId(1)).contains("bob@wing.test"));
        let Body::Message(_) = message.parts[3].content else { panic!("opened") };
        assert_eq!(&raw[message.parts[3].body.clone()], ORIGINAL);

        let status = DeliveryStatus::parse(&message.decoded(PartId(2))).unwrap();
        assert_eq!(status.reporting_mta, "mx.wax.test");
        assert_eq!(status.envelope_id.as_deref(), Some("env+1"));
        assert_eq!(status.arrival, Some(Timestamp::from_second(880_127_000).unwrap()));
        assert_eq!(status.recipients.len(), 1);
        let bob = &status.recipients[0];
        assert_eq!(bob.action, Action::Failed);
        assert_eq!(bob.status, "5.1.1");
        assert_eq!(bob.final_recipient.address, "bob@wing.test");
        assert_eq!(bob.diagnostic.as_deref(), Some("550 5.1.1 No such user"));
        assert_eq!(bob.remote_mta.as_deref(), Some("mx.wing.test"));
    }

    #[test]
    fn only_the_header_goes_back_when_that_is_asked() {
        let recipients = [failed("bob@wing.test", "5.1.1")];
        let raw = written(&recipients, Returned::Header(ORIGINAL), false);
        let message = Message::parse(&raw);
        assert_eq!(message.parts[3].subtype, "rfc822-headers");
        assert_eq!(&*message.decoded(PartId(3)), &ORIGINAL[..header_end(ORIGINAL)]);
        assert!(!raw.windows(5).any(|w| w == b"hello"));
    }

    #[test]
    fn addresses_beyond_ascii_take_the_form_the_sender_can_read() {
        let recipients = [failed("jürgen@wing.test", "5.1.1")];
        let ascii = written(&recipients, Returned::Header(ORIGINAL), false);
        let status = String::from_utf8_lossy(&ascii).into_owned();
        assert!(status.contains("Final-Recipient: utf-8; j\\x{FC}rgen@wing.test\r\n"), "{status}");
        let message = Message::parse(&ascii);
        let status = DeliveryStatus::parse(&message.decoded(PartId(2))).unwrap();
        assert_eq!(status.recipients[0].final_recipient.address, "jürgen@wing.test");

        let utf8 = written(&recipients, Returned::Header(ORIGINAL), true);
        let message = Message::parse(&utf8);
        assert_eq!(message.parts[2].subtype, "global-delivery-status");
        let status = DeliveryStatus::parse(&message.decoded(PartId(2))).unwrap();
        assert_eq!(status.recipients[0].final_recipient.address, "jürgen@wing.test");
    }

    #[test]
    fn every_kind_of_status_has_its_words() {
        for status in ["5.1.1", "5.1.10", "5.2.2", "5.3.4", "4.4.7", "5.7.1", "5.9.9", "nonsense"] {
            let raw = written(&[failed("b@c.test", status)], Returned::Header(ORIGINAL), false);
            let message = Message::parse(&raw);
            let text = message.text(PartId(1));
            assert!(text.contains("What it means:") && text.contains("What to do:"), "{text}");
        }
    }

    #[test]
    fn hostile_answers_stay_in_their_field() {
        let mut hostile = failed("b@c.test", "5.1.1");
        hostile.diagnostic = Some("550 x\r\nAction: delivered\r\n\r\n--=_0707".into());
        let raw = written(&[hostile], Returned::Header(ORIGINAL), false);
        let message = Message::parse(&raw);
        assert_eq!(message.parts.len(), 4);
        let status = DeliveryStatus::parse(&message.decoded(PartId(2))).unwrap();
        assert_eq!(status.recipients.len(), 1);
        assert_eq!(status.recipients[0].action, Action::Failed);
    }
}
