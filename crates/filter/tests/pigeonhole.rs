//! The same scripts on the same messages, here and by Dovecot's Pigeonhole (`sieve-test` of Debian's
//! dovecot-sieve): what is done must be the same.
//!
//! Where the two differ by intent, [`DIFFERENT`] says why. Vacation is compared when we answer only:
//! `sieve-test` shows answers that a delivery would still hold back.

mod cases;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use jiff::tz::Offset;
use waxwing_filter::sieve::{self, Action, Capabilities, Context, Nowhere, Outcome};
use waxwing_message::{Address, Message, ReversePath};

/// Cases that Pigeonhole answers otherwise, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("regex_posix", "`:quoteregex` came after Debian's version"),
    ("rfc5173_multipart", "of HTML other white space is left"),
    ("rfc5463_ihave", "`not ihave` is not decided beforehand there"),
    ("rfc5703_foreverypart", "extracttext leaves HTML as it is here (RFC 5703 §7)"),
];

/// Extensions that Debian's Pigeonhole has not.
const LACKING: &[&str] = &[
    "enclose",
    "replace",
    "fcc",
    "mboxmetadata",
    "servermetadata",
    "special-use",
    "spamtestplus",
    "spamtest",
    "virustest",
    "include",
    "ereject",
];

struct Pigeonhole {
    directory: tempfile::TempDir,
}

impl Pigeonhole {
    fn new() -> Pigeonhole {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let id = Command::new("id").arg("-u").output().unwrap();
        let root = String::from_utf8_lossy(&id.stdout).trim() == "0";
        let user = if root { "mail_uid = nobody\nmail_gid = nogroup\n" } else { "" };
        let path = directory.path().display();
        fs::write(
            directory.path().join("dovecot.conf"),
            format!(
                "mail_location = maildir:{path}/mail\nmail_home = {path}/home\nssl = no\n\
                 postmaster_address = postmaster@example.com\n{user}\
                 plugin {{\n sieve_max_actions = 0\n sieve_vacation_min_period = 1s\n}}\n"
            ),
        )
        .unwrap();
        Pigeonhole { directory }
    }

