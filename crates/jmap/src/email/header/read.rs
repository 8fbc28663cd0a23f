//! A field's value in the forms of RFC 8621 §4.1.2.

use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;
use waxwing_message::parse::words::{decode_text, message_ids};
use waxwing_message::parse::{AddressItem, Header, addresses, charset, date, urls};
use waxwing_message::summary::{Overview, OverviewAddress};

use super::{Form, HeaderProperty};
use crate::wire;

/// The value of a property in a header block: of the last field of its name, or of all of them.
pub fn of_fields<'h, 'a: 'h>(
    property: &HeaderProperty,
    fields: impl DoubleEndedIterator<Item = &'h Header<'a>>,
) -> Value {
    let mut named = fields.filter(|field| field.is(&property.field));
    match property.all {
        true => named.map(|field| value(property.form, field.value)).collect(),
        false => named.next_back().map_or(Value::Null, |field| value(property.form, field.value)),
    }
}

/// The value of a convenience property (RFC 8621 §4.1.3), from what is stored ready; `None`: there is no
/// such property.
///
/// Deviates: of a field that a message has twice, against RFC 5322 §3.6, RFC 8621 §4.1.3 wants the last
/// one. Here all addresses are shown, and the first of the other fields, as in IMAP: nobody is to see an
/// author in one program that another hides.
pub fn of_overview<T: AsRef<[u8]>>(property: &str, overview: &Overview<T>) -> Option<Value> {
    let ids = |field: &Option<T>| ids(field.as_ref().map(AsRef::as_ref));
    let mailboxes = |list: &[OverviewAddress<T>]| match list {
        [] => Value::Null,
        list => list.iter().filter_map(overview_address).collect(),
    };
    Some(match property {
        "messageId" => ids(&overview.message_id),
        "inReplyTo" => ids(&overview.in_reply_to),
        "references" => ids(&overview.references),
        "sender" => mailboxes(&overview.sender),
        "from" => mailboxes(&overview.from),
        "to" => mailboxes(&overview.to),
        "cc" => mailboxes(&overview.cc),
        "bcc" => mailboxes(&overview.bcc),
        "replyTo" => mailboxes(&overview.reply_to),
        "subject" => overview.subject.as_ref().map(|raw| text(raw.as_ref())).into(),
        "sentAt" => overview.date.as_ref().map_or(Value::Null, |raw| dated(raw.as_ref())),
        _ => return None,
    })
}

fn value(form: Form, raw: &[u8]) -> Value {
    match form {
        Form::Raw => raw_text(raw).into(),
        Form::Text => text(raw).into(),
        Form::Addresses => addresses::parse(raw).iter().filter_map(address).collect(),
        Form::GroupedAddresses => grouped(&addresses::parse(raw)),
        Form::MessageIds => ids(Some(raw)),
        Form::Date => dated(raw),
        Form::Urls => match urls::parse(raw) {
            none if none.is_empty() => Value::Null,
            urls => urls.into(),
        },
    }
}

/// RFC 8621 §4.1.2.1: what is no UTF-8 becomes U+FFFD, NUL goes.
pub fn raw_text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).replace('\0', "")
}

/// RFC 8621 §4.1.2.2.
pub fn text(raw: &[u8]) -> String {
    shown(&decode_text(raw))
}

/// Without control characters, in NFC.
fn shown(text: &str) -> String {
    match text.is_ascii() && !text.contains(|c: char| c.is_ascii_control()) {
        true => text.to_owned(),
        false => text.chars().filter(|c| !c.is_control() || *c == '\t').nfc().collect(),
    }
}

/// RFC 8621 §4.1.2.5: null where there is none.
fn ids(raw: Option<&[u8]>) -> Value {
    match raw.map(message_ids) {
        Some(ids) if !ids.is_empty() => ids.into(),
        _ => Value::Null,
    }
}

/// RFC 8621 §4.1.2.6, with the offset that the writer's clock had.
fn dated(raw: &[u8]) -> Value {
    date::parse_with_offset(raw).map(|(at, offset)| wire::date::with_offset(at, offset)).into()
}

/// RFC 8621 §4.1.2.3: an EmailAddress.
fn address(item: &AddressItem) -> Option<Value> {
    let AddressItem::Mailbox { name, local_part, domain } = item else { return None };
    let name = name.as_deref().map(shown).filter(|name| !name.is_empty());
    Some(json!({ "name": name, "email": addr_spec(local_part, domain) }))
}

fn overview_address<T: AsRef<[u8]>>(item: &OverviewAddress<T>) -> Option<Value> {
    let OverviewAddress::Mailbox { name, local_part, domain } = item else { return None };
    address(&AddressItem::Mailbox {
        name: name.as_ref().map(|name| decode_text(name.as_ref())),
        local_part: charset::guess(local_part.as_ref()).into_owned(),
        domain: charset::guess(domain.as_ref()).into_owned(),
    })
}

/// RFC 8621 §4.1.2.4: mailboxes that follow each other outside of groups stand together.
fn grouped(items: &[AddressItem]) -> Value {
    let mut groups: Vec<(Option<String>, Vec<Value>)> = Vec::new();
    let mut inside = false;
    for item in items {
        match item {
            AddressItem::GroupStart(name) => {
                groups.push((Some(shown(name)), Vec::new()));
                inside = true;
            }
            AddressItem::GroupEnd => inside = false,
            AddressItem::Mailbox { .. } => {
                if !inside && groups.last().is_none_or(|(name, _)| name.is_some()) {
                    groups.push((None, Vec::new()));
                }
                if let Some((_, members)) = groups.last_mut() {
                    members.extend(address(item));
                }
            }
        }
    }
    let groups = groups.into_iter();
    groups.map(|(name, addresses)| json!({ "name": name, "addresses": addresses })).collect()
}

