//! RFC 5322 and MIME: octets in, a tree of parts with offsets and defects out.
//!
//! [`Message::parse`] makes one pass that finds header fields and parts and decodes nothing: it
//! borrows, and costs little more than a search for line ends. Everything else (addresses, dates,
//! encoded words, charsets, transfer encodings) is decoded when it is asked for.
//!
//! No input fails. What is broken is read as best it can be and noted in [`Message::defects`].
//! Nothing recurses with the input, time is linear in its length, and memory is bounded by
//! [`MAX_DEPTH`], [`MAX_PARTS`] and [`MAX_FIELDS`].
//!
//! | module | reads |
//! |---|---|
//! | [`field`] | header blocks |
//! | `tree` | the parts: the pass itself |
//! | [`content`] | Content-Type, Content-Disposition, parameters (RFC 2231) |
//! | [`addresses`] | address fields and groups |
//! | [`date`] | dates |
//! | [`words`] | unstructured text and encoded words (RFC 2047) |
//! | [`transfer`] | base64, quoted-printable, uuencode |
//! | [`charset`] | the encodings of text |
//! | [`html`] | HTML down to its words |
//! | [`urls`] | the fields of mailing lists (RFC 2369) |
//! | `view` | which parts a reader shows (RFC 8621 §4.1.4), text to search, preview |

pub mod addresses;
pub mod charset;
pub mod content;
pub mod date;
pub mod field;
pub mod html;
pub mod transfer;
mod tree;
pub mod urls;
mod view;
pub mod words;

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;

pub use addresses::{AddressItem, RawAddressItem};
pub use field::Header;
pub use transfer::TransferEncoding;
pub use tree::{MAX_DEFECTS, MAX_DEPTH, MAX_FIELDS, MAX_PARTS};
pub use view::View;

/// A parsed message. Borrows the octets it was parsed from.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The octets.
    pub raw: &'a [u8],
    /// In pre-order; the root is first, and there is always a root.
    pub parts: Vec<Part<'a>>,
    /// What is broken, in the order it was noticed; at most [`MAX_DEFECTS`].
    pub defects: Vec<Defect>,
}

/// Index into [`Message::parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u32);

impl PartId {
    /// The message itself.
    pub const ROOT: PartId = PartId(0);
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Data.
    Leaf,
    /// Other parts, of which there is at least one.
    Multipart(Vec<PartId>),
    /// A message; its root is the part that follows.
    Message(PartId),
}

/// One part: a header and a body. Ranges are offsets in the message; those of children lie within
/// the body of their parent.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The fields, in order.
    pub headers: Vec<Header<'a>>,
    /// The header, with the empty line that ends it.
    pub header: Range<usize>,
    /// The body, transfer encoding still on.
    pub body: Range<usize>,
    /// What the body holds.
    pub content: Body,
    /// Lower case, such as `text`; what is in force, so `text` also where the header names nothing.
    pub media_type: Cow<'a, str>,
    /// Lower case, such as `plain`.
    pub subtype: Cow<'a, str>,
    /// How the body is encoded.
    pub encoding: TransferEncoding,
    /// The part this one stands in.
    pub parent: Option<PartId>,
}

/// Something broken, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// Offset in the message.
    pub offset: usize,
    /// What it is.
    pub kind: DefectKind,
}

/// What can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefectKind {
    /// The message begins with the `From ` line of an mbox file.
    MboxFromLine,
    /// The first line is neither a field nor empty: all is body.
    NoHeader,
    /// A line in the header is no field.
    JunkInHeader,
    /// The header is followed by text without an empty line between.
    MissingBlankLine,
    /// Lines of the header end with LF alone.
    BareLf,
    /// A Content-Type that is no type; RFC 2045 §5.2 takes it as `text/plain`.
    InvalidContentType,
    /// More than one Content-Type; the first counts.
    DuplicateContentType,
    /// A Content-Transfer-Encoding nobody knows.
    UnknownTransferEncoding,
    /// A multipart or message that claims base64 or quoted-printable (RFC 2045 §6.4 forbids it;
    /// RFC 6532 §3.7 allows it for `message/global`, and it is not opened here).
    EncodedComposite,
    /// A multipart without a boundary: read as text.
    MissingBoundary,
    /// A multipart whose boundary never occurs: read as text.
    NoParts,
    /// A multipart that ends without its closing delimiter.
    MissingCloseDelimiter,
    /// Deeper than [`MAX_DEPTH`]: not opened.
    TooDeep,
    /// More than [`MAX_PARTS`]: the rest belongs to the last part.
    TooManyParts,
    /// More than [`MAX_FIELDS`]: the rest is not recorded.
    TooManyFields,
}

