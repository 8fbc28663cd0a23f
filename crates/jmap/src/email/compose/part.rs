//! EmailBodyPart of a message that is to be made (RFC 8621 §4.6).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use waxwing_message::compose::entity::{Entity, Looks, safe_type};
use waxwing_message::compose::header::FieldWriter;
use waxwing_message::parse::content;
use waxwing_message::parse::transfer::TransferEncoding;

use super::Faults;
use super::fields::Fields;
use crate::email::header::{Form, HeaderProperty};

/// How deep parts may lie in each other: as deep as whoever parses looks, and some.
const DEPTH_MAX: usize = 32;
/// Parts of one message.
const PARTS_MAX: usize = 1_000;
/// Octets in what cannot be folded.
const WORD_OCTETS_MAX: usize = 900;

/// A part that only lacks the octets of its blob.
#[derive(Debug, Clone)]
pub struct Node {
    /// Lower case: `text/plain`.
    media_type: String,
    params: Vec<(String, String)>,
    fields: Fields,
    content: Content,
    /// Of Content-Disposition, in lower case.
    disposition: Option<String>,
    has_cid: bool,
}

#[derive(Debug, Clone)]
enum Content {
    Text(String),
    /// A key.
    Blob(usize),
    Parts(Vec<Node>),
}

impl Node {
    /// `multipart/SUBTYPE`.
    pub fn multipart(subtype: &str, parts: Vec<Node>) -> Node {
        Node::new(format!("multipart/{subtype}"), Content::Parts(parts))
    }

    /// A text without anything in it.
    pub fn empty() -> Node {
        Node::new("text/plain".to_owned(), Content::Text(String::new()))
    }

    fn new(media_type: String, content: Content) -> Node {
        Node {
            media_type,
            params: Vec::new(),
            fields: Fields::default(),
            content,
            disposition: None,
            has_cid: false,
        }
    }

    /// With a parameter of Content-Type.
    pub fn with_param(mut self, name: &str, value: &str) -> Node {
        self.params.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lower case.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// HTML shows it by its Content-ID.
    pub fn is_shown_inline(&self) -> bool {
        self.has_cid && self.disposition.as_deref() == Some("inline")
    }

    /// Fields that are not about content.
    pub fn take_other_fields(&mut self) -> Fields {
        self.fields.take_others()
    }

    /// Whether the octets of that blob go as they are in it.
    pub fn has_as_is(&self, key: usize) -> bool {
        match &self.content {
            Content::Text(_) => false,
            Content::Blob(own) => *own == key && goes_as_is(&self.media_type),
            Content::Parts(parts) => parts.iter().any(|part| part.has_as_is(key)),
        }
    }

    /// Recurses no deeper than [`DEPTH_MAX`] and what `tree` adds.
    pub fn entity(&self, looks: &BTreeMap<usize, Looks>) -> Entity {
        let subtype = self.media_type.split_once('/').map_or("plain", |(_, subtype)| subtype);
        let mut entity = match &self.content {
            Content::Text(text) => Entity::exact_text(subtype, text),
            Content::Blob(key) => {
                let encoding = match goes_as_is(&self.media_type) {
                    true => looks.get(key).copied().unwrap_or_default().as_is(),
                    false => TransferEncoding::Base64,
                };
                Entity::elsewhere(&self.media_type, encoding, *key)
            }
            Content::Parts(parts) => {
                let parts = parts.iter().map(|part| part.entity(looks)).collect();
                Entity::multipart(subtype, parts)
            }
        };
        for (name, value) in &self.params {
            entity = entity.with_param(name, value);
        }
        entity.with_written_fields(&self.fields.written())
    }
}

/// RFC 2046 §5.2.1: a message is never encoded.
fn goes_as_is(media_type: &str) -> bool {
    matches!(media_type, "message/rfc822" | "message/global")
}

/// Reads parts, and gathers what they refer to.
pub struct Reader<'r, 'v> {
    values: &'r BTreeMap<&'v str, &'v str>,
    pub faults: &'r mut Faults,
    blobs: Vec<String>,
    parts: usize,
}

impl<'r, 'v> Reader<'r, 'v> {
    pub fn new(values: &'r BTreeMap<&'v str, &'v str>, faults: &'r mut Faults) -> Reader<'r, 'v> {
        Reader { values, faults, blobs: Vec::new(), parts: 0 }
    }

