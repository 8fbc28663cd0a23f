//! `replace` (RFC 5703 §5): other words in the place of a part, or of the whole message.

use waxwing_message::compose::Mailbox;
use waxwing_message::compose::entity::Entity;
use waxwing_message::compose::header::FieldWriter;

use super::vacation::mailbox;
use crate::sieve::Fault;
use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::letter::mime_entity;
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;

const TAGS: &[Tag] = &[
    Tag::new("mime", Takes::Nothing, "replace"),
    Tag::new("subject", Takes::String, "replace"),
    Tag::new("from", Takes::String, "replace"),
];

struct Replace {
    mime: bool,
    subject: Option<Text>,
    from: Option<Text>,
    text: Text,
}

/// `replace`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[TAGS])?;
    let text = bound.next_text("what stands there instead", checker)?;
    bound.done()?;
    Ok(Box::new(Replace {
        mime: bound.flag("mime"),
        subject: bound.text_of("subject", checker)?,
        from: bound.text_of("from", checker)?,
        text,
    }))
}

impl Command for Replace {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let text = self.text.expand(run)?;
        let random = run.fresh_random();
        let mut entity = Vec::new();
        match self.mime {
            true => entity = mime_entity(&text),
            false => Entity::text("plain", &text).write(&mut entity, random),
        }
        let part = run.part();
        run.part_ways()?;
        run.charge_edited(entity.len())?;
        run.note(format!("replace part {part} of the message"));
        if part > 0 {
            run.mail.replace_part(part, entity);
        } else {
            let mut message = self.header(run)?;
            run.charge_edited(message.len())?;
            message.extend_from_slice(&entity);
            run.mail.replace_all(message);
            if run.loops.is_empty() {
                run.mail.settle();
            }
        }
        run.changed()?;
        Ok(Flow::Next)
    }
}

impl Replace {
    /// The header of the message without what said its structure; Subject and From stay under other
    /// names where new ones are given.
    fn header(&self, run: &mut Run<'_>) -> Result<Vec<u8>, Halt> {
        let subject = self.subject.as_ref().map(|text| text.expand(run)).transpose()?;
        let from: Option<Mailbox> = match &self.from {
            None => None,
            Some(text) => {
                let text = text.expand(run)?;
                Some(mailbox(&text).ok_or_else(|| {
                    run.value_error(format!("\"{text}\" is not one email address: mend :from"))
                })?)
            }
        };
        let mut out = Vec::new();
        let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let structure = |name: &[u8]| {
            is(name, "MIME-Version")
                || name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"))
        };
        for field in run.mail.written_fields(|name| !structure(name)) {
            let colon = memchr::memchr(b':', &field).unwrap_or(0);
            let name = field[..colon].trim_ascii_end();
            let renamed =
                (is(name, "Subject") && subject.is_some()) || (is(name, "From") && from.is_some());
            if renamed {
                out.extend_from_slice(b"Original-");
            }
            out.extend_from_slice(&field);
        }
        let mut fields = FieldWriter::default();
        if let Some(from) = &from {
            fields.mailboxes("From", std::slice::from_ref(from));
        }
        if let Some(subject) = &subject {
            fields.text("Subject", subject);
        }
        fields.raw("MIME-Version", "1.0");
        out.extend_from_slice(&fields.into_bytes());
        Ok(out)
    }
}
