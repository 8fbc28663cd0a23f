//! What messages are sorted, threaded and searched by (RFC 5256, RFC 5957), made of an
//! [`Overview`].

pub mod collate;
pub mod ids;
pub mod subject;

use crate::parse::words::decode_text;
use crate::summary::{Overview, OverviewAddress};

/// The base subject as it is compared, and whether it is that of a reply or forwarded message
/// (RFC 5256 §2.1).
pub fn base_subject<T: AsRef<[u8]>>(overview: &Overview<T>) -> (String, bool) {
    let whole = overview.subject.as_ref().map(|raw| decode_text(raw.as_ref())).unwrap_or_default();
    let whole = subject::collapsed(&whole);
    let base = subject::base_subject(&whole);
    (collate::key(base.text), base.is_reply)
}

/// RFC 5256 §3 `addr-mailbox`, as it is compared: the local part, or the name of a group. Empty where
/// there is no address.
pub fn mailbox<T: AsRef<[u8]>>(list: &[OverviewAddress<T>]) -> String {
    collate::key(&mailbox_text(list.first()))
}

/// RFC 5957 §3, as it is compared: the display name, or `mailbox@host` where there is none.
pub fn display<T: AsRef<[u8]>>(list: &[OverviewAddress<T>]) -> String {
    let text = match list.first() {
        Some(OverviewAddress::Mailbox { name: Some(name), .. }) if !name.as_ref().is_empty() => {
            decode_text(name.as_ref())
        }
        Some(OverviewAddress::Mailbox { local_part, domain, .. }) => {
            let [local_part, domain] =
                [local_part, domain].map(|part| String::from_utf8_lossy(part.as_ref()));
            match domain.is_empty() {
                true => local_part.into_owned(),
                false => format!("{local_part}@{domain}"),
            }
        }
        group => mailbox_text(group),
    };
    collate::key(&text)
}

fn mailbox_text<T: AsRef<[u8]>>(address: Option<&OverviewAddress<T>>) -> String {
    match address {
        Some(OverviewAddress::Mailbox { local_part, .. }) => {
            String::from_utf8_lossy(local_part.as_ref()).into_owned()
        }
        Some(OverviewAddress::GroupStart { name }) => decode_text(name.as_ref()),
        Some(OverviewAddress::GroupEnd) | None => String::new(),
    }
}

/// The id of a message, if it has one (RFC 5256 §3).
pub fn message_id<T: AsRef<[u8]>>(overview: &Overview<T>) -> Option<String> {
    in_field(&overview.message_id).next()
}

/// The ids of a message's ancestors, the eldest first: References, or the first of In-Reply-To
/// (RFC 5256 §3).
pub fn ancestors<T: AsRef<[u8]>>(overview: &Overview<T>) -> Vec<String> {
    let mut ids: Vec<String> = in_field(&overview.references).collect();
    if ids.is_empty() {
        ids.extend(in_field(&overview.in_reply_to).next());
    }
    ids
}

fn in_field<T: AsRef<[u8]>>(field: &Option<T>) -> impl Iterator<Item = String> {
    ids::all(field.as_ref().map(AsRef::as_ref).unwrap_or_default())
}

/// Text for finding without regard to case (RFC 9051 §6.4.4).
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// A field's text, encoded words decoded, for finding in.
pub fn folded_text(raw: &[u8]) -> String {
    fold(&decode_text(raw))
}

/// An address list as it would be written out, for finding in. `None` where there is none.
pub fn folded_addresses<T: AsRef<[u8]>>(list: &[OverviewAddress<T>]) -> Option<String> {
    let mut written = String::new();
    for item in list {
        match item {
            OverviewAddress::Mailbox { name, local_part, domain } => {
                if let Some(name) = name {
                    written.push_str(&decode_text(name.as_ref()));
                    written.push(' ');
                }
                written.push('<');
                written.push_str(&String::from_utf8_lossy(local_part.as_ref()));
                written.push('@');
                written.push_str(&String::from_utf8_lossy(domain.as_ref()));
                written.push_str(">, ");
            }
            OverviewAddress::GroupStart { name } => {
                written.push_str(&decode_text(name.as_ref()));
                written.push_str(": ");
            }
            OverviewAddress::GroupEnd => written.push_str("; "),
        }
    }
    (!list.is_empty()).then(|| fold(&written))
}
