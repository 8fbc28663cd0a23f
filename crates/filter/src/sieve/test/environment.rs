//! `environment` (RFC 5183): what surrounds the script.

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Test};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

struct Environment {
    item: Text,
    keys: Keys,
}

/// `environment`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let item = bound.next_text("an item, such as \"remote-ip\"", checker)?;
    let keys = matcher.keys(&mut bound, "what to look for", checker)?;
    bound.done()?;
    Ok(Box::new(Environment { item, keys }))
}

impl Test for Environment {
    /// Of an item that is not known, nothing holds (RFC 5183 §4).
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let item = self.item.expand(run)?.to_ascii_lowercase();
        let given = run.context.environment.iter().find(|(name, _)| *name == item);
        let value = given.map(|(_, value)| value.clone()).or_else(|| {
            // RFC 5183 §4.1: these two are the interpreter's own.
            match item.as_str() {
                "name" => Some("Waxwing".to_owned()),
                "version" => Some(env!("CARGO_PKG_VERSION").to_owned()),
                _ => None,
            }
        });
        match value {
            Some(value) => self.keys.any(&[value], run),
            None => Ok(false),
        }
    }
}
