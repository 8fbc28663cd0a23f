//! `ihave` (RFC 5463 §4): whether extensions are there, decided when the script is compiled.
//!
//! If all are, the script may use them from here on, as if it had required them.

use super::logic::Constant;
use crate::sieve::Fault;
use crate::sieve::check::{Checker, Test};
use crate::sieve::parser::Node;

/// `ihave`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let names = bound.next_constants("names of extensions")?;
    bound.done()?;
    let found: Option<Vec<&'static str>> =
        names.iter().map(|(name, _)| checker.capabilities.find(name)).collect();
    let all = found.is_some();
    checker.ihave_asked = true;
    found.into_iter().flatten().for_each(|name| checker.enable(name));
    Ok(Box::new(Constant(all)))
}
