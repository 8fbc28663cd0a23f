//! What a client wants of a new mailbox, or a changed one (RFC 8621 §2.5): read and checked, nothing done.

use serde_json::{Map, Value};
use waxwing_store::Role;

use super::object::{PROPERTIES, role_named};
use crate::wire::error::{SetError, SetErrorKind};

/// Octets of a name.
const NAME_OCTETS_MAX: usize = 255;

/// Properties that are given; `None`: not mentioned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// One level.
    pub name: Option<String>,
    /// An id, or `#` and a creation id; `Some(None)`: the top.
    pub parent: Option<Option<String>>,
    /// What it is for; `Some(None)`: nothing.
    pub role: Option<Option<Role>>,
    /// Where it stands among others.
    pub sort_order: Option<u32>,
    /// Whether it is on the list.
    pub subscribed: Option<bool>,
}

impl Draft {
    /// Reads an object to be created, or a patch. `now` is the mailbox as it is: what only the server sets
    /// may be given as it is there. All properties that are wrong are named at once.
    pub fn read(members: &Map<String, Value>, now: Option<&Value>) -> Result<Draft, SetError> {
        let mut draft = Draft::default();
        let mut wrong = Vec::new();
        for (name, value) in members {
            let fits = match name.as_str() {
                "name" => {
                    text(value).filter(|name| is_name(name)).map(|name| draft.name = Some(name))
                }
                "parentId" => nullable(value).map(|parent| draft.parent = Some(parent)),
                "role" => match value {
                    Value::Null => {
                        draft.role = Some(None);
                        Some(())
                    }
                    value => text(value)
                        .and_then(|name| role_named(&name))
                        .map(|role| draft.role = Some(Some(role))),
                },
                // RFC 8621 §2: below 2^31.
                "sortOrder" => match (value.as_u64(), value) {
                    (Some(order), _) if order < 1 << 31 => {
                        u32::try_from(order).ok().map(|order| draft.sort_order = Some(order))
                    }
                    // RFC 8620 §5.3: null in a patch is the default.
                    (_, Value::Null) if now.is_some() => {
                        draft.sort_order = Some(0);
                        Some(())
                    }
                    _ => None,
                },
                "isSubscribed" => value.as_bool().map(|is| draft.subscribed = Some(is)),
                other => {
                    let is_known = PROPERTIES.contains(&other);
                    let is_same = now.is_some_and(|now| now.get(other) == Some(value));
                    (is_known && is_same).then_some(())
                }
            };
            if fits.is_none() {
                wrong.push(name.clone());
            }
        }
        if now.is_none() && draft.name.is_none() && !wrong.iter().any(|name| name == "name") {
            wrong.push("name".to_owned());
        }
        match wrong.is_empty() {
            true => Ok(draft),
            false => {
                let why = "these are missing, of the wrong form, or the server's to set";
                Err(SetError::new(SetErrorKind::InvalidProperties(wrong), why))
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn nullable(value: &Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        value => text(value).map(Some),
    }
}

/// RFC 8621 §2: at least one character, Net-Unicode; the store parts levels by `/`.
fn is_name(name: &str) -> bool {
    let fits = (1..=NAME_OCTETS_MAX).contains(&name.len());
    fits && !name.contains('/') && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value, now: Option<Value>) -> Result<Draft, Vec<String>> {
        let members = value.as_object().cloned().unwrap();
        Draft::read(&members, now.as_ref()).map_err(|error| match error.kind {
            SetErrorKind::InvalidProperties(names) => names,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let draft =
            read(json!({"name": "a", "parentId": "#b", "role": "sent", "sortOrder": 3}), None);
        let expected = Draft {
            name: Some("a".to_owned()),
            parent: Some(Some("#b".to_owned())),
            role: Some(Some(Role::Sent)),
            sort_order: Some(3),
            subscribed: None,
        };
        assert_eq!(draft, Ok(expected));
        let bad = json!({"name": "a/b", "role": "x", "sortOrder": -1, "totalEmails": 0, "y": 1});
        assert_eq!(
            read(bad, None),
            Err(["name", "role", "sortOrder", "totalEmails", "y"].map(String::from).into())
        );
        assert_eq!(read(json!({}), None), Err(vec!["name".to_owned()]));
        assert_eq!(read(json!({"name": "", "sortOrder": 1u64 << 31}), None).unwrap_err().len(), 2);
    }

    #[test]
    fn what_the_server_sets_may_be_said_as_it_is() {
        let now = json!({"id": "F1", "totalEmails": 4, "myRights": {"mayDelete": true}});
        assert_eq!(
            read(json!({"totalEmails": 4, "myRights": {"mayDelete": true}}), Some(now.clone())),
            Ok(Draft::default())
        );
        assert!(read(json!({"totalEmails": 5}), Some(now.clone())).is_err());
        assert!(read(json!({"myRights/mayDelete": false}), Some(now)).is_err());
    }
}
