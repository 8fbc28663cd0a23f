//! What an mbox file says about a message.

use jiff::Timestamp;
use waxwing_message::parse::words::decode_text;
use waxwing_store::{Flags, SystemFlags};

use crate::flags::{FORWARDED, Gathered};
use crate::labels::Labels;

/// The `From ` line and the notes of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// When it came, as the `From ` line says.
    pub received_at: Option<Timestamp>,
    /// Where in the file it begins.
    pub offset: u64,
    /// Names in lower case, and values.
    pub(super) notes: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub(super) fn note(&self, name: &str) -> Option<&[u8]> {
        self.notes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.note(name).unwrap_or_default()).unwrap_or_default().trim()
    }

    /// A program's own note to itself in the place of a message.
    pub fn is_internal(&self) -> bool {
        self.note("x-imap").is_some()
    }

    /// Deleted by its owner; the program has not rewritten the file yet.
    pub fn is_expunged(&self) -> bool {
        self.mozilla() & 0x0008 != 0
    }

    fn mozilla(&self) -> u32 {
        u32::from_str_radix(self.text("x-mozilla-status"), 16).unwrap_or(0)
    }

    /// Flags and keywords.
    pub fn flags(&self) -> Flags {
        let mut flags = Gathered::default();
        for letter in self.text("status").chars().chain(self.text("x-status").chars()) {
            flags.system(match letter {
                'R' => SystemFlags::SEEN,
                'A' => SystemFlags::ANSWERED,
                'F' => SystemFlags::FLAGGED,
                'T' => SystemFlags::DRAFT,
                'D' => SystemFlags::DELETED,
                _ => continue,
            });
        }
        let mozilla = self.mozilla();
        for (bit, flag) in [
            (0x0001, SystemFlags::SEEN),
            (0x0002, SystemFlags::ANSWERED),
            (0x0004, SystemFlags::FLAGGED),
        ] {
            if mozilla & bit != 0 {
                flags.system(flag);
            }
        }
        if mozilla & 0x1000 != 0 {
            flags.keyword(FORWARDED);
        }
        let words = [self.text("x-keywords"), self.text("x-mozilla-keys")];
        for word in words.iter().flat_map(|text| text.split_ascii_whitespace()) {
            flags.keyword(word);
        }
        flags.finish()
    }

    /// Gmail's labels, where the file has them.
    pub fn labels(&self) -> Option<Labels> {
        self.note("x-gmail-labels").map(|value| Labels::parse(&decode_text(value)))
    }
}
