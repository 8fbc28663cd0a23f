//! RFC 5322 and MIME: octets in, a tree of parts with offsets and defects out.
#![allow(missing_docs, dead_code, unused_variables)] // interface sketch

use std::ops::Range;

use jiff::Timestamp;

/// A parsed message. Borrows the octets it was parsed from.
pub struct Message<'a> {
    pub raw: &'a [u8],
    /// In pre-order; the root is first.
    pub parts: Vec<Part<'a>>,
    pub defects: Vec<Defect>,
}

/// Index into [`Message::parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u32);

/// One header field, as offsets.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// As written.
    pub name: &'a [u8],
    /// Raw, folded, without the colon and the final CRLF.
    pub value: &'a [u8],
    /// The whole field in the message, including its final CRLF.
    pub range: Range<usize>,
}

pub enum Body {
    Leaf,
    Multipart(Vec<PartId>),
    Message(PartId),
}

pub struct Part<'a> {
    pub headers: Vec<Header<'a>>,
    /// Offsets in the message: the header with its blank line, then the body.
    pub header: Range<usize>,
    pub body: Range<usize>,
    pub content: Body,
    /// Lower case, such as `text` and `plain`.
    pub media_type: String,
    pub subtype: String,
    /// RFC 2231 put together and decoded; names in lower case.
    pub params: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    pub offset: usize,
    pub kind: DefectKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefectKind {
    MissingBoundary,
}

/// What an address header holds, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressItem {
    Mailbox { name: Option<String>, local_part: String, domain: String },
    GroupStart(String),
    GroupEnd,
}

impl<'a> Message<'a> {
    pub fn parse(raw: &'a [u8]) -> Message<'a> {
        todo!()
    }
    /// First field of that name in the root header.
    pub fn header(&self, name: &str) -> Option<&Header<'a>> {
        todo!()
    }
    /// `Date`.
    pub fn date(&self) -> Option<Timestamp> {
        todo!()
    }
    /// Subject, unfolded and decoded.
    pub fn subject(&self) -> Option<String> {
        todo!()
    }
    /// Message-ID without angle brackets.
    pub fn message_id(&self) -> Option<String> {
        todo!()
    }
    /// Addresses of every field of that name.
    pub fn addresses(&self, name: &str) -> Vec<AddressItem> {
        todo!()
    }
    pub fn part(&self, id: PartId) -> &Part<'a> {
        todo!()
    }
    /// RFC 8621 §4.1.4.
    pub fn text_body(&self) -> Vec<PartId> {
        todo!()
    }
    pub fn html_body(&self) -> Vec<PartId> {
        todo!()
    }
    pub fn attachments(&self) -> Vec<PartId> {
        todo!()
    }
    /// Transfer encoding undone.
    pub fn decoded(&self, id: PartId) -> std::borrow::Cow<'a, [u8]> {
        todo!()
    }
    /// Transfer encoding and charset undone.
    pub fn text(&self, id: PartId) -> String {
        todo!()
    }
    /// All words of the message worth finding: decoded subject, addresses, text of every text
    /// part (HTML turned into text), attachment file names; at most `limit` octets.
    pub fn searchable_text(&self, limit: usize) -> String {
        todo!()
    }
}
