//! `string` (RFC 5229 §5): strings, mostly variables, held against others.

use super::select::expand_all;
use crate::sieve::Fault;
use crate::sieve::check::{Checker, Test};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

struct StringTest {
    sources: Vec<Text>,
    keys: Keys,
}

/// `string`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let sources = bound.next_texts("strings to look at", checker)?;
    let keys = matcher.keys(&mut bound, "what to look for", checker)?;
    bound.done()?;
    Ok(Box::new(StringTest { sources, keys }))
}

impl Test for StringTest {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let mut values = expand_all(&self.sources, run)?;
        // RFC 5229 §5: the empty string does not count.
        if self.keys.counts() {
            values.retain(|value| !value.is_empty());
        }
        self.keys.any(&values, run)
    }
}
