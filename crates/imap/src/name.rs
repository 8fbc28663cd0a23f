//! Mailbox names between the wire and the store: modified UTF-7 for rev1 clients, UTF-8 for those
//! that have enabled it, and INBOX in any case.

use std::borrow::Cow;

use crate::reply::Fail;
use crate::session::Enabled;
use crate::wire::utf7;

/// The hierarchy delimiter.
pub const DELIMITER: char = '/';

/// A name, or a LIST pattern, as the store writes it. Names that cannot be are refused here with
/// CANNOT; whether one exists is the store's answer.
pub fn from_wire(wire: &[u8], enabled: Enabled) -> Result<String, Fail> {
    let bad = || Fail::no("CANNOT", "That mailbox name is neither modified UTF-7 nor UTF-8");
    // Some rev1 clients send UTF-8 as it is: it cannot be mistaken for modified UTF-7.
    let name = if enabled.reads_utf8() || !wire.is_ascii() {
        std::str::from_utf8(wire).map_err(|_| bad())?.to_owned()
    } else {
        utf7::decode(wire).ok_or_else(bad)?
    };
    Ok(match inbox_prefix(&name) {
        Cow::Borrowed(_) => name,
        Cow::Owned(name) => name,
    })
}

/// RFC 9051 §5.1: INBOX is the same in any case; so is what stands under it.
fn inbox_prefix(name: &str) -> Cow<'_, str> {
    let (first, rest) = match name.find(DELIMITER) {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    match first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
        true => Cow::Owned(format!("INBOX{rest}")),
        false => Cow::Borrowed(name),
    }
}

/// RFC 9051 §6.3.4: CREATE's name may end in a delimiter, to say that others will come under it.
pub fn without_trailing_delimiter(name: &str) -> &str {
    name.strip_suffix(DELIMITER).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let rev1 = Enabled::default();
        let rev2 = Enabled { rev2: true, ..rev1 };
        let read = |wire: &[u8], enabled| from_wire(wire, enabled).ok();
        assert_eq!(read(b"inBox", rev1).as_deref(), Some("INBOX"));
        assert_eq!(read(b"inbox/a", rev2).as_deref(), Some("INBOX/a"));
        assert_eq!(read(b"Inboxes", rev2).as_deref(), Some("Inboxes"));
        assert_eq!(read(b"Entw&APw-rfe", rev1).as_deref(), Some("Entwürfe"));
        assert_eq!(read(b"Entw&APw-rfe", rev2).as_deref(), Some("Entw&APw-rfe"));
        assert_eq!(read("Entwürfe".as_bytes(), rev1).as_deref(), Some("Entwürfe"));
        assert_eq!(read(b"a & b", rev1), None);
        assert_eq!(read(b"\xff", rev2), None);
    }
}
