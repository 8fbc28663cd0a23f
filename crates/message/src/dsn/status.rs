//! The fields for programs: `message/delivery-status` (RFC 3464) and its internationalised form (RFC 6533),
//! written and read.
//!
//! Blocks of header fields with an empty line between them: the first about the message, each other
//! about one recipient.
//!
//! | field | of | RFC 3464 |
//! |---|---|---|
//! | `Reporting-MTA`, `Original-Envelope-Id`, `Arrival-Date` | message | §2.2 |
//! | `Original-Recipient`, `Final-Recipient`, `Action`, `Status` | recipient | §2.3.1–4 |
//! | `Remote-MTA`, `Diagnostic-Code`, `Last-Attempt-Date`, `Will-Retry-Until` | recipient | §2.3.5–9 |

use jiff::Timestamp;

use super::Action;
use crate::OriginalRecipient;
use crate::compose::header::FieldWriter;
use crate::parse::content::skip_cfws;
use crate::parse::field::{Header, fields, header_end};
use crate::parse::{charset, date};

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The host that speaks.
    pub reporting_mta: String,
    /// ENVID of the message's envelope.
    pub envelope_id: Option<String>,
    /// When the message came there.
    pub arrival: Option<Timestamp>,
    /// At least one in a whole report.
    pub recipients: Vec<RecipientStatus>,
}

/// About one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientStatus {
    /// As the sender gave it.
    pub original: Option<OriginalRecipient>,
    /// As it was tried last.
    pub final_recipient: OriginalRecipient,
    /// What happened.
    pub action: Action,
    /// RFC 3463.
    pub status: String,
    /// The host that answered.
    pub remote_mta: Option<String>,
    /// What it answered over SMTP.
    pub diagnostic: Option<String>,
    /// When it was last tried.
    pub last_attempt: Option<Timestamp>,
    /// When it will be given up.
    pub will_retry_until: Option<Timestamp>,
}

impl DeliveryStatus {
    /// The body of the part. `utf8` is for `message/global-delivery-status`: addresses beyond ASCII then stand
    /// as they are, else in the ASCII form of RFC 6533 §3.
    pub fn to_bytes(&self, utf8: bool) -> Vec<u8> {
        let mut out = FieldWriter::default();
        out.raw("Reporting-MTA", &format!("dns; {}", ascii(&self.reporting_mta)));
        if let Some(id) = &self.envelope_id {
            out.raw("Original-Envelope-Id", &ascii(id));
        }
        if let Some(at) = self.arrival {
            out.raw("Arrival-Date", &date::format(at));
        }
        let mut bytes = out.into_bytes();
        for recipient in &self.recipients {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(&recipient.to_bytes(utf8));
        }
        bytes
    }

    /// Reads a body, transfer encoding undone. `None` when it has no recipient with an action; a recipient
    /// without one is left out.
    pub fn parse(body: &[u8]) -> Option<DeliveryStatus> {
        let (first, mut rest) = block(body);
        let field = |name: &str| fields(first).find(|f| f.is(name));
        let mut status = DeliveryStatus {
            reporting_mta: field("Reporting-MTA").map(|f| typed(&f).address).unwrap_or_default(),
            envelope_id: field("Original-Envelope-Id").map(|f| f.text()),
            arrival: field("Arrival-Date").and_then(|f| date::parse(f.value)),
            recipients: Vec::new(),
        };
        while !rest.is_empty() {
            let (recipient, after) = block(rest);
            status.recipients.extend(RecipientStatus::parse(recipient));
            rest = after;
        }
        (!status.recipients.is_empty()).then_some(status)
    }
}

impl RecipientStatus {
    fn to_bytes(&self, utf8: bool) -> Vec<u8> {
        let mut out = FieldWriter::default();
        if let Some(original) = &self.original {
            out.raw("Original-Recipient", &address(original, utf8));
        }
        out.raw("Final-Recipient", &address(&self.final_recipient, utf8));
        out.raw("Action", self.action.as_str());
        out.raw("Status", &ascii(&self.status));
        if let Some(host) = &self.remote_mta {
            out.raw("Remote-MTA", &format!("dns; {}", ascii(host)));
        }
        if let Some(reply) = &self.diagnostic {
            out.raw("Diagnostic-Code", &format!("smtp; {}", ascii(reply.trim())));
        }
        if let Some(at) = self.last_attempt {
            out.raw("Last-Attempt-Date", &date::format(at));
        }
        if let Some(at) = self.will_retry_until {
            out.raw("Will-Retry-Until", &date::format(at));
        }
        out.into_bytes()
    }

    fn parse(block: &[u8]) -> Option<RecipientStatus> {
        let field = |name: &str| fields(block).find(|f| f.is(name));
        Some(RecipientStatus {
            original: field("Original-Recipient").map(|f| typed(&f)),
            final_recipient: field("Final-Recipient").map(|f| typed(&f))?,
            action: Action::parse(first_word(&field("Action")?.text()))?,
            status: field("Status").map(|f| first_word(&f.text()).to_owned()).unwrap_or_default(),
            remote_mta: field("Remote-MTA").map(|f| typed(&f).address),
            diagnostic: field("Diagnostic-Code").map(|f| typed(&f).address),
            last_attempt: field("Last-Attempt-Date").and_then(|f| date::parse(f.value)),
            will_retry_until: field("Will-Retry-Until").and_then(|f| date::parse(f.value)),
        })
    }
}

