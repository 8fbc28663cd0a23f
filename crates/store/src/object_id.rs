//! What objects are called outside: the store's own number, with a letter before it so that no two kinds
//! are ever alike and no name begins with a digit. Every protocol calls an object the same (RFC 9698 §3).
//!
//! | | |
//! |---|---|
//! | `A3` | an account |
//! | `F12` | a mailbox, whatever its name becomes |
//! | `M345` | a content; copies have the same one |
//! | `T67` | a thread: messages that belong together |
//! | `I8` | as whom an account writes |
//! | `S9` | a submission |

use crate::{AccountId, IdentityId, MailboxId, MessageId, SubmissionId, ThreadId};

/// What has a name of the form letter and number.
pub trait ObjectId: Copy {
    /// Before the number.
    const LETTER: char;
    /// The store's number.
    fn number(self) -> i64;
    /// Of the store's number.
    fn of_number(number: i64) -> Self;

    /// The name.
    fn text(self) -> String {
        format!("{}{}", Self::LETTER, self.number())
    }

    /// What a name means; `None`: nothing of that kind has it. There is one spelling only.
    fn of_text(text: &str) -> Option<Self> {
        positive(text.strip_prefix(Self::LETTER)?).map(Self::of_number)
    }
}

/// A number above zero in its one spelling.
pub fn positive(digits: &str) -> Option<i64> {
    let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

macro_rules! named {
    ($($name:ident $letter:literal),* $(,)?) => { $(
        impl ObjectId for $name {
            const LETTER: char = $letter;
            fn number(self) -> i64 {
                self.0
            }
            fn of_number(number: i64) -> $name {
                $name(number)
            }
        }
    )* };
}

named! {
    AccountId 'A',
    MailboxId 'F',
    MessageId 'M',
    ThreadId 'T',
    IdentityId 'I',
    SubmissionId 'S',
}
