//! Where the message goes: `keep` (RFC 5228 §4.3), `discard` (§4.4) and `fileinto` (§4.1), the latter with
//! `:copy` (RFC 3894), `:create` (RFC 5490) and `:specialuse` (RFC 8579).

use super::flags;
use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;
use crate::sieve::{Action, Fault, FileInto, Keep};

/// The longest name of a mailbox in octets.
const MAX_MAILBOX_OCTETS: usize = 1000;

struct KeepCommand {
    flags: Option<Vec<Text>>,
}

/// `keep`.
pub(crate) fn keep(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let bound = checker.bind(node, &[flags::TAGS])?;
    let flags = bound.texts_of("flags", checker)?;
    bound.done()?;
    Ok(Box::new(KeepCommand { flags }))
}

impl Command for KeepCommand {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let flags = flags::for_action(self.flags.as_deref(), run)?;
        let version = run.version()?;
        run.note(format!("keep{}", with_flags(&flags)));
        run.cancel_implicit_keep();
        run.act(Action::Keep(Keep { flags, version }))?;
        Ok(Flow::Next)
    }
}

struct Discard;

/// `discard`.
pub(crate) fn discard(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    checker.bind(node, &[])?.done()?;
    Ok(Box::new(Discard))
}

impl Command for Discard {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        run.note("discard");
        run.cancel_implicit_keep();
        run.act(Action::Discard)?;
        Ok(Flow::Next)
    }
}

const FILEINTO: &[Tag] = &[
    Tag::new("copy", Takes::Nothing, "copy"),
    Tag::new("create", Takes::Nothing, "mailbox"),
    Tag::new("specialuse", Takes::String, "special-use"),
];

struct FileIntoCommand {
    mailbox: Text,
    flags: Option<Vec<Text>>,
    special_use: Option<Text>,
    copy: bool,
    create: bool,
}

/// `fileinto`.
pub(crate) fn fileinto(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[FILEINTO, flags::TAGS])?;
    let mailbox = bound.next_text("the name of a mailbox", checker)?;
    bound.done()?;
    if let Some(why) = mailbox.constant().and_then(mailbox_fault) {
        return Err(bound.at.fault(why));
    }
    Ok(Box::new(FileIntoCommand {
        mailbox,
        flags: bound.texts_of("flags", checker)?,
        special_use: bound.text_of("specialuse", checker)?,
        copy: bound.flag("copy"),
        create: bound.flag("create"),
    }))
}

/// Why a name cannot be that of a mailbox.
pub(crate) fn mailbox_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("the name of a mailbox is empty");
    }
    if name.len() > MAX_MAILBOX_OCTETS {
        return Some("the name of a mailbox is longer than 1000 octets");
    }
    name.chars()
        .any(char::is_control)
        .then_some("the name of a mailbox may hold neither line ends nor control characters")
}

impl Command for FileIntoCommand {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let mailbox = self.mailbox.expand(run)?;
        if let Some(why) = mailbox_fault(&mailbox) {
            return Err(run.value_error(why));
        }
        let flags = flags::for_action(self.flags.as_deref(), run)?;
        let special_use = self.special_use.as_ref().map(|text| text.expand(run)).transpose()?;
        let version = run.version()?;
        let copy = if self.copy { " as a copy" } else { "" };
        run.note(format!("fileinto \"{mailbox}\"{copy}{}", with_flags(&flags)));
        if !self.copy {
            run.cancel_implicit_keep();
        }
        run.act(Action::FileInto(FileInto {
            mailbox,
            create: self.create,
            special_use,
            flags,
            copy: self.copy,
            version,
        }))?;
        Ok(Flow::Next)
    }
}

fn with_flags(flags: &[String]) -> String {
    match flags.is_empty() {
        true => String::new(),
        false => format!(" with flags ({})", flags.join(" ")),
    }
}
