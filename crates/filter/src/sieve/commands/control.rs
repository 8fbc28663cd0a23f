//! `if`, `elsif`, `else` (RFC 5228 §3.1) and `stop` (§3.3).

use crate::sieve::Fault;
use crate::sieve::check::{Block, Checker, Command, Test};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};

/// How many of these nodes make one `if` with what follows it.
pub(crate) fn chain_length(nodes: &[Node]) -> usize {
    let elsifs = nodes[1..].iter().take_while(|node| node.name == "elsif").count();
    1 + elsifs + usize::from(nodes.get(1 + elsifs).is_some_and(|node| node.name == "else"))
}

struct If {
    branches: Vec<Branch>,
}

struct Branch {
    line: u32,
    /// `None` for `else`.
    test: Option<Box<dyn Test>>,
    block: Block,
}

/// An `if` with its `elsif` and `else`.
pub(crate) fn compile_if(
    nodes: &[Node],
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Command>, Fault> {
    let mut branches = Vec::new();
    // RFC 5463 §4: what `ihave` rules out may hold anything.
    let mut ruled_out = false;
    for node in nodes {
        if ruled_out {
            break;
        }
        let around = std::mem::take(&mut checker.ihave_asked);
        let test = test_of(node, checker);
        let by_ihave = std::mem::replace(&mut checker.ihave_asked, around);
        let test = test?;
        let Some(block) = &node.block else {
            return Err(node.at.fault(format!(
                "after \"{}\" and its test must stand a block: \"{{\" … \"}}\"",
                node.name
            )));
        };
        let constant = test.as_deref().and_then(Test::constant).filter(|_| by_ihave);
        if constant == Some(false) {
            continue;
        }
        ruled_out = constant == Some(true);
        branches.push(Branch { line: node.at.line, test, block: checker.block(block) });
    }
    Ok(Box::new(If { branches }))
}

fn test_of(node: &Node, checker: &mut Checker<'_>) -> Result<Option<Box<dyn Test>>, Fault> {
    if let Some(argument) = node.arguments.first() {
        return Err(argument.at.fault(format!(
            "after \"{}\" a test must stand, such as header :contains \"Subject\" \"word\"",
            node.name
        )));
    }
    match (node.name.as_str(), node.tests.as_slice()) {
        ("else", []) => Ok(None),
        ("else", [test, ..]) => Err(test.at.fault("\"else\" has no test: write \"elsif\"")),
        (_, [test]) if !node.listed => checker.test(test).map(Some),
        (_, []) => Err(node.at.fault(format!("\"{}\" lacks its test", node.name))),
        (_, [test, ..]) => Err(test
            .at
            .fault("here only one test may stand: put anyof or allof before the parentheses")),
    }
}

impl Command for If {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        for branch in &self.branches {
            let holds = match &branch.test {
                Some(test) => test.holds(run)?,
                None => true,
            };
            if holds {
                run.note(match branch.test {
                    Some(_) => format!("the test in line {} holds", branch.line),
                    None => format!("else, in line {}", branch.line),
                });
                return run.block(&branch.block);
            }
        }
        Ok(Flow::Next)
    }
}

struct Stop;

/// `stop`.
pub(crate) fn stop(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    checker.bind(node, &[])?.done()?;
    Ok(Box::new(Stop))
}

impl Command for Stop {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        run.note("stop");
        Ok(Flow::Stop)
    }
}
