//! `error` (RFC 5463 §5): the script gives up, and says why.

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Command};
use crate::sieve::outcome::RunErrorKind;
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;

struct Error {
    reason: Text,
}

/// `error`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let reason = bound.next_text("why", checker)?;
    bound.done()?;
    Ok(Box::new(Error { reason }))
}

impl Command for Error {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let reason = self.reason.expand(run)?;
        Err(Halt(RunErrorKind::Said(reason)))
    }
}
