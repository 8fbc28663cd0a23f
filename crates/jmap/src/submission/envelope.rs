//! Envelopes as clients write them (RFC 8621 §7), and those that are made of a message's own header.
//!
//! | parameter | of | |
//! |---|---|---|
//! | `HOLDFOR`, `HOLDUNTIL` | mailFrom | RFC 4865: when to send |
//! | `RET`, `ENVID` | mailFrom | RFC 3461 §4.3, §4.4 |
//! | `BODY`, `SIZE`, `SMTPUTF8` | mailFrom | what they say is found out anyway |
//! | `NOTIFY`, `ORCPT` | rcptTo | RFC 3461 §4.1, §4.2 |
//!
//! Values have no xtext encoding here (RFC 8621 §7).

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use waxwing_message::{
    Address, DsnReturn, Envelope, Message, Notify, OriginalRecipient, Recipient, ReversePath,
};

use crate::wire::date;
use crate::wire::error::{SetError, SetErrorKind};

/// An envelope, and when it is to be sent: `None`: at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Who to whom.
    pub envelope: Envelope,
    /// Not before.
    pub send_at: Option<Timestamp>,
}

fn invalid(why: impl Into<String>) -> SetError {
    SetError::invalid("envelope", why)
}

/// Reads an Envelope object.
pub fn read(value: &Value, now: Timestamp) -> Result<Wanted, SetError> {
    let from = value.get("mailFrom").ok_or_else(|| invalid("mailFrom is missing"))?;
    let reverse_path = match email(from)? {
        // RFC 8621 §7: "" is the null reverse-path.
        "" => ReversePath::Null,
        text => ReversePath::Address(Address::parse(text).map_err(|e| invalid(e.to_string()))?),
    };
    let mut envelope = Envelope::plain(reverse_path, Vec::new());
    let send_at = from_parameters(&mut envelope, parameters(from)?, now)?;
    let Some(Value::Array(to)) = value.get("rcptTo") else {
        return Err(invalid("rcptTo is missing"));
    };
    let mut bad = Vec::new();
    for one in to {
        let text = email(one)?;
        match Address::parse(text) {
            Ok(address) => {
                let mut recipient = Recipient::plain(address);
                to_parameters(&mut recipient, parameters(one)?)?;
                envelope.recipients.push(recipient);
            }
            Err(_) => bad.push(text.to_owned()),
        }
    }
    if !bad.is_empty() {
        return Err(SetErrorKind::InvalidRecipients(bad).into());
    }
    let mut seen = HashSet::new();
    envelope.recipients.retain(|recipient| seen.insert(recipient.address.clone()));
    Ok(Wanted { envelope, send_at })
}

/// The envelope that a message's header means (RFC 8621 §7.5): from Sender or else From, to everybody in To,
/// Cc and Bcc. `may_send` says whether an address can be the reverse-path; else it is `own`.
pub fn of_message(
    message: &Message<'_>,
    own: &Address,
    may_send: impl Fn(&Address) -> bool,
) -> Envelope {
    let in_field = |name: &str| -> Vec<Address> {
        let items = message.addresses(name);
        items.iter().filter_map(|item| item.address()).collect()
    };
    let sender = match in_field("Sender").as_slice() {
        [one] => Some(one.clone()),
        _ => in_field("From").into_iter().next(),
    };
    let sender = sender.filter(|address| may_send(address)).unwrap_or_else(|| own.clone());
    let mut seen = HashSet::new();
    let recipients: Vec<Address> = ["To", "Cc", "Bcc"]
        .into_iter()
        .flat_map(in_field)
        .filter(|address| seen.insert(address.clone()))
        .collect();
    Envelope::plain(ReversePath::Address(sender), recipients)
}

