//! What an IMAP server says to its client (RFC 9051 §7, RFC 3501 §7), as far as a client that moves
//! mail needs it, and what such a client says.
//!
//! Literals are taken out of a response before it is parsed, since one may be a large message: the
//! text keeps the mark `{123}` in the place of each, and the parser gives the number of the literal.

mod parse;

pub use parse::{Response, Status, Value, literal_mark};

use waxwing_imap::wire::utf7;

/// A string as a client may send it: quoted, or `None` when it needs a literal.
pub fn quoted(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| matches!(b, 0x20..=0x7e));
    plain.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A mailbox name on the wire of rev1: modified UTF-7 (RFC 3501 §5.1.3).
pub fn name_to_wire(name: &str) -> String {
    let mut wire = String::new();
    utf7::encode(name, |b| wire.push(char::from(b)));
    wire
}

/// A mailbox name off the wire. Servers that write UTF-8, or anything else, are understood as far as
/// that goes.
pub fn name_from_wire(wire: &[u8]) -> String {
    let decoded = if wire.is_ascii() { utf7::decode(wire) } else { None };
    decoded.unwrap_or_else(|| String::from_utf8_lossy(wire).into_owned())
}
