//! Mail that a script causes: answers and notifications, as octets.

use jiff::Timestamp;
use jiff::tz::Offset;
use waxwing_message::Address;
use waxwing_message::compose::Mailbox;
use waxwing_message::compose::entity::Entity;
use waxwing_message::compose::header::FieldWriter;
use waxwing_message::parse::date;
use waxwing_message::submission::new_message_id;

use super::Reply;
use super::run::Run;

/// A message in the making.
pub(crate) struct Letter<'l> {
    pub from: Mailbox,
    pub to: &'l [Address],
    pub subject: String,
    /// Ids without angle brackets.
    pub in_reply_to: Vec<String>,
    pub references: Vec<String>,
    /// Other fields in their written form.
    pub fields: Vec<u8>,
    pub body: Content<'l>,
}

/// What a letter says.
pub(crate) enum Content<'l> {
    Text(&'l str),
    /// A MIME entity, with its own header.
    Mime(&'l str),
}

impl Letter<'_> {
    /// The whole message.
    pub fn write(self, run: &mut Run<'_>) -> Reply {
        let random = run.fresh_random();
        let context = run.context;
        let mut out = FieldWriter::default();
        let to: Vec<Mailbox> = self.to.iter().cloned().map(Mailbox::from).collect();
        out.mailboxes("From", std::slice::from_ref(&self.from));
        if !to.is_empty() {
            out.mailboxes("To", &to);
        }
        out.text("Subject", &self.subject);
        out.raw("Date", &written_date(context.now, context.zone));
        out.ids("Message-ID", &[new_message_id(random, &context.domain)]);
        for (name, ids) in [("In-Reply-To", &self.in_reply_to), ("References", &self.references)] {
            if !ids.is_empty() {
                out.ids(name, ids);
            }
        }
        let mut message = out.into_bytes();
        message.extend_from_slice(&self.fields);
        message.extend_from_slice(b"MIME-Version: 1.0\r\n");
        match self.body {
            Content::Text(text) => Entity::text("plain", text).write(&mut message, random),
            Content::Mime(entity) => message.extend_from_slice(&mime_entity(entity)),
        }
        Reply { from: self.from.address, subject: self.subject, message }
    }
}

/// Now, as the owner's clock shows it.
pub(crate) fn written_date(now: Timestamp, zone: Offset) -> String {
    date::format_with_offset(now, zone)
}

/// An entity as the script gives it, with CRLF and without the field that stands outside.
pub(crate) fn mime_entity(entity: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(entity.len() + 64);
    let mut in_header = true;
    let mut skipping = false;
    for line in entity.lines() {
        if in_header {
            skipping = match line.starts_with([' ', '\t']) {
                true => skipping,
                false => {
                    let name = line.split(':').next().unwrap_or_default();
                    name.trim_end().eq_ignore_ascii_case("MIME-Version")
                }
            };
            in_header = !line.is_empty();
            if skipping && in_header {
                continue;
            }
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if in_header {
        out.extend_from_slice(b"\r\n");
    }
    out
}
