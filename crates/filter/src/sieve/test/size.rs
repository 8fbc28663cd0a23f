//! `size` (RFC 5228 §5.9).

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Tag, Takes, Test};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};

const TAGS: &[Tag] = &[
    Tag { name: "over", takes: Takes::Nothing, extension: "", group: "limit" },
    Tag { name: "under", takes: Takes::Nothing, extension: "", group: "limit" },
];

struct Size {
    over: bool,
    octets: u64,
}

/// `size`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[TAGS])?;
    let Some((tag, _)) = bound.of_group("limit") else {
        return Err(bound.at.fault("\"size\" needs \":over\" or \":under\" before its number"));
    };
    let octets = bound.next_number("a number of octets, such as 100K")?;
    bound.done()?;
    Ok(Box::new(Size { over: tag == "over", octets }))
}

impl Test for Size {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let octets = run.mail.octets() as u64;
        Ok(if self.over { octets > self.octets } else { octets < self.octets })
    }
}
