//! `/set` (RFC 8620 §5.3).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::context::{Context, Limits};
use crate::wire::error::{MethodError, SetError};
use crate::wire::state::State;

/// What every `/set` is asked. Members of `create` are whole objects, of `update` patches.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetArguments {
    /// Where.
    pub account_id: String,
    /// Only if nothing has changed since.
    #[serde(default)]
    pub if_in_state: Option<String>,
    /// By creation id, without `#`.
    #[serde(default)]
    pub create: Option<Map<String, Value>>,
    /// By id.
    #[serde(default)]
    pub update: Option<Map<String, Value>>,
    /// Ids.
    #[serde(default)]
    pub destroy: Option<Vec<String>>,
    /// What else the type's method is asked.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl SetArguments {
    /// Takes the arguments apart; an error where there are too many objects, or one asked for that the
    /// type's method does not know.
    pub fn read(
        arguments: Map<String, Value>,
        limits: &Limits,
        more: &[&str],
    ) -> Result<SetArguments, MethodError> {
        let asked: SetArguments = super::arguments(arguments)?;
        let count = asked.create.as_ref().map_or(0, Map::len)
            + asked.update.as_ref().map_or(0, Map::len)
            + asked.destroy.as_ref().map_or(0, Vec::len);
        if count > limits.max_objects_in_set {
            return Err(MethodError::RequestTooLarge(limits.max_objects_in_set));
        }
        match asked.more.keys().find(|name| !more.contains(&name.as_str())) {
            Some(name) => Err(MethodError::invalid(format!("there is no argument {name:?}"))),
            None => Ok(asked),
        }
    }

    /// `stateMismatch`, unless it is asked for this state or for none.
    pub fn check_state(&self, state: State) -> Result<(), MethodError> {
        match &self.if_in_state {
            Some(wanted) if *wanted != state.to_string() => Err(MethodError::StateMismatch),
            _ => Ok(()),
        }
    }
}

/// `null` where there is nothing (RFC 8620 §5.3).
pub fn or_null(members: Map<String, Value>) -> Value {
    match members.is_empty() {
        true => Value::Null,
        false => Value::Object(members),
    }
}

/// What became of each object.
#[derive(Debug, Clone, Default)]
pub struct SetOutcome {
    created: Map<String, Value>,
    updated: Map<String, Value>,
    destroyed: Vec<String>,
    not_created: Map<String, Value>,
    not_updated: Map<String, Value>,
    not_destroyed: Map<String, Value>,
}

impl SetOutcome {
    /// The object under this creation id was made, with this id; `object` has what the client did not
    /// say itself, `id` among it. The rest of the request can refer to it.
    pub fn created(&mut self, context: &Context, creation_id: &str, id: String, object: Value) {
        context.note_created(creation_id, id);
        self.created.insert(creation_id.to_owned(), object);
    }

    /// It was not.
    pub fn not_created(&mut self, creation_id: &str, error: &SetError) {
        self.not_created.insert(creation_id.to_owned(), error.value());
    }

    /// The object was changed; `null`, or what else changed by that.
    pub fn updated(&mut self, id: &str, also: Value) {
        self.updated.insert(id.to_owned(), also);
    }

    /// It was not.
    pub fn not_updated(&mut self, id: &str, error: &SetError) {
        self.not_updated.insert(id.to_owned(), error.value());
    }

    /// The object is gone.
    pub fn destroyed(&mut self, id: &str) {
        self.destroyed.push(id.to_owned());
    }

    /// It is not.
    pub fn not_destroyed(&mut self, id: &str, error: &SetError) {
        self.not_destroyed.insert(id.to_owned(), error.value());
    }

    /// Whether something was made.
    pub fn has_created(&self) -> bool {
        !self.created.is_empty()
    }

    /// What was made under a creation id.
    pub fn was_created(&self, creation_id: &str) -> Option<&Value> {
        self.created.get(creation_id)
    }

    /// Whether it is among those that were changed.
    pub fn was_updated(&self, id: &str) -> bool {
        self.updated.contains_key(id)
    }

    /// Whether it is among those that are gone.
    pub fn was_destroyed(&self, id: &str) -> bool {
        self.destroyed.iter().any(|gone| gone == id)
    }

    /// The response.
    pub fn response(self, account_id: &str, old: State, new: State) -> Value {
        json!({
            "accountId": account_id,
            "oldState": old.to_string(),
            "newState": new.to_string(),
            "created": or_null(self.created),
            "updated": or_null(self.updated),
            "destroyed": match self.destroyed.is_empty() {
                true => Value::Null,
                false => json!(self.destroyed),
            },
            "notCreated": or_null(self.not_created),
            "notUpdated": or_null(self.not_updated),
            "notDestroyed": or_null(self.not_destroyed),
        })
    }
}