/// One block and what follows the empty lines after it.
fn block(body: &[u8]) -> (&[u8], &[u8]) {
    let end = header_end(body).max(1).min(body.len());
    let mut rest = &body[end..];
    // A line that is no field ends a header; here it is passed over.
    if !body[..end].ends_with(b"\n\n") && !body[..end].ends_with(b"\n\r\n") {
        let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        rest = &rest[line..];
    }
    while let Some(after) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
        rest = after;
    }
    (&body[..end], rest)
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default()
}

/// `type; value`. Without a type, everything is the value.
fn typed(field: &Header<'_>) -> OriginalRecipient {
    let value = field.unfolded();
    let value = &value[skip_cfws(&value, 0)..];
    let text = charset::guess(value);
    let (address_type, address) = text.split_once(';').unwrap_or(("", &text));
    let address_type = address_type.trim().to_ascii_lowercase();
    let address = match address_type.as_str() {
        "utf-8" => from_utf8_addr(address.trim()),
        _ => address.trim().to_owned(),
    };
    OriginalRecipient { address_type, address }
}

fn address(to: &OriginalRecipient, utf8: bool) -> String {
    let kind = ascii(&to.address_type);
    if utf8 {
        format!("{kind}; {}", to.address)
    } else if to.address_type.eq_ignore_ascii_case("utf-8") || !to.address.is_ascii() {
        format!("utf-8; {}", utf8_addr(&to.address))
    } else {
        format!("{kind}; {}", to.address)
    }
}

/// RFC 6533 §3 `utf-8-addr-xtext`: what is not plain ASCII becomes `\x{HEX}`.
pub fn utf8_addr(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        if c.is_ascii_graphic() && !matches!(c, '\\' | '+' | '=') {
            out.push(c);
        } else {
            out.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
        }
    }
    out
}

/// The reverse; what is no escape stays.
pub fn from_utf8_addr(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x{") {
        out.push_str(&rest[..at]);
        let digits = &rest[at + 3..];
        let end = digits.bytes().take(8).position(|b| b == b'}');
        let escaped = end.and_then(|end| {
            let value = u32::from_str_radix(digits.get(..end)?, 16).ok()?;
            Some((char::from_u32(value)?, end))
        });
        match escaped {
            Some((c, end)) => {
                out.push(c);
                rest = &digits[end + 1..];
            }
            None => {
                out.push_str("\\x{");
                rest = digits;
            }
        }
    }
    out.push_str(rest);
    out
}

/// What others said, made fit for a field of ASCII and short enough for a line (RFC 5322 §2.1.1).
fn ascii(text: &str) -> String {
    text.chars()
        .take(900)
        .map(|c| {
            if matches!(c, ' '..='~') {
                c
            } else if c.is_control() {
                ' '
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_3464_appendix_e_2() {
        // The fields of the example of several failures.
        let body = b"Reporting-MTA: dns; cs.utk.edu\r\n\r\n\
            Original-Recipient: rfc822;arathib@vnet.ibm.com\r\n\
            Final-Recipient: rfc822;arathib@vnet.ibm.com\r\nAction: failed\r\nStatus: 5.0.0 (permanent failure)\r\n\
            Diagnostic-Code: smtp; 550 'arathib@vnet.IBM.COM' is not a\r\n registered gateway user\r\n\
            Remote-MTA: dns; vnet.ibm.com\r\n\r\n\
            Original-Recipient: rfc822;johnh@hpnjld.njd.hp.com\r\n\
            Final-Recipient: rfc822;johnh@hpnjld.njd.hp.com\r\nAction: delayed\r\n\
            Status: 4.0.0 (hpnjld.njd.jp.com: host name lookup failure)\r\n";
        let status = DeliveryStatus::parse(body).unwrap();
        assert_eq!(status.reporting_mta, "cs.utk.edu");
        assert_eq!(status.recipients.len(), 2);
        assert_eq!(status.recipients[0].status, "5.0.0");
        assert_eq!(
            status.recipients[0].diagnostic.as_deref(),
            Some("550 'arathib@vnet.IBM.COM' is not a registered gateway user")
        );
        assert_eq!(status.recipients[1].action, Action::Delayed);
        assert_eq!(status.recipients[1].status, "4.0.0");
    }

    #[test]
    fn what_is_no_report_gives_none() {
        for body in [b"".as_slice(), b"\r\n\r\n", b"hello\r\nworld", b"Action: failed\r\n"] {
            assert_eq!(DeliveryStatus::parse(body), None);
        }
    }

    #[test]
    fn addresses_of_rfc_6533() {
        assert_eq!(utf8_addr("jürgen@x"), "j\\x{FC}rgen@x");
        assert_eq!(from_utf8_addr("j\\x{FC}rgen\\x{zz}@x"), "jürgen\\x{zz}@x");
        assert_eq!(from_utf8_addr(&utf8_addr("a\\b+c=d é")), "a\\b+c=d é");
    }
}
