//! PatchObject (RFC 8620 §5.3): what is to become of an object, property by property or within one.

use serde_json::{Map, Value};

use super::error::{SetError, SetErrorKind};
use super::reference::unescape;

/// Changes to one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    changes: Vec<(Vec<String>, Value)>,
}

impl Patch {
    /// Reads one; no change of it may lie within another.
    pub fn read(members: Map<String, Value>) -> Result<Patch, SetError> {
        let tokens = |pointer: &str| pointer.split('/').map(unescape).collect::<Vec<String>>();
        let mut changes: Vec<_> =
            members.into_iter().map(|(pointer, value)| (tokens(&pointer), value)).collect();
        changes.sort_by(|(a, _), (b, _)| a.cmp(b));
        // In this order, whatever lies within a path follows it at once.
        if let Some(pair) = changes.windows(2).find(|pair| pair[1].0.starts_with(&pair[0].0)) {
            let why = format!("{} is changed whole and in part", pair[0].0.join("/"));
            return Err(SetError::new(SetErrorKind::InvalidPatch, why));
        }
        Ok(Patch { changes })
    }

    /// Each change: the path, outermost first and never empty, and the new value. `null`: the default, or
    /// nothing.
    pub fn changes(&self) -> impl Iterator<Item = (&[String], &Value)> {
        self.changes.iter().map(|(path, value)| (path.as_slice(), value))
    }

    /// Makes the changes. A `null` takes the member away. An error leaves the object half changed.
    pub fn apply(&self, object: &mut Map<String, Value>) -> Result<(), SetError> {
        self.changes.iter().try_for_each(|(path, value)| put(object, path, value))
    }
}

fn put(object: &mut Map<String, Value>, path: &[String], value: &Value) -> Result<(), SetError> {
    let no = |why: &str| {
        let why = format!("{}: {why}", path.join("/"));
        Err(SetError::new(SetErrorKind::InvalidPatch, why))
    };
    let Some((last, parents)) = path.split_last() else { return no("there is no path") };
    let mut at = object;
    for parent in parents {
        at = match at.get_mut(parent) {
            Some(Value::Object(members)) => members,
            Some(Value::Array(_)) => return no("a list is changed whole"),
            _ => return no("what is around it does not exist"),
        };
    }
    match value {
        Value::Null => drop(at.remove(last)),
        value => drop(at.insert(last.clone(), value.clone())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut object: Value, patch: Value) -> Option<Value> {
        let patch = Patch::read(patch.as_object().cloned().unwrap()).ok()?;
        patch.apply(object.as_object_mut().unwrap()).ok()?;
        Some(object)
    }

    #[test]
    fn whole_and_within() {
        let object = json!({"mailboxIds": {"a": true}, "subject": "x", "list": [1], "a/b": {}});
        let patch =
            json!({"mailboxIds/a": null, "mailboxIds/b": true, "subject": null, "a~1b/c": 1});
        let expected = json!({"mailboxIds": {"b": true}, "list": [1], "a/b": {"c": 1}});
        assert_eq!(patched(object.clone(), patch), Some(expected));
        for no in [
            json!({"list/0": 1}),
            json!({"nothing/a": 1}),
            json!({"subject/a": 1}),
            json!({"mailboxIds": {}, "mailboxIds/b": true}),
            json!({"mailboxIds/b": {}, "mailboxIds/b/c": true}),
        ] {
            assert_eq!(patched(object.clone(), no.clone()), None, "{no}");
        }
        // One path is no part of the other because its text is.
        let both = json!({"mailboxIds": {}, "mailboxIdsToo": 1});
        assert!(patched(object, both).is_some());
    }
}
