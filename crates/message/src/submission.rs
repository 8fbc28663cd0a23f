//! What a submission server may repair in a message it takes from a user (RFC 6409 §8).
//!
//! Added when missing: `Date` (§8.2), `Message-ID` (§8.3), and `From`, which RFC 5322 §3.6 demands, when
//! the caller knows whose login it is. Removed: `Bcc`, and `Return-Path`, which only final delivery writes
//! (RFC 5321 §4.4). Everything else stays as it came. Whether the user may use the address in `From` is the
//! caller's question: [`from_addresses`] gives the addresses to ask about.

use std::fmt;

use jiff::Timestamp;

use crate::Address;
use crate::parse::addresses::{AddressItem, parse};
use crate::parse::date;
use crate::parse::field::fields;
use crate::trace::{self, Edited};

/// What [`repair`] needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// Now.
    pub now: Timestamp,
    /// The right-hand side of a Message-ID: the sender's domain or our host name.
    pub domain: &'a str,
    /// Makes a Message-ID unlike any other.
    pub random: [u8; 16],
    /// The address to add as `From` where there is none.
    pub from: Option<&'a Address>,
}

/// One thing that was changed. Shown as the journey shows it: `added Date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// RFC 6409 §8.2.
    AddedDate,
    /// RFC 6409 §8.3.
    AddedMessageId,
    /// RFC 5322 §3.6.
    AddedFrom,
    /// RFC 5322 §3.6.3.
    RemovedBcc,
    /// RFC 5321 §4.4.
    RemovedReturnPath,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Repair::AddedDate => "added Date",
            Repair::AddedMessageId => "added Message-ID",
            Repair::AddedFrom => "added From",
            Repair::RemovedBcc => "removed Bcc",
            Repair::RemovedReturnPath => "removed Return-Path",
        })
    }
}

/// A repaired header block and what was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The new header block.
    pub edited: Edited,
    /// What was changed; empty when nothing was.
    pub repairs: Vec<Repair>,
    /// The Message-ID without angle brackets, found or made.
    pub message_id: String,
}

/// Why a message cannot be submitted as it is. All are permanent: the sender's program must mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FromError {
    /// RFC 5322 §3.6 demands one.
    #[error("the message has no From field")]
    Missing,
    /// RFC 5322 §3.6 allows one; readers would differ on whom to show.
    #[error("the message has more than one From field")]
    Repeated,
    /// A From field with something that is no address.
    #[error("the From field has no usable address: {0}")]
    Invalid(String),
}

/// The addresses in `From`, for the caller to check against those the user may use.
pub fn from_addresses(raw: &[u8]) -> Result<Vec<Address>, FromError> {
    let mut all = fields(raw).filter(|field| field.is("From"));
    let field = all.next().ok_or(FromError::Missing)?;
    if all.next().is_some() {
        return Err(FromError::Repeated);
    }
    let invalid = || FromError::Invalid(field.text());
    let mut addresses = Vec::new();
    for item in parse(field.value) {
        match item {
            AddressItem::Mailbox { .. } => {
                addresses.push(item.address().ok_or_else(invalid)?);
            }
            // RFC 6854 lets a group stand in From.
            AddressItem::GroupStart(_) | AddressItem::GroupEnd => {}
        }
    }
    if addresses.is_empty() { Err(invalid()) } else { Ok(addresses) }
}

/// A Message-ID without angle brackets.
pub fn new_message_id(random: [u8; 16], domain: &str) -> String {
    use fmt::Write;
    let mut id = String::with_capacity(33 + domain.len());
    for octet in random {
        let _ = write!(id, "{octet:02x}");
    }
    id.push('@');
    id.push_str(domain);
    id
}

