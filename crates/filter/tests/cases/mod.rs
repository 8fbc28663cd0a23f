//! Cases of Sieve: a script, and after it a comment that says on what message and with what outcome.
//!
//! ```text
//! require "fileinto";
//! if header :is "Subject" "x" { fileinto "X"; }
//! /*
//! == context            optional: lines `from ADDRESS`, `to ADDRESS`, `now TIME`, …
//! == message            optional: else message A of RFC 5228 §9; `== message b` is message B
//! == script NAME        optional: what `include` finds
//! == expect
//! fileinto "X"
//! */
//! ```
//!
//! A case is a script by itself, so that other interpreters can read it too.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::Offset;
use waxwing_filter::sieve::{
    self, Action, Capabilities, Context, DuplicateId, Keep, Limits, Location, Outcome, Reply,
    Script, World,
};
use waxwing_message::{Address, Message, ReversePath};

/// One case.
pub struct Case {
    pub name: String,
    pub path: PathBuf,
    pub script: String,
    pub context: Vec<(String, String)>,
    pub message: Vec<u8>,
    pub scripts: BTreeMap<String, String>,
    pub expect: Vec<String>,
}

const MESSAGE_A: &str = include_str!("../sieve/a.eml");
const MESSAGE_B: &str = include_str!("../sieve/b.eml");

/// Every case below a directory of `tests`, in order of their names.
pub fn all(directory: &str) -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sieve"));
    paths.sort();
    assert!(!paths.is_empty(), "{} holds no case", directory.display());
    paths.iter().map(|path| Case::read(path)).collect()
}

impl Case {
    fn read(path: &Path) -> Case {
        let script = std::fs::read_to_string(path).unwrap();
        let (_, comment) = script
            .split_once("\n/*\n== ")
            .unwrap_or_else(|| panic!("{}: no comment with sections at the end", path.display()));
        let comment = comment.trim_end().strip_suffix("*/").expect("the comment ends the file");
        let mut case = Case {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            path: path.to_owned(),
            script: script.clone(),
            context: Vec::new(),
            message: with_crlf(MESSAGE_A),
            scripts: BTreeMap::new(),
            expect: Vec::new(),
        };
        for section in comment.split("\n== ") {
            let (title, text) = section.split_once('\n').unwrap_or((section, ""));
            match title.split_once(' ').unwrap_or((title, "")) {
                ("context", _) => {
                    let pair = |line: &str| {
                        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
                        (name.to_owned(), value.to_owned())
                    };
                    case.context = text.lines().map(pair).collect();
                }
                ("message", "b") => case.message = with_crlf(MESSAGE_B),
                ("message", _) => case.message = with_crlf(&format!("{}\n", text.trim_end())),
                ("script", name) => {
                    case.scripts.insert(name.to_owned(), text.to_owned());
                }
                ("expect", _) => {
                    case.expect =
                        text.lines().map(str::to_owned).filter(|l| !l.is_empty()).collect()
                }
                _ => panic!("{}: no such section: {title}", path.display()),
            }
        }
        case
    }

    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.context.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.context.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn from(&self) -> &str {
        self.value("from").unwrap_or("sender@example.net")
    }

    pub fn to(&self) -> &str {
        self.value("to").unwrap_or("me@example.com")
    }

    /// Compiles and runs it; what came of it in lines.
    pub fn outcome(&self) -> Vec<String> {
        self.outcome_of(&self.script)
    }

    pub fn outcome_of(&self, script: &str) -> Vec<String> {
        let mut capabilities = Capabilities::default();
        for name in self.values("without") {
            capabilities = capabilities.without(name);
        }
        let script = match sieve::compile(script, &capabilities) {
            Ok(script) => script,
            Err(error) => {
                return error.0.iter().map(|f| format!("fault {}:{}", f.line, f.column)).collect();
            }
        };
        let message = Message::parse(&self.message);
        let from = match self.from() {
            "<>" => ReversePath::Null,
            address => ReversePath::Address(Address::parse(address).unwrap()),
        };
        let now = self.value("now").unwrap_or("2026-01-05T10:00:00Z").parse().unwrap();
        let to = Address::parse(self.to()).unwrap();
        let mut context = Context::new(&message, from, to, now);
        context.original_to = self.value("original").map(|a| Address::parse(a).unwrap());
        context.own_addresses =
            self.values("own").map(|address| Address::parse(address).unwrap()).collect();
        context.spam_percent = self.value("spam").map(|percent| percent.parse().unwrap());
        context.virus_level = self.value("virus").map(|level| level.parse().unwrap());
        context.random = [7; 16];
        if let Some(minutes) = self.value("zone") {
            context.zone = Offset::from_seconds(minutes.parse::<i32>().unwrap() * 60).unwrap();
        }
        let pair = |text: &str| {
            let (a, b) = text.split_once(' ').unwrap();
            (a.to_owned(), b.to_owned())
        };
        context.environment = self.values("environment").map(pair).collect();
        context.limits = Limits::default();
        if let Some(steps) = self.value("steps") {
            context.limits.steps = steps.parse().unwrap();
        }
        lines(&sieve::run(&script, &context, self), &self.message)
    }
}

