//! Which messages are the same, whatever way they came.
//!
//! A message that went through an mbox file, a Maildir or another server is not the same octets
//! any more: line ends differ, an mbox puts `>` before lines that begin with `From `, programs leave
//! notes in the header, empty lines at the end come and go. A print leaves all that out.
//! What is left is the header, with Message-ID, and the body.

use memchr::memchr;
use waxwing_store::ImportPrint;

use crate::mbox::is_note;

/// A hash of what a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content([u8; 32]);

/// Notes of programs that keep mail in step, beside those of mbox files: mbsync and OfflineIMAP.
const SYNC_NOTES: [&str; 3] = ["x-tuid", "x-offlineimap", "lines"];

/// Of a whole message. Takes time in the length of it and next to no memory.
pub fn content(octets: &[u8]) -> Content {
    let mut hash = Buffered::default();
    let mut lines = Lines(octets);
    let mut passing = false;
    for line in lines.by_ref() {
        if line.is_empty() {
            break;
        }
        if !matches!(line[0], b' ' | b'\t') {
            let name = line.split(|&b| b == b':').next().unwrap_or_default().trim_ascii_end();
            passing =
                is_note(name) || SYNC_NOTES.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()));
        }
        if !passing {
            hash.line(line);
        }
    }
    hash.line(b"");
    let mut empty = 0;
    for line in lines {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty) {
            hash.line(b"");
        }
        let quotes = line.iter().take_while(|&&b| b == b'>').count();
        let quoted = line[quotes..].starts_with(b"From ");
        hash.line(if quoted { &line[quotes..] } else { line });
    }
    Content(hash.finish())
}

/// Of a message in a mailbox: the same message in two of them is two.
pub fn in_mailbox(content: &Content, name: &str) -> ImportPrint {
    let mut hash = blake3::Hasher::new();
    hash.update(&content.0).update(name.as_bytes());
    short(hash)
}

/// Names a mailbox of another server as a source: all that makes its UIDs mean something else.
pub fn source(parts: &[&str], uid_validity: u32) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hash.update(&uid_validity.to_le_bytes());
    short(hash).0
}

fn short(hash: blake3::Hasher) -> ImportPrint {
    let mut print = [0; 16];
    print.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    ImportPrint(print)
}

/// Lines without their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.0).unwrap_or(self.0.len());
        let line = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Lines on their way into the hash, which is quicker in large pieces.
#[derive(Default)]
struct Buffered {
    hash: blake3::Hasher,
    waiting: Vec<u8>,
}

impl Buffered {
    fn line(&mut self, line: &[u8]) {
        if self.waiting.len() + line.len() > 16 * 1024 {
            self.hash.update(&self.waiting);
            self.waiting.clear();
        }
        if line.len() > 16 * 1024 {
            self.hash.update(line);
        } else {
            self.waiting.extend_from_slice(line);
        }
        self.waiting.push(b'\n');
    }

    fn finish(mut self) -> [u8; 32] {
        self.hash.update(&self.waiting);
        *self.hash.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_journey_does_to_a_message_is_left_out() {
        let plain = b"Message-ID: <1@a>\r\nSubject: x\r\n\r\nFrom here\r\n\r\nto there\r\n";
        for same in [
            &b"Message-ID: <1@a>\nSubject: x\n\nFrom here\n\nto there\n"[..],
            b"Message-ID: <1@a>\nSubject: x\nStatus: RO\nX-Keywords: a\n b\n\n>From here\n\nto there\n\n\n",
            b"X-TUID: abc\r\nMessage-ID: <1@a>\r\nSubject: x\r\n\r\n>>From here\r\n\r\nto there",
        ] {
            assert_eq!(content(same), content(plain), "{}", String::from_utf8_lossy(same));
        }
        for other in [
            &b"Message-ID: <2@a>\nSubject: x\n\nFrom here\n\nto there\n"[..],
            b"Message-ID: <1@a>\nSubject: x\n\nFrom here\nto there\n",
            b"Message-ID: <1@a>\nSubject: x\n\nFrom here\n\nto there \n",
            b"Message-ID: <1@a>\nSubject: x\n\n\nFrom here\n\nto there\n",
        ] {
            assert_ne!(content(other), content(plain), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn mailboxes_and_sources_differ() {
        let content = content(b"Subject: x\n\nx\n");
        assert_ne!(in_mailbox(&content, "INBOX"), in_mailbox(&content, "Sent"));
        assert_ne!(source(&["a", "bc"], 1), source(&["ab", "c"], 1));
        assert_ne!(source(&["a"], 1), source(&["a"], 2));
    }
}
