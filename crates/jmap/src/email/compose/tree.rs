//! The tree of a message that is to be made: as it is given, or of the lists of parts that clients think in.
//!
//! ```text
//! mixed
//! ├─ alternative
//! │  ├─ textBody
//! │  └─ related
//! │     ├─ htmlBody
//! │     └─ attachments that HTML shows: inline, with a cid
//! └─ the other attachments
//! ```
//!
//! A multipart of one text is left out.

use serde_json::{Map, Value};

use super::part::{Node, Reader};

/// Reads `bodyStructure`, or `textBody`, `htmlBody` and `attachments`.
pub fn read(object: &Map<String, Value>, reader: &mut Reader<'_, '_>) -> Node {
    let given = |name: &str| object.get(name).filter(|value| !value.is_null());
    if let Some(structure) = given("bodyStructure") {
        // RFC 8621 §4.6.
        for name in ["textBody", "htmlBody", "attachments"] {
            if given(name).is_some() {
                reader.faults.add(name, "bodyStructure says it");
            }
        }
        return reader.part("bodyStructure", structure, None);
    }
    let text = given("textBody").map(|list| only(reader, "textBody", list, "text/plain"));
    let html = given("htmlBody").map(|list| only(reader, "htmlBody", list, "text/html"));
    let mut attachments = match given("attachments") {
        None => Vec::new(),
        Some(Value::Array(list)) => {
            let parts = list.iter().enumerate();
            parts.map(|(i, part)| reader.attachment(&format!("attachments/{i}"), part)).collect()
        }
        Some(_) => {
            reader.faults.add("attachments", "it is a list");
            Vec::new()
        }
    };
    let html = html.map(|html| {
        let (mut shown, others): (Vec<Node>, _) =
            attachments.drain(..).partition(Node::is_shown_inline);
        attachments = others;
        if shown.is_empty() {
            return html;
        }
        shown.insert(0, html);
        // RFC 2387 §3.1 demands the type of the root.
        Node::multipart("related", shown).with_param("type", "text/html")
    });
    let body = match (text, html) {
        (Some(text), Some(html)) => Some(Node::multipart("alternative", vec![text, html])),
        (one, None) | (None, one) => one,
    };
    match (body, attachments.is_empty()) {
        (None, true) => Node::empty(),
        (Some(body), true) => body,
        // What is only attachments begins with an attachment, not with a text that nobody wrote.
        (body, false) => {
            attachments.splice(0..0, body);
            Node::multipart("mixed", attachments)
        }
    }
}

/// The one part of a list that has one (RFC 8621 §4.6).
fn only(reader: &mut Reader<'_, '_>, name: &str, list: &Value, media_type: &str) -> Node {
    let Some([part]) = list.as_array().map(Vec::as_slice) else {
        reader.faults.add(name, "it is a list of exactly one part");
        return Node::empty();
    };
    let path = format!("{name}/0");
    let node = reader.part(&path, part, Some(media_type));
    if node.media_type() != media_type {
        reader.faults.add(format!("{path}/type"), format!("it is {media_type}"));
    }
    node
}
