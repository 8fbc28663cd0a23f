//! `addheader` and `deleteheader` (RFC 5293).
//!
//! `Received` and `Auto-Submitted` stay (§6), and so do the fields that make the structure of the message:
//! tests and actions rely on it.

use std::collections::BTreeSet;

use waxwing_message::compose::header::FieldWriter;

use crate::sieve::Fault;
use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;

/// The longest value of a field in octets.
const MAX_VALUE_OCTETS: usize = 16 << 10;
const PROTECTED: [&str; 2] = ["received", "auto-submitted"];

const LAST: &[Tag] = &[Tag::new("last", Takes::Nothing, "editheader")];
const INDEX: &[Tag] = &[Tag::new("index", Takes::Number, "editheader")];

struct AddHeader {
    name: Text,
    value: Text,
    last: bool,
}

/// `addheader`.
pub(crate) fn add(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[LAST])?;
    let name = bound.next_text("the name of a field", checker)?;
    let value = bound.next_text("its value", checker)?;
    bound.done()?;
    if let Some(why) = name.constant().and_then(name_fault) {
        return Err(bound.at.fault(why));
    }
    Ok(Box::new(AddHeader { name, value, last: bound.flag("last") }))
}

/// RFC 5322 §2.2.
fn name_fault(name: &str) -> Option<String> {
    let fine = !name.is_empty()
        && name.len() <= 70
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    (!fine).then(|| format!("\"{name}\" is no name for a field: take letters, digits and \"-\""))
}

fn is_protected(name: &str) -> bool {
    PROTECTED.iter().any(|known| known.eq_ignore_ascii_case(name.trim()))
}

impl Command for AddHeader {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let name = self.name.expand(run)?;
        if let Some(why) = name_fault(&name) {
            return Err(run.value_error(why));
        }
        let value = self.value.expand(run)?;
        if value.len() > MAX_VALUE_OCTETS {
            return Err(run.value_error("the value of a field has at most 16384 octets"));
        }
        // RFC 5293 §4: white space at the ends goes, lines are folded, other text is encoded.
        let mut writer = FieldWriter::default();
        writer.text(&name, value.trim());
        let field = writer.into_bytes();
        run.charge_edited(field.len())?;
        for mail in [Some(&mut run.mail), run.forwarded.as_mut()].into_iter().flatten() {
            mail.add_field(field.clone(), self.last);
        }
        run.note(format!("addheader \"{name}\" \"{}\"", value.trim()));
        run.changed()?;
        Ok(Flow::Next)
    }
}

struct DeleteHeader {
    name: Text,
    values: Option<Keys>,
    index: Option<u64>,
    last: bool,
}

/// `deleteheader`.
pub(crate) fn delete(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[LAST, INDEX, matching::TAGS])?;
    let matcher = Matcher::new(&bound, checker)?;
    let name = bound.next_text("the name of a field", checker)?;
    if let Some(why) = name.constant().and_then(name_fault) {
        return Err(bound.at.fault(why));
    }
    if let (Some(at), false) = (bound.place("last"), bound.flag("index")) {
        // RFC 5293 §5.
        return Err(at.fault("\":last\" stands with \":index\" only: add it, or remove this"));
    }
    let index = bound.number_of("index");
    if index == Some(0) {
        return Err(bound.at.fault("\":index\" counts from 1"));
    }
    let values = match bound.left() {
        0 => None,
        _ => Some(matcher.keys(&mut bound, "values", checker)?),
    };
    bound.done()?;
    Ok(Box::new(DeleteHeader { name, values, index, last: bound.flag("last") }))
}

impl Command for DeleteHeader {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let name = self.name.expand(run)?;
        if let Some(why) = name_fault(&name) {
            return Err(run.value_error(why));
        }
        if is_protected(&name) {
            // RFC 5293 §6.
            run.note(format!("deleteheader \"{name}\": this field may not be deleted"));
            return Ok(Flow::Next);
        }
        run.charge(run.mail.fields(0).len() as u64 / 16)?;
        let fields = run.mail.fields(0);
        let named: Vec<(usize, String)> = fields
            .iter()
            .enumerate()
            .filter(|(_, (field, _))| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(i, (_, value))| (i, crate::sieve::test::header_text(value)))
            .collect();
        let chosen = self.chosen(named.len());
        let mut deleted = Vec::new();
        for (i, value) in &named[chosen] {
            let matches = match &self.values {
                Some(keys) => keys.any(std::slice::from_ref(value), run)?,
                None => true,
            };
            if matches {
                deleted.push(*i);
            }
        }
        if deleted.is_empty() {
            return Ok(Flow::Next);
        }
        run.note(format!("deleteheader \"{name}\": {} deleted", deleted.len()));
        // Once `replace` or `enclose` was used, the message that `redirect` sends has a header of its own.
        if let Some(mail) = &mut run.forwarded {
            let fields = run.mail.fields(0);
            let gone: BTreeSet<(&[u8], &[u8])> = deleted.iter().map(|i| fields[*i]).collect();
            let others = mail.fields(0);
            let is_gone = |i: &usize| gone.contains(&others[*i]);
            let same: Vec<usize> = (0..others.len()).filter(is_gone).collect();
            mail.remove_fields(&same);
        }
        run.mail.remove_fields(&deleted);
        run.changed()?;
        Ok(Flow::Next)
    }
}

impl DeleteHeader {
    /// Which of so many fields of the name come into question.
    fn chosen(&self, count: usize) -> std::ops::Range<usize> {
        match self.index.map(|index| index as usize) {
            None => 0..count,
            Some(index) if index > count => 0..0,
            Some(index) if self.last => count - index..count - index + 1,
            Some(index) => index - 1..index,
        }
    }
}