/// As a client reads it.
pub fn value(envelope: &Envelope) -> Value {
    let from = envelope.reverse_path.address().map(ToString::to_string).unwrap_or_default();
    let mut parameters = Map::new();
    if let Some(wanted) = envelope.dsn_return {
        let text = if wanted == DsnReturn::Full { "FULL" } else { "HDRS" };
        parameters.insert("RET".to_owned(), Value::from(text));
    }
    if let Some(id) = &envelope.envelope_id {
        parameters.insert("ENVID".to_owned(), Value::from(id.as_str()));
    }
    let or_null = |members: Map<String, Value>| match members.is_empty() {
        true => Value::Null,
        false => Value::Object(members),
    };
    let to = envelope.recipients.iter().map(|recipient| {
        let mut parameters = Map::new();
        if let Some(notify) = recipient.notify {
            parameters.insert("NOTIFY".to_owned(), Value::from(notify_text(notify)));
        }
        if let Some(OriginalRecipient { address_type, address }) = &recipient.original {
            let text = format!("{address_type};{address}");
            parameters.insert("ORCPT".to_owned(), Value::from(text));
        }
        json!({"email": recipient.address.to_string(), "parameters": or_null(parameters)})
    });
    json!({
        "mailFrom": {"email": from, "parameters": or_null(parameters)},
        "rcptTo": to.collect::<Vec<_>>(),
    })
}

fn email(value: &Value) -> Result<&str, SetError> {
    let text = value.get("email").and_then(Value::as_str);
    text.ok_or_else(|| invalid("an address is an object with `email`"))
}

fn parameters(value: &Value) -> Result<Vec<(String, Option<&str>)>, SetError> {
    let members = match value.get("parameters") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(invalid("parameters are an object")),
    };
    let one = |(name, value): (&String, &'_ Value)| match value {
        Value::Null => Ok((name.to_ascii_uppercase(), None)),
        _ => Err(invalid(format!("the parameter {name} is a string or null"))),
    };
    members
        .iter()
        .map(|(name, value)| match value.as_str() {
            Some(text) => Ok((name.to_ascii_uppercase(), Some(text))),
            None => one((name, value)),
        })
        .collect()
}

/// Gives when to send.
fn from_parameters(
    envelope: &mut Envelope,
    parameters: Vec<(String, Option<&str>)>,
    now: Timestamp,
) -> Result<Option<Timestamp>, SetError> {
    let mut send_at = None;
    for (name, value) in parameters {
        let fits = match (name.as_str(), value) {
            // RFC 4865 §5.
            ("HOLDFOR", Some(text)) => {
                let secs =
                    text.parse::<u32>().ok().map(|secs| SignedDuration::from_secs(secs.into()));
                secs.and_then(|secs| now.checked_add(secs).ok()).map(|at| send_at = Some(at))
            }
            ("HOLDUNTIL", Some(text)) => text.parse().ok().map(|at: Timestamp| send_at = Some(at)),
            ("RET", Some(text)) => match text.to_ascii_uppercase().as_str() {
                "FULL" => {
                    envelope.dsn_return = Some(DsnReturn::Full);
                    Some(())
                }
                "HDRS" => {
                    envelope.dsn_return = Some(DsnReturn::Headers);
                    Some(())
                }
                _ => None,
            },
            ("ENVID", Some(text)) if is_plain(text) => {
                envelope.envelope_id = Some(text.to_owned());
                Some(())
            }
            ("BODY" | "SIZE", Some(_)) | ("SMTPUTF8", None) => Some(()),
            _ => None,
        };
        fits.ok_or_else(|| invalid(format!("mailFrom cannot have {name} so")))?;
    }
    Ok(send_at)
}

fn to_parameters(
    recipient: &mut Recipient,
    parameters: Vec<(String, Option<&str>)>,
) -> Result<(), SetError> {
    for (name, value) in parameters {
        let fits = match (name.as_str(), value) {
            ("NOTIFY", Some(text)) => notify(text).map(|notify| recipient.notify = Some(notify)),
            ("ORCPT", Some(text)) => {
                text.split_once(';').filter(|_| is_plain(text)).map(|(kind, to)| {
                    let (address_type, address) = (kind.to_owned(), to.to_owned());
                    recipient.original = Some(OriginalRecipient { address_type, address });
                })
            }
            _ => None,
        };
        fits.ok_or_else(|| invalid(format!("rcptTo cannot have {name} so")))?;
    }
    Ok(())
}

