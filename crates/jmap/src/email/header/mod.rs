//! Header fields as properties of an Email or of a body part (RFC 8621 §4.1.2, §4.1.3): which there are,
//! and in which forms.
//!
//! | file | what |
//! |---|---|
//! | `read` | a field's value in a form |
//! | `write` | a value in a form, made a field |
//!
//! Deviates: RFC 8621 §4.1.2.2 wants encoded words that stand where RFC 2047 §5 does not allow them left
//! as they are. They are decoded, as everywhere in this house: mail in the wild puts them there, and what a
//! client shows is then what search finds and what sorting sorts by.

mod read;
mod write;

pub use read::{of_fields, of_overview, raw_text, text};
pub use write::{Unwritable, write};

/// How a value is to be understood (RFC 8621 §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it stands.
    Raw,
    /// Unfolded and decoded.
    Text,
    /// Mailboxes, out of their groups.
    Addresses,
    /// Mailboxes in their groups.
    GroupedAddresses,
    /// Message ids without angle brackets.
    MessageIds,
    /// A date with its offset.
    Date,
    /// URLs without angle brackets.
    Urls,
}

impl Form {
    fn named(name: &str) -> Option<Form> {
        Some(match name {
            "asText" => Form::Text,
            "asAddresses" => Form::Addresses,
            "asGroupedAddresses" => Form::GroupedAddresses,
            "asMessageIds" => Form::MessageIds,
            "asDate" => Form::Date,
            "asURLs" => Form::Urls,
            "asRaw" => Form::Raw,
            _ => return None,
        })
    }

    /// Whether a field may be fetched or set in this form.
    pub fn is_allowed_for(self, field: &str) -> bool {
        let field = field.to_ascii_lowercase();
        let own: &[Form] = match field.as_str() {
            "subject" | "comments" | "keywords" => &[Form::Text],
            "from" | "sender" | "reply-to" | "to" | "cc" | "bcc" | "resent-from"
            | "resent-sender" | "resent-reply-to" | "resent-to" | "resent-cc" | "resent-bcc" => {
                &[Form::Addresses, Form::GroupedAddresses]
            }
            "message-id" | "in-reply-to" | "references" | "resent-message-id" => {
                &[Form::MessageIds]
            }
            "date" | "resent-date" => &[Form::Date],
            "list-help" | "list-unsubscribe" | "list-subscribe" | "list-post" | "list-owner"
            | "list-archive" => &[Form::Urls],
            // The other fields of RFC 5322.
            "return-path" | "received" => &[],
            _ => return true,
        };
        self == Form::Raw || own.contains(&self)
    }
}

/// A property that stands for a field, such as `header:List-Post:asURLs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderProperty {
    /// The field, as the client spells it.
    pub field: String,
    /// Of the value.
    pub form: Form,
    /// Of each field of that name, a list; otherwise of the last one.
    pub all: bool,
}

/// Why a property that begins with `header:` is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoHeaderProperty {
    /// It is not of the form `header:NAME[:asFORM][:all]`.
    #[error("{0} is not of the form header:NAME[:asFORM][:all]")]
    Malformed(String),
    /// RFC 8621 §4.1.2.
    #[error("{0}: that field has no such form")]
    Forbidden(String),
}

impl HeaderProperty {
    /// Reads a property's name; `None` where it begins with something else than `header:`.
    pub fn read(property: &str) -> Option<Result<HeaderProperty, NoHeaderProperty>> {
        let rest = property.strip_prefix("header:")?;
        let malformed = || NoHeaderProperty::Malformed(property.to_owned());
        Some(parts(rest).ok_or_else(malformed).and_then(|named| {
            match named.form.is_allowed_for(&named.field) {
                true => Ok(named),
                false => Err(NoHeaderProperty::Forbidden(property.to_owned())),
            }
        }))
    }

    /// What a convenience property of the Email object stands for (RFC 8621 §4.1.3).
    pub fn of_convenience(property: &str) -> Option<HeaderProperty> {
        let (field, form) = match property {
            "messageId" => ("Message-ID", Form::MessageIds),
            "inReplyTo" => ("In-Reply-To", Form::MessageIds),
            "references" => ("References", Form::MessageIds),
            "sender" => ("Sender", Form::Addresses),
            "from" => ("From", Form::Addresses),
            "to" => ("To", Form::Addresses),
            "cc" => ("Cc", Form::Addresses),
            "bcc" => ("Bcc", Form::Addresses),
            "replyTo" => ("Reply-To", Form::Addresses),
            "subject" => ("Subject", Form::Text),
            "sentAt" => ("Date", Form::Date),
            _ => return None,
        };
        Some(HeaderProperty { field: field.to_owned(), form, all: false })
    }
}

fn parts(rest: &str) -> Option<HeaderProperty> {
    let mut pieces = rest.split(':');
    let field = pieces.next()?;
    if field.is_empty() || !field.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut next = pieces.next();
    let form = next.and_then(Form::named);
    if form.is_some() {
        next = pieces.next();
    }
    let all = match next {
        None => false,
        Some("all") => true,
        Some(_) => return None,
    };
    let end = pieces.next().is_none();
    end.then(|| HeaderProperty { field: field.to_owned(), form: form.unwrap_or(Form::Raw), all })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(property: &str) -> Option<HeaderProperty> {
        HeaderProperty::read(property)?.ok()
    }

    fn is(field: &str, form: Form, all: bool) -> Option<HeaderProperty> {
        Some(HeaderProperty { field: field.to_owned(), form, all })
    }

    #[test]
    fn names_of_properties() {
        assert_eq!(read("header:subject"), is("subject", Form::Raw, false));
        assert_eq!(
            read("header:Resent-To:asAddresses:all"),
            is("Resent-To", Form::Addresses, true)
        );
        assert_eq!(read("header:X-A:all"), is("X-A", Form::Raw, true));
        assert_eq!(read("header:List-POST:asURLs"), is("List-POST", Form::Urls, false));
        assert_eq!(HeaderProperty::read("subject"), None);
        for no in [
            "header:",
            "header::all",
            "header:a b",
            "header:é",
            "header:X:all:asText",
            "header:X:asText:all:all",
            "header:X:astext",
            "header:X:",
            "header:X:asText:",
        ] {
            let read = HeaderProperty::read(no);
            assert!(matches!(read, Some(Err(NoHeaderProperty::Malformed(_)))), "{no}");
        }
    }

    #[test]
    fn forms_of_fields() {
        // RFC 8621 §4.2, §4.1.2.
        for no in [
            "header:From:asDate",
            "header:Date:asText",
            "header:subject:asAddresses",
            "header:Received:asDate",
            "header:Return-Path:asAddresses",
            "header:List-Post:asText",
            "header:Message-ID:asURLs",
        ] {
            let read = HeaderProperty::read(no);
            assert!(matches!(read, Some(Err(NoHeaderProperty::Forbidden(_)))), "{no}");
        }
        for yes in [
            "header:From:asGroupedAddresses",
            "header:resent-date:asDate",
            "header:List-Id:asText",
            "header:X-Anything:asURLs:all",
            "header:Received",
            "header:Comments:asText",
        ] {
            assert!(read(yes).is_some(), "{yes}");
        }
    }
}
