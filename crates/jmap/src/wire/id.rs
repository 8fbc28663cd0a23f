//! Ids (RFC 8620 §1.2): the store's own, with a letter before them so that no two kinds are ever
//! alike, and no id begins with a digit.
//!
//! | | |
//! |---|---|
//! | `A3` | an account |
//! | `F12` | a mailbox; IMAP's MAILBOXID (RFC 8474) |
//! | `M345` | an Email; IMAP's EMAILID |
//! | `T67` | a Thread; IMAP's THREADID |
//! | `I8` | an Identity |
//! | `S9` | an EmailSubmission |
//!
//! RFC 9698 §3 wants those of mailboxes, Emails and Threads to be the same in IMAP and JMAP. Blobs: [`super::blob_id`].

use waxwing_store::{AccountId, IdentityId, MailboxId, MessageId, SubmissionId, ThreadId};

/// RFC 8620 §1.2.
pub const MAX_OCTETS: usize = 255;

/// What has an id of the form letter and number.
pub trait Numbered: Copy {
    /// Before the number.
    const LETTER: char;
    /// The store's number.
    fn number(self) -> i64;
    /// Of the store's number.
    fn of_number(number: i64) -> Self;
}

macro_rules! numbered {
    ($($name:ident $letter:literal),* $(,)?) => { $(
        impl Numbered for $name {
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

numbered! {
    AccountId 'A',
    MailboxId 'F',
    MessageId 'M',
    ThreadId 'T',
    IdentityId 'I',
    SubmissionId 'S',
}

/// As it stands on the wire.
pub fn text<T: Numbered>(id: T) -> String {
    format!("{}{}", T::LETTER, id.number())
}

/// What an id names; `None`: nothing of that kind has it. There is one spelling only.
pub fn read<T: Numbered>(text: &str) -> Option<T> {
    positive(text.strip_prefix(T::LETTER)?).map(T::of_number)
}

/// A number above zero in its one spelling.
pub(super) fn positive(digits: &str) -> Option<i64> {
    let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// RFC 8620 §1.2: 1 to 255 octets of `A-Za-z0-9-_`.
pub fn is_id(text: &str) -> bool {
    let fits = (1..=MAX_OCTETS).contains(&text.len());
    fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_one_spelling() {
        assert_eq!(read("M7"), Some(MessageId(7)));
        for other in
            ["m7", "M07", "M+7", "M-7", "F7", "7", "M", "M0", "M99999999999999999999", "M7 "]
        {
            assert_eq!(read::<MessageId>(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(number in 1i64..) {
            let id = text(ThreadId(number));
            prop_assert_eq!(read(&id), Some(ThreadId(number)));
            prop_assert!(is_id(&id));
        }
    }

    #[test]
    fn what_an_id_is() {
        assert!(is_id("a") && is_id("-_A9") && is_id(&"x".repeat(255)));
        for no in ["", "a b", "#a", "a/b", "é", &"x".repeat(256)] {
            assert!(!is_id(no), "{no}");
        }
    }
}
