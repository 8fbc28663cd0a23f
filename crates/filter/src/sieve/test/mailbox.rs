//! What mailboxes there are, and what is noted of them: `mailboxexists`, `metadata`, `metadataexists`,
//! `servermetadata`, `servermetadataexists` (RFC 5490), `specialuse_exists` (RFC 8579 §4).

use super::select::expand_all;
use crate::sieve::Fault;
use crate::sieve::check::{Checker, Test};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

struct MailboxExists(Vec<Text>);

/// `mailboxexists`.
pub(crate) fn mailboxexists(
    node: &Node,
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let names = bound.next_texts("names of mailboxes", checker)?;
    bound.done()?;
    Ok(Box::new(MailboxExists(names)))
}

impl Test for MailboxExists {
    /// All of them must be there.
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let names = expand_all(&self.0, run)?;
        run.charge(names.len() as u64)?;
        Ok(names.iter().all(|name| run.world.mailbox_exists(name)))
    }
}

struct SpecialUseExists {
    mailbox: Option<Text>,
    uses: Vec<Text>,
}

/// `specialuse_exists`.
pub(crate) fn specialuse_exists(
    node: &Node,
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let mailbox = match bound.left() {
        2 => Some(bound.next_text("the name of a mailbox", checker)?),
        _ => None,
    };
    let uses = bound.next_texts("special uses, such as \"\\\\Junk\"", checker)?;
    bound.done()?;
    Ok(Box::new(SpecialUseExists { mailbox, uses }))
}

impl Test for SpecialUseExists {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let mailbox = self.mailbox.as_ref().map(|text| text.expand(run)).transpose()?;
        let uses = expand_all(&self.uses, run)?;
        run.charge(uses.len() as u64)?;
        Ok(uses.iter().all(|name| run.world.special_use_exists(mailbox.as_deref(), name)))
    }
}

struct Metadata {
    /// `None` for the server's.
    mailbox: Option<Text>,
    annotation: Text,
    keys: Keys,
}

/// `metadata`.
pub(crate) fn metadata(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    compile_metadata(node, checker, true)
}

/// `servermetadata`.
pub(crate) fn servermetadata(
    node: &Node,
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Test>, Fault> {
    compile_metadata(node, checker, false)
}

fn compile_metadata(
    node: &Node,
    checker: &mut Checker<'_>,
    of_mailbox: bool,
) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let mailbox = match of_mailbox {
        true => Some(bound.next_text("the name of a mailbox", checker)?),
        false => None,
    };
    let annotation = bound.next_text("the name of an annotation", checker)?;
    let keys = matcher.keys(&mut bound, "what to look for", checker)?;
    bound.done()?;
    Ok(Box::new(Metadata { mailbox, annotation, keys }))
}

impl Test for Metadata {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let mailbox = self.mailbox.as_ref().map(|text| text.expand(run)).transpose()?;
        let annotation = self.annotation.expand(run)?;
        match run.world.metadata(mailbox.as_deref(), &annotation) {
            Some(value) => self.keys.any(&[value], run),
            None => Ok(false),
        }
    }
}

struct MetadataExists {
    mailbox: Option<Text>,
    annotations: Vec<Text>,
}

/// `metadataexists`.
pub(crate) fn metadataexists(
    node: &Node,
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let mailbox = Some(bound.next_text("the name of a mailbox", checker)?);
    let annotations = bound.next_texts("names of annotations", checker)?;
    bound.done()?;
    Ok(Box::new(MetadataExists { mailbox, annotations }))
}

/// `servermetadataexists`.
pub(crate) fn servermetadataexists(
    node: &Node,
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let annotations = bound.next_texts("names of annotations", checker)?;
    bound.done()?;
    Ok(Box::new(MetadataExists { mailbox: None, annotations }))
}

impl Test for MetadataExists {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let mailbox = self.mailbox.as_ref().map(|text| text.expand(run)).transpose()?;
        let annotations = expand_all(&self.annotations, run)?;
        run.charge(annotations.len() as u64)?;
        let there = |name: &String| run.world.metadata(mailbox.as_deref(), name).is_some();
        Ok(annotations.iter().all(there))
    }
}
