//! The conditions of `Email/query` (RFC 8621 §4.4.1), read. Pure.
//!
//! An object of conditions is the same as each of them in an AND, so each becomes a [`Test`] of its own. A
//! text becomes its words and phrases, of which each must be found.

use jiff::Timestamp;
use serde_json::{Map, Value};
use waxwing_message::keys::fold;
use waxwing_store::MailboxId;

use crate::email::keywords::is_keyword;
use crate::wire::error::MethodError;
use crate::wire::filter::{Filter, Operator};
use crate::wire::{date, id};

/// Words and phrases that are looked for in one query.
const TERMS_MAX: usize = 50;

/// Something that a message has or has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `None`: in a mailbox that is not there.
    InMailbox(Option<MailboxId>),
    /// In one that is none of these.
    InOther(Vec<MailboxId>),
    /// Received before then.
    Before(Timestamp),
    /// Received then or later.
    After(Timestamp),
    /// At least so many octets.
    MinSize(u64),
    /// Fewer octets.
    MaxSize(u64),
    /// Every message of its thread has the keyword.
    AllInThread(String),
    /// One of them has.
    SomeInThread(String),
    /// It has the keyword.
    Has(String),
    /// It has an attachment, or has none.
    HasAttachment(bool),
    /// These stand somewhere in it, or in its body.
    Text {
        /// Words and phrases.
        terms: Vec<String>,
        /// Not in the body alone.
        headers_too: bool,
    },
    /// These, in lower case, stand in the field; none: there is such a field.
    Field {
        /// In lower case.
        name: String,
        /// Words and phrases.
        terms: Vec<String>,
    },
}

/// A filter of such.
pub type Tests = Filter<Test>;

/// Reads the argument `filter`; nothing is a filter that everything passes.
pub fn read(filter: Option<Value>) -> Result<Tests, MethodError> {
    let filter = match filter {
        None | Some(Value::Null) => return Ok(Filter::Operator(Operator::And, Vec::new())),
        Some(filter) => filter,
    };
    let mut terms = 0;
    let conditions = Filter::read(filter, &mut |members| condition(members, &mut terms))?;
    Ok(flat(conditions))
}

/// Conditions as filters of single tests.
fn flat(filter: Filter<Vec<Tests>>) -> Tests {
    match filter {
        Filter::Condition(tests) => Filter::Operator(Operator::And, tests),
        Filter::Operator(operator, inner) => {
            Filter::Operator(operator, inner.into_iter().map(flat).collect())
        }
    }
}

fn condition(members: Map<String, Value>, terms: &mut usize) -> Result<Vec<Tests>, MethodError> {
    let mut tests = Vec::with_capacity(members.len());
    for (name, value) in members {
        let test = test(&name, value)?;
        if let Filter::Condition(Test::Text { terms: some, .. } | Test::Field { terms: some, .. }) =
            &test
        {
            *terms += some.len();
        }
        tests.push(test);
    }
    match *terms > TERMS_MAX {
        true => {
            let why = format!("a query looks for at most {TERMS_MAX} words and phrases");
            Err(MethodError::UnsupportedFilter(why))
        }
        false => Ok(tests),
    }
}

fn test(name: &str, value: Value) -> Result<Tests, MethodError> {
    let no = |why: &str| Err(MethodError::invalid(format!("the condition {name} is {why}")));
    let one = |test| Ok(Filter::Condition(test));
    let not = |test| Ok(Filter::Operator(Operator::Not, vec![Filter::Condition(test)]));
    match (name, value) {
        ("inMailbox", Value::String(text)) => one(Test::InMailbox(id::read(&text))),
        ("inMailbox", _) => no("an id"),
        ("inMailboxOtherThan", Value::Array(list)) => {
            let mailbox = |value: &Value| value.as_str().map(id::read::<MailboxId>);
            match list.iter().map(mailbox).collect::<Option<Vec<_>>>() {
                Some(mailboxes) => one(Test::InOther(mailboxes.into_iter().flatten().collect())),
                None => no("a list of ids"),
            }
        }
        ("inMailboxOtherThan", _) => no("a list of ids"),
        ("before" | "after", value) => {
            let Some(at) = value.as_str().and_then(date::read_utc) else {
                return no("a UTCDate");
            };
            one(if name == "before" { Test::Before(at) } else { Test::After(at) })
        }
        ("minSize" | "maxSize", value) => {
            let Some(octets) = value.as_u64() else { return no("a number that is not negative") };
            one(if name == "minSize" { Test::MinSize(octets) } else { Test::MaxSize(octets) })
        }
        ("hasAttachment", Value::Bool(has)) => one(Test::HasAttachment(has)),
        ("hasAttachment", _) => no("true or false"),
        ("header", Value::Array(list)) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            match texts.as_deref() {
                Some([field]) => one(field_test(field, Vec::new())),
                Some([field, text]) => one(field_test(field, folded(text))),
                _ => no("a list of a field's name, and perhaps a text"),
            }
        }
        ("header", _) => no("a list of a field's name, and perhaps a text"),
        (
            "allInThreadHaveKeyword"
            | "someInThreadHaveKeyword"
            | "noneInThreadHaveKeyword"
            | "hasKeyword"
            | "notKeyword",
            value,
        ) => {
            let Some(keyword) = value.as_str().filter(|name| is_keyword(name)) else {
                return no("a keyword");
            };
            let keyword = keyword.to_ascii_lowercase();
            match name {
                "allInThreadHaveKeyword" => one(Test::AllInThread(keyword)),
                "someInThreadHaveKeyword" => one(Test::SomeInThread(keyword)),
                "noneInThreadHaveKeyword" => not(Test::SomeInThread(keyword)),
                "hasKeyword" => one(Test::Has(keyword)),
                _ => not(Test::Has(keyword)),
            }
        }
        ("text" | "body" | "from" | "to" | "cc" | "bcc" | "subject", Value::String(text)) => {
            match name {
                "text" => one(Test::Text { terms: terms_of(&text), headers_too: true }),
                "body" => one(Test::Text { terms: terms_of(&text), headers_too: false }),
                field => {
                    let terms = folded(&text);
                    // Nothing is in everything.
                    match terms.is_empty() {
                        true => Ok(Filter::Operator(Operator::And, Vec::new())),
                        false => one(field_test(field, terms)),
                    }
                }
            }
        }
        ("text" | "body" | "from" | "to" | "cc" | "bcc" | "subject", _) => no("a string"),
        _ => {
            let why = format!("there is no condition {name}");
            Err(MethodError::UnsupportedFilter(why))
        }
    }
}

