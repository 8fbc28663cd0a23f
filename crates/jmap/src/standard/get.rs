//! `/get` (RFC 8620 §5.1).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::context::Limits;
use crate::wire::error::MethodError;
use crate::wire::state::State;

/// What every `/get` is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetArguments {
    /// Where.
    pub account_id: String,
    /// Which; `None`: all.
    #[serde(default)]
    pub ids: Option<Vec<String>>,
    /// Which properties of them; `None`: the default ones.
    #[serde(default)]
    pub properties: Option<Vec<String>>,
}

/// The ids asked for, each once, in order; an error where they are too many.
pub fn each_once(ids: Vec<String>, limits: &Limits) -> Result<Vec<String>, MethodError> {
    if ids.len() > limits.max_objects_in_get {
        return Err(MethodError::RequestTooLarge(limits.max_objects_in_get));
    }
    let mut seen = std::collections::HashSet::new();
    Ok(ids.into_iter().filter(|id| seen.insert(id.clone())).collect())
}

/// Which properties are asked for.
#[derive(Debug, Clone)]
pub struct Properties {
    wanted: Option<Vec<String>>,
}

impl Properties {
    /// `known` are all that the type has; asking for another is `invalidArguments`. `id` is always given.
    pub fn read(asked: Option<Vec<String>>, known: &[&str]) -> Result<Properties, MethodError> {
        let stranger = asked.iter().flatten().find(|name| !known.contains(&name.as_str()));
        match stranger {
            Some(name) => Err(MethodError::invalid(format!("there is no property {name:?}"))),
            None => Ok(Properties { wanted: asked }),
        }
    }

    /// Whether this one is.
    pub fn has(&self, name: &str) -> bool {
        name == "id" || self.wanted.as_ref().is_none_or(|all| all.iter().any(|one| one == name))
    }

    /// Whether one of these is.
    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// An object with those of its members that are asked for.
    pub fn of(&self, object: Value) -> Value {
        match (object, &self.wanted) {
            (Value::Object(mut members), Some(_)) => {
                members.retain(|name, _| self.has(name));
                Value::Object(members)
            }
            (object, _) => object,
        }
    }
}

/// The response.
pub fn response(account_id: &str, state: State, list: Vec<Value>, not_found: Vec<String>) -> Value {
    let mut response = Map::new();
    response.insert("accountId".to_owned(), Value::from(account_id));
    response.insert("state".to_owned(), Value::from(state.to_string()));
    response.insert("list".to_owned(), Value::Array(list));
    response.insert("notFound".to_owned(), json!(not_found));
    Value::Object(response)
}
