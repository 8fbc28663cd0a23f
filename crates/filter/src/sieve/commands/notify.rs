//! `notify` (RFC 5435), by the method `mailto` (RFC 5436).

use waxwing_message::Address;
use waxwing_message::compose::Mailbox;
use waxwing_message::compose::header::FieldWriter;
use waxwing_message::parse::words;

use super::fcc::{self, FccTag};
use super::redirect::parse_address;
use super::vacation::mailbox;
use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::letter::{Content, Letter};
use crate::sieve::outcome::Reply;
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;
use crate::sieve::{Action, Fault, Notification};

const TAGS: &[Tag] = &[
    Tag::new("from", Takes::String, "enotify"),
    Tag::new("importance", Takes::String, "enotify"),
    Tag::new("options", Takes::Strings, "enotify"),
    Tag::new("message", Takes::String, "enotify"),
];

/// Recipients of one notification.
const MAX_RECIPIENTS: usize = 8;
/// The longest URI in octets.
const MAX_URI_OCTETS: usize = 4096;

struct Notify {
    method: Text,
    from: Option<Text>,
    importance: Option<Text>,
    options: Vec<Text>,
    message: Option<Text>,
    fcc: Option<FccTag>,
}

/// `notify`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[TAGS, fcc::TAGS])?;
    let method = bound.next_text("the method, such as mailto:me@example.org", checker)?;
    bound.done()?;
    if let Some(uri) = method.constant() {
        Mailto::parse(uri).map_err(|why| bound.at.fault(why))?;
    }
    let importance = bound.text_of("importance", checker)?;
    if let Some(why) = importance.as_ref().and_then(Text::constant).and_then(importance_fault) {
        return Err(bound.at.fault(why));
    }
    Ok(Box::new(Notify {
        method,
        from: bound.text_of("from", checker)?,
        importance,
        options: bound.texts_of("options", checker)?.unwrap_or_default(),
        message: bound.text_of("message", checker)?,
        fcc: FccTag::new(&bound, checker)?,
    }))
}

/// RFC 5435 §3.4.
fn importance_fault(text: &str) -> Option<String> {
    (!matches!(text, "1" | "2" | "3"))
        .then(|| format!("\"{text}\" is no importance: take \"1\" (high), \"2\" or \"3\""))
}

impl Command for Notify {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let method = self.method.expand(run)?;
        let uri = Mailto::parse(&method).map_err(|why| run.value_error(why))?;
        let importance = match &self.importance {
            None => "2".to_owned(),
            Some(text) => text.expand(run)?,
        };
        if let Some(why) = importance_fault(&importance) {
            return Err(run.value_error(why));
        }
        let from = self.from.as_ref().map(|text| text.expand(run)).transpose()?;
        let text = self.message.as_ref().map(|text| text.expand(run)).transpose()?;
        let mut options = Vec::new();
        for option in &self.options {
            options.push(option.expand(run)?);
        }
        let fcc = self.fcc.as_ref().map(|fcc| fcc.expand(run)).transpose()?;
        // RFC 5436 §2.7.1: no word of words.
        if is_automatic(run) {
            run.note("notify: no word, since the message was written by a program");
            return Ok(Flow::Next);
        }
        let importance = importance.parse().unwrap_or(2);
        let mail = uri.letter(from.as_deref(), text.as_deref(), importance, run);
        run.note(format!("notify {method}"));
        run.act(Action::Notify(Box::new(Notification {
            method,
            from,
            importance,
            options,
            text,
            mail: Some((uri.to, mail)),
            fcc,
        })))?;
        Ok(Flow::Next)
    }
}

fn is_automatic(run: &Run<'_>) -> bool {
    run.mail.values(0, "Auto-Submitted").iter().any(|value| {
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        value.split([';', '(']).next().unwrap_or_default().trim() != "no"
    })
}

/// A `mailto` URI (RFC 6068).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mailto {
    to: Vec<Address>,
    subject: Option<String>,
    body: Option<String>,
    /// Other fields, those that may be set from outside.
    fields: Vec<(String, String)>,
}

