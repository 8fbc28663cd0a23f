//! A message out of a file, as it was on the wire.

use std::borrow::Cow;

use memchr::memmem;
use waxwing_mailauth::dkim::as_sent;
use waxwing_message::parse::field::header_start;

/// What had to be done to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// The `From ` line of an mbox file was taken off.
    pub mbox_line: bool,
    /// More messages follow in the mbox file, and were cut off.
    pub more_messages: bool,
    /// Lines that ended with LF alone now end with CRLF.
    pub line_ends: bool,
}

impl Repairs {
    /// In words.
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            (
                self.mbox_line,
                "the file begins with the `From ` line of an mbox, which was left out",
            ),
            (self.more_messages, "the file holds more messages: only the first was looked at"),
            (self.line_ends, "lines ended with LF alone and were given CRLF, as on the wire"),
        ];
        all.into_iter().filter(|(done, _)| *done).map(|(_, words)| words).collect()
    }
}

/// The message in a file's octets.
pub fn message(file: &[u8]) -> (Cow<'_, [u8]>, Repairs) {
    let start = header_start(file);
    let mut raw = &file[start..];
    let mut repairs = Repairs { mbox_line: start > 0, ..Repairs::default() };
    if repairs.mbox_line {
        // RFC 4155: an empty line and `From ` begin the next message; the empty line is the mbox's.
        let lf = memmem::find(raw, b"\n\nFrom ").map(|at| at + 1);
        let crlf = memmem::find(raw, b"\r\n\r\nFrom ").map(|at| at + 2);
        if let Some(end) = [lf, crlf].into_iter().flatten().min() {
            raw = &raw[..end];
            repairs.more_messages = true;
        } else {
            let own = raw.strip_suffix(b"\n\n").map(<[u8]>::len).map(|len| len + 1);
            raw = &raw[..own.unwrap_or(raw.len())];
        }
    }
    let sent = as_sent(raw);
    repairs.line_ends = matches!(sent, Cow::Owned(_));
    (sent, repairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_as_it_was_sent_is_left_alone() {
        let (raw, repairs) = message(b"A: b\r\n\r\nFrom me\r\n");
        assert_eq!((&*raw, repairs), (&b"A: b\r\n\r\nFrom me\r\n"[..], Repairs::default()));
    }

    #[test]
    fn one_message_is_taken_out_of_an_mbox() {
        let file = b"From x@y Mon Nov  2 2026\nA: b\n\none\n\nFrom x@y Tue\nA: c\n\ntwo\n\n";
        let (raw, repairs) = message(file);
        assert_eq!(&*raw, b"A: b\r\n\r\none\r\n");
        assert_eq!(repairs, Repairs { mbox_line: true, more_messages: true, line_ends: true });
        let (raw, repairs) = message(b"From x@y Mon\nA: b\n\none\n\n");
        assert_eq!(&*raw, b"A: b\r\n\r\none\r\n");
        assert!(!repairs.more_messages);
    }
}