fn field_test(name: &str, terms: Vec<String>) -> Test {
    Test::Field { name: name.to_ascii_lowercase(), terms }
}

fn folded(text: &str) -> Vec<String> {
    terms_of(text).iter().map(|term| fold(term)).collect()
}

/// RFC 8621 §4.4.1: what is quoted, by either quote, is a phrase, in which `\` stands before a quote or
/// another `\`; elsewhere white space parts words. A quote that never closes is a character.
pub fn terms_of(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (term, after) = match first {
            '\'' | '"' => match phrase(&rest[1..], first) {
                Some(found) => found,
                None => word(rest),
            },
            _ => word(rest),
        };
        if !term.trim().is_empty() {
            terms.push(term);
        }
        rest = after.trim_start();
    }
    terms
}

fn word(rest: &str) -> (String, &str) {
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    (rest[..end].to_owned(), &rest[end..])
}

/// What stands before the closing quote, and what stands after it.
fn phrase(rest: &str, quote: char) -> Option<(String, &str)> {
    let mut phrase = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, c @ ('\'' | '"' | '\\'))) => phrase.push(c),
                Some((_, c)) => phrase.extend(['\\', c]),
                None => return None,
            },
            c if c == quote => return Some((phrase, &rest[at + 1..])),
            c => phrase.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn words_and_phrases() {
        assert_eq!(terms_of("  two words "), ["two", "words"]);
        assert_eq!(terms_of(r#""a phrase" and 'another one'"#), ["a phrase", "and", "another one"]);
        assert_eq!(terms_of(r#""say \"x\" \\ \y""#), [r#"say "x" \ \y"#]);
        assert_eq!(terms_of("don't \"open"), ["don't", "\"open"]);
        assert_eq!(terms_of("'' \" \""), [""; 0]);
        assert!(terms_of(" ").is_empty());
    }

    #[test]
    fn conditions() {
        let is = |value| match read(Some(value)) {
            Ok(Filter::Operator(Operator::And, tests)) => tests,
            other => panic!("{other:?}"),
        };
        let all = is(json!({"inMailbox": "F1", "minSize": 5}));
        let expected = [Test::InMailbox(Some(MailboxId(1))), Test::MinSize(5)];
        assert_eq!(all, expected.map(Filter::Condition));
        let not = is(json!({"notKeyword": "$Seen"}));
        let seen = Filter::Condition(Test::Has("$seen".into()));
        assert_eq!(not, [Filter::Operator(Operator::Not, vec![seen])]);
        let field = is(json!({"header": ["X-A", "B \"C d\""]}));
        let expected = Test::Field { name: "x-a".into(), terms: vec!["b".into(), "c d".into()] };
        assert_eq!(field, [Filter::Condition(expected)]);
        assert!(is(json!({})).is_empty());
        for (no, kind) in [
            (json!({"inMailbox": 1}), "invalidArguments"),
            (json!({"inMailboxOtherThan": [1]}), "invalidArguments"),
            (json!({"before": "2020-01-01"}), "invalidArguments"),
            (json!({"minSize": -1}), "invalidArguments"),
            (json!({"hasAttachment": "yes"}), "invalidArguments"),
            (json!({"header": []}), "invalidArguments"),
            (json!({"header": ["a", "b", "c"]}), "invalidArguments"),
            (json!({"hasKeyword": "a b"}), "invalidArguments"),
            (json!({"text": 1}), "invalidArguments"),
            (json!({"colour": "red"}), "unsupportedFilter"),
            (json!({"text": "w ".repeat(51)}), "unsupportedFilter"),
        ] {
            assert_eq!(read(Some(no.clone())).unwrap_err().kind(), kind, "{no}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text: String) {
            let terms = terms_of(&text);
            prop_assert!(terms.iter().map(String::len).sum::<usize>() <= text.len());
        }
    }
}
