//! SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677).
//!
//! ```text
//! C: gs2-header n=user,r=cnonce                      client-first-message
//! S: r=cnonce snonce,s=salt,i=count                  server-first-message
//! C: c=base64(gs2-header cb-data),r=nonce,p=proof    client-final-message
//! S: v=signature                                     server-final-message
//! ```
//!
//! The GS2 header says what the client thinks of channel binding, and is signed by the proof:
//!
//! | flag | the client says | accepted by |
//! |---|---|---|
//! | `n` | I have none | SCRAM-SHA-256 |
//! | `y` | I have it, but you did not offer -PLUS | SCRAM-SHA-256, unless -PLUS *was* offered: somebody removed it from the list |
//! | `p=tls-exporter` | here it is | SCRAM-SHA-256-PLUS |
//!
//! A login may have several passwords with one salt and one count: the proof says which it was made of.
//!
//! Not here: `tls-unique` and `tls-server-end-point` bindings. The first is void in TLS 1.3
//! (RFC 9266 §1), and the second cannot tell two connections to one server apart.

mod client;
mod keys;
mod server;
mod wire;

pub(crate) use client::Client;
pub use keys::{ScramKeys, ScramPair};
pub(crate) use server::Server;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// 18 octets as 24 base64 characters, none of them a comma: a valid nonce (RFC 5802 §7).
pub(crate) fn nonce_text(nonce: [u8; 18]) -> String {
    STANDARD.encode(nonce)
}

fn decode_base64(text: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).map_err(|_| "bad base64 in SCRAM message")
}

fn encode_base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}
