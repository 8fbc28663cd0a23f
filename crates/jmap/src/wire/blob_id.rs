//! Ids of binary data (RFC 8620 §6, RFC 8621 §4.1.1 `blobId`).
//!
//! | | |
//! |---|---|
//! | `B345` | the octets of message `M345` |
//! | `B345_1_2` | its part 1.2, its transfer encoding undone |
//! | `U9` | an upload |
//! | `U9_1` | a part of it, read as a message |
//!
//! Parts are numbered as IMAP numbers them (RFC 9051 §6.4.5.1), from 1, through attached messages too: the
//! parts of the message that is part 2 are 2.1, 2.2, …

use std::fmt;

use waxwing_store::{MessageId, UploadId};

use super::id::{MAX_OCTETS, positive};

/// Levels of parts that a blob id can name.
pub const LEVELS_MAX: usize = 32;

/// Whole octets that the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A message.
    Message(MessageId),
    /// What somebody uploaded.
    Upload(UploadId),
}

/// Binary data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Blob {
    /// In which octets.
    pub source: Source,
    /// Numbers of the part, outermost first; empty: all octets as they are.
    pub path: Vec<u32>,
}

impl Blob {
    /// A message's octets.
    pub fn of_message(message: MessageId) -> Blob {
        Blob { source: Source::Message(message), path: Vec::new() }
    }

    /// An upload's octets.
    pub fn of_upload(upload: UploadId) -> Blob {
        Blob { source: Source::Upload(upload), path: Vec::new() }
    }

    /// A part of the same octets.
    pub fn part(&self, path: Vec<u32>) -> Blob {
        Blob { source: self.source, path }
    }

    /// What an id names; `None`: no blob has it. There is one spelling only.
    pub fn read(id: &str) -> Option<Blob> {
        if id.len() > MAX_OCTETS {
            return None;
        }
        let mut pieces = id.get(1..)?.split('_');
        let number = positive(pieces.next()?)?;
        let source = match id.as_bytes()[0] {
            b'B' => Source::Message(MessageId(number)),
            b'U' => Source::Upload(UploadId(number)),
            _ => return None,
        };
        let piece = |piece: &str| u32::try_from(positive(piece)?).ok();
        let path: Vec<u32> = pieces.map(piece).collect::<Option<_>>()?;
        (path.len() <= LEVELS_MAX).then_some(Blob { source, path })
    }
}

impl fmt::Display for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Message(message) => write!(f, "B{}", message.0)?,
            Source::Upload(upload) => write!(f, "U{}", upload.0)?,
        }
        self.path.iter().try_for_each(|number| write!(f, "_{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_one_spelling() {
        let part = Blob::of_message(MessageId(345)).part(vec![1, 2]);
        assert_eq!(Blob::read("B345_1_2"), Some(part));
        assert_eq!(Blob::read("U9"), Some(Blob::of_upload(UploadId(9))));
        for other in [
            "",
            "B",
            "B0",
            "B345_",
            "B345_0",
            "B345__1",
            "B345_1.2",
            "M345",
            "é1",
            "B345_4294967296",
        ] {
            assert_eq!(Blob::read(other), None, "{other}");
        }
        assert_eq!(Blob::read(&format!("B1{}", "_1".repeat(33))), None);
    }

    proptest! {
        #[test]
        fn round_trip(number in 1i64.., path in prop::collection::vec(1u32.., 0..4), upload: bool) {
            let source = match upload {
                true => Source::Upload(UploadId(number)),
                false => Source::Message(MessageId(number)),
            };
            let blob = Blob { source, path };
            prop_assert_eq!(Blob::read(&blob.to_string()), Some(blob.clone()));
            prop_assert!(super::super::id::is_id(&blob.to_string()));
        }

        #[test]
        fn nothing_panics(id: String) {
            if let Some(blob) = Blob::read(&id) {
                prop_assert_eq!(blob.to_string(), id);
            }
        }
    }
}
