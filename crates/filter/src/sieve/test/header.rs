//! `header` (RFC 5228 §5.7), `address` (§5.1) and `exists` (§5.5).

use super::select::{ASPECT, INDEX, MIME, Selection, expand_all};
use crate::sieve::Fault;
use crate::sieve::address::{self, AddressPart, holds_addresses, parts_of};
use crate::sieve::check::{Checker, Test};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

struct Header {
    selection: Selection,
    names: Vec<Text>,
    keys: Keys,
}

/// `header`.
pub(crate) fn header(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS, INDEX, MIME, ASPECT])?;
    let matcher = Matcher::new(&bound, checker)?;
    let selection = Selection::new(&bound, checker)?;
    let names = bound.next_texts("names of header fields", checker)?;
    let keys = matcher.keys(&mut bound, "what to look for", checker)?;
    bound.done()?;
    Ok(Box::new(Header { selection, names, keys }))
}

impl Test for Header {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let names = expand_all(&self.names, run)?;
        let mut texts = Vec::new();
        for value in self.selection.values(&names, run)? {
            texts.extend(self.selection.texts(&value, run)?);
        }
        self.keys.any(&texts, run)
    }
}

struct Address {
    selection: Selection,
    part: AddressPart,
    names: Vec<Text>,
    keys: Keys,
}

/// `address`.
pub(crate) fn address(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS, address::TAGS, INDEX, MIME])?;
    let matcher = Matcher::new(&bound, checker)?;
    let selection = Selection::new(&bound, checker)?;
    let part = AddressPart::new(&bound);
    let names = bound.next_texts("names of header fields", checker)?;
    for name in names.iter().filter_map(Text::constant) {
        if !holds_addresses(name) {
            return Err(bound
                .at
                .fault(format!("\"{name}\" is no field of addresses: take \"header\" for it")));
        }
    }
    let keys = matcher.keys(&mut bound, "what to look for", checker)?;
    bound.done()?;
    Ok(Box::new(Address { selection, part, names, keys }))
}

impl Test for Address {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let mut names = expand_all(&self.names, run)?;
        names.retain(|name| holds_addresses(name));
        let values = self.selection.values(&names, run)?;
        let addresses: Vec<String> =
            values.iter().flat_map(|value| parts_of(value, self.part)).collect();
        self.keys.any(&addresses, run)
    }
}

struct Exists {
    selection: Selection,
    names: Vec<Text>,
}

/// `exists`.
pub(crate) fn exists(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[MIME])?;
    let selection = Selection::new(&bound, checker)?;
    let names = bound.next_texts("names of header fields", checker)?;
    bound.done()?;
    Ok(Box::new(Exists { selection, names }))
}

impl Test for Exists {
    /// All of them must be there.
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        for name in expand_all(&self.names, run)? {
            if self.selection.values(&[name], run)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
