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
    let mut enclosed = false;
    for (index, part) in summary.parts.iter().enumerate() {
        if text.body.len() >= limit {
            text.whole = false;
            break;
        }
        let header = content.read(part.header.offset, part.header.octets.min(HEADER_OCTETS_MAX));
        let header = header.await?;
        text.whole &= part.header.octets <= HEADER_OCTETS_MAX;
        if index == 0 {
            push_header(&mut text.header, &header);
        } else if enclosed {
            push_header(&mut text.body, &header);
        }
        enclosed = matches!(part.kind, PartKind::Message { .. });
        push_file_name(&mut text.body, &header);
        if matches!(part.kind, PartKind::Leaf) && part.media_type.eq_ignore_ascii_case(b"text") {
            let room = limit - text.body.len().min(limit);
            read_part(content, part, header, room, &mut text).await?;
        }
    }
    Ok(text)
}

/// A text part with its header is a message by itself, which says how to decode it.
async fn read_part(
    content: &Content,
    part: &PartInfo,
    mut entity: Vec<u8>,
    room: usize,
    text: &mut Text,
) -> Result<(), StoreError> {
    let octets = part.body.octets.min(room as u64 * ENCODED_PER_TEXT);
    text.whole &= octets == part.body.octets;
    entity.extend(content.read(part.body.offset, octets).await?);
    let is_html = part.subtype.eq_ignore_ascii_case(b"html");
    let parsed = Message::parse(&entity);
    let mut decoded = parsed.text(PartId::ROOT);
    if is_html {
        decoded = html::to_text(&decoded, decoded.len());
    }
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
