//! `set` and its modifiers (RFC 5229 §4).
//!
//! | precedence | modifiers |
//! |---|---|
//! | 40 | `:lower`, `:upper` |
//! | 30 | `:lowerfirst`, `:upperfirst` |
//! | 20 | `:quotewildcard`, and `:quoteregex` of draft-ietf-sieve-regex |
//! | 15 | `:encodeurl` (RFC 5435 §6) |
//! | 10 | `:length` |
//!
//! The highest is applied first; of one precedence only one may stand.

use crate::sieve::Fault;
use crate::sieve::check::{Bound, Checker, Command, Tag, Takes};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::{Name, Text};

/// The modifiers, the highest precedence first.
pub(crate) const MODIFIERS: &[Tag] = &[
    Tag { name: "lower", takes: Takes::Nothing, extension: "variables", group: "40" },
    Tag { name: "upper", takes: Takes::Nothing, extension: "variables", group: "40" },
    Tag { name: "lowerfirst", takes: Takes::Nothing, extension: "variables", group: "30" },
    Tag { name: "upperfirst", takes: Takes::Nothing, extension: "variables", group: "30" },
    Tag { name: "quotewildcard", takes: Takes::Nothing, extension: "variables", group: "20" },
    Tag { name: "quoteregex", takes: Takes::Nothing, extension: "regex", group: "20" },
    Tag { name: "encodeurl", takes: Takes::Nothing, extension: "enotify", group: "15" },
    Tag { name: "length", takes: Takes::Nothing, extension: "variables", group: "10" },
];

struct Set {
    name: Name,
    value: Text,
    modifiers: Vec<&'static str>,
}

/// `set`.
pub(crate) fn set(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[MODIFIERS])?;
    let (name, at) = bound.next_constant("the name of a variable")?;
    let name = Name::parse(name, checker.has("include")).map_err(|why| at.fault(why))?;
    let value = bound.next_text("its value", checker)?;
    bound.done()?;
    Ok(Box::new(Set { name, value, modifiers: modifiers(&bound) }))
}

/// The modifiers that stand there, in the order in which they apply.
pub(crate) fn modifiers(bound: &Bound<'_>) -> Vec<&'static str> {
    MODIFIERS.iter().map(|tag| tag.name).filter(|name| bound.flag(name)).collect()
}

/// Applies modifiers.
pub(crate) fn modified(mut value: String, modifiers: &[&str]) -> String {
    for modifier in modifiers {
        value = match *modifier {
            // RFC 5229 §4.1: letters of US-ASCII.
            "lower" => value.to_ascii_lowercase(),
            "upper" => value.to_ascii_uppercase(),
            "lowerfirst" => first(value, char::to_ascii_lowercase),
            "upperfirst" => first(value, char::to_ascii_uppercase),
            "quotewildcard" => quoted(&value, "*?\\"),
            "quoteregex" => quoted(&value, "\\.[]()*+?{}|^$"),
            "encodeurl" => percent_encoded(&value),
            "length" => value.chars().count().to_string(),
            _ => value,
        };
    }
    value
}

fn first(value: String, change: impl Fn(&char) -> char) -> String {
    let mut chars = value.chars();
    match chars.next() {
        Some(c) => std::iter::once(change(&c)).chain(chars).collect(),
        None => value,
    }
}

fn quoted(value: &str, special: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// RFC 3986 §2.3: everything but the unreserved.
fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for b in value.bytes() {
        match b {
            b'-' | b'.' | b'_' | b'~' => out.push(b as char),
            b if b.is_ascii_alphanumeric() => out.push(b as char),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

impl Command for Set {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let value = modified(self.value.expand(run)?, &self.modifiers);
        run.charge_octets(value.len())?;
        run.set_variable(&self.name, value)?;
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::modified;

    #[test]
    fn the_examples_of_rfc_5229_section_4() {
        // RFC 5229 §4.1.
        let value = || "juMBlEd lETteRS".to_owned();
        assert_eq!(modified(value(), &["length"]), "15");
        assert_eq!(modified(value(), &["lower"]), "jumbled letters");
        assert_eq!(modified(value(), &["upperfirst"]), "JuMBlEd lETteRS");
        assert_eq!(modified(value(), &["lower", "upperfirst"]), "Jumbled letters");
        // RFC 5229 §4.1.3.
        assert_eq!(modified("Rock*".into(), &["quotewildcard"]), "Rock\\*");
        assert_eq!(modified("a&b é".into(), &["encodeurl"]), "a%26b%20%C3%A9");
    }
}