/// An `addr-spec`, quoted where it needs to be; of a broken address whatever there is.
fn addr_spec(local_part: &str, domain: &str) -> String {
    if domain.is_empty() {
        return shown(local_part);
    }
    let atext = |c: char| c.is_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let plain = local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext));
    match plain {
        true => shown(&format!("{local_part}@{domain}")),
        false => {
            let escaped = local_part.replace('\\', "\\\\").replace('"', "\\\"");
            shown(&format!("\"{escaped}\"@{domain}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_message::Message;

    fn property(name: &str) -> HeaderProperty {
        HeaderProperty::read(name).unwrap().unwrap()
    }

    fn of(header: &str, name: &str) -> Value {
        let message = Message::parse(header.as_bytes());
        of_fields(&property(name), message.root().headers.iter())
    }

    /// The example of RFC 8621 §4.1.2.3 and §4.1.2.4.
    const SMYTHE: &str = "To: \"  James Smythe\" <james@example.com>, Friends:\r\n \
        jane@example.com, =?UTF-8?Q?John_Sm=C3=AEth?=\r\n <john@example.com>;\r\n\r\n";

    #[test]
    fn addresses() {
        assert_eq!(
            of(SMYTHE, "header:to:asAddresses"),
            json!([
                {"name": "James Smythe", "email": "james@example.com"},
                {"name": null, "email": "jane@example.com"},
                {"name": "John Smîth", "email": "john@example.com"},
            ])
        );
        assert_eq!(
            of(SMYTHE, "header:to:asGroupedAddresses"),
            json!([
                {"name": null, "addresses": [{"name": "James Smythe", "email": "james@example.com"}]},
                {"name": "Friends", "addresses": [
                    {"name": null, "email": "jane@example.com"},
                    {"name": "John Smîth", "email": "john@example.com"},
                ]},
            ])
        );
        let odd = "From: \"a b\"@x.test (Comment), nobody, Only Name <>\r\n\r\n";
        assert_eq!(
            of(odd, "header:From:asAddresses"),
            json!([
                {"name": "Comment", "email": "\"a b\"@x.test"},
                {"name": null, "email": "nobody"},
                {"name": "Only Name", "email": ""},
            ])
        );
        let none = "To: undisclosed-recipients:;\r\n\r\n";
        assert_eq!(of(none, "header:To:asAddresses"), json!([]));
        let group = json!([{"name": "undisclosed-recipients", "addresses": []}]);
        assert_eq!(of(none, "header:To:asGroupedAddresses"), group);
    }

    #[test]
    fn convenience_is_the_same_from_what_is_stored() {
        let raw = format!(
            "From: =?utf-8?q?Zo=C3=AB?= <zoe@x.test>\r\nSubject: =?utf-8?b?Z3LDvMOf?=\r\n e\r\n\
             Date: Tue, 10 Jul 2018 11:03:11 +1000\r\nMessage-ID: <a@b>\r\nReferences: <c@d> <e@f>\r\n{SMYTHE}"
        );
        let message = Message::parse(raw.as_bytes());
        let overview = Overview::of(message.root());
        for name in
            ["from", "to", "cc", "subject", "sentAt", "messageId", "references", "inReplyTo"]
        {
            let property = HeaderProperty::of_convenience(name).unwrap();
            let parsed = of_fields(&property, message.root().headers.iter());
            assert_eq!(of_overview(name, &overview), Some(parsed), "{name}");
        }
        assert_eq!(of_overview("sentAt", &overview), Some(json!("2018-07-10T11:03:11+10:00")));
        assert_eq!(of_overview("references", &overview), Some(json!(["c@d", "e@f"])));
        assert_eq!(of_overview("cc", &overview), Some(Value::Null));
        assert_eq!(of_overview("Subject", &overview), None);
    }

    #[test]
    fn raw_is_raw() {
        let message = Message::parse(b"A: x\r\nX:  a\xff\0b\r\n\tc \r\nx: 2\r\n\r\n");
        let fields = || message.root().headers.iter();
        assert_eq!(
            of_fields(&property("header:X:all"), fields()),
            json!(["  a\u{fffd}b\r\n\tc ", " 2"])
        );
        assert_eq!(of_fields(&property("header:x"), fields()), json!(" 2"));
        assert_eq!(of_fields(&property("header:Y"), fields()), Value::Null);
        assert_eq!(of_fields(&property("header:Y:asText:all"), fields()), json!([]));
    }

    #[test]
    fn texts_are_decoded_and_composed() {
        assert_eq!(text(b"  =?utf-8?q?e=CC=81_=00=07x?=\r\n y "), "é x y");
        assert_eq!(of("Subject:\r\n\r\n", "header:Subject:asText"), json!(""));
    }

    #[test]
    fn other_forms() {
        let header = "List-Post: NO (closed)\r\nList-Help: <mailto:a@b>, <http://c> (web)\r\n\
            Date: no date\r\nIn-Reply-To:\r\nX-When: 1 Jan 2020 10:00 -0330\r\n\r\n";
        assert_eq!(of(header, "header:List-Post:asURLs"), Value::Null);
        assert_eq!(of(header, "header:List-Help:asURLs"), json!(["mailto:a@b", "http://c"]));
        assert_eq!(of(header, "header:Date:asDate"), Value::Null);
        assert_eq!(of(header, "header:In-Reply-To:asMessageIds"), Value::Null);
        assert_eq!(of(header, "header:X-When:asDate"), json!("2020-01-01T10:00:00-03:30"));
    }
}
