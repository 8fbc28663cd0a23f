//! The parts of a message, and what is broken, in words.

use serde_json::{Value, json};
use waxwing_message::Message;
use waxwing_message::parse::{Body, DefectKind, Part, PartId, TransferEncoding};

use crate::config::Octets;

/// Parts that are drawn.
const PARTS_SHOWN: usize = 100;

/// The tree, one line a part.
pub fn tree(message: &Message<'_>) -> Vec<String> {
    let parts = message.parts.iter().enumerate().take(PARTS_SHOWN);
    let mut lines: Vec<String> =
        parts.map(|(index, part)| branches(message, index) + &describe(part)).collect();
    if message.parts.len() > PARTS_SHOWN {
        lines.push(format!("… and {} more", message.parts.len() - PARTS_SHOWN));
    }
    lines
}

/// The lines that join a part to those around it: `│ └ `.
fn branches(message: &Message<'_>, index: usize) -> String {
    let Ok(index) = u32::try_from(index) else { return String::new() };
    let (mut id, mut drawn, mut own) = (PartId(index), Vec::new(), true);
    while let Some(parent) = message.part(id).parent {
        let last = match &message.part(parent).content {
            Body::Multipart(parts) => parts.last() == Some(&id),
            _ => true,
        };
        drawn.push(match (own, last) {
            (true, true) => "└ ",
            (true, false) => "├ ",
            (false, true) => "  ",
            (false, false) => "│ ",
        });
        (id, own) = (parent, false);
    }
    drawn.into_iter().rev().collect()
}

fn depth(message: &Message<'_>, part: &Part<'_>) -> usize {
    let above = |id: &PartId| message.part(*id).parent;
    std::iter::successors(part.parent, above).count()
}

fn describe(part: &Part<'_>) -> String {
    let mut words = format!("{}/{}", part.media_type, part.subtype);
    if let Some(charset) = part.charset() {
        words += &format!(", {charset}");
    }
    if let Some(name) = part.file_name() {
        words += &format!(", \"{name}\"");
    }
    if part.content == Body::Leaf {
        words += &format!(", {}", Octets(part.body.len() as u64));
        let encoding = encoding(part.encoding);
        if !encoding.is_empty() {
            words += &format!(" as {encoding}");
        }
    }
    words
}

fn encoding(encoding: TransferEncoding) -> &'static str {
    match encoding {
        TransferEncoding::Base64 => "base64",
        TransferEncoding::QuotedPrintable => "quoted-printable",
        TransferEncoding::Uuencode => "uuencode",
        _ => "",
    }
}

/// What is broken, with its line counted from 1.
pub fn defects(message: &Message<'_>) -> Vec<(usize, &'static str)> {
    // Offsets need not be in order; each line is counted from the one before.
    let mut sorted: Vec<_> = message.defects.iter().collect();
    sorted.sort_by_key(|defect| defect.offset);
    let (mut at, mut line) = (0, 1);
    sorted
        .into_iter()
        .map(|defect| {
            let offset = defect.offset.min(message.raw.len());
            line += memchr::memchr_iter(b'\n', &message.raw[at..offset]).count();
            at = offset;
            (line, words(defect.kind))
        })
        .collect()
}

fn words(kind: DefectKind) -> &'static str {
    match kind {
        DefectKind::MboxFromLine => "the `From ` line of an mbox file",
        DefectKind::NoHeader => "there is no header: the first line is no field",
        DefectKind::JunkInHeader => "a line in the header is no field",
        DefectKind::MissingBlankLine => "no empty line between header and body",
        DefectKind::BareLf => "lines of the header end with LF alone",
        DefectKind::InvalidContentType => "a Content-Type that is no type: taken for text/plain",
        DefectKind::DuplicateContentType => "more than one Content-Type: readers may choose either",
        DefectKind::UnknownTransferEncoding => "a Content-Transfer-Encoding that nobody knows",
        DefectKind::EncodedComposite => {
            "a part that holds parts is itself encoded, which RFC 2045 §6.4 forbids"
        }
        DefectKind::MissingBoundary => "a multipart without a boundary: read as text",
        DefectKind::NoParts => "a multipart whose boundary never comes: read as text",
        DefectKind::MissingCloseDelimiter => {
            "a multipart that ends without its closing boundary: cut off?"
        }
        DefectKind::TooDeep => "parts are nested too deep: not opened",
        DefectKind::TooManyParts => "there are too many parts: the rest was not taken apart",
        DefectKind::TooManyFields => "there are too many header fields: the rest was not read",
    }
}

/// Both as data.
pub fn as_json(message: &Message<'_>) -> Value {
    let parts: Vec<Value> = message
        .parts
        .iter()
        .map(|part| {
            json!({
                "type": format!("{}/{}", part.media_type, part.subtype),
                "depth": depth(message, part),
                "charset": part.charset(),
                "file_name": part.file_name(),
                "size_octets": part.body.len(),
            })
        })
        .collect();
    let defects: Vec<Value> = defects(message)
        .into_iter()
        .map(|(line, text)| json!({ "line": line, "text": text }))
        .collect();
    json!({ "parts": parts, "defects": defects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_and_what_is_broken_in_it() {
        let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n--b\r\n\
            Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n";
        let message = Message::parse(raw);
        assert_eq!(
            tree(&message),
            [
                "multipart/mixed",
                "├ text/plain, utf-8, 5 B",
                "└ application/pdf, \"a.pdf\", 6 B as base64"
            ]
        );
        let [(line, text)] = defects(&message)[..] else { panic!("{:?}", message.defects) };
        assert!(text.contains("closing boundary"), "{line}: {text}");
    }
}
