//! Request, Invocation, Response (RFC 8620 §3.2 to §3.4).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::RequestError;
use super::{id, json};

/// One method call, or one response to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// `Email/get`.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// The client's own id of the call.
    pub call_id: String,
}

/// Calls to be run one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Capabilities.
    pub using: Vec<String>,
    /// In order.
    pub method_calls: Vec<Invocation>,
    /// Ids by creation id, without `#`, of earlier requests; `None`: the client does not want them back.
    pub created_ids: Option<BTreeMap<String, String>>,
}

/// Responses in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// One or more for each call.
    pub method_responses: Vec<(String, Value, String)>,
    /// As in the request, with those that it made.
    pub created_ids: Option<BTreeMap<String, String>>,
    /// Of the Session object.
    pub session_state: String,
}

impl Request {
    /// Reads a request. `calls_max` is `maxCallsInRequest`.
    pub fn read(octets: &[u8], calls_max: usize) -> Result<Request, RequestError> {
        let value = json::read(octets).map_err(|error| RequestError::NotJson(error.0))?;
        Request::of_value(value, calls_max)
    }

    /// The same of what has been read as JSON. Members that are not known are passed over.
    pub fn of_value(value: Value, calls_max: usize) -> Result<Request, RequestError> {
        let no = |why: &str| RequestError::NotRequest(why.to_owned());
        let Value::Object(mut members) = value else { return Err(no("it is no object")) };
        let using =
            strings(members.remove("using")).ok_or_else(|| no("`using` is no list of strings"))?;
        let Some(Value::Array(calls)) = members.remove("methodCalls") else {
            return Err(no("`methodCalls` is no list"));
        };
        if calls.len() > calls_max {
            return Err(RequestError::Limit("maxCallsInRequest"));
        }
        let call = |value| {
            Invocation::of_value(value).ok_or_else(|| no("a method call is not [name, object, id]"))
        };
        let method_calls = calls.into_iter().map(call).collect::<Result<_, _>>()?;
        let created_ids = match members.remove("createdIds") {
            None | Some(Value::Null) => None,
            Some(ids) => {
                Some(known_ids(ids).ok_or_else(|| no("`createdIds` does not map ids to ids"))?)
            }
        };
        Ok(Request { using, method_calls, created_ids })
    }
}

impl Invocation {
    fn of_value(value: Value) -> Option<Invocation> {
        let Value::Array(three) = value else { return None };
        let [Value::String(name), Value::Object(arguments), Value::String(call_id)] =
            <[Value; 3]>::try_from(three).ok()?
        else {
            return None;
        };
        Some(Invocation { name, arguments, call_id })
    }
}

impl Response {
    /// As it goes to the client.
    pub fn value(self) -> Value {
        let mut value = json!({
            "methodResponses": self.method_responses,
            "sessionState": self.session_state,
        });
        if let Some(ids) = self.created_ids {
            value["createdIds"] = json!(ids);
        }
        value
    }
}

fn strings(value: Option<Value>) -> Option<Vec<String>> {
    let Some(Value::Array(values)) = value else { return None };
    let text = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    values.into_iter().map(text).collect()
}

fn known_ids(value: Value) -> Option<BTreeMap<String, String>> {
    let Value::Object(members) = value else { return None };
    let pair = |(creation_id, value)| match value {
        Value::String(named) if id::is_id(&named) => Some((creation_id, named)),
        _ => None,
    };
    members.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Request, RequestError> {
        Request::read(text.as_bytes(), 3)
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 8620 §3.3.1.
        let request = read(
            r#"{"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
                "methodCalls": [
                  ["method1", {"arg1": "arg1data", "arg2": "arg2data"}, "c1"],
                  ["method2", {"arg1": "arg1data"}, "c2"],
                  ["method3", {}, "c3"]]}"#,
        )
        .unwrap();
        assert_eq!(request.using.len(), 2);
        let third =
            Invocation { name: "method3".into(), arguments: Map::new(), call_id: "c3".into() };
        assert_eq!(request.method_calls[2], third);
        assert_eq!(request.created_ids, None);
    }

    #[test]
    fn what_is_no_request_is_told_from_what_is_no_json() {
        assert!(matches!(read("{"), Err(RequestError::NotJson(_))));
        for no in [
            "[]",
            r#"{"using": []}"#,
            r#"{"using": [1], "methodCalls": []}"#,
            r#"{"using": [], "methodCalls": [["a", {}]]}"#,
            r#"{"using": [], "methodCalls": [["a", [], "c"]]}"#,
            r#"{"using": [], "methodCalls": [], "createdIds": {"a": "not an id"}}"#,
        ] {
            assert!(matches!(read(no), Err(RequestError::NotRequest(_))), "{no}");
        }
        let four = r#"{"using": [], "methodCalls": [["a",{},"1"],["a",{},"2"],["a",{},"3"],["a",{},"4"]]}"#;
        assert_eq!(read(four), Err(RequestError::Limit("maxCallsInRequest")));
    }

    #[test]
    fn a_response_is_written() {
        let response = Response {
            method_responses: vec![("a".into(), json!({"x": 1}), "c1".into())],
            created_ids: None,
            session_state: "75".into(),
        };
        let expected = json!({"methodResponses": [["a", {"x": 1}, "c1"]], "sessionState": "75"});
        assert_eq!(response.value(), expected);
    }

    proptest! {
        #[test]
        fn nothing_panics(text: String) {
            let _ = read(&text);
        }
    }
}
