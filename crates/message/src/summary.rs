//! What listings show, computed once when a message arrives and stored ready, so that a FETCH of
//! 100,000 envelopes never opens a message.
//!
//! [`Overview`] holds the header fields as they stand (unfolded, not decoded): IMAP's ENVELOPE
//! wants them raw, JMAP decodes them when asked. [`PartInfo`]s are the MIME tree in pre-order with
//! the offsets of every part, so that fetching one part reads one range of the stored message.

use serde::{Deserialize, Serialize};

use crate::parse::{
    self, Body, Header, Message, Part, RawAddressItem, TransferEncoding, content, date,
};

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

/// Header fields that listings show. Texts are unfolded and otherwise raw: encoded words stand. `T` is
/// what holds them: octets of its own, or `&[u8]` where they lie in the stored form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview<T = Vec<u8>> {
    /// `Date`, as written.
    pub date: Option<T>,
    /// `Date`, understood: seconds since 1970.
    pub date_epoch_secs: Option<i64>,
    /// `Subject`.
    pub subject: Option<T>,
    /// `From`.
    pub from: Vec<OverviewAddress<T>>,
    /// `Sender`; empty when absent (IMAP then shows From).
    pub sender: Vec<OverviewAddress<T>>,
    /// `Reply-To`; empty when absent (IMAP then shows From).
    pub reply_to: Vec<OverviewAddress<T>>,
    /// `To`.
    pub to: Vec<OverviewAddress<T>>,
    /// `Cc`.
    pub cc: Vec<OverviewAddress<T>>,
    /// `Bcc`.
    pub bcc: Vec<OverviewAddress<T>>,
    /// `In-Reply-To`, as written.
    pub in_reply_to: Option<T>,
    /// `Message-ID`, as written, with angle brackets.
    pub message_id: Option<T>,
    /// `References`, as written.
    pub references: Option<T>,
}

/// One item of an address field. Groups are flat, as IMAP has them (RFC 9051 §7.5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverviewAddress<T = Vec<u8>> {
    /// A mailbox: display name (encoded words stand), local part (unquoted), domain.
    Mailbox {
        /// Display name.
        name: Option<T>,
        /// Unquoted.
        local_part: T,
        /// May be empty in broken mail.
        domain: T,
    },
    /// A group begins.
    GroupStart {
        /// Its name.
        name: T,
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

/// Names in lower case and values in UTF-8.
pub type Params = Vec<(Vec<u8>, Vec<u8>)>;

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
    pub params: Params,
    /// `Content-ID`, as written.
    pub id: Option<Vec<u8>>,
    /// `Content-Description`.
    pub description: Option<Vec<u8>>,
    /// `Content-Transfer-Encoding`; `7bit` by default.
    pub encoding: Vec<u8>,
    /// `Content-MD5`.
    pub md5: Option<Vec<u8>>,
    /// `Content-Disposition` with its parameters.
    pub disposition: Option<(Vec<u8>, Params)>,
    /// `Content-Language`.
    pub language: Vec<Vec<u8>>,
    /// `Content-Location`.
    pub location: Option<Vec<u8>>,
}

/// The version of the stored form. A change of any type here takes the next number.
const STORED_VERSION: u8 = 1;
/// RFC 8970 §3.1.
const PREVIEW_CHARS: usize = 256;

impl Summary {
    /// Computes the summary of a parsed message.
    pub fn of(message: &Message<'_>) -> Summary {
        let lines = Lines::of(message);
        let parts = (0..message.parts.len()).map(|i| part_info(message, i, &lines)).collect();
        // RFC 8621 §4.1.4: an attachment that is not merely part of what is shown.
        let has_attachment = message
            .attachments()
            .iter()
            .any(|id| message.part(*id).disposition().as_deref() != Some("inline"));
        Summary {
            overview: Overview::of(message.root()),
            parts,
            preview: message.preview(PREVIEW_CHARS),
            has_attachment,
        }
    }

    /// The stored form: one version octet, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        let start = vec![STORED_VERSION];
        postcard::to_extend(self, start).expect("writing to memory cannot fail")
    }

    /// Reads the stored form back; `None` when it is not one.
    pub fn decode(stored: &[u8]) -> Option<Summary> {
        match postcard::take_from_bytes(of_this_version(stored)?) {
            Ok((summary, [])) => Some(summary),
            _ => None,
        }
    }
}

/// Whether a message has an attachment, from the stored form of its summary, where that stands last.
pub fn has_attachment_in_stored(stored: &[u8]) -> Option<bool> {
    of_this_version(stored)?.last().map(|last| *last == 1)
}

