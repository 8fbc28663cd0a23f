//! `foreverypart` and `break` (RFC 5703 §3): a loop over the parts of the message, in their order.

use crate::sieve::Fault;
use crate::sieve::check::{Block, Checker, Command, Tag, Takes};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};

const TAGS: &[Tag] = &[Tag::new("name", Takes::String, "foreverypart")];

struct ForEveryPart {
    name: Option<String>,
    block: Block,
}

/// `foreverypart`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let bound = checker.bind_arguments(node, &[TAGS])?;
    bound.done()?;
    if let Some(test) = node.tests.first() {
        return Err(test.at.fault("\"foreverypart\" takes no test: put an \"if\" into its block"));
    }
    let Some(block) = &node.block else {
        return Err(node.at.fault("after \"foreverypart\" must stand a block: \"{\" … \"}\""));
    };
    let name = bound.string_of("name").map(|(name, _)| name.to_owned());
    checker.loops.push(name.clone());
    let block = checker.block(block);
    checker.loops.pop();
    Ok(Box::new(ForEveryPart { name, block }))
}

impl Command for ForEveryPart {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        if run.loops.len() >= run.context.limits.loop_depth {
            return Err(run.limit("loops inside one another"));
        }
        // RFC 5703 §3: an inner loop goes over what stands in the part of the outer one.
        let (first, end) = match run.loops[run.outer_loops..].last() {
            Some(&part) => (part + 1, run.mail.parts()[part].end),
            None => (0, run.mail.parts().len()),
        };
        let mut flow = Flow::Next;
        for part in first..end {
            if run.mail.is_gone(part) {
                continue;
            }
            run.charge(1)?;
            run.loops.push(part);
            flow = run.block(&self.block)?;
            run.loops.pop();
            if flow != Flow::Next {
                break;
            }
        }
        if run.loops.is_empty() {
            run.mail.settle();
        }
        Ok(match flow {
            Flow::Break(None) => Flow::Next,
            Flow::Break(name) if name == self.name => Flow::Next,
            other => other,
        })
    }
}

struct Break {
    name: Option<String>,
}

/// `break`.
pub(crate) fn compile_break(
    node: &Node,
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Command>, Fault> {
    let bound = checker.bind(node, &[TAGS])?;
    bound.done()?;
    let name = bound.string_of("name").map(|(name, _)| name.to_owned());
    if checker.loops.is_empty() {
        return Err(node.at.fault("\"break\" stands outside of any \"foreverypart\""));
    }
    if name.is_some() && !checker.loops.contains(&name) {
        return Err(node.at.fault("no \"foreverypart\" around this \"break\" has that name"));
    }
    Ok(Box::new(Break { name }))
}

impl Command for Break {
    fn run(&self, _run: &mut Run<'_>) -> Result<Flow, Halt> {
        Ok(Flow::Break(self.name.clone()))
    }
}
