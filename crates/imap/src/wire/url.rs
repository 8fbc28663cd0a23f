//! IMAP URLs of messages and their parts (RFC 5092), as CATENATE takes them (RFC 4469 §3): relative to
//! the server (`/Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=HEADER`) or to the selected mailbox
//! (`;UID=20/;SECTION=1`).
//!
//! Not here: URLs of servers, and URLAUTH (RFC 4467).

use super::cursor::Cursor;
use super::parse_fetch::{self, Partial, Section};

/// A message, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageUrl {
    /// Its name in UTF-8; `None` is the selected one.
    pub mailbox: Option<String>,
    /// When given, it must be the mailbox's.
    pub uid_validity: Option<u32>,
    /// Which message.
    pub uid: u32,
    /// What of it; `None` is all of it.
    pub section: Option<Section>,
    /// Which octets of that.
    pub partial: Option<Partial>,
}

/// Reads one. `None`: it is not of that form.
pub fn message_url(url: &[u8]) -> Option<MessageUrl> {
    let text = std::str::from_utf8(url).ok().filter(|text| text.is_ascii())?;
    let (mailbox, rest) = match text.strip_prefix('/') {
        // RFC 5092 §11: a `;` that is part of a name is encoded.
        Some(path) => {
            let at = find(path, "/;UID=")?;
            (Some(&path[..at]), &path[at + 1..])
        }
        None => (None, text),
    };
    let (mailbox, uid_validity) = match mailbox {
        None => (None, None),
        Some(mailbox) => {
            let (name, validity) = parameter(mailbox, ";UIDVALIDITY=");
            let name = String::from_utf8(decoded(name)?).ok().filter(|name| !name.is_empty())?;
            (Some(name), validity.map(nz_number).map(|n| n.ok_or(())).transpose().ok()?)
        }
    };
    let rest = strip(rest, ";UID=")?;
    let (rest, partial) = parameter(rest, "/;PARTIAL=");
    let (uid, section) = parameter(rest, "/;SECTION=");
    Some(MessageUrl {
        mailbox,
        uid_validity,
        uid: nz_number(uid)?,
        section: section.map(|text| section_of(text).ok_or(())).transpose().ok()?,
        partial: partial.map(|text| partial_of(text).ok_or(())).transpose().ok()?,
    })
}

/// What stands before a parameter, and its value if it is there.
fn parameter<'t>(text: &'t str, name: &str) -> (&'t str, Option<&'t str>) {
    match find(text, name) {
        Some(at) => (&text[..at], Some(&text[at + name.len()..])),
        None => (text, None),
    }
}

/// Names of parameters are the same in any case.
fn find(text: &str, name: &str) -> Option<usize> {
    text.to_ascii_uppercase().find(name)
}

fn strip<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name))?;
    text.get(name.len()..)
}

fn nz_number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&n: &u32| digits && n > 0)
}

/// RFC 5092 §11 `enc-section`: as in FETCH, with what URLs do not allow encoded.
fn section_of(text: &str) -> Option<Section> {
    let mut spec = decoded(text).filter(|spec| !spec.is_empty())?;
    spec.push(b']');
    let mut cursor = Cursor::new(&spec);
    let section = parse_fetch::section(&mut cursor).ok()?;
    (cursor.eat(b']') && cursor.at_end()).then_some(section)
}

/// RFC 5092 §11 `partial-range`: where it begins, and perhaps how long it is.
fn partial_of(text: &str) -> Option<Partial> {
    let (origin, octets) = match text.split_once('.') {
        Some((origin, octets)) => (origin, u64::from(nz_number(octets)?)),
        None => (text, u64::MAX),
    };
    let digits = origin.bytes().all(|b| b.is_ascii_digit());
    Some(Partial { origin: origin.parse().ok().filter(|_| digits)?, octets })
}

/// RFC 3986 §2.1.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        octets.push(match b {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                (high * 16 + low) as u8
            }
            b => b,
        });
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse_fetch::SectionText;
    use proptest::prelude::*;

    fn read(url: &str) -> MessageUrl {
        message_url(url.as_bytes()).unwrap_or_else(|| panic!("{url}"))
    }

    #[test]
    fn urls() {
        // RFC 4469 §3's examples.
        let header = read("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER");
        assert_eq!(header.mailbox.as_deref(), Some("Drafts"));
        assert_eq!((header.uid_validity, header.uid), (Some(385_759_045), 20));
        assert_eq!(header.section.unwrap().text, SectionText::Header);
        let mime = read("/Drafts;UIDVALIDITY=385759045/;UID=30/;section=1.MIME").section.unwrap();
        assert_eq!((mime.part, mime.text), (vec![1], SectionText::Mime));
        let whole = read("/INBOX/a%20%3Bb/;uid=7");
        assert_eq!(whole.mailbox.as_deref(), Some("INBOX/a ;b"));
        assert_eq!((whole.section, whole.partial), (None, None));
        let selected = read(";UID=7/;SECTION=2.1/;PARTIAL=10.20");
        assert_eq!(selected.mailbox, None);
        assert_eq!(selected.partial, Some(Partial { origin: 10, octets: 20 }));
        assert_eq!(read(";UID=7/;PARTIAL=0").partial.unwrap().octets, u64::MAX);
        let fields = read(";UID=7/;SECTION=HEADER.FIELDS%20(To%20From)").section.unwrap();
        assert_eq!(fields.text, SectionText::HeaderFields(vec![b"To".into(), b"From".into()]));
        for bad in [
            "",
            "/",
            "/INBOX",
            "/INBOX/;UID=0",
            "/INBOX/;UID=",
            "/INBOX/;UID=+1",
            "/;UID=1",
            "INBOX/;UID=1",
            "/INBOX;UIDVALIDITY=/;UID=1",
            "/INBOX/;UID=1/;SECTION=",
            "/INBOX/;UID=1/;SECTION=x",
            "/INBOX/;UID=1/;SECTION=1]",
            "/INBOX/;UID=1/;PARTIAL=",
            "/INBOX/;UID=1/;PARTIAL=1.0",
            "/IN%2/;UID=1",
            "/IN%ff/;UID=1",
            "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f92038",
            "imap://alice@example.org/INBOX/;UID=1",
        ] {
            assert_eq!(message_url(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(url: Vec<u8>, tail in ";UID=[0-9/;=A-Z.%]{0,30}") {
            let _ = message_url(&url);
            let _ = message_url(tail.as_bytes());
        }

        /// Any name, encoded as RFC 3986 §2.1 says, comes back.
        #[test]
        fn names_come_back(name in "\\PC{1,12}", uid in 1u32.., validity in 1u32..) {
            let encoded: String = name.bytes().map(|b| format!("%{b:02X}")).collect();
            let url = read(&format!("/{encoded};UIDVALIDITY={validity}/;UID={uid}"));
            prop_assert_eq!(url.mailbox.as_deref(), Some(name.as_str()));
            prop_assert_eq!((url.uid, url.uid_validity), (uid, Some(validity)));
        }
    }
}
