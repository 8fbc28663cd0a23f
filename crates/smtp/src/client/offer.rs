//! What an envelope asks for beside what a server offers: the lines of MAIL and RCPT, and why a
//! message cannot go at all.
//!
//! SIZE, BODY=8BITMIME and the DSN parameters are left out when they are not offered, since the
//! message can go without them. SMTPUTF8, BINARYMIME and REQUIRETLS are not: without them the
//! message would be another, or be seen by others.

use std::fmt::Write;

use waxwing_message::{BodyKind, DsnReturn, Envelope, Notify, Recipient};

use super::Capabilities;
use super::report::Outcome;
use crate::xtext;

/// Why the message cannot go to this server at all.
pub(super) fn obstacle(
    envelope: &Envelope,
    size_octets: u64,
    needs_utf8: bool,
    capabilities: &Capabilities,
    tls: bool,
) -> Option<Outcome> {
    let too_large = capabilities.size.flatten().is_some_and(|limit| size_octets > limit);
    let binary = capabilities.binary_mime && capabilities.chunking;
    if envelope.require_tls && !(tls && capabilities.require_tls) {
        // RFC 8689 §4.2.1
        Some(Outcome::failed(
            (7, 30),
            "the sender requires TLS all the way (REQUIRETLS), which the server does not offer",
        ))
    } else if needs_utf8 && !capabilities.smtputf8 {
        Some(no_smtputf8())
    } else if envelope.body == BodyKind::BinaryMime && !binary {
        Some(Outcome::failed((6, 3), "the message is binary, which the server does not take"))
    } else if too_large {
        let why = "the message is larger than the server takes";
        Some(Outcome::failed((3, 4), why))
    } else {
        None
    }
}

/// RFC 6531 §3.5.
pub(super) fn no_smtputf8() -> Outcome {
    Outcome::failed((6, 7), "the server does not take internationalised addresses or headers")
}

/// MAIL FROM, with what the server offers.
pub(super) fn mail_line(
    envelope: &Envelope,
    size_octets: u64,
    smtputf8: bool,
    capabilities: &Capabilities,
) -> String {
    let mut line = match envelope.reverse_path.address() {
        Some(address) => format!("MAIL FROM:<{address}>"),
        None => "MAIL FROM:<>".to_owned(),
    };
    if capabilities.size.is_some() {
        let _ = write!(line, " SIZE={size_octets}");
    }
    match envelope.body {
        BodyKind::EightBitMime if capabilities.eight_bit_mime => line += " BODY=8BITMIME",
        BodyKind::BinaryMime => line += " BODY=BINARYMIME",
        BodyKind::EightBitMime | BodyKind::SevenBit => {}
    }
    if smtputf8 {
        line += " SMTPUTF8";
    }
    if envelope.require_tls {
        line += " REQUIRETLS";
    }
    if capabilities.dsn {
        match envelope.dsn_return {
            Some(DsnReturn::Full) => line += " RET=FULL",
            Some(DsnReturn::Headers) => line += " RET=HDRS",
            None => {}
        }
        // RFC 3461 §4.4: at most 100 characters.
        let id = envelope.envelope_id.as_deref().map(xtext::encode);
        if let Some(id) = id.filter(|id| (1..=100).contains(&id.len())) {
            let _ = write!(line, " ENVID={id}");
        }
    }
    line
}

/// RCPT TO, with what the server offers.
pub(super) fn rcpt_line(
    recipient: &Recipient,
    smtputf8: bool,
    capabilities: &Capabilities,
) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.address);
    if !capabilities.dsn {
        return line;
    }
    if let Some(notify) = recipient.notify {
        line += &notify_parameter(notify);
    }
    if let Some(original) = &recipient.original {
        let kind = &original.address_type;
        let encoded = match kind.eq_ignore_ascii_case("utf-8") {
            true => xtext::encode_utf8_address(&original.address, smtputf8),
            false => xtext::encode(&original.address),
        };
        let fits = kind.len() + 1 + encoded.len() <= 500;
        if fits && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            let _ = write!(line, " ORCPT={kind};{encoded}");
        }
    }
    line
}

/// RFC 3461 §4.1.
fn notify_parameter(notify: Notify) -> String {
    let Notify::On { success, failure, delay } = notify else {
        return " NOTIFY=NEVER".to_owned();
    };
    let words: Vec<&str> = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")]
        .into_iter()
        .filter_map(|(on, word)| on.then_some(word))
        .collect();
    match words.is_empty() {
        true => " NOTIFY=NEVER".to_owned(),
        false => format!(" NOTIFY={}", words.join(",")),
    }
}
