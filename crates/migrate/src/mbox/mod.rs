//! mbox files: many messages in one file, each after a line that begins with `From `.
//!
//! | kind | lines of a body that begin with `From ` | read | written |
//! |---|---|---|---|
//! | mboxrd | get a `>`, as does each line that begins with `>`s and `From ` | yes | yes |
//! | mboxo | get a `>` | yes: the first `>` goes, as in mboxrd | no |
//! | mboxcl2 | stay; `Content-Length` says how long the body is | yes, where that length leads to the next message | no |
//!
//! What the file says about a message, and the message does not, stands in header fields of programs
//! (`Status`, `X-Status`, `X-Keywords`, `X-Mozilla-Status`, `X-Gmail-Labels`): *notes*. They are read as
//! flags and taken out; a message comes out of a file as it went in.

mod from_line;
mod head;
mod reader;
mod writer;

pub use head::Head;
pub use reader::Reader;
pub use writer::Writer;

/// Fields that belong to the file and not to the message.
const NOTES: [&str; 14] = [
    "status",
    "x-status",
    "x-keywords",
    "x-uid",
    "x-imap",
    "x-imapbase",
    "content-length",
    "x-mozilla-status",
    "x-mozilla-status2",
    "x-mozilla-keys",
    "x-mozilla-external-attachment-url",
    "x-gmail-labels",
    "x-gm-thrid",
    "x-evolution",
];

/// Whether a field of that name is a note.
pub fn is_note(name: &[u8]) -> bool {
    NOTES.iter().any(|note| name.eq_ignore_ascii_case(note.as_bytes()))
}

/// `>`s (or none), and then `From `.
fn looks_quoted(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|&&b| b == b'>').count();
    line[quotes..].starts_with(b"From ")
}

#[cfg(test)]
mod tests;