impl<'a> Message<'a> {
    /// Parses a message. Any octets at all are a message of some kind.
    pub fn parse(raw: &'a [u8]) -> Message<'a> {
        let (parts, defects) = tree::parse(raw);
        Message { raw, parts, defects }
    }

    /// The message itself: the first part.
    pub fn root(&self) -> &Part<'a> {
        &self.parts[0]
    }

    /// One part.
    ///
    /// # Panics
    /// When the id is of another message.
    pub fn part(&self, id: PartId) -> &Part<'a> {
        &self.parts[id.0 as usize]
    }

    /// First field of that name in the root header.
    pub fn header(&self, name: &str) -> Option<&Header<'a>> {
        self.root().header(name)
    }

    /// `Date`.
    pub fn date(&self) -> Option<Timestamp> {
        date::parse(self.header("Date")?.value)
    }

    /// Subject, unfolded and decoded.
    pub fn subject(&self) -> Option<String> {
        self.header("Subject").map(Header::text)
    }

    /// Message-ID without angle brackets.
    pub fn message_id(&self) -> Option<String> {
        self.ids("Message-ID").into_iter().next()
    }

    /// The message ids of every field of that name, such as `References`, without angle brackets.
    pub fn ids(&self, name: &str) -> Vec<String> {
        self.root().headers_named(name).flat_map(|h| words::message_ids(h.value)).collect()
    }

    /// Addresses of every field of that name in the root header.
    pub fn addresses(&self, name: &str) -> Vec<AddressItem> {
        self.root().headers_named(name).flat_map(|h| addresses::parse(h.value)).collect()
    }

    /// The body of a part, transfer encoding undone. A multipart or message is given as it stands.
    pub fn decoded(&self, id: PartId) -> Cow<'a, [u8]> {
        let part = self.part(id);
        let body = &self.raw[part.body.clone()];
        match part.content {
            Body::Leaf => part.encoding.decode(body),
            _ => Cow::Borrowed(body),
        }
    }

    /// The body of a part as text: transfer encoding and charset undone; line ends as they are.
    pub fn text(&self, id: PartId) -> String {
        let label = self.part(id).charset();
        let label = label.as_deref().map(str::as_bytes);
        match self.decoded(id) {
            Cow::Borrowed(octets) => charset::decode(octets, label).into_owned(),
            Cow::Owned(octets) => match charset::decode(&octets, label) {
                Cow::Owned(text) => text,
                // Borrowed means valid UTF-8, perhaps after a byte order mark.
                Cow::Borrowed(text) if text.len() == octets.len() => {
                    String::from_utf8(octets).unwrap_or_default()
                }
                Cow::Borrowed(text) => text.to_owned(),
            },
        }
    }
}

impl<'a> Part<'a> {
    /// First field of that name.
    pub fn header(&self, name: &str) -> Option<&Header<'a>> {
        self.headers.iter().find(|header| header.is(name))
    }

    /// Every field of that name, in order.
    pub fn headers_named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Header<'a>> {
        self.headers.iter().filter(move |header| header.is(name))
    }

    /// Whether this is `message/rfc822` or `message/global`.
    pub fn is_message(&self) -> bool {
        self.media_type == "message" && (self.subtype == "rfc822" || self.subtype == "global")
    }

    /// The parameters of Content-Type: RFC 2231 put together and decoded; names in lower case.
    pub fn params(&self) -> Vec<(String, String)> {
        self.header("Content-Type").map(|h| content::params(h.value)).unwrap_or_default()
    }

    /// One parameter of Content-Type.
    pub fn param(&self, name: &str) -> Option<String> {
        content::param(self.header("Content-Type")?.value, name)
    }

    /// The charset parameter.
    pub fn charset(&self) -> Option<String> {
        self.param("charset")
    }

    /// The word of Content-Disposition in lower case, such as `attachment`.
    pub fn disposition(&self) -> Option<Cow<'a, str>> {
        let value = self.header("Content-Disposition")?.value;
        Some(content::first_word(value)).filter(|word| !word.is_empty())
    }

    /// The file name of Content-Disposition, else the name of Content-Type. Whatever the sender
    /// wrote: paths and all.
    pub fn file_name(&self) -> Option<String> {
        let disposition = self.header("Content-Disposition");
        disposition.and_then(|h| content::param(h.value, "filename")).or_else(|| self.param("name"))
    }

    /// Content-ID without angle brackets.
    pub fn content_id(&self) -> Option<String> {
        words::message_ids(self.header("Content-ID")?.value).into_iter().next()
    }

    /// What cannot be opened is shown.
    fn show_as_text(&mut self) {
        self.media_type = Cow::Borrowed("text");
        self.subtype = Cow::Borrowed("plain");
    }
}
