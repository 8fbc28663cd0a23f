//! An Email object that is to be created, made a message (RFC 8621 §4.6).
//!
//! ```text
//! object ─read─▶ Letter ─(what the blobs look like)─▶ pieces ─▶ octets
//! ```
//!
//! Pure: octets of blobs are named by their place in [`Letter::blobs`] and are never here. What is refused
//! is told property by property; within others they are named by their path, as in a patch:
//! `attachments/0/blobId`.
//!
//! | file | what |
//! |---|---|
//! | `fields` | header fields of the message or of a part, each once |
//! | `part` | EmailBodyPart |
//! | `tree` | lists of parts, made a tree |

mod fields;
mod part;
mod tree;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use waxwing_message::compose::entity::{Looks, Piece};
use waxwing_message::compose::header::FieldWriter;
use waxwing_message::parse::date;
use waxwing_message::submission::new_message_id;

use crate::wire::error::{SetError, SetErrorKind};
use fields::Fields;
use part::{Node, Reader};

/// Properties that the server sets (RFC 8621 §4.1).
const SERVER_SET: [&str; 6] = ["id", "blobId", "threadId", "size", "hasAttachment", "preview"];
/// Properties that are not of the message: whoever calls reads those.
const METADATA: [&str; 3] = ["mailboxIds", "keywords", "receivedAt"];

/// Properties that are told to be wrong, at most.
const FAULTS_MAX: usize = 50;

/// A message that only lacks the octets of blobs.
#[derive(Debug, Clone)]
pub struct Letter {
    fields: Fields,
    root: Node,
    blobs: Vec<String>,
}

/// What the message says of itself where its writer does not.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Now.
    pub now: Timestamp,
    /// The right-hand side of a Message-ID.
    pub domain: &'a str,
    /// Makes a Message-ID, and boundaries, unlike any other.
    pub random: [u8; 16],
}

/// What is wrong with an object: properties, and words about the first of them.
#[derive(Debug, Default)]
struct Faults {
    properties: Vec<String>,
    first: Option<String>,
}

impl Faults {
    fn add(&mut self, property: impl Into<String>, why: impl Into<String>) {
        let property = property.into();
        self.first.get_or_insert_with(|| format!("{property}: {}", why.into()));
        if self.properties.len() < FAULTS_MAX && !self.properties.contains(&property) {
            self.properties.push(property);
        }
    }

    fn end(self) -> Result<(), SetError> {
        match self.first {
            None => Ok(()),
            Some(first) => {
                Err(SetError::new(SetErrorKind::InvalidProperties(self.properties), first))
            }
        }
    }
}

impl Letter {
    /// Reads an object. Members that are metadata are passed over.
    pub fn read(object: &Map<String, Value>) -> Result<Letter, SetError> {
        let mut faults = Faults::default();
        let values = body_values(object.get("bodyValues"), &mut faults);
        let mut fields = Fields::default();
        for (name, value) in object {
            match name.as_str() {
                "bodyValues" | "bodyStructure" | "textBody" | "htmlBody" | "attachments" => {}
                name if METADATA.contains(&name) => {}
                "headers" => faults.add(name, "fields are given one by one, as header:NAME"),
                known if SERVER_SET.contains(&known) => faults.add(name, "the server sets it"),
                _ => fields.of_message(name, value, &mut faults),
            }
        }
        let mut reader = Reader::new(&values, &mut faults);
        let root = tree::read(object, &mut reader);
        let blobs = reader.into_blobs();
        let mut letter = Letter { fields, root, blobs };
        letter.join_root_fields(&mut faults);
        faults.end()?;
        Ok(letter)
    }

    /// Ids of the blobs that it needs, each once. Their places are the keys of its pieces.
    pub fn blobs(&self) -> &[String] {
        &self.blobs
    }

    /// Whether the octets of a blob must be looked at: they go as they are, and what they look like says
    /// how that is called.
    pub fn must_look_at(&self, key: usize) -> bool {
        self.root.has_as_is(key)
    }

    /// The message. `looks` are those of the blobs, for which [`Letter::must_look_at`].
    pub fn pieces(&self, looks: &BTreeMap<usize, Looks>, origin: &Origin<'_>) -> Vec<Piece> {
        let mut out = self.fields.written();
        let mut more = FieldWriter::default();
        // RFC 8621 §4.6.
        if !self.fields.has("date") {
            more.raw("Date", &date::format(origin.now));
        }
        if !self.fields.has("message-id") {
            more.ids("Message-ID", &[new_message_id(origin.random, origin.domain)]);
        }
        if !self.fields.has("mime-version") {
            more.raw("MIME-Version", "1.0");
        }
        out.extend_from_slice(&more.into_bytes());
        let mut pieces = self.root.entity(looks).pieces(origin.random);
        match pieces.first_mut() {
            Some(Piece::Octets(octets)) => {
                octets.splice(0..0, out);
            }
            _ => pieces.insert(0, Piece::Octets(out)),
        }
        pieces
    }

    /// The fields of the root part are the message's, too, and none may be there twice (RFC 8621 §4.6).
    fn join_root_fields(&mut self, faults: &mut Faults) {
        for name in self.fields.join(self.root.take_other_fields()) {
            faults.add("bodyStructure", format!("the message has a field {name} already"));
        }
    }
}

/// Texts by partId.
fn body_values<'v>(value: Option<&'v Value>, faults: &mut Faults) -> BTreeMap<&'v str, &'v str> {
    let mut values = BTreeMap::new();
    let members = match value {
        None | Some(Value::Null) => return values,
        Some(Value::Object(members)) => members,
        Some(_) => {
            faults.add("bodyValues", "it is an object");
            return values;
        }
    };
    for (id, value) in members {
        let Some(value) = value.as_object() else {
            faults.add(format!("bodyValues/{id}"), "it is an object");
            continue;
        };
        for (name, member) in value {
            let path = || format!("bodyValues/{id}/{name}");
            match (name.as_str(), member) {
                ("value", Value::String(text)) => {
                    values.insert(id.as_str(), text.as_str());
                }
                ("value", _) => faults.add(path(), "it is a string"),
                // RFC 8621 §4.6.
                ("isEncodingProblem" | "isTruncated", Value::Bool(false)) => {}
                ("isEncodingProblem" | "isTruncated", _) => {
                    faults.add(path(), "it can only be false")
                }
                _ => faults.add(path(), "there is no such property"),
            }
        }
        if !value.contains_key("value") {
            faults.add(format!("bodyValues/{id}/value"), "it is missing");
        }
    }
    values
}

#[cfg(test)]
mod tests;
