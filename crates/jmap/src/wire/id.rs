//! Ids (RFC 8620 §1.2): as the store names its objects, so that those of mailboxes, Emails and Threads are the
//! same in IMAP and JMAP (RFC 9698 §3). Blobs: [`super::blob_id`].

pub use waxwing_store::ObjectId as Numbered;
pub(super) use waxwing_store::positive;

/// RFC 8620 §1.2.
pub const MAX_OCTETS: usize = 255;

/// As it stands on the wire.
pub fn text<T: Numbered>(id: T) -> String {
    id.text()
}

/// What an id names; `None`: nothing of that kind has it. There is one spelling only.
pub fn read<T: Numbered>(text: &str) -> Option<T> {
    T::of_text(text)
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
    use waxwing_store::{MessageId, ThreadId};

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
