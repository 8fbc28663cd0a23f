//! A value in one of the forms of RFC 8621 §4.1.2, made a field: what `Email/set` is given.
//!
//! Drafts may be unfinished (RFC 8621 §4.6), so that addresses need not be right. Nothing that is given
//! begins a field of its own.

use jiff::tz::Offset;
use serde_json::Value;
use waxwing_message::compose::header::{FieldWriter, LooseGroup};
use waxwing_message::parse::date;

use super::{Form, HeaderProperty};
use crate::wire;

/// Octets in a field's name; a line is to hold more than that.
const NAME_OCTETS_MAX: usize = 70;
/// Octets in a message id or URL, which cannot be folded.
const WORD_OCTETS_MAX: usize = 900;

/// Why a value cannot be made a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unwritable(pub String);

/// Writes the field, or fields, that a property stands for. `null` and empty lists are no field; for
/// `:all` each item of a list is one.
pub fn write(
    property: &HeaderProperty,
    value: &Value,
    out: &mut FieldWriter,
) -> Result<(), Unwritable> {
    if property.field.len() > NAME_OCTETS_MAX {
        return no(format!("the name of a field has at most {NAME_OCTETS_MAX} characters"));
    }
    match (property.all, value) {
        (_, Value::Null) => Ok(()),
        (false, value) => one(property, value, out),
        (true, Value::Array(values)) => {
            values.iter().try_for_each(|value| one(property, value, out))
        }
        (true, _) => no("a list is needed"),
    }
}

fn one(property: &HeaderProperty, value: &Value, out: &mut FieldWriter) -> Result<(), Unwritable> {
    let name = property.field.as_str();
    match property.form {
        Form::Raw => {
            let written = out.verbatim(name, string(value)?);
            return written.map_or_else(
                || no("it has a line that does not fold, or is too long, or control characters"),
                Ok,
            );
        }
        Form::Text => out.text(name, string(value)?),
        Form::Addresses => {
            let mailboxes = mailboxes(value)?;
            if !mailboxes.is_empty() {
                out.loose_mailboxes(name, &[LooseGroup { name: None, mailboxes }]);
            }
        }
        Form::GroupedAddresses => {
            let groups = list(value)?.iter().map(group).collect::<Result<Vec<_>, _>>()?;
            let any = |group: &LooseGroup| group.name.is_some() || !group.mailboxes.is_empty();
            if groups.iter().any(any) {
                out.loose_mailboxes(name, &groups);
            }
        }
        Form::MessageIds => {
            let ids = words(value, |c| c.is_whitespace() || c.is_control() || "<>".contains(c))?;
            if !ids.is_empty() {
                out.ids(name, &ids);
            }
        }
        Form::Urls => {
            let urls = words(value, |c| !c.is_ascii_graphic() || "<>".contains(c))?;
            if !urls.is_empty() {
                out.urls(name, &urls);
            }
        }
        Form::Date => {
            let Some((at, offset)) = wire::date::read_with_offset(string(value)?) else {
                return no("a date looks like 2014-10-30T14:12:00+08:00");
            };
            // Offsets of mail are in whole minutes (RFC 5322 §3.3); in years beyond 9999 there is no mail.
            let offset = if offset.seconds() % 60 == 0 { offset } else { Offset::UTC };
            out.raw(name, &date::format_with_offset(at, offset));
        }
    }
    Ok(())
}

/// EmailAddress objects.
fn mailboxes(value: &Value) -> Result<Vec<(Option<&str>, &str)>, Unwritable> {
    let mut mailboxes = Vec::new();
    for item in list(value)? {
        let Value::Object(members) = item else { return no("an address is an object") };
        if let Some(other) = members.keys().find(|key| !matches!(key.as_str(), "name" | "email")) {
            return no(format!("an address has no {other}"));
        }
        let name = match members.get("name") {
            None | Some(Value::Null) => None,
            Some(name) => Some(string(name)?),
        };
        let email = match members.get("email") {
            None => return no("an address has an `email`"),
            Some(email) => string(email)?,
        };
        let nothing = email.trim().is_empty() && name.is_none_or(|name| name.trim().is_empty());
        if !nothing {
            mailboxes.push((name, email));
        }
    }
    Ok(mailboxes)
}

/// An EmailAddressGroup.
fn group(value: &Value) -> Result<LooseGroup<'_>, Unwritable> {
    let Value::Object(members) = value else { return no("a group is an object") };
    if let Some(other) = members.keys().find(|key| !matches!(key.as_str(), "name" | "addresses")) {
        return no(format!("a group has no {other}"));
    }
    let name = match members.get("name") {
        None | Some(Value::Null) => None,
        Some(name) => Some(string(name)?).filter(|name| !name.trim().is_empty()),
    };
    let Some(addresses) = members.get("addresses") else { return no("a group has `addresses`") };
    Ok(LooseGroup { name, mailboxes: mailboxes(addresses)? })
}

/// Strings without certain characters, short enough for a line.
fn words(value: &Value, refused: impl Fn(char) -> bool) -> Result<Vec<String>, Unwritable> {
    let mut words = Vec::new();
    for word in list(value)? {
        let word = string(word)?;
        if word.is_empty() || word.len() > WORD_OCTETS_MAX || word.contains(&refused) {
            return no(
                "one of these is empty, too long, or has a character that may not stand there",
            );
        }
        words.push(word.to_owned());
    }
    Ok(words)
}

