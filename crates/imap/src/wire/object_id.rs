//! Object identifiers (RFC 8474): the store's own ids, with a letter before them so that no two
//! kinds are ever alike (§8.1).
//!
//! | | |
//! |---|---|
//! | `F12` | MAILBOXID: a mailbox, whatever its name becomes |
//! | `M345` | EMAILID: a content; copies have the same one |
//! | `T67` | THREADID: messages that belong together (§5.2) |
//!
//! JMAP has the same ids (RFC 9698 §3).

use waxwing_store::{MailboxId, MessageId, ThreadId};

/// RFC 8474 §7 `objectid`.
pub const MAX_OCTETS: usize = 255;

/// MAILBOXID.
pub fn of_mailbox(id: MailboxId) -> String {
    format!("F{}", id.0)
}

/// EMAILID.
pub fn of_message(id: MessageId) -> String {
    format!("M{}", id.0)
}

/// THREADID.
pub fn of_thread(id: ThreadId) -> String {
    format!("T{}", id.0)
}

/// The thread that a THREADID names; `None`: no message is in it.
pub fn thread(text: &str) -> Option<ThreadId> {
    let id = text.strip_prefix('T')?.parse().ok().map(ThreadId)?;
    (of_thread(id) == text).then_some(id) // one spelling only
}

/// The content that an EMAILID names; `None`: no message has it.
pub fn message(text: &str) -> Option<MessageId> {
    let id = text.strip_prefix('M')?.parse().ok().map(MessageId)?;
    (of_message(id) == text).then_some(id) // one spelling only
}

/// RFC 8474 §7 `objectid` characters.
pub fn is_char(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_one_spelling() {
        assert_eq!(message("M7"), Some(MessageId(7)));
        for other in ["m7", "M07", "M+7", "F7", "7", "M", "M99999999999999999999"] {
            assert_eq!(message(other), None, "{other}");
            assert_eq!(thread(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(id in 1i64..) {
            let text = of_message(MessageId(id));
            prop_assert_eq!(message(&text), Some(MessageId(id)));
            prop_assert!(text.bytes().all(is_char) && text.len() <= MAX_OCTETS);
            prop_assert_eq!(thread(&of_thread(ThreadId(id))), Some(ThreadId(id)));
        }
    }
}
