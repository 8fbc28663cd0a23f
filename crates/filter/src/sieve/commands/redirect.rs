//! `redirect` (RFC 5228 §4.2), with `:copy` (RFC 3894).

use waxwing_message::Address;

use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;
use crate::sieve::{Action, Fault, Redirect};

const TAGS: &[Tag] = &[Tag::new("copy", Takes::Nothing, "copy")];

struct RedirectCommand {
    address: Text,
    copy: bool,
}

/// `redirect`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[TAGS])?;
    let address = bound.next_text("an address", checker)?;
    bound.done()?;
    if let Some(constant) = address.constant() {
        parse_address(constant).map_err(|why| bound.at.fault(why))?;
    }
    Ok(Box::new(RedirectCommand { address, copy: bound.flag("copy") }))
}

/// One address, bare or in the form of a header field: `Joe <joe@example.org>` (RFC 5228 §2.4.2.3).
pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
    let text = text.trim();
    if let Ok(address) = Address::parse(text) {
        return Ok(address);
    }
    let items = waxwing_message::parse::addresses::parse(text.as_bytes());
    match items.as_slice() {
        [item] => item.address(),
        _ => None,
    }
    .ok_or_else(|| format!("\"{text}\" is not one email address: write it as name@example.org"))
}

impl Command for RedirectCommand {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let text = self.address.expand(run)?;
        let address = parse_address(&text).map_err(|why| run.value_error(why))?;
        let version = run.forwarded_version()?;
        run.note(format!("redirect {address}{}", if self.copy { " as a copy" } else { "" }));
        if !self.copy {
            run.cancel_implicit_keep();
        }
        run.act(Action::Redirect(Redirect { address, copy: self.copy, version }))?;
        Ok(Flow::Next)
    }
}
