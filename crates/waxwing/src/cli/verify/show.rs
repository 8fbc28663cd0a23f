//! What was found out about a message, on paper.

use waxwing_message::journey::{Check, Finding, Verdict};

use super::{Report, mime};
use crate::cli::evidence;
use crate::cli::print::{clean, marked, wrapped};
use crate::config::Octets;

/// Sections, the checks in each, and what is said when there is nothing.
const SECTIONS: [(&str, &[Check], &str); 6] = [
    ("Signatures (DKIM)", &[Check::Dkim], "the message is not signed"),
    ("Servers before (ARC)", &[Check::Arc], "no server before has sealed what it saw"),
    (
        "The sending server (SPF)",
        &[Check::Spf],
        "not checked: no Received field tells which server brought the message; say it with --ip, --helo and --from",
    ),
    ("The author (DMARC)", &[Check::Dmarc], "not checked: From does not name one author"),
    (
        "The connection",
        &[Check::Helo, Check::ReverseDns, Check::Blocklist],
        "not checked: nobody knows how the message came",
    ),
    ("The header (From, Date, Message-ID)", &[Check::From], "nothing is odd about it"),
];

/// Prints everything.
pub fn print(report: &Report<'_>, lookups: bool) {
    heading(report);
    for (title, checks, nothing) in SECTIONS {
        println!("\n{title}");
        let mut found = report.examined.findings.iter().filter(|f| checks.contains(&f.check));
        let Some(first) = found.next() else {
            let mark = if checks == [Check::From] { '✓' } else { '·' };
            println!("{}", marked(mark, nothing));
            continue;
        };
        for finding in std::iter::once(first).chain(found) {
            print_finding(finding, lookups);
        }
    }
    print_parts(report);
    print_verdict(report);
}

fn heading(report: &Report<'_>) {
    let message = report.message;
    println!("{}, {}", report.file.display(), Octets(message.raw.len() as u64));
    for name in ["From", "Subject", "Date"] {
        if let Some(field) = message.header(name) {
            println!("  {:<9}{}", format!("{name}:"), clean(&field.text()));
        }
    }
    for words in report.repairs.words() {
        println!("{}", marked('·', words));
    }
    if let Some(origin) = &report.origin {
        let helo =
            origin.helo.as_ref().map_or("unknown name".to_owned(), |helo| format!("HELO {helo}"));
        let path = match &origin.reverse_path {
            Some(path) => format!("reverse-path {path}"),
            None => "reverse-path not known, so SPF is asked for HELO".to_owned(),
        };
        let source = match origin.field {
            Some(n) => format!(
                "by Received field {n} from the top, by {}: the first with a public address, and the last to be trusted",
                origin.by
            ),
            None => "as you say".to_owned(),
        };
        println!(
            "{}",
            marked('·', &format!("it came from {}, {helo}, {path} ({source})", origin.ip))
        );
    }
}

fn print_finding(finding: &Finding, lookups: bool) {
    for line in evidence::finding_lines(std::slice::from_ref(finding)) {
        println!("{}", marked(mark(finding), &line));
    }
    for lookup in finding.lookups.iter().filter(|_| lookups) {
        println!("{}", wrapped(&format!("? {}", evidence::lookup_line(lookup)), 6));
    }
}

/// How good a result is.
fn mark(finding: &Finding) -> char {
    match (finding.check, finding.result.as_str()) {
        (_, "pass") => '✓',
        (Check::ReverseDns, "none") => '!',
        (_, "none" | "elsewhere" | "neutral") => '·',
        (_, "fail" | "permerror" | "listed") => '✗',
        _ => '!',
    }
}

fn print_parts(report: &Report<'_>) {
    println!("\nThe parts (MIME)");
    let defects = mime::defects(report.message);
    if defects.is_empty() {
        println!("{}", marked('✓', "nothing is broken"));
    }
    for (line, text) in defects {
        println!("{}", marked('!', &format!("line {line}: {text}")));
    }
    for line in mime::tree(report.message) {
        println!("      {}", clean(&line));
    }
}

fn print_verdict(report: &Report<'_>) {
    println!("\nThe verdict, for a reader who does not know the sender");
    let judgement = &report.examined.judgement;
    let lines = evidence::verdict_lines(
        &judgement.verdict,
        judgement.weight,
        &judgement.reasons,
        judgement.overridden.as_deref(),
    );
    let mark = match judgement.verdict {
        Verdict::Accept => '✓',
        Verdict::SpamFolder | Verdict::Defer { .. } => '!',
        Verdict::Refuse { .. } => '✗',
    };
    for (index, line) in lines.iter().enumerate() {
        match index {
            0 => println!("{}", marked(mark, line)),
            _ => println!("      {}", clean(line)),
        }
    }
}
