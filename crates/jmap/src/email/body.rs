//! EmailBodyPart (RFC 8621 §4.1.4): parts as objects.
//!
//! What the summary says needs no octets of the message. Two things do, and are looked up first: decoded
//! sizes and header fields (see [`Read`]).

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use waxwing_message::parse::field::fields;
use waxwing_message::parse::words::{decode_text, message_ids};
use waxwing_message::parse::{Header, PartId, charset};
use waxwing_message::summary::{PartInfo, PartKind};

use super::header::{of_fields, raw_text};
use super::part::Parts;
use super::wanted::{PartProperty, Wanted};

/// What was read of parts.
#[derive(Debug, Default)]
pub struct Read {
    /// Header blocks, of the parts whose fields are asked for.
    pub headers: HashMap<PartId, Vec<u8>>,
    /// Octets of the decoded bodies of those whose size is asked for.
    pub sizes: HashMap<PartId, u64>,
}

/// The whole tree: `bodyStructure`. Recurses as deep as [`waxwing_message::parse::MAX_DEPTH`].
pub fn structure(parts: &Parts<'_>, id: PartId, wanted: &Wanted, read: &Read) -> Value {
    let Value::Object(mut members) = part(parts, id, wanted, read) else { return Value::Null };
    if matches!(parts.part(id).kind, PartKind::Multipart { .. }) {
        let within = parts.within(id).iter();
        let within: Value = within.map(|child| structure(parts, *child, wanted, read)).collect();
        members.insert("subParts".to_owned(), within);
    }
    Value::Object(members)
}

/// One part without those in it: an item of `textBody` and its like.
pub fn part(parts: &Parts<'_>, id: PartId, wanted: &Wanted, read: &Read) -> Value {
    let info = parts.part(id);
    let header = || read.headers.get(&id).map(Vec::as_slice).unwrap_or_default();
    let mut members = Map::new();
    for (name, property) in &wanted.part_properties {
        let value = match property {
            PartProperty::PartId => parts.part_id(id).into(),
            PartProperty::BlobId => parts.blob(id).map(|blob| blob.to_string()).into(),
            PartProperty::Size => read.sizes.get(&id).copied().unwrap_or(0).into(),
            PartProperty::Headers => all_fields(header()),
            PartProperty::Header(property) => {
                let fields: Vec<Header<'_>> = fields(header()).collect();
                of_fields(property, fields.iter())
            }
            PartProperty::Name => info.file_name().map(lossy).into(),
            PartProperty::Type => media_type(info).into(),
            PartProperty::Charset => charset_of(info).into(),
            PartProperty::Disposition => {
                info.disposition.as_ref().map(|(word, _)| lossy(word)).into()
            }
            PartProperty::Cid => info.id.as_deref().and_then(content_id).into(),
            PartProperty::Language => match info.language.as_slice() {
                [] => Value::Null,
                tags => tags.iter().map(|tag| lossy(tag)).collect(),
            },
            PartProperty::Location => info.location.as_deref().map(location).into(),
            // RFC 8621 §4.1.4: none of the lists goes into a part; `structure` does.
            PartProperty::SubParts => Value::Null,
        };
        members.insert(name.clone(), value);
    }
    Value::Object(members)
}

/// EmailHeader objects of a header block: `headers` (RFC 8621 §4.1.3).
pub fn all_fields(header: &[u8]) -> Value {
    let object = |field: Header<'_>| {
        let (name, value) = (raw_text(field.name), raw_text(field.value));
        json!({ "name": name, "value": value })
    };
    fields(header).map(object).collect()
}

/// In lower case: types are compared without regard to case (RFC 2045 §5.1), and clients compare strings.
pub fn media_type(info: &PartInfo) -> String {
    let [main, sub] =
        [&info.media_type, &info.subtype].map(|word| lossy(word).to_ascii_lowercase());
    format!("{main}/{sub}")
}

/// RFC 8621 §4.1.4: what is said, else what is meant; null for what is no text.
fn charset_of(info: &PartInfo) -> Option<String> {
    let said = info.params.iter().find(|(name, _)| name == b"charset");
    let is_text = info.media_type.eq_ignore_ascii_case(b"text");
    match said {
        Some((_, label)) => Some(lossy(label)),
        None => is_text.then(|| "us-ascii".to_owned()),
    }
}

fn content_id(raw: &[u8]) -> Option<String> {
    message_ids(raw).into_iter().next()
}

/// RFC 2557 §4.4.2: folded like any field, and encoded where it is not ASCII.
fn location(raw: &[u8]) -> String {
    decode_text(raw).chars().filter(|c| !c.is_whitespace()).collect()
}

