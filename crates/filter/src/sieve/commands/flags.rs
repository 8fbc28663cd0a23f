//! Flags (RFC 5232): `setflag`, `addflag`, `removeflag`, and the tag `:flags`.
//!
//! Without the name of a variable the three change the internal one, which the keeps and filings that say
//! nothing else then use. A list of flags may also stand in one string, with spaces.

use crate::sieve::Fault;
use crate::sieve::check::{Bound, Checker, Command, Tag, Takes};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::{Name, Text};

/// `:flags`.
pub(crate) const TAGS: &[Tag] = &[Tag::new("flags", Takes::Strings, "imap4flags")];

/// More flags than this are not kept.
const MAX_FLAGS: usize = 100;

#[derive(Clone, Copy)]
enum Change {
    Set,
    Add,
    Remove,
}

struct Flags {
    change: Change,
    variable: Option<Name>,
    flags: Vec<Text>,
}

/// `setflag`.
pub(crate) fn set(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    compile(node, checker, Change::Set)
}

/// `addflag`.
pub(crate) fn add(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    compile(node, checker, Change::Add)
}

/// `removeflag`.
pub(crate) fn remove(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    compile(node, checker, Change::Remove)
}

fn compile(
    node: &Node,
    checker: &mut Checker<'_>,
    change: Change,
) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[])?;
    let variable = match bound.left() {
        2 => Some(variable(&mut bound, checker)?),
        _ => None,
    };
    let flags = bound.next_texts("flags", checker)?;
    bound.done()?;
    Ok(Box::new(Flags { change, variable, flags }))
}

/// The name of a variable that holds flags.
fn variable(bound: &mut Bound<'_>, checker: &Checker<'_>) -> Result<Name, Fault> {
    let (name, at) = bound.next_constant("the name of a variable")?;
    checker.needs("variables", at, "a variable that holds flags")?;
    Name::parse(name, checker.has("include")).map_err(|why| at.fault(why))
}

impl Command for Flags {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let given = expand(&self.flags, run)?;
        let old = match &self.variable {
            Some(name) => words(run.variable(name)).map(str::to_owned).collect(),
            None => run.flags.clone(),
        };
        let new = match self.change {
            Change::Set => given,
            Change::Add => unique(old.into_iter().chain(given)),
            Change::Remove => old.into_iter().filter(|flag| !holds(&given, flag)).collect(),
        };
        match &self.variable {
            Some(name) => run.set_variable(name, new.join(" "))?,
            None => {
                run.note(format!("flags are now ({})", new.join(" ")));
                run.flags = new;
            }
        }
        Ok(Flow::Next)
    }
}

/// The flags in some strings, each once.
pub(crate) fn expand(texts: &[Text], run: &mut Run<'_>) -> Result<Vec<String>, Halt> {
    let mut all = Vec::new();
    for text in texts {
        let text = text.expand(run)?;
        all.extend(words(&text).map(str::to_owned));
    }
    run.charge(all.len() as u64)?;
    Ok(unique(all))
}

/// What an action that says `:flags` or nothing sets.
pub(crate) fn for_action(texts: Option<&[Text]>, run: &mut Run<'_>) -> Result<Vec<String>, Halt> {
    match texts {
        Some(texts) => expand(texts, run),
        None => Ok(run.flags.clone()),
    }
}

fn unique(flags: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for flag in flags {
        if out.len() < MAX_FLAGS && is_flag(&flag) && !holds(&out, &flag) {
            out.push(flag);
        }
    }
    out
}

/// Flags are case-insensitive (RFC 5232 §2).
fn holds(flags: &[String], flag: &str) -> bool {
    flags.iter().any(|other| other.eq_ignore_ascii_case(flag))
}

/// The words of a string of flags.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace()
}

/// Whether IMAP could set it: a keyword, or a system flag other than `\Recent` (RFC 9051 §2.3.2). What
/// could not is passed over (RFC 5232 §2).
fn is_flag(flag: &str) -> bool {
    match flag.strip_prefix('\\') {
        Some(system) => ["answered", "deleted", "draft", "flagged", "seen"]
            .iter()
            .any(|known| system.eq_ignore_ascii_case(known)),
        None => {
            !flag.is_empty()
                && flag.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
        }
    }
}
