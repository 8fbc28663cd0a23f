//! Core/echo (RFC 8620 §4).

use serde_json::{Map, Value};

use crate::dispatch::Answer;

/// The arguments.
pub fn run(arguments: Map<String, Value>) -> Answer {
    Value::Object(arguments).into()
}
