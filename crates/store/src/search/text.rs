//! The text of a stored message that can be searched, read by ranges: large attachments are never
//! opened. What the ranges are is known from the stored summary.
//!
//! Header: the fields of the message's own header, decoded, without those that only machines
//! write (trace, signatures, experiments).
//! Deviates: RFC 9051 §6.4.4 lets TEXT look at those too; nobody means them, and HEADER finds them.
//!
//! Body: the text of every text part (HTML as words), names of attached files, and the headers of
//! enclosed messages.

use waxwing_message::parse::{PartId, html};
use waxwing_message::summary::{PartInfo, PartKind};
use waxwing_message::{Message, Summary};

use crate::{Content, StoreError};

/// A header is read up to here.
const HEADER_OCTETS_MAX: u64 = 256 * 1024;
/// Encoded text takes more room than what it says.
const ENCODED_PER_TEXT: u64 = 4;
/// A text part is read up to here.
const ENCODED_OCTETS_MAX: u64 = 64 << 20;
/// A part up to here is decoded where the caller stands.
const DECODED_AT_ONCE: u64 = 64 * 1024;

/// What there is to search in a message.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) header: String,
    pub(super) body: String,
    /// Nothing was left out for its size.
    pub(super) whole: bool,
}

/// Reads the text, about `limit` octets of it.
pub(super) async fn read(
    content: &Content,
    summary: &Summary,
    limit: usize,
) -> Result<Text, StoreError> {
    let mut text = Text { whole: true, ..Text::default() };
    let mut parts = Parts::of(content, summary, limit);
    while let Some(part) = parts.next().await? {
        text.header.push_str(&part.header);
        text.body.push_str(&part.body);
        text.whole &= part.whole;
    }
    Ok(text)
}

/// Octets of text parts as they are stored: how much room reading the text may take.
pub(super) fn stored_octets(summary: &Summary) -> u64 {
    summary.parts.iter().filter(|part| is_text(part)).map(|part| part.body.octets).sum()
}

fn is_text(part: &PartInfo) -> bool {
    matches!(part.kind, PartKind::Leaf) && part.media_type.eq_ignore_ascii_case(b"text")
}

/// Reads part by part, so that one need be in memory at a time.
pub(super) struct Parts<'a> {
    content: &'a Content,
    summary: &'a Summary,
    /// The part to be read next.
    index: usize,
    /// Octets of text that may still be given.
    room: usize,
    enclosed: bool,
}

impl<'a> Parts<'a> {
    pub(super) fn of(content: &'a Content, summary: &'a Summary, limit: usize) -> Parts<'a> {
        Parts { content, summary, index: 0, room: limit, enclosed: false }
    }

    /// The text of the next part.
    pub(super) async fn next(&mut self) -> Result<Option<Text>, StoreError> {
        let Some(part) = self.summary.parts.get(self.index) else { return Ok(None) };
        let mut text = Text { whole: part.header.octets <= HEADER_OCTETS_MAX, ..Text::default() };
        if self.room == 0 {
            self.index = self.summary.parts.len();
            return Ok(Some(Text { whole: false, ..text }));
        }
        let octets = part.header.octets.min(HEADER_OCTETS_MAX);
        let header = self.content.read(part.header.offset, octets).await?;
        if self.index == 0 {
            push_header(&mut text.header, &header);
        } else if self.enclosed {
            push_header(&mut text.body, &header);
        }
        self.enclosed = matches!(part.kind, PartKind::Message { .. });
        self.index += 1;
        push_file_name(&mut text.body, &header);
        if is_text(part) {
            let room = self.room.saturating_sub(text.body.len());
            read_part(self.content, part, header, room, &mut text).await?;
        }
        self.room = self.room.saturating_sub(text.body.len());
        Ok(Some(text))
    }
}

/// A text part with its header is a message by itself, which says how to decode it.
async fn read_part(
    content: &Content,
    part: &PartInfo,
    mut entity: Vec<u8>,
    room: usize,
    text: &mut Text,
) -> Result<(), StoreError> {
    let octets = part.body.octets.min(room as u64 * ENCODED_PER_TEXT).min(ENCODED_OCTETS_MAX);
    text.whole &= octets == part.body.octets;
    entity.extend(content.read(part.body.offset, octets).await?);
    let is_html = part.subtype.eq_ignore_ascii_case(b"html");
    let decode = move || {
        let mut decoded = Message::parse(&entity).text(PartId::ROOT);
        drop(entity);
        if is_html {
            decoded = html::to_text(&decoded, decoded.len());
        }
        decoded
    };
    // Megabytes keep a processor busy for longer than others should wait.
    let mut decoded = if octets <= DECODED_AT_ONCE {
        decode()
    } else {
        tokio::task::spawn_blocking(decode).await.map_err(super::cut_short)?
    };
    if decoded.len() > room {
        decoded.truncate(decoded.floor_char_boundary(room));
        text.whole = false;
    }
    push_line(&mut text.body, &decoded);
    Ok(())
}

fn push_header(out: &mut String, header: &[u8]) {
    for field in &Message::parse(header).root().headers {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        if !is_for_machines(&name) {
            push_line(out, &field.text());
        }
    }
}

fn is_for_machines(name: &str) -> bool {
    name.starts_with("arc-")
        || name.starts_with("x-")
        || matches!(
            name,
            "received"
                | "received-spf"
                | "return-path"
                | "dkim-signature"
                | "domainkey-signature"
                | "authentication-results"
                | "content-type"
                | "content-transfer-encoding"
                | "mime-version"
        )
}

fn push_file_name(out: &mut String, header: &[u8]) {
    if let Some(name) = Message::parse(header).root().file_name() {
        push_line(out, &name);
    }
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}
