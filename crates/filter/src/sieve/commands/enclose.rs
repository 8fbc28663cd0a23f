//! `enclose` (RFC 5703 §6): the message becomes an attachment of a new one that says something about it.

use waxwing_message::compose::Mailbox;
use waxwing_message::compose::entity::Entity;
use waxwing_message::compose::header::FieldWriter;

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::letter::written_date;
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;

const TAGS: &[Tag] = &[
    Tag::new("subject", Takes::String, "enclose"),
    Tag::new("headers", Takes::Strings, "enclose"),
];

struct Enclose {
    subject: Option<Text>,
    headers: Option<Vec<Text>>,
    text: Text,
}

/// `enclose`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[TAGS])?;
    let text = bound.next_text("what is said about the message", checker)?;
    bound.done()?;
    Ok(Box::new(Enclose {
        subject: bound.text_of("subject", checker)?,
        headers: bound.texts_of("headers", checker)?,
        text,
    }))
}

impl Command for Enclose {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let text = self.text.expand(run)?;
        let subject = self.subject.as_ref().map(|text| text.expand(run)).transpose()?;
        let mut copied = Vec::new();
        for name in self.headers.iter().flatten() {
            copied.push(name.expand(run)?);
        }
        run.part_ways()?;
        run.charge_edited(run.mail.octets().saturating_mul(2))?;
        let random = run.fresh_random();
        let message = self.written(&text, subject.as_deref(), &copied, random, run);
        run.mail.replace_all(message);
        if run.loops.is_empty() {
            run.mail.settle();
        }
        run.note("enclose the message in a new one");
        run.changed()?;
        Ok(Flow::Next)
    }
}

impl Enclose {
    fn written(
        &self,
        text: &str,
        subject: Option<&str>,
        copied: &[String],
        random: [u8; 16],
        run: &Run<'_>,
    ) -> Vec<u8> {
        let context = run.context;
        let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let mut out: Vec<u8> = run
            .mail
            .written_fields(|name| {
                let wanted = copied.iter().any(|other| is(name, other));
                let kept_subject = subject.is_none() && is(name, "Subject");
                (wanted || kept_subject)
                    && !(subject.is_some() && is(name, "Subject"))
                    && !name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"))
                    && !is(name, "MIME-Version")
            })
            .concat();
        let mut fields = FieldWriter::default();
        let has = |name: &str| copied.iter().any(|other| other.eq_ignore_ascii_case(name));
        if !has("From") {
            let own = Mailbox { name: context.own_name.clone(), address: context.to.clone() };
            fields.mailboxes("From", &[own]);
        }
        if !has("Date") {
            fields.raw("Date", &written_date(context.now, context.zone));
        }
        if let Some(subject) = subject {
            fields.text("Subject", subject);
        }
        fields.raw("MIME-Version", "1.0");
        out.extend_from_slice(&fields.into_bytes());
        let parts =
            vec![Entity::text("plain", text), Entity::as_is("message/rfc822", run.mail.to_bytes())];
        Entity::multipart("mixed", parts).write(&mut out, random);
        out
    }
}
