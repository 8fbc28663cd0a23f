//! `valid_notify_method` and `notify_method_capability` (RFC 5435 §4, §5).

use super::select::expand_all;
use crate::sieve::Fault;
use crate::sieve::check::{Checker, Test};
use crate::sieve::commands::notify::Mailto;
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

struct Valid(Vec<Text>);

/// `valid_notify_method`.
pub(crate) fn valid(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let methods = bound.next_texts("methods, such as mailto:me@example.org", checker)?;
    bound.done()?;
    Ok(Box::new(Valid(methods)))
}

impl Test for Valid {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let methods = expand_all(&self.0, run)?;
        Ok(methods.iter().all(|uri| Mailto::parse(uri).is_ok()))
    }
}

struct Capability {
    method: Text,
    capability: Text,
    keys: Keys,
}

/// `notify_method_capability`.
pub(crate) fn capability(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let method = bound.next_text("a method", checker)?;
    let capability = bound.next_text("a capability, such as \"online\"", checker)?;
    let keys = matcher.keys(&mut bound, "what to look for", checker)?;
    bound.done()?;
    Ok(Box::new(Capability { method, capability, keys }))
}

impl Test for Capability {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let method = self.method.expand(run)?;
        let capability = self.capability.expand(run)?;
        // RFC 5436 §2.2: who has mail is perhaps there.
        match Mailto::parse(&method).is_ok() && capability.eq_ignore_ascii_case("online") {
            true => self.keys.any(&["maybe".to_owned()], run),
            false => Ok(false),
        }
    }
}
