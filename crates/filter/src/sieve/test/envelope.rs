//! `envelope` (RFC 5228 §5.4).

use super::select::expand_all;
use crate::sieve::Fault;
use crate::sieve::address::{self, AddressPart};
use crate::sieve::check::{Checker, Test};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

struct Envelope {
    part: AddressPart,
    fields: Vec<Text>,
    keys: Keys,
}

/// `envelope`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS, address::TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let part = AddressPart::new(&bound);
    let fields = bound.next_texts("\"from\" or \"to\"", checker)?;
    for field in fields.iter().filter_map(Text::constant) {
        if !["from", "to"].iter().any(|known| known.eq_ignore_ascii_case(field)) {
            return Err(bound.at.fault(format!(
                "\"{field}\" is no part of the envelope: take \"from\" or \"to\""
            )));
        }
    }
    let keys = matcher.keys(&mut bound, "what to look for", checker)?;
    bound.done()?;
    Ok(Box::new(Envelope { part, fields, keys }))
}

impl Test for Envelope {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let context = run.context;
        let fields = expand_all(&self.fields, run)?;
        let addresses =
            fields.iter().filter_map(|field| match field.to_ascii_lowercase().as_str() {
                "from" => self.part.of_envelope(context.from.address()),
                "to" => self.part.of_envelope(Some(context.recipient())),
                _ => None,
            });
        self.keys.any(&addresses.collect::<Vec<_>>(), run)
    }
}
