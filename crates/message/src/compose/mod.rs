//! Building messages: text, HTML, attachments, inline images.
//!
//! A [`Draft`] is what a writer means; [`Draft::to_bytes`] makes the octets, with CRLF, lines of at most 78
//! characters where that is possible (RFC 5322 §2.1.1), and ASCII throughout unless an address needs UTF-8
//! (RFC 6532). What comes out and is parsed again says the same.
//!
//! The tree takes the shape that readers expect; a multipart of one is left out:
//!
//! ```text
//! mixed
//! ├─ alternative
//! │  ├─ text/plain
//! │  └─ related
//! │     ├─ text/html
//! │     └─ inline images…
//! └─ attachments…
//! ```
//!
//! | module | writes |
//! |---|---|
//! | [`header`] | fields: folding, encoded words (RFC 2047), parameters (RFC 2231) |
//! | [`entity`] | the MIME tree: boundaries, transfer encodings |
//!
//! Time and randomness are passed in. Deliberately not here: signing, sealing, sending.

pub mod entity;
pub mod header;

use jiff::Timestamp;

use crate::Address;
use crate::parse::date;
use entity::Entity;
use header::FieldWriter;

/// Someone to write to or from: an address and perhaps a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name, as people read it.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// With a name.
    pub fn named(name: impl Into<String>, address: Address) -> Mailbox {
        Mailbox { name: Some(name.into()), address }
    }
}

impl From<Address> for Mailbox {
    fn from(address: Address) -> Mailbox {
        Mailbox { name: None, address }
    }
}

/// A file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Such as `image/png`; `application/octet-stream` is written where this is no type.
    pub media_type: String,
    /// As people read it.
    pub file_name: Option<String>,
    /// Without angle brackets; HTML refers to it as `cid:`.
    pub content_id: Option<String>,
    /// The octets.
    pub content: Vec<u8>,
}

/// A message in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    from: Vec<Mailbox>,
    sender: Option<Mailbox>,
    reply_to: Vec<Mailbox>,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
    subject: Option<String>,
    date: Option<Timestamp>,
    message_id: Option<String>,
    in_reply_to: Vec<String>,
    references: Vec<String>,
    others: Vec<(String, String)>,
    text: Option<String>,
    html: Option<String>,
    inline: Vec<Attachment>,
    attachments: Vec<Attachment>,
}

impl Draft {
    /// An empty message.
    pub fn new() -> Draft {
        Draft::default()
    }

    /// Adds an author.
    pub fn from(mut self, mailbox: impl Into<Mailbox>) -> Draft {
        self.from.push(mailbox.into());
        self
    }

    /// Who sends it on the authors' behalf; needed with several authors (RFC 5322 §3.6.2).
    pub fn sender(mut self, mailbox: impl Into<Mailbox>) -> Draft {
        self.sender = Some(mailbox.into());
        self
    }

    /// Adds an address that replies go to.
    pub fn reply_to(mut self, mailbox: impl Into<Mailbox>) -> Draft {
        self.reply_to.push(mailbox.into());
        self
    }

    /// Adds a recipient.
    pub fn to(mut self, mailbox: impl Into<Mailbox>) -> Draft {
        self.to.push(mailbox.into());
        self
    }

    /// Adds a recipient of a copy.
    pub fn cc(mut self, mailbox: impl Into<Mailbox>) -> Draft {
        self.cc.push(mailbox.into());
        self
    }

    /// Adds a recipient the others are not to know of. It is written: submission removes it.
    pub fn bcc(mut self, mailbox: impl Into<Mailbox>) -> Draft {
        self.bcc.push(mailbox.into());
        self
    }