    /// Ids of the blobs that parts named, by their keys.
    pub fn into_blobs(self) -> Vec<String> {
        self.blobs
    }

    /// The part at that path. `media_type` is what it is where it does not say. A part with faults is given
    /// as something or other: the message is not made then.
    pub fn part(&mut self, path: &str, value: &Value, media_type: Option<&str>) -> Node {
        self.part_within(path, value, media_type, DEPTH_MAX)
    }

    /// An attachment: where it does not say so, it is one still.
    pub fn attachment(&mut self, path: &str, value: &Value) -> Node {
        let mut node = self.part(path, value, None);
        if node.disposition.is_none() && !node.fields.has("content-disposition") {
            let name = value.get("name").and_then(Value::as_str);
            node.params.retain(|(name, _)| name != "name");
            self.put_disposition(path, "attachment", name, &mut node);
        }
        node
    }

    fn part_within(
        &mut self,
        path: &str,
        value: &Value,
        implied: Option<&str>,
        depth: usize,
    ) -> Node {
        self.parts += 1;
        let mut node = Node::empty();
        let Value::Object(members) = value else {
            self.faults.add(path, "a part is an object");
            return node;
        };
        if depth == 0 || self.parts > PARTS_MAX {
            self.faults.add(path, "there are too many parts, or they lie too deep in each other");
            return node;
        }
        self.media_type(path, members, implied, &mut node);
        self.content(path, members, depth, &mut node);
        self.disposition(path, members, &mut node);
        for (name, value) in members {
            self.member(path, name, value, members, &mut node);
        }
        node
    }

    /// What a part holds: the text of a partId, the octets of a blob, or other parts.
    fn content(&mut self, path: &str, members: &Map<String, Value>, depth: usize, node: &mut Node) {
        let given = |name: &str| members.get(name).filter(|value| !value.is_null());
        let is_multipart = node.media_type.starts_with("multipart/");
        match (given("partId"), given("blobId"), given("subParts")) {
            (Some(id), None, None) => {
                let text = id.as_str().and_then(|id| self.values.get(id));
                match text {
                    Some(text) => node.content = Content::Text((*text).to_owned()),
                    // RFC 8621 §4.6.
                    None => {
                        self.faults.add(at(path, "partId"), "bodyValues has nothing of that name")
                    }
                }
                if !node.media_type.starts_with("text/") {
                    self.faults.add(at(path, "type"), "what bodyValues has is text");
                }
                for name in ["charset", "size"] {
                    if given(name).is_some() {
                        self.faults.add(at(path, name), "it is not given with a partId");
                    }
                }
            }
            (None, Some(Value::String(id)), None) => {
                node.content = Content::Blob(self.key(id));
                if is_multipart {
                    self.faults.add(at(path, "blobId"), "a multipart has `subParts`");
                }
            }
            (None, Some(_), None) => self.faults.add(at(path, "blobId"), "it is an id"),
            (None, None, Some(Value::Array(parts))) if !parts.is_empty() && is_multipart => {
                let parts = parts.iter().enumerate().map(|(i, part)| {
                    self.part_within(&at(path, &format!("subParts/{i}")), part, None, depth - 1)
                });
                node.content = Content::Parts(parts.collect());
            }
            (None, None, Some(_)) => {
                self.faults
                    .add(at(path, "subParts"), "it is a list, of a multipart, and not empty");
            }
            (None, None, None) if is_multipart => {
                self.faults.add(at(path, "subParts"), "a multipart has some");
            }
            (None, None, None) => {
                self.faults.add(path, "a part has a partId, a blobId, or subParts");
            }
            _ => self.faults.add(path, "of partId, blobId and subParts a part has one"),
        }
    }