fn string(value: &Value) -> Result<&str, Unwritable> {
    value.as_str().map_or_else(|| no("a string is needed"), Ok)
}

fn list(value: &Value) -> Result<&[Value], Unwritable> {
    value.as_array().map_or_else(|| no("a list is needed"), |list| Ok(list.as_slice()))
}

fn no<T>(why: impl Into<String>) -> Result<T, Unwritable> {
    Err(Unwritable(why.into()))
}

#[cfg(test)]
mod tests {
    use super::super::of_fields;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use waxwing_message::Message;

    fn property(name: &str) -> HeaderProperty {
        HeaderProperty::read(name).unwrap().unwrap()
    }

    fn written(name: &str, value: Value) -> Result<Vec<u8>, Unwritable> {
        let mut out = FieldWriter::default();
        write(&property(name), &value, &mut out)?;
        Ok(out.into_bytes())
    }

    fn comes_back(name: &str, value: Value) -> Value {
        let mut raw = written(name, value).unwrap();
        assert!(raw.is_ascii(), "{}", String::from_utf8_lossy(&raw));
        raw.extend_from_slice(b"\r\n");
        let message = Message::parse(&raw);
        assert_eq!(message.defects, []);
        of_fields(&property(name), message.root().headers.iter())
    }

    #[test]
    fn what_is_written_comes_back() {
        for (name, value) in [
            ("header:X:asText", json!("Grüße, =?x? und   mehr")),
            ("header:X:asText:all", json!(["a", "", "b"])),
            ("header:X:asDate", json!("2018-07-10T11:03:11+10:00")),
            ("header:X:asDate", json!("1969-12-31T23:59:59Z")),
            ("header:X:asURLs", json!(["mailto:a@b?subject=c%20d", "https://x.test/,"])),
            ("header:References:asMessageIds", json!(["a@b", "c.d@[192.0.2.1]"])),
            (
                "header:To:asAddresses",
                json!([
                    {"name": "Zoë, \"X\"", "email": "zoe@x.test"},
                    {"name": null, "email": "half typed <x"},
                    {"name": "No address", "email": ""},
                    {"name": null, "email": "A.B@Example.TEST"},
                    {"name": null, "email": "\"q s\"@x.test"},
                ]),
            ),
            (
                "header:Cc:asGroupedAddresses:all",
                json!([[
                    {"name": null, "addresses": [{"name": null, "email": "a@b.test"}]},
                    {"name": "Übrige", "addresses": [{"name": "C", "email": "c@b.test"}]},
                    {"name": "leer", "addresses": []},
                    {"name": null, "addresses": [{"name": null, "email": "d@b.test"}]},
                ]]),
            ),
        ] {
            assert_eq!(comes_back(name, value.clone()), value, "{name}");
        }
        assert_eq!(comes_back("header:X", json!("en")), json!(" en"));
        assert_eq!(comes_back("header:X", json!("  a\r\n\tb")), json!("  a\r\n\tb"));
        assert_eq!(comes_back("header:To:asAddresses", json!([])), Value::Null);
        assert_eq!(comes_back("header:X", Value::Null), Value::Null);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (name, value) in [
            ("header:X", json!("a\r\nBcc: x@y.test")),
            ("header:X", json!(1)),
            ("header:X:asText", json!(["a"])),
            ("header:X:asText:all", json!("a")),
            ("header:X:asDate", json!("yesterday")),
            ("header:X:asMessageIds", json!(["a b"])),
            ("header:X:asMessageIds", json!([""])),
            ("header:X:asMessageIds", json!("a@b")),
            ("header:X:asURLs", json!(["https://é.test"])),
            ("header:X:asAddresses", json!([{"name": "x"}])),
            ("header:X:asAddresses", json!([{"email": "x@y", "mail": "z"}])),
            ("header:X:asAddresses", json!({"email": "x@y"})),
            ("header:X:asGroupedAddresses", json!([{"name": "x"}])),
        ] {
            assert!(written(name, value.clone()).is_err(), "{name} {value}");
        }
        let long = format!("header:{}", "x".repeat(71));
        assert!(written(&long, json!("a")).is_err());
    }

    proptest! {
        #[test]
        fn no_value_begins_another_field(text: String, form in 0usize..4) {
            let (name, value) = match form {
                0 => ("header:X:asText", json!(text)),
                1 => ("header:X", json!(text)),
                2 => ("header:X:asAddresses", json!([{"name": text, "email": text}])),
                _ => ("header:X:asGroupedAddresses",
                    json!([{"name": text, "addresses": [{"name": text, "email": text}]}])),
            };
            if let Ok(mut raw) = written(name, value) {
                raw.extend_from_slice(b"\r\nbody");
                let message = Message::parse(&raw);
                prop_assert!(message.root().headers.iter().all(|field| field.is("X")));
                prop_assert!(message.root().headers.len() <= 1);
                prop_assert_eq!(&message.raw[message.root().body.clone()], b"body");
            }
        }
    }
}
