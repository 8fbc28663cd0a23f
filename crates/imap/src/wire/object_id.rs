//! Object identifiers (RFC 8474): MAILBOXID, EMAILID and THREADID are the names that the store gives
//! ([`waxwing_store::ObjectId`]), which JMAP gives too (RFC 9698 §3).

/// RFC 8474 §7 `objectid`.
pub const MAX_OCTETS: usize = 255;

/// RFC 8474 §7 `objectid` characters.
pub fn is_char(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use waxwing_store::{MessageId, ObjectId as _, ThreadId};

    #[test]
    fn only_one_spelling() {
        assert_eq!(MessageId::of_text("M7"), Some(MessageId(7)));
        for other in ["m7", "M07", "M+7", "F7", "7", "M", "M99999999999999999999"] {
            assert_eq!(MessageId::of_text(other), None, "{other}");
            assert_eq!(ThreadId::of_text(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(id in 1i64..) {
            let text = MessageId(id).text();
            prop_assert_eq!(MessageId::of_text(&text), Some(MessageId(id)));
            prop_assert!(text.bytes().all(is_char) && text.len() <= MAX_OCTETS);
            prop_assert_eq!(ThreadId::of_text(&ThreadId(id).text()), Some(ThreadId(id)));
        }
    }
}