impl PartInfo {
    /// The file name of Content-Disposition, else the name of Content-Type, as [`Part::file_name`].
    pub fn file_name(&self) -> Option<&[u8]> {
        let disposition = self.disposition.iter().flat_map(|(_, params)| params);
        let named = disposition.filter(|(name, _)| name == b"filename");
        let mut all = named.chain(self.params.iter().filter(|(name, _)| name == b"name"));
        all.next().map(|(_, value)| value.as_slice())
    }

    /// How the body is encoded.
    pub fn transfer_encoding(&self) -> TransferEncoding {
        TransferEncoding::parse(&self.encoding)
    }
}

fn of_this_version(stored: &[u8]) -> Option<&[u8]> {
    stored.split_first().filter(|(version, _)| **version == STORED_VERSION).map(|(_, rest)| rest)
}

impl<'s> Overview<&'s [u8]> {
    /// The overview alone, from the stored form of a summary, where it stands first. Nothing is
    /// copied.
    pub fn of_stored(stored: &'s [u8]) -> Option<Overview<&'s [u8]>> {
        postcard::take_from_bytes(of_this_version(stored)?).ok().map(|(overview, _)| overview)
    }
}

impl Overview {
    /// Of one header: a message's own, or an enclosed message's.
    pub fn of(part: &Part<'_>) -> Overview {
        let mut overview = Overview::default();
        for header in &part.headers {
            // Names of these lengths only: most fields are something else.
            match header.name.len() {
                2 if header.is("To") => addresses(header, &mut overview.to),
                2 if header.is("Cc") => addresses(header, &mut overview.cc),
                3 if header.is("Bcc") => addresses(header, &mut overview.bcc),
                4 if header.is("From") => addresses(header, &mut overview.from),
                4 if header.is("Date") => {
                    if overview.date.is_none() {
                        overview.date_epoch_secs =
                            date::parse(header.value).map(|date| date.as_second());
                    }
                    text(header, &mut overview.date);
                }
                6 if header.is("Sender") => addresses(header, &mut overview.sender),
                7 if header.is("Subject") => text(header, &mut overview.subject),
                8 if header.is("Reply-To") => addresses(header, &mut overview.reply_to),
                10 if header.is("Message-ID") => text(header, &mut overview.message_id),
                10 if header.is("References") => text(header, &mut overview.references),
                11 if header.is("In-Reply-To") => text(header, &mut overview.in_reply_to),
                _ => {}
            }
        }
        overview
    }
}

/// The first field of a name counts (RFC 5322 §3.6 allows one).
fn text(header: &Header<'_>, slot: &mut Option<Vec<u8>>) {
    slot.get_or_insert_with(|| header.unfolded().into_owned());
}

/// All fields of a name count together: their addresses are all shown.
fn addresses(header: &Header<'_>, list: &mut Vec<OverviewAddress>) {
    list.extend(parse::addresses::parse_raw(header.value).into_iter().map(|item| match item {
        RawAddressItem::Mailbox { name, local_part, domain } => {
            OverviewAddress::Mailbox { name, local_part, domain }
        }
        RawAddressItem::GroupStart(name) => OverviewAddress::GroupStart { name },
        RawAddressItem::GroupEnd => OverviewAddress::GroupEnd,
    }));
}

fn part_info(message: &Message<'_>, index: usize, lines: &Lines) -> PartInfo {
    let part = &message.parts[index];
    let raw = |name| part.header(name).map(|h| h.unfolded().into_owned());
    let (media_type, subtype) = written_type(part);
    let disposition = part.header("Content-Disposition").map(|h| {
        let word = content::first_word(h.value).into_owned().into_bytes();
        (word, octet_params(content::params(h.value)))
    });
    let language = part.header("Content-Language").map(|h| h.unfolded().into_owned());
    PartInfo {
        kind: match &part.content {
            Body::Leaf => PartKind::Leaf,
            Body::Multipart(children) => PartKind::Multipart { children: children.len() as u32 },
            Body::Message(root) => {
                PartKind::Message { overview: Box::new(Overview::of(message.part(*root))) }
            }
        },
        header: extent(&part.header),
        body: extent(&part.body),
        lines: lines.between(part.body.start, part.body.end)
            + u64::from(!part.body.is_empty() && message.raw[part.body.end - 1] != b'\n'),
        media_type,
        subtype,
        params: octet_params(part.params()),
        id: raw("Content-ID"),
        description: raw("Content-Description"),
        encoding: written_encoding(part),
        md5: raw("Content-MD5"),
        disposition: disposition.filter(|(word, _)| !word.is_empty()),
        language: language.map(|l| languages(&l)).unwrap_or_default(),
        location: raw("Content-Location"),
    }
}

/// The type as written when it is the one in force.
///
/// Deviates: a `message/rfc822` or `message/global` that was not opened (encoded, too deep) is given as
/// `application/octet-stream`, since IMAP has no way to say BODYSTRUCTURE of one without its envelope
/// (RFC 9051 §9, `body-type-msg`).
fn written_type(part: &Part<'_>) -> (Vec<u8>, Vec<u8>) {
    if part.is_message() && part.content == Body::Leaf {
        return (b"application".to_vec(), b"octet-stream".to_vec());
    }
    let written = part.header("Content-Type").and_then(|h| content::media_type_as_written(h.value));
    match written {
        Some((main, sub))
            if main.eq_ignore_ascii_case(part.media_type.as_bytes())
                && sub.eq_ignore_ascii_case(part.subtype.as_bytes()) =>
        {
            (main.to_vec(), sub.to_vec())
        }
        _ => (part.media_type.as_bytes().to_vec(), part.subtype.as_bytes().to_vec()),
    }
}

fn written_encoding(part: &Part<'_>) -> Vec<u8> {
    let value = part.header("Content-Transfer-Encoding").map(|h| h.unfolded());
    let word = value.as_deref().unwrap_or_default();
    let end = word.iter().position(|b| b"; (\t".contains(b)).unwrap_or(word.len());
    if end == 0 { b"7bit".to_vec() } else { word[..end].to_vec() }
}

fn octet_params(params: Vec<(String, String)>) -> Params {
    params.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect()
}

/// RFC 3282: tags separated by commas.
fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let tags = value.split(|&b| b == b',').map(|tag| tag.trim_ascii().to_vec());
    tags.filter(|tag| !tag.is_empty()).collect()
}

