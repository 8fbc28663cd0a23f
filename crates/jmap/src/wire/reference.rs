//! Results of earlier methods as arguments (RFC 8620 §3.7).
//!
//! What is copied so is bounded over a whole request: a reference to what was itself made of references
//! would grow without end.

use serde_json::{Map, Value};

use super::error::MethodError;
use super::json::weight;

/// Octets of memory that references of one request may copy.
pub const COPIED_OCTETS_MAX: usize = 20_000_000;

/// A part of an earlier response.
struct Reference<'a> {
    result_of: &'a str,
    name: &'a str,
    path: &'a str,
}

/// Puts results where an argument `#name` refers to them. `responses` are those so far; `left` is what may
/// still be copied.
pub fn resolve(
    arguments: Map<String, Value>,
    responses: &[(String, Value, String)],
    left: &mut usize,
) -> Result<Map<String, Value>, MethodError> {
    if arguments.keys().all(|name| !name.starts_with('#')) {
        return Ok(arguments);
    }
    let mut resolved = Map::new();
    for (name, value) in arguments {
        let (name, value) = match name.strip_prefix('#') {
            None => (name, value),
            Some(bare) => (bare.to_owned(), referred(&value, responses, left)?),
        };
        if resolved.contains_key(&name) {
            return Err(MethodError::invalid(format!("{name} is given and referred to")));
        }
        resolved.insert(name, value);
    }
    Ok(resolved)
}

fn referred(
    value: &Value,
    responses: &[(String, Value, String)],
    left: &mut usize,
) -> Result<Value, MethodError> {
    let no = |why: String| MethodError::InvalidResultReference(why);
    let text = |name| value.get(name).and_then(Value::as_str);
    let reference = (|| {
        let (result_of, name, path) = (text("resultOf")?, text("name")?, text("path")?);
        Some(Reference { result_of, name, path })
    })();
    let Reference { result_of, name, path } =
        reference.ok_or_else(|| no("a reference has resultOf, name and path".to_owned()))?;
    let found = responses.iter().find(|(_, _, call_id)| call_id == result_of);
    let (found_name, response, _) =
        found.ok_or_else(|| no(format!("no earlier call has the id {result_of:?}")))?;
    if found_name != name {
        return Err(no(format!("the first response to {result_of:?} is {found_name}")));
    }
    point(response, path, left).map_err(|problem| match problem {
        Problem::Nothing => no(format!("there is nothing at {path:?}")),
        Problem::Much => no("references copy more than a request may".to_owned()),
    })
}

enum Problem {
    Nothing,
    Much,
}

/// What a JSON Pointer (RFC 6901) points to; `*` goes through an array, and arrays that come of it are
/// joined (RFC 8620 §3.7).
fn point(value: &Value, path: &str, left: &mut usize) -> Result<Value, Problem> {
    let Some(rest) = path.strip_prefix('/') else {
        if !path.is_empty() {
            return Err(Problem::Nothing);
        }
        *left = left.checked_sub(weight(value)).ok_or(Problem::Much)?;
        return Ok(value.clone());
    };
    let (token, rest) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    match value {
        Value::Array(items) if token == "*" => {
            let mut joined = Vec::new();
            for item in items {
                match point(item, rest, left)? {
                    Value::Array(inner) => joined.extend(inner),
                    other => joined.push(other),
                }
            }
            Ok(Value::Array(joined))
        }
        Value::Array(items) => {
            let plain = token == "0" || !token.starts_with(['0', '+']);
            let index = token.parse::<usize>().ok().filter(|_| plain);
            let item = index.and_then(|index| items.get(index)).ok_or(Problem::Nothing)?;
            point(item, rest, left)
        }
        Value::Object(members) => {
            point(members.get(&unescape(token)).ok_or(Problem::Nothing)?, rest, left)
        }
        _ => Err(Problem::Nothing),
    }
}

/// RFC 6901 §4.
pub(super) fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn pointed(value: &Value, path: &str) -> Option<Value> {
        point(value, path, &mut 100_000).ok()
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 8620 §3.7: Email/query, Email/get, Thread/get.
        let threads = json!({"list": [
            {"id": "trd194", "emailIds": ["msg1020", "msg1021", "msg1023"]},
            {"id": "trd114", "emailIds": ["msg201", "msg223"]},
        ]});
        let expected = json!(["msg1020", "msg1021", "msg1023", "msg201", "msg223"]);
        assert_eq!(pointed(&threads, "/list/*/emailIds"), Some(expected));
        assert_eq!(pointed(&threads, "/list/*/id"), Some(json!(["trd194", "trd114"])));
        assert_eq!(pointed(&threads, "/list/1/emailIds/0"), Some(json!("msg201")));
    }

    #[test]
    fn the_examples_of_rfc_6901() {
        let value = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, "~1": 9});
        assert_eq!(pointed(&value, ""), Some(value.clone()));
        for (path, expected) in [
            ("/foo", json!(["bar", "baz"])),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/m~0n", json!(8)),
            ("/~01", json!(9)),
        ] {
            assert_eq!(pointed(&value, path), Some(expected), "{path}");
        }
        for path in ["foo", "/foo/2", "/foo/00", "/foo/-", "/foo/0/x", "/nothing", "/*"] {
            assert_eq!(pointed(&value, path), None, "{path}");
        }
    }

    fn arguments(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_cannot_be_resolved() {
        let responses = vec![("Foo/get".to_owned(), json!({"ids": ["a"]}), "0".to_owned())];
        let resolve = |value, left: &mut usize| resolve(arguments(value), &responses, left);
        let to = |result_of: &str, name: &str, path: &str| json!({"#ids": {"resultOf": result_of, "name": name, "path": path}});
        assert_eq!(
            resolve(to("0", "Foo/get", "/ids"), &mut 1_000),
            Ok(arguments(json!({"ids": ["a"]})))
        );
        for no in [
            to("1", "Foo/get", "/ids"),
            to("0", "Bar/get", "/ids"),
            to("0", "Foo/get", "/list"),
            json!({"#ids": 7}),
        ] {
            let error = resolve(no, &mut 1_000).unwrap_err();
            assert_eq!(error.kind(), "invalidResultReference");
        }
        let mut both = to("0", "Foo/get", "/ids");
        both["ids"] = json!([]);
        assert_eq!(resolve(both, &mut 1_000).unwrap_err().kind(), "invalidArguments");
        let error = resolve(to("0", "Foo/get", "/ids"), &mut 10).unwrap_err();
        assert_eq!(error.kind(), "invalidResultReference");
    }

    proptest! {
        #[test]
        fn nothing_panics(path in "[/*a0~1]{0,12}") {
            let _ = pointed(&json!({"a": [{"a": [0, [1]]}], "*": 1, "": {}}), &path);
        }
    }
}