/// Repairs a submitted message. Looks at its header block only.
pub fn repair(raw: &[u8], submission: &Submission<'_>) -> Repaired {
    let mut repairs = Vec::new();
    let mut added = Vec::new();
    let has = |name: &str| {
        fields(raw).any(|field| field.is(name) && !field.value.trim_ascii().is_empty())
    };
    if let Some(from) = submission.from
        && !has("From")
    {
        added.extend_from_slice(format!("From: <{from}>\r\n").as_bytes());
        repairs.push(Repair::AddedFrom);
    }
    if !has("Date") {
        added.extend_from_slice(format!("Date: {}\r\n", date::format(submission.now)).as_bytes());
        repairs.push(Repair::AddedDate);
    }
    let message_id = trace::message_id(raw).unwrap_or_else(|| {
        let id = new_message_id(submission.random, submission.domain);
        added.extend_from_slice(format!("Message-ID: <{id}>\r\n").as_bytes());
        repairs.push(Repair::AddedMessageId);
        id
    });
    // An empty field of what was added would stand beside it.
    let empty = repairs.clone();
    let edited = trace::edit(raw, &added, |field| {
        let repair = if trace::is_bcc(field) {
            Repair::RemovedBcc
        } else if field.is("Return-Path") {
            Repair::RemovedReturnPath
        } else {
            return field.is("From") && empty.contains(&Repair::AddedFrom)
                || field.is("Date") && empty.contains(&Repair::AddedDate)
                || field.is("Message-ID") && empty.contains(&Repair::AddedMessageId);
        };
        if !repairs.contains(&repair) {
            repairs.push(repair);
        }
        true
    });
    Repaired { edited, repairs, message_id }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn submission<'a>() -> Submission<'a> {
        let now = Timestamp::from_second(880_127_706).unwrap();
        Submission { now, domain: "wax.test", random: [0xab; 16], from: None }
    }

    #[test]
    fn what_is_missing_is_added_and_bcc_goes() {
        let raw = b"From: alice@wax.test\r\nBcc: x@y\r\nMessage-ID:\r\n\r\nhi\r\n";
        let repaired = repair(raw, &submission());
        let message = repaired.edited.concat(raw);
        let id = "abababababababababababababababab@wax.test";
        assert_eq!(
            String::from_utf8(message).unwrap(),
            format!(
                "Date: Fri, 21 Nov 1997 15:55:06 +0000\r\nMessage-ID: <{id}>\r\n\
                 From: alice@wax.test\r\n\r\nhi\r\n"
            )
        );
        assert_eq!(repaired.message_id, id);
        let repairs: Vec<String> = repaired.repairs.iter().map(|r| r.to_string()).collect();
        assert_eq!(repairs, ["added Date", "added Message-ID", "removed Bcc"]);
    }

    #[test]
    fn a_good_message_stays_as_it_is() {
        let raw = b"From: a@wax.test\r\nDate: Fri, 21 Nov 1997 15:55:06 +0000\r\nMessage-ID: <1@x>\r\n\r\n";
        let repaired = repair(raw, &submission());
        assert_eq!(repaired.repairs, []);
        assert_eq!(repaired.edited.rest, 0);
        assert_eq!(repaired.message_id, "1@x");
    }

    #[test]
    fn text_without_any_header_becomes_a_message() {
        let alice = Address::parse("alice@wax.test").unwrap();
        let raw = b"hello\r\n";
        let message = repair(raw, &Submission { from: Some(&alice), ..submission() });
        let message = message.edited.concat(raw);
        let message = Message::parse(&message);
        assert_eq!(message.defects, []);
        assert_eq!(message.text(crate::parse::PartId::ROOT), "hello\r\n");
        assert_eq!(from_addresses(message.raw), Ok(vec![alice]));
    }

    #[test]
    fn from_must_be_one_field_with_addresses() {
        let check = |raw: &str| from_addresses(raw.as_bytes());
        assert_eq!(check("To: x@y\r\n\r\n"), Err(FromError::Missing));
        assert_eq!(check("From: a@b.c\r\nFrom: d@e.f\r\n\r\n"), Err(FromError::Repeated));
        assert_eq!(check("From: nobody\r\n\r\n"), Err(FromError::Invalid("nobody".into())));
        assert_eq!(check("From: A <a@b.c>, d@e.f\r\n\r\n").map(|all| all.len()), Ok(2));
    }
}
