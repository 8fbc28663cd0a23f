//! `duplicate` (RFC 7352): was this message, or one like it, here before?

use waxwing_message::parse::words;

use super::header_text;
use crate::sieve::check::{Checker, Tag, Takes, Test};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;
use crate::sieve::{DuplicateId, Fault};

const TAGS: &[Tag] = &[
    Tag::new("handle", Takes::String, "duplicate"),
    Tag { name: "header", takes: Takes::String, extension: "duplicate", group: "id" },
    Tag { name: "uniqueid", takes: Takes::String, extension: "duplicate", group: "id" },
    Tag::new("seconds", Takes::Number, "duplicate"),
    Tag::new("last", Takes::Nothing, "duplicate"),
];

/// RFC 7352 §3.3 suggests a week.
const DEFAULT_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Ids longer than this are told apart by their digest.
const MAX_ID_OCTETS: usize = 256;

enum Source {
    Header(Text),
    Value(Text),
}

struct Duplicate {
    handle: Option<Text>,
    source: Source,
    seconds: u64,
    last: bool,
}

/// `duplicate`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let bound = checker.bind(node, &[TAGS])?;
    bound.done()?;
    let source = match (bound.text_of("header", checker)?, bound.text_of("uniqueid", checker)?) {
        (Some(name), _) => Source::Header(name),
        (None, Some(value)) => Source::Value(value),
        (None, None) => Source::Header(Text::literal("Message-ID")),
    };
    Ok(Box::new(Duplicate {
        handle: bound.text_of("handle", checker)?,
        source,
        seconds: bound.number_of("seconds").unwrap_or(DEFAULT_SECONDS),
        last: bound.flag("last"),
    }))
}

impl Test for Duplicate {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let handle = self.handle.as_ref().map(|text| text.expand(run)).transpose()?;
        let id = match &self.source {
            Source::Value(text) => Some(text.expand(run)?),
            Source::Header(name) => {
                let name = name.expand(run)?;
                let value = run.mail.values(0, name.trim()).first().map(|value| {
                    // RFC 7352 §3.1: of a Message-ID what stands in the brackets.
                    match name.trim().eq_ignore_ascii_case("Message-ID") {
                        true => words::message_ids(value).into_iter().next(),
                        false => Some(header_text(value)),
                    }
                });
                value.flatten()
            }
        };
        // RFC 7352 §3.1: what has no id is like nothing else.
        let Some(mut id) = id.filter(|id| !id.is_empty()) else { return Ok(false) };
        if id.len() > MAX_ID_OCTETS {
            id = blake3::hash(id.as_bytes()).to_hex().to_string();
        }
        let seconds = self.seconds.min(run.context.limits.duplicate_seconds);
        let handle = handle.unwrap_or_default();
        let id = DuplicateId { handle, id, seconds, last: self.last };
        let duplicate = run.world.duplicate(&id);
        if !run.seen.contains(&id) {
            if run.seen.len() >= run.context.limits.actions {
                return Err(run.limit("duplicate tests"));
            }
            run.seen.push(id);
        }
        if duplicate {
            run.note("the message was seen before");
        }
        Ok(duplicate)
    }
}
