//! A message into an mbox file (mboxrd), in pieces.

use jiff::Timestamp;
use waxwing_store::{Flags, SystemFlags};

use super::{from_line, is_note, looks_quoted};
use crate::flags::keywords;

/// A longer line goes on in pieces.
const LINE_OCTETS: usize = 64 * 1024;

/// One message on its way. Its line ends become LF; notes that it brought with it are left out, since
/// readers would take them for its flags.
pub struct Writer {
    /// The line so far.
    line: Vec<u8>,
    /// The beginning of the line is in `line`.
    at_start: bool,
    /// The notes to be written at the end of the header; none once they are.
    notes: Option<String>,
    /// Within a note that is left out.
    passing: bool,
}

impl Writer {
    /// Writes the `From ` line into `out`.
    pub fn new(received_at: Timestamp, flags: &Flags, out: &mut Vec<u8>) -> Writer {
        out.extend_from_slice(from_line::write(received_at).as_bytes());
        Writer { line: Vec::new(), at_start: true, notes: Some(notes(flags)), passing: false }
    }

    /// The next octets of the message.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for piece in octets.split_inclusive(|&b| b == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line(out);
            } else if self.line.len() > LINE_OCTETS {
                // A CR at the end may belong to a line end.
                let end = self.line.len() - usize::from(self.line.ends_with(b"\r"));
                let rest = self.line.split_off(end);
                self.put(out, b"");
                self.line = rest;
                self.at_start = false;
            }
        }
    }

    /// The end of the message, and the empty line before the next one.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() || !self.at_start {
            self.end_line(out);
        }
        if let Some(notes) = self.notes.take() {
            out.extend_from_slice(notes.as_bytes());
            out.push(b'\n');
        }
        out.push(b'\n');
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        if self.line.ends_with(b"\n") {
            self.line.pop();
        }
        if self.line.ends_with(b"\r") {
            self.line.pop();
        }
        if self.at_start
            && self.line.is_empty()
            && let Some(notes) = self.notes.take()
        {
            out.extend_from_slice(notes.as_bytes());
            self.passing = false;
        }
        self.put(out, b"\n");
        self.at_start = true;
    }

    /// What is in `line`.
    fn put(&mut self, out: &mut Vec<u8>, end: &[u8]) {
        if self.at_start && self.notes.is_some() {
            if !matches!(self.line.first(), Some(b' ' | b'\t')) {
                let name = self.line.split(|&b| b == b':').next().unwrap_or_default();
                self.passing = is_note(name.trim_ascii_end());
            }
        } else if self.at_start && looks_quoted(&self.line) {
            out.push(b'>');
        }
        if !self.passing {
            out.extend_from_slice(&self.line);
            out.extend_from_slice(end);
        }
        self.line.clear();
    }
}

/// `Status`, `X-Status` and `X-Keywords`, as mutt, Dovecot and Python's mailbox read them.
fn notes(flags: &Flags) -> String {
    let has = |flag| flags.system.contains(flag);
    let mut notes = format!("Status: {}\n", if has(SystemFlags::SEEN) { "RO" } else { "O" });
    let letters: String = [
        ('A', SystemFlags::ANSWERED),
        ('F', SystemFlags::FLAGGED),
        ('T', SystemFlags::DRAFT),
        ('D', SystemFlags::DELETED),
    ]
    .into_iter()
    .filter(|(_, flag)| has(*flag))
    .map(|(letter, _)| letter)
    .collect();
    if !letters.is_empty() {
        notes.push_str(&format!("X-Status: {letters}\n"));
    }
    // A line each for a few of them: RFC 5322 §2.1.1 bounds a line to 998 octets.
    let all: Vec<&str> = keywords(flags).collect();
    if !all.is_empty() {
        let lines: Vec<String> = all.chunks(8).map(|some| some.join(" ")).collect();
        notes.push_str(&format!("X-Keywords: {}\n", lines.join("\n ")));
    }
    notes
}