impl Mailto {
    /// Reads a URI; the error is for the script's author.
    pub fn parse(uri: &str) -> Result<Mailto, String> {
        if uri.len() > MAX_URI_OCTETS {
            return Err(format!("a method has at most {MAX_URI_OCTETS} octets"));
        }
        let (scheme, rest) = uri.split_once(':').unwrap_or(("", ""));
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(format!(
                "\"{uri}\" is no method of notify here: take mailto: with an address"
            ));
        }
        let (to, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut mailto = Mailto { to: Vec::new(), subject: None, body: None, fields: Vec::new() };
        mailto.add(to, uri)?;
        for field in query.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let name = percent_decoded(name)?.to_ascii_lowercase();
            match name.as_str() {
                "to" | "cc" => mailto.add(value, uri)?,
                "subject" => mailto.subject = Some(percent_decoded(value)?),
                "body" => mailto.body = Some(percent_decoded(value)?),
                // RFC 5436 §2.7.2: what would forge or mislead is left out; what is harmless stays.
                "keywords" | "comments" | "organization" => {
                    mailto.fields.push((name, percent_decoded(value)?));
                }
                name if name.starts_with("x-") && name.len() <= 70 => {
                    mailto.fields.push((name.to_owned(), percent_decoded(value)?));
                }
                _ => {}
            }
        }
        if mailto.to.is_empty() {
            return Err(format!("\"{uri}\" names nobody: put an address after mailto:"));
        }
        Ok(mailto)
    }

    fn add(&mut self, list: &str, uri: &str) -> Result<(), String> {
        for encoded in list.split(',').filter(|address| !address.is_empty()) {
            let address = parse_address(&percent_decoded(encoded)?)
                .map_err(|why| format!("\"{uri}\": {why}"))?;
            if self.to.len() >= MAX_RECIPIENTS {
                return Err(format!("a notification goes to at most {MAX_RECIPIENTS} addresses"));
            }
            if !self.to.contains(&address) {
                self.to.push(address);
            }
        }
        Ok(())
    }

    /// The message: RFC 5436 §2.7.
    fn letter(
        &self,
        from: Option<&str>,
        text: Option<&str>,
        importance: u8,
        run: &mut Run<'_>,
    ) -> Reply {
        let context = run.context;
        let own = || Mailbox { name: context.own_name.clone(), address: context.to.clone() };
        let from = from.and_then(mailbox).unwrap_or_else(own);
        let original = run.mail.values(0, "Subject").first().map(|value| words::decode_text(value));
        let subject = text
            .map(str::to_owned)
            .or_else(|| self.subject.clone())
            .or(original)
            .unwrap_or_else(|| "New mail".to_owned());
        let body = self.body.clone().or_else(|| text.map(str::to_owned)).unwrap_or_default();
        let mut fields = FieldWriter::default();
        // RFC 5436 §2.7.1.
        let owner = context.to.to_string().replace(['"', '\\'], "");
        fields.raw("Auto-Submitted", &format!("auto-notified; owner-email=\"{owner}\""));
        match importance {
            1 => fields.raw("Importance", "high"),
            3 => fields.raw("Importance", "low"),
            _ => {}
        }
        for (name, value) in &self.fields {
            fields.text(name, value);
        }
        Letter {
            from,
            to: &self.to,
            subject,
            in_reply_to: Vec::new(),
            references: Vec::new(),
            fields: fields.into_bytes(),
            body: Content::Text(&body),
        }
        .write(run)
    }
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let octets = text.as_bytes();
    let mut at = 0;
    while let Some(&b) = octets.get(at) {
        if b != b'%' {
            out.push(b);
            at += 1;
            continue;
        }
        let digits = octets.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        let octet = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(
            octet.ok_or_else(|| {
                format!("\"{text}\": after \"%\" two hexadecimal digits must stand")
            })?,
        );
        at += 3;
    }
    String::from_utf8(out).map_err(|_| format!("\"{text}\" is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_rfc_6068() {
        let mailto = Mailto::parse(
            "mailto:a@x.test,b%2Bc@x.test?subject=Hi%20there&body=%E2%82%AC&to=d@x.test",
        )
        .unwrap();
        let to: Vec<String> = mailto.to.iter().map(Address::to_string).collect();
        assert_eq!(to, ["a@x.test", "b+c@x.test", "d@x.test"]);
        assert_eq!(mailto.subject.as_deref(), Some("Hi there"));
        assert_eq!(mailto.body.as_deref(), Some("€"));
        for bad in ["mailto:", "xmpp:a@b.test", "mailto:nobody", "mailto:%zz@x.test"] {
            assert!(Mailto::parse(bad).is_err(), "{bad}");
        }
    }
}
