//! The forms in which mail moves from and to other systems, as data: files are read and written, and
//! servers asked, by whoever uses this.
//!
//! | file | what it holds |
//! |---|---|
//! | `mbox/` | mbox files of every kind: messages out of one, and into one |
//! | `maildir` | names of Maildir's files and folders, and its keywords |
//! | `imap/` | what an IMAP server says to its client |
//! | `labels` | Gmail's labels, as its exports write them |
//! | `names` | other systems' mailbox names and roles in ours |
//! | `flags` | flags and keywords in the words of each |
//! | `print` | which messages are the same, whatever way they came |

pub mod flags;
pub mod imap;
pub mod labels;
pub mod maildir;
pub mod mbox;
pub mod names;
pub mod print;

/// Entry points for fuzzing.
#[doc(hidden)]
pub mod fuzzing {
    use std::io::Cursor;

    use crate::{imap, labels, maildir, mbox, names, print};

    /// Any octets as an mbox file: every message read to its end.
    pub fn fuzz_mbox(data: &[u8]) {
        let Ok(mut reader) = mbox::Reader::new(Cursor::new(data)) else { return };
        let mut octets = 0;
        while let Some(head) = reader.next(&mut |piece| octets += piece.len()).expect("so it can") {
            let _ = (head.flags(), head.labels());
            // CRLF for LF, and an empty line where the header had no end.
            assert!(octets <= 2 * data.len() + 4);
        }
        let _ = print::content(data);
    }

    /// Any octets as names of Maildir's files and folders, and as labels.
    pub fn fuzz_names(data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        let keywords = maildir::Keywords::parse(&text);
        let _ = maildir::flags(&text, &keywords);
        if let Some(name) = maildir::mailbox_name(&text) {
            let _ = names::ours(&name, Some('/'), "");
        }
        let _ = labels::Labels::parse(&text);
    }

    /// Any octets as responses of an IMAP server.
    pub fn fuzz_imap(data: &[u8]) {
        for line in data.split(|&b| b == b'\n') {
            let _ = imap::literal_mark(line);
            let _ = imap::Response::parse(line);
        }
    }
}