    /// Sets the subject.
    pub fn subject(mut self, subject: impl Into<String>) -> Draft {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the date.
    pub fn date(mut self, at: Timestamp) -> Draft {
        self.date = Some(at);
        self
    }

    /// Sets the Message-ID, without angle brackets; [`crate::submission::new_message_id`] makes one.
    pub fn message_id(mut self, id: impl Into<String>) -> Draft {
        self.message_id = Some(id.into());
        self
    }

    /// Adds the id of a message this one answers, without angle brackets.
    pub fn in_reply_to(mut self, id: impl Into<String>) -> Draft {
        self.in_reply_to.push(id.into());
        self
    }

    /// Adds the id of a message of the conversation, oldest first, without angle brackets.
    pub fn reference(mut self, id: impl Into<String>) -> Draft {
        self.references.push(id.into());
        self
    }

    /// Adds any other field with a text of its own. A name that is no field name (RFC 5322 §2.2) is
    /// mended by leaving out what may not stand in one.
    pub fn header(mut self, name: impl Into<String>, text: impl Into<String>) -> Draft {
        self.others.push((name.into(), text.into()));
        self
    }

    /// Sets the text. Line ends of any kind become CRLF, and the last line gets one.
    pub fn text(mut self, text: impl Into<String>) -> Draft {
        self.text = Some(text.into());
        self
    }

    /// Sets the HTML.
    pub fn html(mut self, html: impl Into<String>) -> Draft {
        self.html = Some(html.into());
        self
    }

    /// Adds something the HTML shows, by its Content-ID. Without HTML it is an attachment.
    pub fn inline(mut self, image: Attachment) -> Draft {
        self.inline.push(image);
        self
    }

    /// Adds an attachment.
    pub fn attach(mut self, attachment: Attachment) -> Draft {
        self.attachments.push(attachment);
        self
    }

    /// Whether the message holds addresses that only SMTPUTF8 can carry (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        let lists = [&self.from, &self.reply_to, &self.to, &self.cc, &self.bcc];
        let mut all = lists.into_iter().flatten().chain(&self.sender);
        all.any(|mailbox| mailbox.address.needs_smtputf8())
    }

    /// The message. `random` makes boundaries that occur nowhere else.
    pub fn to_bytes(&self, random: [u8; 16]) -> Vec<u8> {
        let mut out = FieldWriter::default();
        self.write_fields(&mut out);
        out.raw("MIME-Version", "1.0");
        let mut out = out.into_bytes();
        self.entity().write(&mut out, random);
        out
    }

    fn write_fields(&self, out: &mut FieldWriter) {
        let lists = [
            ("From", &self.from),
            ("Reply-To", &self.reply_to),
            ("To", &self.to),
            ("Cc", &self.cc),
            ("Bcc", &self.bcc),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                out.mailboxes(name, list);
            }
            if name == "From"
                && let Some(sender) = &self.sender
            {
                out.mailboxes("Sender", std::slice::from_ref(sender));
            }
        }
        if let Some(subject) = &self.subject {
            out.text("Subject", subject);
        }
        if let Some(at) = self.date {
            out.raw("Date", &date::format(at));
        }
        if let Some(id) = &self.message_id {
            out.ids("Message-ID", std::slice::from_ref(id));
        }
        for (name, ids) in [("In-Reply-To", &self.in_reply_to), ("References", &self.references)] {
            if !ids.is_empty() {
                out.ids(name, ids);
            }
        }
        for (name, text) in &self.others {
            out.text(name, text);
        }
    }

    fn entity(&self) -> Entity {
        let text = self.text.as_deref().map(|text| Entity::text("plain", text));
        let mut html = self.html.as_deref().map(|html| Entity::text("html", html));
        let mut beside = Vec::new();
        let inline = self.inline.iter().map(|image| Entity::attachment(image, true));
        match html.take() {
            Some(page) if !self.inline.is_empty() => {
                let parts = std::iter::once(page).chain(inline).collect();
                // RFC 2387 §3.1 demands the type of the root.
                html = Some(Entity::multipart("related", parts).with_param("type", "text/html"));
            }
            page => {
                html = page;
                beside.extend(inline);
            }
        }
        let body = match (text, html) {
            (Some(text), Some(html)) => Entity::multipart("alternative", vec![text, html]),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Entity::text("plain", ""),
        };
        beside.extend(self.attachments.iter().map(|file| Entity::attachment(file, false)));
        if beside.is_empty() {
            return body;
        }
        beside.insert(0, body);
        Entity::multipart("mixed", beside)
    }
}
