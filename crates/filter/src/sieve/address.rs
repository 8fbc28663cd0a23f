//! Addresses of header fields and envelopes, and their parts (RFC 5228 §2.7.4, RFC 5233).

use std::borrow::Cow;

use waxwing_message::Address;
use waxwing_message::parse::addresses::{AddressItem, parse};

use super::check::{Bound, Tag, Takes};
use super::test::header_text;

/// The tags that choose a part.
pub(crate) const TAGS: &[Tag] = &[
    Tag { name: "all", takes: Takes::Nothing, extension: "", group: "part" },
    Tag { name: "localpart", takes: Takes::Nothing, extension: "", group: "part" },
    Tag { name: "domain", takes: Takes::Nothing, extension: "", group: "part" },
    Tag { name: "user", takes: Takes::Nothing, extension: "subaddress", group: "part" },
    Tag { name: "detail", takes: Takes::Nothing, extension: "subaddress", group: "part" },
];

/// A part of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressPart {
    All,
    LocalPart,
    Domain,
    User,
    Detail,
}

impl AddressPart {
    pub fn new(bound: &Bound<'_>) -> AddressPart {
        match bound.of_group("part").map(|(tag, _)| tag) {
            Some("localpart") => AddressPart::LocalPart,
            Some("domain") => AddressPart::Domain,
            Some("user") => AddressPart::User,
            Some("detail") => AddressPart::Detail,
            _ => AddressPart::All,
        }
    }

    /// The part of an address; `None` where it has none, as an address without `+` has no detail.
    pub fn of(self, local_part: &str, domain: &str) -> Option<String> {
        Some(match self {
            AddressPart::All => format!("{}@{domain}", written(local_part)),
            AddressPart::LocalPart => local_part.to_owned(),
            AddressPart::Domain => domain.to_owned(),
            AddressPart::User => local_part.split('+').next().unwrap_or_default().to_owned(),
            AddressPart::Detail => local_part.split_once('+')?.1.to_owned(),
        })
    }

    /// The part of an address of the envelope; of the null reverse-path everything is empty (RFC 5228
    /// §5.4).
    pub fn of_envelope(self, address: Option<&Address>) -> Option<String> {
        match address {
            Some(address) => self.of(address.local_part(), address.domain()),
            None if self == AddressPart::Detail => None,
            None => Some(String::new()),
        }
    }
}

/// A local part as it is written in an address: quoted where its characters need it (RFC 5322 §3.4.1).
fn written(local_part: &str) -> Cow<'_, str> {
    let atext =
        |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let dot_atom = local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext));
    match dot_atom {
        true => Cow::Borrowed(local_part),
        false => {
            let escaped = local_part.replace('\\', "\\\\").replace('"', "\\\"");
            Cow::Owned(format!("\"{escaped}\""))
        }
    }
}

/// That part of every address in a field, groups opened (RFC 5228 §5.1). A field without any address has
/// its text for `:all`, and no other part, as Pigeonhole has it: so a test for
/// `undisclosed-recipients:;` works.
pub(crate) fn parts_of(value: &[u8], part: AddressPart) -> Vec<String> {
    let mut any = false;
    let mut parts = Vec::new();
    for item in parse(value) {
        if let AddressItem::Mailbox { local_part, domain, .. } = item
            && !local_part.is_empty()
            && !domain.is_empty()
        {
            any = true;
            parts.extend(part.of(&local_part, &domain));
        }
    }
    if !any {
        let text = header_text(value);
        if part == AddressPart::All || (text.is_empty() && part != AddressPart::Detail) {
            parts.push(text);
        }
    }
    parts
}

/// Fields that hold addresses: RFC 5228 §5.1 wants the test kept to such.
pub(crate) fn holds_addresses(name: &str) -> bool {
    const FIELDS: &[&str] = &[
        "from",
        "to",
        "cc",
        "bcc",
        "sender",
        "reply-to",
        "resent-from",
        "resent-sender",
        "resent-to",
        "resent-cc",
        "resent-bcc",
        "resent-reply-to",
        "return-path",
        "delivered-to",
        "x-original-to",
        "envelope-to",
        "x-envelope-to",
        "x-envelope-from",
        "disposition-notification-to",
        "errors-to",
        "return-receipt-to",
        "mail-followup-to",
        "mail-reply-to",
        "apparently-to",
        "x-apparently-to",
        "x-forwarded-to",
        "x-forwarded-for",
        "x-delivered-to",
        "approved",
        "original-from",
        "original-recipient",
        "final-recipient",
        "list-post",
        "abuse-reports-to",
        "x-complaints-to",
        "x-report-abuse-to",
        "x-beenthere",
        "for-comment",
        "for-handling",
        "for-approval",
    ];
    FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_rfc_5233_section_4() {
        // The table of RFC 5233 §4 for `ken+sieve@example.org`.
        let of = |part: AddressPart| part.of("ken+sieve", "example.org");
        assert_eq!(of(AddressPart::User).unwrap(), "ken");
        assert_eq!(of(AddressPart::Detail).unwrap(), "sieve");
        assert_eq!(of(AddressPart::LocalPart).unwrap(), "ken+sieve");
        assert_eq!(of(AddressPart::Domain).unwrap(), "example.org");
        assert_eq!(AddressPart::Detail.of("ken", "example.org"), None);
        assert_eq!(AddressPart::Detail.of("ken+", "example.org").unwrap(), "");
    }

    #[test]
    fn groups_are_opened() {
        let all =
            parts_of(b"team: \"A B\" <a@x.test>, b@y.test;, c@z.test", AddressPart::LocalPart);
        assert_eq!(all, ["a", "b", "c"]);
        let all = parts_of(b"undisclosed-recipients:;", AddressPart::All);
        assert_eq!(all, ["undisclosed-recipients:;"]);
        assert!(parts_of(b"nobody", AddressPart::LocalPart).is_empty());
        assert_eq!(parts_of(b"\"a b\"@c.test, x", AddressPart::All), ["\"a b\"@c.test"]);
    }
}