impl World for Case {
    fn mailbox_exists(&self, name: &str) -> bool {
        self.values("mailbox").any(|known| known == name)
    }
    fn special_use_exists(&self, mailbox: Option<&str>, special_use: &str) -> bool {
        self.values("special-use").any(|known| {
            let (name, uses) = known.split_once(' ').unwrap();
            mailbox.is_none_or(|mailbox| mailbox == name) && uses == special_use
        })
    }
    fn metadata(&self, mailbox: Option<&str>, annotation: &str) -> Option<String> {
        let wanted = format!("{} {annotation} ", mailbox.unwrap_or("*"));
        self.values("metadata").find_map(|line| line.strip_prefix(&wanted).map(str::to_owned))
    }
    fn duplicate(&self, id: &DuplicateId) -> bool {
        self.values("seen").any(|known| known == id.id)
    }
    fn included(&self, name: &str, location: Location) -> Option<Script> {
        let key = match location {
            Location::Personal => name.to_owned(),
            Location::Global => format!("global {name}"),
        };
        sieve::compile(self.scripts.get(&key)?, &Capabilities::default()).ok()
    }
    fn vacation_due(&self, _handle: &str, sender: &str, _seconds: u64) -> bool {
        !self.values("answered").any(|known| known == sender)
    }
}

pub fn with_crlf(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

/// An outcome in lines.
pub fn lines(outcome: &Outcome, raw: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let mut shown = None;
    for action in &outcome.actions {
        let (line, version) = action_line(action);
        out.push(line);
        shown = version.or(shown);
    }
    if let Some(Keep { flags, version }) = &outcome.keep {
        out.push(format!("implicit keep{}", flag_list(flags)));
        shown = version.or(shown);
    }
    for id in &outcome.seen {
        let handle = if id.handle.is_empty() { "" } else { " of " };
        let last = if id.last { " again" } else { "" };
        out.push(format!("seen {}{handle}{} for {}{last}", id.id, id.handle, id.seconds));
    }
    if let Some(version) = shown {
        let body = waxwing_message::parse::field::header_end(raw);
        let text = outcome.versions[version].concat(raw, body);
        let text = without_digits(&String::from_utf8_lossy(&text));
        out.extend(text.trim_end().lines().map(|line| format!("| {line}").trim_end().to_owned()));
    }
    if let Some(error) = &outcome.error {
        out.push(format!("error: {error}"));
    }
    out
}

/// Boundaries without the random digits in them.
fn without_digits(text: &str) -> String {
    let mut pieces = text.split("=_1_");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str("=_");
        out.push_str(piece.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    out
}

fn action_line(action: &Action) -> (String, Option<usize>) {
    let create = |create: bool| if create { " :create" } else { "" };
    let copy = |copy: bool| if copy { " :copy" } else { "" };
    match action {
        Action::Keep(keep) => (format!("keep{}", flag_list(&keep.flags)), keep.version),
        Action::FileInto(file) => {
            let special = file.special_use.as_ref().map(|s| format!(" :specialuse {s}"));
            let line = format!(
                "fileinto \"{}\"{}{}{}{}",
                file.mailbox,
                copy(file.copy),
                create(file.create),
                special.unwrap_or_default(),
                flag_list(&file.flags)
            );
            (line, file.version)
        }
        Action::Redirect(redirect) => {
            (format!("redirect {}{}", redirect.address, copy(redirect.copy)), redirect.version)
        }
        Action::Discard => ("discard".to_owned(), None),
        Action::Reject(reject) => {
            let name = if reject.ereject { "ereject" } else { "reject" };
            (format!("{name} {:?}", reject.reason), None)
        }
        Action::Vacation(vacation) => {
            let fcc = vacation.fcc.as_ref().map(|fcc| format!(", copy in {}", fcc.mailbox));
            let line = format!(
                "vacation to {} for {}{}, {}",
                vacation.to,
                vacation.seconds,
                fcc.unwrap_or_default(),
                reply(&vacation.reply)
            );
            (line, None)
        }
        Action::Notify(notification) => {
            let mail = notification.mail.as_ref().map(|(to, mail)| {
                let to: Vec<String> = to.iter().map(Address::to_string).collect();
                format!(" to {}, {}", to.join(" "), reply(mail))
            });
            (format!("notify {}{}", notification.importance, mail.unwrap_or_default()), None)
        }
    }
}

fn reply(reply: &Reply) -> String {
    let message = Message::parse(&reply.message);
    let text = message.text(message.text_body()[0]);
    format!("from {}, {:?}: {:?}", reply.from, reply.subject, text.trim())
}

fn flag_list(flags: &[String]) -> String {
    if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(" ")) }
}