    /// The place of a blob among those that are named.
    fn key(&mut self, id: &str) -> usize {
        let known = self.blobs.iter().position(|known| known == id);
        known.unwrap_or_else(|| {
            self.blobs.push(id.to_owned());
            self.blobs.len() - 1
        })
    }

    /// Content-Type: of `type` and `charset`, or as the field that is given; never with a boundary or a
    /// charset that is ours to choose.
    fn media_type(
        &mut self,
        path: &str,
        members: &Map<String, Value>,
        implied: Option<&str>,
        node: &mut Node,
    ) {
        let has = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
        let implied = implied.unwrap_or(match (has("subParts"), has("blobId")) {
            (true, _) => "multipart/mixed",
            (_, true) => "application/octet-stream",
            _ => "text/plain",
        });
        implied.clone_into(&mut node.media_type);
        let field = members.iter().find(|(name, value)| {
            !value.is_null() && field_of(name).is_some_and(|field| field == "content-type")
        });
        let (name, written) = match (field, members.get("type")) {
            (Some((name, value)), _) => (name.as_str(), Some(value)),
            (None, value) => ("type", value.filter(|value| !value.is_null())),
        };
        if let Some(written) = written {
            let octets = written.as_str().unwrap_or_default().as_bytes();
            match content::media_type(octets) {
                Some((main, sub)) if safe_type(&main) && safe_type(&sub) => {
                    node.media_type = format!("{main}/{sub}");
                }
                _ => self.faults.add(at(path, name), "it is a media type, such as image/png"),
            }
            if name == "type" && octets.contains(&b';') {
                self.faults.add(at(path, name), "its parameters are given as header:Content-Type");
            }
            let params = content::params(octets);
            let ours = |name: &str| {
                name == "boundary" || name == "charset" && has("partId") || !safe_type(name)
            };
            node.params.extend(params.into_iter().filter(|(name, _)| !ours(name)));
        }
        if let Some((field, _)) = field {
            let field = field.clone();
            for name in ["type", "charset"].into_iter().filter(|name| has(name)) {
                self.faults.add(at(path, name), format!("{field} says it"));
            }
        } else if let Some(Value::String(charset)) = members.get("charset") {
            match safe_type(charset) {
                true => node.params.push(("charset".to_owned(), charset.clone())),
                false => self.faults.add(at(path, "charset"), "it is the name of a charset"),
            }
        }
    }