/// What fits a line of SMTP and of a report: RFC 3461 §4.2, §4.4 want 100 and 500 octets at most.
fn is_plain(text: &str) -> bool {
    text.len() <= 500 && !text.is_empty() && !text.chars().any(char::is_control)
}

fn notify(text: &str) -> Option<Notify> {
    let (mut success, mut failure, mut delay) = (false, false, false);
    if text.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    for word in text.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => return None,
        }
    }
    Some(Notify::On { success, failure, delay })
}

fn notify_text(notify: Notify) -> String {
    let words = [
        (notify.on_success(), "SUCCESS"),
        (notify.on_failure(), "FAILURE"),
        (notify.on_delay(), "DELAY"),
    ];
    let wanted: Vec<&str> = words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    if wanted.is_empty() { "NEVER".to_owned() } else { wanted.join(",") }
}

/// `sendAt`.
pub fn send_at(at: Timestamp) -> String {
    date::utc(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2025-11-27T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_clients_write_comes_back() {
        let written = json!({
            "mailFrom": {"email": "alice@x.test", "parameters": {"RET": "HDRS", "ENVID": "a=b"}},
            "rcptTo": [
                {"email": "bob@y.test", "parameters": {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;b@z.test"}},
                {"email": "eve@y.test", "parameters": null},
            ],
        });
        let read = read(&written, now()).unwrap();
        assert_eq!(value(&read.envelope), written);
        assert_eq!(read.send_at, None);
    }

    #[test]
    fn holding_back() {
        let with = |parameters: Value| {
            let written =
                json!({"mailFrom": {"email": "a@x.test", "parameters": parameters}, "rcptTo": []});
            read(&written, now()).map(|wanted| wanted.send_at)
        };
        let later = Some("2025-11-27T10:01:30Z".parse().unwrap());
        assert_eq!(with(json!({"holdfor": "90"})), Ok(later));
        assert_eq!(with(json!({"HOLDUNTIL": "2025-11-27T10:01:30Z"})), Ok(later));
        for no in [
            json!({"HOLDFOR": "x"}),
            json!({"HOLDFOR": null}),
            json!({"HOLDFOR": 9}),
            json!({"X": "1"}),
            json!([]),
        ] {
            assert!(with(no.clone()).is_err(), "{no}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_named() {
        let written = json!({"mailFrom": {"email": ""}, "rcptTo": [{"email": "no"}, {"email": "a@x.test"}, {"email": "@"}]});
        let error = read(&written, now()).unwrap_err();
        assert_eq!(error.kind, SetErrorKind::InvalidRecipients(vec!["no".into(), "@".into()]));
    }

    #[test]
    fn a_header_says_who_to_whom() {
        let raw = b"From: A <a@x.test>, b@x.test\r\nTo: c@y.test, Group: d@y.test;\r\nCc: c@y.test\r\nBcc: e@y.test\r\n\r\n";
        let message = Message::parse(raw);
        let own = Address::parse("own@x.test").unwrap();
        let text = |envelope: &Envelope| {
            let to: Vec<String> =
                envelope.recipients.iter().map(|r| r.address.to_string()).collect();
            (envelope.reverse_path.to_string(), to.join(" "))
        };
        let to = "c@y.test d@y.test e@y.test".to_owned();
        assert_eq!(
            text(&of_message(&message, &own, |_| true)),
            ("a@x.test".to_owned(), to.clone())
        );
        assert_eq!(text(&of_message(&message, &own, |_| false)), ("own@x.test".to_owned(), to));
    }
}
