//! Entry points for fuzzing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use waxwing_message::Message;
use waxwing_message::compose::entity::{Looks, Piece};

use crate::email::compose::{Letter, Origin};
use crate::email::header::{HeaderProperty, of_fields};
use crate::email::query::condition;
use crate::wire::json;

/// An Email object that is to be created, a filter, the name of a property, and octets of a header.
pub fn fuzz_email(data: &[u8]) {
    let split = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (first, second) = data.split_at(split);
    if let Ok(name) = std::str::from_utf8(first)
        && let Some(Ok(property)) = HeaderProperty::read(name)
    {
        let message = Message::parse(second);
        let _ = of_fields(&property, message.root().headers.iter());
    }
    let Ok(value) = json::read(first) else { return };
    let _ = condition::read(Some(value.clone()));
    let Value::Object(object) = value else { return };
    let Ok(letter) = Letter::read(&object) else { return };
    let keys = 0..letter.blobs().len();
    let looks: BTreeMap<usize, Looks> = keys.map(|key| (key, Looks::of(second))).collect();
    let origin = Origin { now: Timestamp::UNIX_EPOCH, domain: "x.test", random: [7; 16] };
    let mut raw = Vec::new();
    for piece in letter.pieces(&looks, &origin) {
        if let Piece::Octets(octets) = piece {
            raw.extend_from_slice(&octets);
        }
    }
    let message = Message::parse(&raw);
    let root = message.root();
    for name in ["Date", "Message-ID", "MIME-Version", "Content-Type"] {
        assert!(root.header(name).is_some(), "there is a {name}");
    }
    let asked = |field: &str| {
        let properties = object.keys().filter_map(|name| HeaderProperty::read(name)?.ok());
        let convenient = object.keys().filter_map(|name| HeaderProperty::of_convenience(name));
        properties.chain(convenient).any(|property| property.field.eq_ignore_ascii_case(field))
    };
    let ours = ["Date", "Message-ID", "MIME-Version"];
    for field in &root.headers {
        let name = String::from_utf8_lossy(field.name);
        let known = ours.iter().any(|own| own.eq_ignore_ascii_case(&name))
            || name.to_ascii_lowercase().starts_with("content-")
            || object.contains_key("bodyStructure");
        assert!(known || asked(&name), "nobody asked for {name}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        /// What the target asserts holds of objects that are likely to be made messages.
        #[test]
        fn likely_objects(
            name in "header:(Subject|X-A|to|List-Id|Date|MIME-Version)(:as(Text|Raw|Addresses|Date))?(:all)?",
            text in "\\PC{0,40}",
            other in "(subject|messageId|sentAt|from|header:x-a:asText)",
            root: bool,
        ) {
            for value in [json!(text), json!([text]), json!([{"email": text}]), json!("2018-07-10T11:03:11Z")] {
                let part = json!({"partId": "1", "name": text, "header:X-B": text});
                let mut object = json!({
                    &name: value, &other: value, "bodyValues": {"1": {"value": text}},
                    "attachments": [{"blobId": "B1", "type": "message/rfc822"}, part],
                });
                if root {
                    object["bodyStructure"] = part.clone();
                    object.as_object_mut().unwrap().remove("attachments");
                }
                fuzz_email(format!("{object}\0Subject: x\r\n\r\n").as_bytes());
                fuzz_email(format!("{name}\0{text}").as_bytes());
            }
        }
    }
}
