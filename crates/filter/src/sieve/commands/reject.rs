//! `reject` and `ereject` (RFC 5429): the message is given back to its sender, with words.
//!
//! How it is given back (refused while its sender is still connected, or by a report) is for the
//! one who carries the action out; `ereject` wants the first (§2.1), `reject` allows both (§2.2).

use crate::sieve::check::{Checker, Command};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;
use crate::sieve::{Action, Fault, Reject};

struct RejectCommand {
    reason: Text,
    ereject: bool,
}

/// `reject`.
pub(crate) fn reject(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    compile(node, checker, false)
}

/// `ereject`.
pub(crate) fn ereject(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    compile(node, checker, true)
}

fn compile(
    node: &Node,
    checker: &mut Checker<'_>,
    ereject: bool,
) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let reason = bound.next_text("the reason, for the sender to read", checker)?;
    bound.done()?;
    Ok(Box::new(RejectCommand { reason, ereject }))
}

impl Command for RejectCommand {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let reason = self.reason.expand(run)?;
        let name = if self.ereject { "ereject" } else { "reject" };
        run.note(format!("{name}: {reason}"));
        run.cancel_implicit_keep();
        run.act(Action::Reject(Reject { reason, ereject: self.ereject }))?;
        Ok(Flow::Next)
    }
}
