//! What a client wants to see of Emails: the arguments that `Email/get` and `Email/parse` share
//! (RFC 8621 §4.2, §4.9), read and understood.

use serde_json::{Map, Value};

use super::header::HeaderProperty;
use crate::wire::error::MethodError;

/// Properties that a client can name in one list.
const PROPERTIES_MAX: usize = 500;

/// A property of the Email object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// RFC 8621 §4.1.1, and `hasAttachment` and `preview` of §4.1.4: known without the message.
    Known(Known),
    /// RFC 8621 §4.1.3: one of those that stand for a field; stored ready.
    Convenience,
    /// `header:…`.
    Header(HeaderProperty),
    /// All fields.
    Headers,
    /// `bodyStructure`.
    BodyStructure,
    /// `bodyValues`.
    BodyValues,
    /// A list of parts.
    Parts(PartList),
}

/// What is known of a message without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// `id`.
    Id,
    /// `blobId`.
    BlobId,
    /// `threadId`.
    ThreadId,
    /// `mailboxIds`.
    MailboxIds,
    /// `keywords`.
    Keywords,
    /// `size`.
    Size,
    /// `receivedAt`.
    ReceivedAt,
    /// `hasAttachment`.
    HasAttachment,
    /// `preview`.
    Preview,
}

/// Which parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartList {
    /// `textBody`.
    Text,
    /// `htmlBody`.
    Html,
    /// `attachments`.
    Attachments,
}

/// A property of the EmailBodyPart object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartProperty {
    /// `partId`.
    PartId,
    /// `blobId`.
    BlobId,
    /// `size`.
    Size,
    /// `headers`.
    Headers,
    /// `header:…`.
    Header(HeaderProperty),
    /// `name`.
    Name,
    /// `type`.
    Type,
    /// `charset`.
    Charset,
    /// `disposition`.
    Disposition,
    /// `cid`.
    Cid,
    /// `language`.
    Language,
    /// `location`.
    Location,
    /// `subParts`: in `bodyStructure`, always given of a multipart.
    SubParts,
}

/// See the module's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// As they were spelled, each once.
    pub properties: Vec<(String, Property)>,
    /// The same.
    pub part_properties: Vec<(String, PartProperty)>,
    /// `fetchTextBodyValues`.
    pub text_values: bool,
    /// `fetchHTMLBodyValues`.
    pub html_values: bool,
    /// `fetchAllBodyValues`.
    pub all_values: bool,
    /// `maxBodyValueBytes`; 0: whole.
    pub value_octets_max: u64,
}

/// RFC 8621 §4.2.
pub const GET_DEFAULT: [&str; 24] = [
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
];

/// RFC 8621 §4.9: the same without the metadata.
pub const PARSE_DEFAULT: &[&str] = GET_DEFAULT.split_at(7).1;

/// RFC 8621 §4.2.
const PARTS_DEFAULT: [&str; 10] = [
    "partId",
    "blobId",
    "size",
    "name",
    "type",
    "charset",
    "disposition",
    "cid",
    "language",
    "location",
];

impl Wanted {
    /// Takes the arguments out of those of a call; `properties` by default.
    pub fn take(
        arguments: &mut Map<String, Value>,
        default: &[&str],
    ) -> Result<Wanted, MethodError> {
        let properties = names(arguments.remove("properties"), "properties", default)?;
        let parts = names(arguments.remove("bodyProperties"), "bodyProperties", &PARTS_DEFAULT)?;
        Ok(Wanted {
            properties: each(properties, property)?,
            part_properties: each(parts, part_property)?,
            text_values: flag(arguments, "fetchTextBodyValues")?,
            html_values: flag(arguments, "fetchHTMLBodyValues")?,
            all_values: flag(arguments, "fetchAllBodyValues")?,
            value_octets_max: match arguments.remove("maxBodyValueBytes") {
                None | Some(Value::Null) => 0,
                Some(value) => value.as_u64().ok_or_else(|| {
                    MethodError::invalid("maxBodyValueBytes is a number that is not negative")
                })?,
            },
        })
    }

    /// Whether anything but what is stored ready is needed: the octets of the message must be read.
    pub fn opens_message(&self) -> bool {
        let closed =
            |property: &Property| matches!(property, Property::Known(_) | Property::Convenience);
        !self.properties.iter().all(|(_, property)| closed(property))
    }

    /// Whether one of them is wanted.
    pub fn wants(&self, wanted: &Property) -> bool {
        self.properties.iter().any(|(_, property)| property == wanted)
    }
}

fn flag(arguments: &mut Map<String, Value>, name: &str) -> Result<bool, MethodError> {
    match arguments.remove(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(MethodError::invalid(format!("{name} is true or false"))),
    }
}