fn extent(range: &std::ops::Range<usize>) -> Extent {
    Extent { offset: range.start as u64, octets: range.len() as u64 }
}

/// How many lines end before each offset where a body begins or ends, counted in one pass however
/// deep the parts are nested.
struct Lines(Vec<(usize, u64)>);

impl Lines {
    fn of(message: &Message<'_>) -> Lines {
        let bodies = message.parts.iter().flat_map(|part| [part.body.start, part.body.end]);
        let mut offsets: Vec<usize> = bodies.collect();
        offsets.sort_unstable();
        offsets.dedup();
        let (mut at, mut lines) = (0, 0);
        let counted = offsets.into_iter().map(|offset| {
            lines += memchr::memchr_iter(b'\n', &message.raw[at..offset]).count() as u64;
            at = offset;
            (offset, lines)
        });
        Lines(counted.collect())
    }

    fn between(&self, start: usize, end: usize) -> u64 {
        self.before(end) - self.before(start)
    }

    fn before(&self, offset: usize) -> u64 {
        let found = self.0.binary_search_by_key(&offset, |(offset, _)| *offset);
        self.0[found.expect("every body's ends were counted")].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &[u8] = b"From: A <a@x.test>\r\nSubject: outer\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n\
        Content-Type: Multipart/Mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\nHello\r\nthere\r\n--b\r\n\
        Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\nSubject: inner\r\n\r\nx\r\n--b--\r\n";

    #[test]
    fn a_message_within_a_message() {
        let summary = Summary::of(&Message::parse(NESTED));
        assert_eq!(summary.overview.subject.as_deref(), Some(b"outer".as_slice()));
        assert_eq!(summary.overview.date_epoch_secs, Some(880_127_706));
        assert_eq!(summary.preview, "Hello there");
        assert!(summary.has_attachment);
        assert_eq!(summary.parts.len(), 4);
        assert_eq!(summary.parts[0].media_type, b"Multipart");
        assert_eq!(summary.parts[0].kind, PartKind::Multipart { children: 2 });
        assert_eq!(
            summary.parts[1].lines, 2,
            "the line end before the delimiter is not the body's"
        );
        let PartKind::Message { overview } = &summary.parts[2].kind else { panic!("a message") };
        assert_eq!(overview.subject.as_deref(), Some(b"inner".as_slice()));
        let body = &summary.parts[3].body;
        let range = body.offset as usize..(body.offset + body.octets) as usize;
        assert_eq!(&NESTED[range], b"x");
    }

    #[test]
    fn the_stored_form_is_read_back_and_nothing_else_is() {
        let summary = Summary::of(&Message::parse(NESTED));
        let stored = summary.encode();
        assert_eq!(Summary::decode(&stored).as_ref(), Some(&summary));
        assert_eq!(has_attachment_in_stored(&stored), Some(true));
        let overview = Overview::of_stored(&stored).unwrap();
        assert_eq!(overview.subject, summary.overview.subject.as_deref());
        assert_eq!(overview.from.len(), 1);
        assert_eq!(overview.date_epoch_secs, summary.overview.date_epoch_secs);
        assert_eq!(Overview::of_stored(&stored[..9]), None);
        assert_eq!(Summary::decode(b""), None);
        assert_eq!(Summary::decode(&[0]), None);
        assert_eq!(Summary::decode(&stored[..stored.len() - 1]), None);
        assert_eq!(Summary::decode(&[&stored[..], &[0]].concat()), None);
    }
}