    /// What it would do, in lines.
    fn run(&self, script: &str, message: &[u8], from: &str, to: &str) -> Vec<String> {
        let path = |name: &str| self.directory.path().join(name);
        fs::write(path("script.sieve"), script).unwrap();
        fs::write(path("message.eml"), message).unwrap();
        let output = Command::new("sieve-test")
            .env("TZ", "UTC")
            .arg("-c")
            .arg(path("dovecot.conf"))
            .args([
                "-x",
                "+editheader +vacation-seconds",
                "-f",
                if from == "<>" { "" } else { from },
            ])
            .args(["-a", to, "-r", to])
            .arg(path("script.sieve"))
            .arg(path("message.eml"))
            .output()
            .unwrap_or_else(|error| {
                panic!("sieve-test does not start ({error}): run scripts/install unit")
            });
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => normalized(&text),
            Some(1) => vec!["failed".into()],
            Some(89) => vec!["fault".into()],
            _ => panic!("sieve-test: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// The lines of `sieve-test` that we compare.
fn normalized(text: &str) -> Vec<String> {
    let (actions, implicit) = text.split_once("Implicit keep:").unwrap_or((text, ""));
    let mut out = Vec::new();
    for (part, implicit) in [(actions, false), (implicit, true)] {
        for line in part.lines() {
            if let Some(folder) = line.strip_prefix(" * store message in folder: ") {
                out.push(match implicit {
                    true => "implicit".to_owned(),
                    false => format!("file {folder}"),
                });
            } else if let Some(to) = line.strip_prefix(" * redirect message to: ") {
                out.push(format!("redirect {}", to.trim_matches(['<', '>'])));
            } else if line.starts_with(" * reject message") {
                out.push("reject".into());
            } else if line.starts_with(" * discard") {
                out.push("discard".into());
            } else if line.starts_with(" * send notification") {
                out.push("notify".into());
            } else if line.starts_with(" * send vacation") {
                out.push("vacation".into());
            } else if let Some(flags) = line.trim().strip_prefix("+ add IMAP flags: ")
                && let Some(last) = out.last_mut()
            {
                last.push_str(&sorted(flags.split(' ')));
            }
        }
    }
    out
}

/// Flags in an order of their own.
fn sorted<'f>(flags: impl Iterator<Item = &'f str>) -> String {
    let flags: BTreeSet<String> = flags.map(str::to_lowercase).collect();
    format!(" ({})", flags.into_iter().collect::<Vec<_>>().join(" "))
}

fn ours(outcome: &Outcome) -> Vec<String> {
    if outcome.error.is_some() {
        return vec!["failed".into()];
    }
    let flags = |flags: &[String]| match flags.is_empty() {
        true => String::new(),
        false => sorted(flags.iter().map(String::as_str)),
    };
    let mut out: Vec<String> = outcome
        .actions
        .iter()
        .map(|action| match action {
            Action::Keep(keep) => format!("file INBOX{}", flags(&keep.flags)),
            Action::FileInto(file) => format!("file {}{}", file.mailbox, flags(&file.flags)),
            Action::Redirect(redirect) => format!("redirect {}", redirect.address),
            Action::Discard => "discard".into(),
            Action::Reject(_) => "reject".into(),
            Action::Vacation(_) => "vacation".into(),
            Action::Notify(_) => "notify".into(),
        })
        .collect();
    out.extend(outcome.keep.as_ref().map(|keep| format!("implicit{}", flags(&keep.flags))));
    out
}

fn run_here(script: &str, raw: &[u8], from: &str, to: &str) -> Vec<String> {
    let Ok(script) = sieve::compile(script, &Capabilities::default()) else {
        return vec!["fault".into()];
    };
    let message = Message::parse(raw);
    let from = match from {
        "<>" => ReversePath::Null,
        from => ReversePath::Address(Address::parse(from).unwrap()),
    };
    let now = jiff::Timestamp::now();
    let mut context = Context::new(&message, from, Address::parse(to).unwrap(), now);
    context.zone = Offset::UTC;
    context.environment = vec![("phase".into(), "post".into())];
    context.limits.actions = 10_000;
    ours(&sieve::run(&script, &context, &Nowhere))
}

#[test]
fn the_cases_come_out_alike() {
    let pigeonhole = Pigeonhole::new();
    let mut failed = Vec::new();
    let mut compared = 0;
    for case in cases::all("sieve") {
        let lacks = LACKING.iter().any(|name| case.script.contains(&format!("\"{name}\"")));
        // What depends on more of the world than both are told.
        let world = ["now", "seen", "steps", "environment", "answered", "own", "original", "zone"];
        let asks = world.iter().any(|name| case.value(name).is_some());
        // `sieve-test` has no way to say the null reverse-path.
        let asks = asks || case.from() == "<>";
        if lacks || asks || DIFFERENT.iter().any(|(name, _)| *name == case.name) {
            continue;
        }
        let mut here = run_here(&case.script, &case.message, case.from(), case.to());
        let mut there = pigeonhole.run(&case.script, &case.message, case.from(), case.to());
        if !here.contains(&"vacation".to_owned()) {
            there.retain(|line| line != "vacation");
        }
        if !here.contains(&"notify".to_owned()) {
            there.retain(|line| line != "notify");
        }
        here.sort();
        there.sort();
        compared += 1;
        if here != there {
            failed.push(format!("{}\n  here:  {here:?}\n  there: {there:?}", case.name));
        }
    }
    assert!(compared > 60, "only {compared} cases could be compared");
    assert!(failed.is_empty(), "{} of {compared}:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn conditions_hold_alike() {
    let pigeonhole = Pigeonhole::new();
    let conditions: Vec<&str> = include_str!("pigeonhole/conditions.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pigeonhole");
    let mut messages: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    messages.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    messages.sort();
    let require = "require [\"fileinto\", \"envelope\", \"variables\", \"relational\", \"regex\", \"date\", \
                   \"index\", \"body\", \"subaddress\", \"mime\", \"foreverypart\", \
                   \"comparator-i;ascii-numeric\", \"encoded-character\", \"imap4flags\", \
                   \"environment\"];\n\
                   addflag [\"\\\\Seen\", \"one two\"]; setflag \"f\" [\"A b\", \"C\"]; \
                   removeflag \"one two \\\\Seen\";\n";
    let mut failed = Vec::new();
    let (from, to) = ("coyote+acme@desert.example.org", "Road.Runner+fast@acme.example.com");
    for path in &messages {
        let raw = cases::with_crlf(&fs::read_to_string(path).unwrap());
        // Not one to a script, which takes minutes; not all in one, where a fault hides the rest.
        for chunk in conditions.chunks(25) {
            let rules = chunk.iter().enumerate();
            let rules: String =
                rules.map(|(i, test)| format!("if {test} {{ fileinto \"{i}\"; }}\n")).collect();
            let script = format!("{require}{rules}");
            let here: BTreeSet<String> = run_here(&script, &raw, from, to).into_iter().collect();
            let there: BTreeSet<String> =
                pigeonhole.run(&script, &raw, from, to).into_iter().collect();
            for line in here.symmetric_difference(&there) {
                let index = line.strip_prefix("file ").and_then(|n| n.parse::<usize>().ok());
                let condition = index.map_or(line.as_str(), |i| chunk[i]);
                let side = if here.contains(line) { "here" } else { "there" };
                failed.push(format!("{}: only {side}: {condition}", path.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{}:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn scripts_come_out_alike() {
    let pigeonhole = Pigeonhole::new();
    let message = cases::with_crlf(include_str!("sieve/a.eml"));
    let (from, to) = ("coyote@desert.example.org", "roadrunner@acme.example.com");
    let mut failed = Vec::new();
    let scripts =
        include_str!("pigeonhole/scripts.txt").lines().filter(|line| !line.starts_with('#'));
    for script in scripts {
        let mut here = run_here(script, &message, from, to);
        let mut there = pigeonhole.run(script, &message, from, to);
        here.sort();
        there.sort();
        if here != there {
            failed.push(format!("{script}\n  here:  {here:?}\n  there: {there:?}"));
        }
    }
    assert!(failed.is_empty(), "{}:\n{}", failed.len(), failed.join("\n"));
}
