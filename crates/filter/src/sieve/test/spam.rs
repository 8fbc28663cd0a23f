//! `spamtest` and `virustest` (RFC 5235).
//!
//! | test | not tested | tested |
//! |---|---|---|
//! | `spamtest` | 0 | 1 (no spam) to 10 |
//! | `spamtest :percent` | 0 | 0 to 100 |
//! | `virustest` | 0 | 1 (clean) to 5 |
//!
//! `:count` is 1 when the message was tested, else 0 (§2.2).

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Tag, Takes, Test};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};

const PERCENT: &[Tag] = &[Tag::new("percent", Takes::Nothing, "spamtestplus")];

enum Scale {
    Spam,
    Percent,
    Virus,
}

struct Score {
    scale: Scale,
    keys: Keys,
}

/// `spamtest`.
pub(crate) fn spamtest(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    compile(node, checker, Scale::Spam)
}

/// `virustest`.
pub(crate) fn virustest(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    compile(node, checker, Scale::Virus)
}

fn compile(node: &Node, checker: &mut Checker<'_>, scale: Scale) -> Result<Box<dyn Test>, Fault> {
    let tags: &[&'static [Tag]] = match scale {
        Scale::Virus => &[matching::TAGS],
        _ => &[matching::TAGS, PERCENT],
    };
    let mut bound = checker.bind(node, tags)?;
    let matcher = Matcher::new(&bound, checker)?;
    let keys = matcher.keys(&mut bound, "a score", checker)?;
    bound.done()?;
    let scale = if bound.flag("percent") { Scale::Percent } else { scale };
    Ok(Box::new(Score { scale, keys }))
}

impl Test for Score {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let percent = run.context.spam_percent.map(|percent| percent.clamp(0.0, 100.0));
        let score = match self.scale {
            Scale::Spam => percent.map(|percent| (percent * 9.0 / 100.0) as u32 + 1),
            Scale::Percent => percent.map(|percent| percent as u32),
            Scale::Virus => run.context.virus_level.map(|level| u32::from(level.clamp(1, 5))),
        };
        match score {
            None if self.keys.counts() => self.keys.any(&[], run),
            score => self.keys.any(&[score.unwrap_or(0).to_string()], run),
        }
    }
}
