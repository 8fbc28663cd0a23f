//! Throughput of the parser beside mail-parser 0.11.9, in MB/s on this machine.
//!
//! Three things are measured, run after run in turn so that a busy moment strikes all alike, and the
//! median of each is printed:
//!
//! - **structure**: our parse: fields, parts, offsets, defects; nothing decoded.
//! - **decoded**: our parse, then every field read by its kind and every body decoded, texts to UTF-8.
//! - **mail-parser**: its parse, which always decodes fields and bodies. Compare it with *decoded*.
//!
//! Run: `cargo bench -p waxwing-message --bench parse`

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use waxwing_message::parse::{Body, Message, PartId, addresses, content, date, words};

const RUNS: usize = 15;
const RUN_TIME: Duration = Duration::from_millis(60);

fn main() {
    println!(
        "{:<34} {:>10} {:>10} {:>12}   decoded : mail-parser",
        "MB/s", "structure", "decoded", "mail-parser"
    );
    for (name, messages) in inputs() {
        if messages.is_empty() {
            println!("{name:<34} no messages: set WAXWING_SUITES to where the suites are");
            continue;
        }
        report(&name, &messages);
    }
}

fn report(name: &str, messages: &[Vec<u8>]) {
    let works: [fn(&[u8]); 3] = [structure, decoded, other];
    let mut speeds = [const { Vec::new() }; 3];
    for _ in 0..RUNS {
        for (work, speeds) in works.iter().zip(&mut speeds) {
            speeds.push(run(messages, *work));
        }
    }
    let [structure, decoded, other] = speeds.map(|mut speeds| {
        speeds.sort_by(f64::total_cmp);
        speeds[speeds.len() / 2]
    });
    let times = decoded / other;
    println!("{name:<34} {structure:>10.0} {decoded:>10.0} {other:>12.0}   {times:.2}");
}

/// MB/s of working through all messages again and again for a while.
fn run(messages: &[Vec<u8>], work: fn(&[u8])) -> f64 {
    let octets: usize = messages.iter().map(Vec::len).sum();
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < RUN_TIME {
        messages.iter().for_each(|message| work(black_box(message)));
        rounds += 1;
    }
    (octets * rounds) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn structure(raw: &[u8]) {
    black_box(Message::parse(raw));
}

fn decoded(raw: &[u8]) {
    let message = Message::parse(raw);
    for (i, part) in message.parts.iter().enumerate() {
        for header in &part.headers {
            let name = header.name;
            let is = |names: &[&str]| names.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()));
            if is(&["From", "To", "Cc", "Bcc", "Reply-To", "Sender"]) {
                black_box(addresses::parse(header.value));
            } else if is(&["Date"]) {
                black_box(date::parse(header.value));
            } else if is(&["Content-Type", "Content-Disposition"]) {
                black_box(content::params(header.value));
            } else if is(&["Message-ID", "References", "In-Reply-To", "Content-ID"]) {
                black_box(words::message_ids(header.value));
            } else {
                black_box(header.text());
            }
        }
        let id = PartId(i as u32);
        if part.content != Body::Leaf {
            continue;
        }
        if part.media_type == "text" {
            black_box(message.text(id));
        } else {
            black_box(message.decoded(id));
        }
    }
}

fn other(raw: &[u8]) {
    black_box(mail_parser::MessageParser::default().parse(raw));
}

fn inputs() -> Vec<(String, Vec<Vec<u8>>)> {
    let small = "Return-Path: <alice@wax.test>\r\nReceived: from mail.wax.test ([127.0.0.1])\r\n\tby mx.wing.test \
        with ESMTPS id 01920000000070008000000000000000;\r\n\tFri, 21 Nov 1997 15:55:06 +0000\r\n\
        From: Alice Example <alice@wax.test>\r\nTo: Bob Example <bob@wing.test>\r\nSubject: Lunch on Friday?\r\n\
        Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nMessage-ID: <1234@wax.test>\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        .to_owned()
        + &"Shall we have lunch together on Friday? I know a good place by the river.\r\n".repeat(20);
    let base64 = "iVBORw0KGgoAAAANSUhEUgAAABsAAAAbCAMAAAC6CgRnAAADAFBMVEX///8AAAAAEAAAGAAA\r\n"
        .repeat(13_500);
    let attachment = format!(
        "From: a@wax.test\r\nSubject: file\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHere it is.\r\n\
         --b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}--b--\r\n"
    );
    let quoted = "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        .to_owned()
        + &"Gr=FC=DFe aus M=FCnchen, und ein langer Satz, der umgebrochen wird, weil=\r\n er lang ist.\r\n".repeat(1000);
    let mut nested = String::new();
    for i in 0..40 {
        nested += &format!(
            "Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n\r\ntext of part {i}\r\n--b{i}\r\n"
        );
    }
    nested += &("\r\n".to_owned() + &"some text in the deepest part of all\r\n".repeat(100));
    let near =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned() + &"--a\r\n".repeat(50_000);
    let parts = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
        + &"--b\r\n\r\nx\r\n".repeat(9_000);
    let fields = "X: y\r\n".repeat(50_000) + "\r\n";
    let words = "Subject: ".to_owned() + &"=?utf-8?q?caf=C3=A9?=\r\n ".repeat(5_000) + "\r\n\r\n";
    let list =
        "To: ".to_owned() + &"Bob Example <bob@wing.test>,\r\n ".repeat(5_000) + "x@y\r\n\r\n";
    let sections: String = (0..2_000).map(|i| format!(";\r\n n*{i}*=%41")).collect();
    let sections = format!("Content-Type: a/b{sections}\r\n\r\n");
    let corpora = corpora();
    let mut inputs = vec![
        ("small text mail, 2 KB".to_owned(), vec![small.into_bytes()]),
        (format!("corpora mix, {} messages", corpora.len()), corpora),
    ];
    let made = [
        ("1 MB base64 attachment", attachment),
        ("85 KB quoted-printable text", quoted),
        ("nested 40 deep", nested),
        ("hostile: 50,000 near delimiters", near),
        ("hostile: 9,000 parts", parts),
        ("hostile: 50,000 fields", fields),
        ("hostile: 5,000 encoded words", words),
        ("5,000 addresses", list),
        ("hostile: 2,000 RFC 2231 sections", sections),
    ];
    inputs.extend(made.map(|(name, text)| (name.to_owned(), vec![text.into_bytes()])));
    inputs
}

/// The messages of the outside suites, and the ham and spam among them.
fn corpora() -> Vec<Vec<u8>> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    let mut folders = Vec::from_iter(waxwing_suites::find("mime"));
    for archive in ["mime/mime4j-testmsgs.tar.xz", "spam/spamassassin-train.tar.xz"] {
        folders.extend(waxwing_suites::unpacked(archive, &target));
    }
    let mut messages = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".eml")
                || name.ends_with(".msg")
                || name.contains("ham/")
                || name.contains("/spam/")
            {
                messages.extend(std::fs::read(&path).ok().filter(|m| m.len() < 1 << 20));
            }
        }
    }
    messages
}
