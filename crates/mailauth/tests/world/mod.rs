//! What tests of signatures share: key records in memory, outside data, and other people's programs.
#![allow(dead_code)] // Not every test file uses everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use waxwing_dns::{Answer, Dnssec, LookupError, RecordData, RecordType, Resolve, Temporary};
use waxwing_mailauth::dkim::{self, BodyHasher, Canonicalization, Verified};

/// TXT records by name; other names do not exist. Names need not be such as a zone could hold.
#[derive(Default, Clone)]
pub struct Records {
    texts: BTreeMap<String, Vec<String>>,
    failing: Vec<String>,
}

impl Records {
    pub fn new() -> Records {
        Records::default()
    }

    pub fn with(mut self, name: &str, text: &str) -> Records {
        self.texts.entry(name.to_ascii_lowercase()).or_default().push(text.to_owned());
        self
    }

    pub fn failing(mut self, name: &str) -> Records {
        self.failing.push(name.to_owned());
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        self.texts.iter()
    }
}

impl Resolve for Records {
    async fn query(&self, name: &str, _: RecordType) -> Result<Answer<RecordData>, LookupError> {
        if self.failing.iter().any(|failing| failing == name) {
            return Err(Temporary::Timeout.into());
        }
        let ttl = Duration::from_secs(60);
        let texts = self.texts.get(name);
        let texts = texts.ok_or(LookupError::NxDomain { dnssec: Dnssec::Insecure, ttl })?;
        let strings = |text: &String| text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect();
        Ok(Answer {
            records: texts.iter().map(|text| RecordData::Txt(strings(text))).collect(),
            name: name.to_owned(),
            aliases: Vec::new(),
            ttl,
            dnssec: Dnssec::Insecure,
        })
    }
}

/// 14 November 2023.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// Runs a future that never really waits.
pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub fn verify(records: &Records, message: &[u8]) -> Verified {
    run(dkim::verify(records, message, now()))
}

/// Header block (with its empty line) and body.
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    message.split_at(waxwing_message::trace::header_end(message))
}

pub fn body_hash(kind: Canonicalization, body: &[u8]) -> [u8; 32] {
    let mut hasher = BodyHasher::new(kind, None);
    hasher.write(body);
    hasher.finish()
}

pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A message from a file, with CRLF.
pub fn message(path: &Path) -> Vec<u8> {
    dkim::as_sent(&read(path)).into_owned()
}

/// Runs a program with `input`; its output and whether it succeeded.
pub fn program(command: &mut Command, input: &[u8]) -> (bool, Vec<u8>) {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{name}: {error}; `scripts/install unit` and `scripts/python-peers` install it")
        });
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().expect("the program ends");
    let _ = writer.join();
    let mut said = output.stdout;
    if !output.status.success() {
        said.extend_from_slice(&output.stderr);
    }
    (output.status.success(), said)
}

/// A message of 4 KB like those that people send.
pub fn letter(from: &str) -> Vec<u8> {
    let mut letter = format!(
        "Received: from a.example by b.example; Tue, 14 Nov 2023 22:13:20 +0000\r\n\
         From: Joe <joe@{from}>\r\nTo: Ann <ann@example.net>,\r\n Bob <bob@example.net>\r\n\
         Subject: Lunch   on\r\n\tTuesday \r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
         Message-ID: <1@{from}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
    );
    for line in 0..60 {
        letter +=
            &format!("Line {line}  of a letter that is neither long \t nor short, by far. \r\n");
    }
    letter += "\r\n \r\n\r\n";
    letter.into_bytes()
}