    /// Content-Disposition, with the file's name; or that where older programs look for it.
    fn disposition(&mut self, path: &str, members: &Map<String, Value>, node: &mut Node) {
        let name = match members.get("name") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.as_str()),
            Some(_) => return self.faults.add(at(path, "name"), "it is a string"),
        };
        match members.get("disposition") {
            None | Some(Value::Null) => {
                if let Some(name) = name {
                    if node.params.iter().any(|(known, _)| known == "name") {
                        self.faults.add(at(path, "name"), "the Content-Type has one");
                    }
                    node.params.push(("name".to_owned(), name.to_owned()));
                }
            }
            Some(Value::String(word)) if safe_type(word) => {
                self.put_disposition(path, word, name, node);
            }
            Some(_) => self.faults.add(at(path, "disposition"), "it is a word, such as attachment"),
        }
    }

    fn put_disposition(&mut self, path: &str, word: &str, name: Option<&str>, node: &mut Node) {
        let mut out = FieldWriter::default();
        let name = name.map(|name| ("filename", name));
        out.with_params("Content-Disposition", word, name.as_slice());
        node.disposition = Some(word.to_ascii_lowercase());
        let path = at(path, "disposition");
        node.fields.put(&path, "Content-Disposition", out, self.faults);
    }

    /// Everything else that a part can have.
    fn member(
        &mut self,
        path: &str,
        name: &str,
        value: &Value,
        members: &Map<String, Value>,
        node: &mut Node,
    ) {
        let here = at(path, name);
        let string = match value {
            Value::Null => return,
            Value::String(text) => Some(text.as_str()),
            _ => None,
        };
        let mut out = FieldWriter::default();
        match name {
            "partId" | "blobId" | "subParts" | "disposition" | "name" => {}
            "type" | "charset" => {
                if string.is_none() {
                    self.faults.add(here, "it is a string");
                }
            }
            // RFC 8621 §4.6: ignored with a blobId.
            "size" => {
                if !value.is_u64() {
                    self.faults.add(here, "it is a number");
                }
            }
            "headers" => self.faults.add(here, "fields are given one by one, as header:NAME"),
            "cid" => match string.filter(|id| is_word(id)) {
                Some(id) => {
                    out.ids("Content-ID", &[id.to_owned()]);
                    node.has_cid = true;
                    node.fields.put(&here, "Content-ID", out, self.faults);
                }
                None => self.faults.add(here, "it is an id without brackets and spaces"),
            },
            "location" => match string.filter(|url| is_word(url)) {
                Some(url) => {
                    out.raw("Content-Location", url);
                    node.fields.put(&here, "Content-Location", out, self.faults);
                }
                None => self.faults.add(here, "it is a URI"),
            },
            "language" => match languages(value) {
                Some(tags) => {
                    out.raw("Content-Language", &tags);
                    node.fields.put(&here, "Content-Language", out, self.faults);
                }
                None => self.faults.add(here, "it is a list of language tags"),
            },
            _ => self.header(&here, name, value, members, node),
        }
    }

    /// `header:…`
    fn header(
        &mut self,
        path: &str,
        name: &str,
        value: &Value,
        members: &Map<String, Value>,
        node: &mut Node,
    ) {
        match HeaderProperty::read(name) {
            None => self.faults.add(path, "a part has no such property"),
            Some(Err(why)) => self.faults.add(path, why.to_string()),
            Some(Ok(property)) => match property.field.to_ascii_lowercase().as_str() {
                // RFC 8621 §4.6.
                "content-transfer-encoding" => {
                    self.faults.add(path, "the server chooses the encoding");
                }
                // It has been read.
                "content-type" => {
                    let plain = matches!(property.form, Form::Raw | Form::Text) && !property.all;
                    let twice = members.keys().filter_map(|name| field_of(name));
                    if !plain || twice.filter(|field| field == "content-type").count() > 1 {
                        self.faults.add(path, "it is given once, as it is to be written");
                    }
                }
                field => {
                    if field == "content-disposition" && members.contains_key("name") {
                        self.faults.add(path, "`name` is a part of that field");
                    }
                    node.has_cid |= field == "content-id";
                    node.fields.add(path, &property, value, self.faults);
                }
            },
        }
    }
}

/// The field that a property `header:…` stands for, in lower case.
fn field_of(name: &str) -> Option<String> {
    HeaderProperty::read(name)?.ok().map(|property| property.field.to_ascii_lowercase())
}

/// The path of a property of a part.
fn at(path: &str, name: &str) -> String {
    format!("{path}/{name}")
}

/// What can stand between angle brackets, or alone, on one line.
fn is_word(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_graphic() && !b"<>".contains(&b);
    !text.is_empty() && text.len() <= WORD_OCTETS_MAX && text.bytes().all(inside)
}

/// RFC 3282 §2.
fn languages(value: &Value) -> Option<String> {
    let tag = |tag: &Value| {
        let tag = tag.as_str()?;
        let fits = !tag.is_empty() && tag.len() <= 64;
        let plain = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (fits && plain).then(|| tag.to_owned())
    };
    let tags: Vec<String> = value.as_array()?.iter().map(tag).collect::<Option<_>>()?;
    (!tags.is_empty()).then(|| tags.join(", "))
}
