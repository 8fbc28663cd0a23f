//! What the standard methods have in common, whatever the type (RFC 8620 §5): their arguments and the
//! shape of what they give back. What a type is, its own folder knows.

pub mod changes;
pub mod get;
pub mod query;
pub mod set;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::wire::error::MethodError;

/// Arguments as a method's own type; what does not fit is `invalidArguments`.
pub fn arguments<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, MethodError> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| MethodError::invalid(error.to_string()))
}
