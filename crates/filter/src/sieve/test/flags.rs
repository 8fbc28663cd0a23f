//! `hasflag` (RFC 5232 §4).

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Test};
use crate::sieve::commands::flag_words;
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Name;

struct HasFlag {
    /// Empty for the internal variable.
    variables: Vec<Name>,
    keys: Keys,
}

/// `hasflag`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let mut variables = Vec::new();
    if bound.left() == 2 {
        for (name, at) in bound.next_constants("names of variables")? {
            checker.needs("variables", at, "a variable that holds flags")?;
            variables
                .push(Name::parse(&name, checker.has("include")).map_err(|why| at.fault(why))?);
        }
    }
    let mut keys = matcher.keys(&mut bound, "flags", checker)?;
    // RFC 5232 §2: a list of flags may stand in one string.
    keys.split_at_spaces = true;
    bound.done()?;
    Ok(Box::new(HasFlag { variables, keys }))
}

impl Test for HasFlag {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let mut flags = Vec::new();
        for name in &self.variables {
            flags.extend(flag_words(run.variable(name)).map(str::to_owned));
        }
        if self.variables.is_empty() {
            flags.clone_from(&run.flags);
        }
        self.keys.any(&flags, run)
    }
}
