//! `extracttext` (RFC 5703 §7): the text of a part into a variable.

use super::variables;
use crate::sieve::Fault;
use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run, truncate};
use crate::sieve::text::Name;

const TAGS: &[Tag] = &[Tag::new("first", Takes::Number, "extracttext")];

struct ExtractText {
    name: Name,
    first: Option<u64>,
    modifiers: Vec<&'static str>,
}

/// `extracttext`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    checker.needs("variables", node.at, "\"extracttext\"")?;
    let mut bound = checker.bind(node, &[variables::MODIFIERS, TAGS])?;
    if checker.loops.is_empty() {
        // RFC 5703 §7.
        return Err(node
            .at
            .fault("\"extracttext\" stands in the block of a \"foreverypart\" only"));
    }
    let (name, at) = bound.next_constant("the name of a variable")?;
    let name = Name::parse(name, checker.has("include")).map_err(|why| at.fault(why))?;
    bound.done()?;
    let first = bound.number_of("first");
    Ok(Box::new(ExtractText { name, first, modifiers: variables::modifiers(&bound) }))
}

impl Command for ExtractText {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let part = run.part();
        run.charge_octets(run.mail.raw_body(part).len())?;
        // RFC 5703 §7: of what is no text, nothing.
        let mut text = match run.mail.parts()[part].media_type.as_str() {
            "text" => run.mail.text(part),
            _ => String::new(),
        };
        if let Some(first) = self.first {
            text = text.chars().take(first.try_into().unwrap_or(usize::MAX)).collect();
        }
        truncate(&mut text, run.context.limits.variable_octets);
        let text = variables::modified(text, &self.modifiers);
        run.set_variable(&self.name, text)?;
        Ok(Flow::Next)
    }
}
