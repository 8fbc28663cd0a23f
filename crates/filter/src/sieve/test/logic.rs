//! `true`, `false`, `not`, `allof`, `anyof` (RFC 5228 §5.2, §5.3, §5.6, §5.8, §5.10).
//!
//! What is decided before the message is known is decided when the script is compiled, so that `ihave`
//! can rule out what stands behind it: the tests after it, too (RFC 5463 §4).

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Test};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};

/// A test whose answer is known.
pub(super) struct Constant(pub bool);

impl Test for Constant {
    fn holds(&self, _run: &mut Run<'_>) -> Result<bool, Halt> {
        Ok(self.0)
    }
    fn constant(&self) -> Option<bool> {
        Some(self.0)
    }
}

/// `true`.
pub(crate) fn truth(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    checker.bind(node, &[])?.done()?;
    Ok(Box::new(Constant(true)))
}

/// `false`.
pub(crate) fn falsehood(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    checker.bind(node, &[])?.done()?;
    Ok(Box::new(Constant(false)))
}

struct Not(Box<dyn Test>);

/// `not`.
pub(crate) fn not(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    checker.bind_arguments(node, &[])?.done()?;
    match node.tests.as_slice() {
        [test] if !node.listed => Ok(Box::new(Not(checker.test(test)?))),
        _ => Err(node.at.fault("after \"not\" one test must stand, without parentheses")),
    }
}

impl Test for Not {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        run.charge(1)?;
        Ok(!self.0.holds(run)?)
    }
    fn constant(&self) -> Option<bool> {
        self.0.constant().map(|holds| !holds)
    }
}

/// Tests of which the first that answers `decisive` decides.
struct List {
    tests: Vec<Box<dyn Test>>,
    decisive: bool,
}

/// `allof`.
pub(crate) fn allof(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    list(node, checker, false)
}

/// `anyof`.
pub(crate) fn anyof(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    list(node, checker, true)
}

fn list(node: &Node, checker: &mut Checker<'_>, decisive: bool) -> Result<Box<dyn Test>, Fault> {
    checker.bind_arguments(node, &[])?.done()?;
    if !node.listed {
        return Err(node.at.fault(format!(
            "after \"{}\" tests must stand in parentheses, with commas between them",
            node.name
        )));
    }
    let around = std::mem::take(&mut checker.ihave_asked);
    let mut tests = Vec::new();
    for node in &node.tests {
        let test = checker.test(node)?;
        let decided = checker.ihave_asked && test.constant() == Some(decisive);
        tests.push(test);
        if decided {
            break;
        }
    }
    checker.ihave_asked |= around;
    Ok(Box::new(List { tests, decisive }))
}

impl Test for List {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        for test in &self.tests {
            run.charge(1)?;
            if test.holds(run)? == self.decisive {
                return Ok(self.decisive);
            }
        }
        Ok(!self.decisive)
    }
    fn constant(&self) -> Option<bool> {
        let mut answers = self.tests.iter().map(|test| test.constant());
        // What stands before a decisive test has no effects that would be missed but match
        // variables, and a test that is decided sets none.
        let all = answers.clone().all(|answer| answer == Some(!self.decisive));
        match answers.any(|answer| answer == Some(self.decisive)) {
            true => Some(self.decisive),
            false => all.then_some(!self.decisive),
        }
    }
}
