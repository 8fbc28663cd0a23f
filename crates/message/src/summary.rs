//! What listings show, computed once when a message arrives and stored ready, so that a FETCH of
//! 100,000 envelopes never opens a message.
//!
//! [`Overview`] holds the header fields as they stand (unfolded, not decoded): IMAP's ENVELOPE
//! wants them raw, JMAP decodes them when asked. [`PartInfo`]s are the MIME tree in pre-order with
//! the offsets of every part, so that fetching one part reads one range of the stored message.

use serde::{Deserialize, Serialize};

use crate::parse::Message;

/// Everything stored ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Of the message's own header.
    pub overview: Overview,
    /// The MIME tree in pre-order; the root is first.
    pub parts: Vec<PartInfo>,
    /// The first readable text, white space collapsed, at most 256 characters (RFC 8970 §3.1).
    pub preview: String,
    /// There is a part that a reader would call an attachment (RFC 8621 §4.1.4).
    pub has_attachment: bool,
}

/// Header fields that listings show. Texts are unfolded and otherwise raw: encoded words stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// `Date`, as written.
    pub date: Option<Vec<u8>>,
    /// `Date`, understood: seconds since 1970.
    pub date_epoch_secs: Option<i64>,
    /// `Subject`.
    pub subject: Option<Vec<u8>>,
    /// `From`.
    pub from: Vec<OverviewAddress>,
    /// `Sender`; empty when absent (IMAP then shows From).
    pub sender: Vec<OverviewAddress>,
    /// `Reply-To`; empty when absent (IMAP then shows From).
    pub reply_to: Vec<OverviewAddress>,
    /// `To`.
    pub to: Vec<OverviewAddress>,
    /// `Cc`.
    pub cc: Vec<OverviewAddress>,
    /// `Bcc`.
    pub bcc: Vec<OverviewAddress>,
    /// `In-Reply-To`, as written.
    pub in_reply_to: Option<Vec<u8>>,
    /// `Message-ID`, as written, with angle brackets.
    pub message_id: Option<Vec<u8>>,
    /// `References`, as written.
    pub references: Option<Vec<u8>>,
}

/// One item of an address field. Groups are flat, as IMAP has them (RFC 9051 §7.5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverviewAddress {
    /// A mailbox: display name (encoded words stand), local part (unquoted), domain.
    Mailbox {
        /// Display name.
        name: Option<Vec<u8>>,
        /// Unquoted.
        local_part: Vec<u8>,
        /// May be empty in broken mail.
        domain: Vec<u8>,
    },
    /// A group begins.
    GroupStart {
        /// Its name.
        name: Vec<u8>,
    },
    /// The group ends.
    GroupEnd,
}

/// A range of octets of the stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// From the start of the message.
    pub offset: u64,
    /// Length in octets.
    pub octets: u64,
}

/// What kind of part it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartKind {
    /// Not composite.
    Leaf,
    /// `multipart/*` with this many direct children, which follow in pre-order.
    Multipart {
        /// How many.
        children: u32,
    },
    /// `message/rfc822` or `message/global`: the enclosed message is the part that follows.
    Message {
        /// Its header.
        overview: Box<Overview>,
    },
}

/// One part. Strings are as written except where said; defaults of RFC 2045 §5.2 are filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    /// Composite or not.
    pub kind: PartKind,
    /// Header including the blank line that ends it.
    pub header: Extent,
    /// Body, transfer encoding still on.
    pub body: Extent,
    /// Lines of the body: counted CRLF (a last line without one counts).
    pub lines: u64,
    /// Upper or lower case as written; `text` by default.
    pub media_type: Vec<u8>,
    /// `plain` by default.
    pub subtype: Vec<u8>,
    /// RFC 2231 continuations joined and decoded to UTF-8.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
    /// `Content-ID`, as written.
    pub id: Option<Vec<u8>>,
    /// `Content-Description`.
    pub description: Option<Vec<u8>>,
    /// `Content-Transfer-Encoding`; `7bit` by default.
    pub encoding: Vec<u8>,
    /// `Content-MD5`.
    pub md5: Option<Vec<u8>>,
    /// `Content-Disposition` with its parameters.
    pub disposition: Option<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)>,
    /// `Content-Language`.
    pub language: Vec<Vec<u8>>,
    /// `Content-Location`.
    pub location: Option<Vec<u8>>,
}

impl Summary {
    /// Computes the summary of a parsed message.
    pub fn of(message: &Message<'_>) -> Summary {
        let _ = message;
        todo!()
    }

    /// The stored form: one version octet, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads the stored form back; `None` when it is not one.
    pub fn decode(stored: &[u8]) -> Option<Summary> {
        let _ = stored;
        todo!()
    }
}
