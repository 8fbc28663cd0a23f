//! Header fields of a message or of a part that is to be made, each once.

use std::collections::BTreeMap;

use serde_json::Value;
use waxwing_message::compose::header::FieldWriter;

use super::Faults;
use crate::email::header::{HeaderProperty, write};

/// Where these stand in a message, in this order; others come after them.
const FIRST: [&str; 11] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
];

/// Fields by their names in lower case, written out: several lines where a field is there several times.
#[derive(Debug, Clone, Default)]
pub struct Fields(BTreeMap<String, Vec<u8>>);

impl Fields {
    /// Whether there is one of that name, in lower case.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Reads a property of the Email object that stands for a field (RFC 8621 §4.1.3).
    pub fn of_message(&mut self, name: &str, value: &Value, faults: &mut Faults) {
        let read = match HeaderProperty::of_convenience(name) {
            Some(property) => Some(Ok(property)),
            None => HeaderProperty::read(name),
        };
        match read {
            None => faults.add(name, "an Email has no such property"),
            Some(Err(why)) => faults.add(name, why.to_string()),
            // RFC 8621 §4.6.
            Some(Ok(property)) if is_of_content(&property.field) => {
                faults.add(name, "fields of the content belong to a part");
            }
            Some(Ok(property)) => self.add(name, &property, value, faults),
        }
    }

    /// Writes a field, called `path` where it is refused.
    pub fn add(
        &mut self,
        path: &str,
        property: &HeaderProperty,
        value: &Value,
        faults: &mut Faults,
    ) {
        let mut out = FieldWriter::default();
        if let Err(why) = write(property, value, &mut out) {
            return faults.add(path, why.0);
        }
        self.put(path, &property.field, out, faults);
    }

    /// Takes a field that is written.
    pub fn put(&mut self, path: &str, field: &str, out: FieldWriter, faults: &mut Faults) {
        let out = out.into_bytes();
        if !out.is_empty() && self.0.insert(field.to_ascii_lowercase(), out).is_some() {
            faults.add(path, format!("another property stands for the field {field} too"));
        }
    }

    /// Takes in others. Gives the names that both have.
    pub fn join(&mut self, others: Fields) -> Vec<String> {
        let mut twice = Vec::new();
        for (name, out) in others.0 {
            if self.0.insert(name.clone(), out).is_some() {
                twice.push(name);
            }
        }
        twice
    }

    /// Takes away those that are not about content.
    pub fn take_others(&mut self) -> Fields {
        let all = std::mem::take(&mut self.0);
        let (content, others) = all.into_iter().partition(|(name, _)| is_of_content(name));
        self.0 = content;
        Fields(others)
    }

    /// All of them.
    pub fn written(&self) -> Vec<u8> {
        let first = FIRST.iter().filter_map(|name| self.0.get(*name));
        let others = self.0.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
        first.chain(others.map(|(_, out)| out)).flatten().copied().collect()
    }
}

/// RFC 2045 §9: Content-Type and its like.
pub fn is_of_content(field: &str) -> bool {
    field.len() > 8 && field.as_bytes()[..8].eq_ignore_ascii_case(b"content-")
}