/// A list of names, each once, in its order.
fn names(value: Option<Value>, of: &str, default: &[&str]) -> Result<Vec<String>, MethodError> {
    let list = match value {
        None | Some(Value::Null) => return Ok(default.iter().map(|name| (*name).into()).collect()),
        Some(Value::Array(list)) if list.len() <= PROPERTIES_MAX => list,
        Some(Value::Array(_)) => {
            let why = format!("{of} names more than {PROPERTIES_MAX} properties");
            return Err(MethodError::invalid(why));
        }
        Some(_) => return Err(MethodError::invalid(format!("{of} is a list of names"))),
    };
    let mut names: Vec<String> = Vec::with_capacity(list.len());
    for name in list {
        let Value::String(name) = name else {
            return Err(MethodError::invalid(format!("{of} is a list of names")));
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn each<P>(
    names: Vec<String>,
    read: impl Fn(&str) -> Result<P, MethodError>,
) -> Result<Vec<(String, P)>, MethodError> {
    names.into_iter().map(|name| read(&name).map(|property| (name, property))).collect()
}

fn property(name: &str) -> Result<Property, MethodError> {
    if let Some(header) = header(name) {
        return header.map(Property::Header);
    }
    if HeaderProperty::of_convenience(name).is_some() {
        return Ok(Property::Convenience);
    }
    Ok(match name {
        "id" => Property::Known(Known::Id),
        "blobId" => Property::Known(Known::BlobId),
        "threadId" => Property::Known(Known::ThreadId),
        "mailboxIds" => Property::Known(Known::MailboxIds),
        "keywords" => Property::Known(Known::Keywords),
        "size" => Property::Known(Known::Size),
        "receivedAt" => Property::Known(Known::ReceivedAt),
        "hasAttachment" => Property::Known(Known::HasAttachment),
        "preview" => Property::Known(Known::Preview),
        "headers" => Property::Headers,
        "bodyStructure" => Property::BodyStructure,
        "bodyValues" => Property::BodyValues,
        "textBody" => Property::Parts(PartList::Text),
        "htmlBody" => Property::Parts(PartList::Html),
        "attachments" => Property::Parts(PartList::Attachments),
        _ => return Err(MethodError::invalid(format!("an Email has no property {name}"))),
    })
}

fn part_property(name: &str) -> Result<PartProperty, MethodError> {
    if let Some(header) = header(name) {
        return header.map(PartProperty::Header);
    }
    Ok(match name {
        "partId" => PartProperty::PartId,
        "blobId" => PartProperty::BlobId,
        "size" => PartProperty::Size,
        "headers" => PartProperty::Headers,
        "name" => PartProperty::Name,
        "type" => PartProperty::Type,
        "charset" => PartProperty::Charset,
        "disposition" => PartProperty::Disposition,
        "cid" => PartProperty::Cid,
        "language" => PartProperty::Language,
        "location" => PartProperty::Location,
        "subParts" => PartProperty::SubParts,
        _ => return Err(MethodError::invalid(format!("a body part has no property {name}"))),
    })
}

/// RFC 8621 §4.2: a form that is forbidden for its field is an invalid argument.
fn header(name: &str) -> Option<Result<HeaderProperty, MethodError>> {
    let read = HeaderProperty::read(name)?;
    Some(read.map_err(|error| MethodError::invalid(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn take(arguments: Value) -> Result<Wanted, MethodError> {
        Wanted::take(&mut arguments.as_object().cloned().unwrap(), &GET_DEFAULT)
    }

    #[test]
    fn what_is_stored_ready_opens_nothing() {
        let list = ["id", "mailboxIds", "keywords", "threadId", "from", "subject", "preview"];
        let wanted = take(json!({"properties": list})).unwrap();
        assert!(!wanted.opens_message());
        assert!(take(json!({})).unwrap().opens_message());
        assert!(take(json!({"properties": ["header:Subject"]})).unwrap().opens_message());
        assert_eq!(PARSE_DEFAULT.first(), Some(&"messageId"));
    }

    #[test]
    fn wrong_arguments() {
        for no in [
            json!({"properties": "id"}),
            json!({"properties": ["ID"]}),
            json!({"properties": [1]}),
            json!({"properties": ["header:From:asDate"]}),
            json!({"bodyProperties": ["keywords"]}),
            json!({"fetchAllBodyValues": 1}),
            json!({"maxBodyValueBytes": -1}),
            json!({"maxBodyValueBytes": 1.5}),
        ] {
            assert_eq!(take(no.clone()).unwrap_err().kind(), "invalidArguments", "{no}");
        }
        let twice = take(json!({"properties": ["id", "id"], "bodyProperties": null})).unwrap();
        assert_eq!((twice.properties.len(), twice.part_properties.len()), (1, 10));
    }
}