fn lossy(octets: &[u8]) -> String {
    charset::guess(octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::wanted::GET_DEFAULT;
    use super::*;
    use crate::wire::blob_id::Blob;
    use waxwing_message::{Message, Summary};
    use waxwing_store::MessageId;

    fn wanted(names: &[&str]) -> Wanted {
        let mut arguments = json!({"bodyProperties": names}).as_object().cloned().unwrap();
        Wanted::take(&mut arguments, &GET_DEFAULT).unwrap()
    }

    /// The example of RFC 8621 §4.1.4.
    const LISTED: &str = "\
        mixed\n\
        .text/plain inline A\n\
        .mixed\n\
        ..alternative\n\
        ...mixed\n\
        ....text/plain inline B\n\
        ....image/jpeg inline C\n\
        ....text/plain inline D\n\
        ...related\n\
        ....text/html - E\n\
        ....image/jpeg - F\n\
        ..image/jpeg attachment G\n\
        ..application/x-excel - H\n\
        ..message/rfc822 - J\n\
        .text/plain inline K\n";

    /// A message of a tree that is drawn like the one above; each part's body is its letter.
    fn drawn(drawing: &str) -> String {
        fn entity(lines: &mut std::iter::Peekable<std::str::Lines<'_>>, depth: usize) -> String {
            let line = lines.next().unwrap().trim_start_matches('.');
            let mut words = line.split(' ');
            let kind = words.next().unwrap();
            if let (Some(disposition), Some(letter)) = (words.next(), words.next()) {
                let disposition = match disposition {
                    "-" => String::new(),
                    word => format!("Content-Disposition: {word}\r\n"),
                };
                let body = if kind == "message/rfc822" { "Subject: J\r\n\r\nJ" } else { letter };
                return format!("Content-Type: {kind}\r\n{disposition}X: {letter}\r\n\r\n{body}");
            }
            let boundary = format!("b{depth}{}", lines.clone().count());
            let mut out = format!("Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n");
            let level = |line: &&str| line.len() - line.trim_start_matches('.').len();
            while lines.peek().is_some_and(|line| level(line) > depth) {
                out += &format!("--{boundary}\r\n{}\r\n", entity(lines, depth + 1));
            }
            out + &format!("--{boundary}--\r\n")
        }
        entity(&mut drawing.lines().peekable(), 0)
    }

    #[test]
    fn the_lists_of_the_rfc() {
        let raw = drawn(LISTED);
        let summary = Summary::of(&Message::parse(raw.as_bytes()));
        let parts = Parts::new(&summary, PartId::ROOT, Blob::of_message(MessageId(1)));
        let view = parts.view();
        let mut read = Read::default();
        for id in parts.all() {
            let header = parts.part(id).header;
            let range = header.offset as usize..(header.offset + header.octets) as usize;
            read.headers.insert(id, raw.as_bytes()[range].to_vec());
        }
        let wanted = wanted(&["header:X:asText"]);
        let letters = |list: &[PartId]| -> String {
            let letter = |id: &PartId| part(&parts, *id, &wanted, &read)["header:X:asText"].clone();
            list.iter().map(|id| letter(id).as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(letters(&view.text), "ABCDK");
        assert_eq!(letters(&view.html), "AEK");
        assert_eq!(letters(&view.attachments), "CFGHJ");
    }

    #[test]
    fn a_part_with_everything() {
        let raw = "Content-Type: Multipart/Mixed; boundary=b\r\n\r\n--b\r\n\
            Content-Type: Image/PNG; name=old.png\r\n\
            Content-Disposition: Inline; filename*=utf-8''%C3%A4.png\r\n\
            Content-ID: <a@b> (comment)\r\nContent-Language: de, en-GB\r\n\
            Content-Location: http://x.test/\r\n a.png\r\n\r\nx\r\n--b\r\n\r\nhi\r\n--b--\r\n";
        let summary = Summary::of(&Message::parse(raw.as_bytes()));
        let parts = Parts::new(&summary, PartId::ROOT, Blob::of_message(MessageId(9)));
        let read = Read { sizes: [(PartId(1), 1)].into(), ..Read::default() };
        let wanted = Wanted::take(&mut Map::new(), &GET_DEFAULT).unwrap();
        let image = json!({
            "partId": "1", "blobId": "B9_1", "size": 1, "name": "ä.png", "type": "image/png",
            "charset": null, "disposition": "inline", "cid": "a@b", "language": ["de", "en-GB"],
            "location": "http://x.test/a.png",
        });
        assert_eq!(part(&parts, PartId(1), &wanted, &read), image);
        let tree = structure(&parts, PartId::ROOT, &wanted, &read);
        assert_eq!(tree["subParts"][0], image);
        assert_eq!((&tree["partId"], &tree["blobId"]), (&Value::Null, &Value::Null));
        assert_eq!(tree["type"], "multipart/mixed");
        let text = &tree["subParts"][1];
        assert_eq!((&text["type"], &text["charset"]), (&json!("text/plain"), &json!("us-ascii")));
        assert_eq!(text["disposition"], Value::Null);
    }
}
