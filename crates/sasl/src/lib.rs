//! SASL (RFC 4422) without I/O: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802,
//! RFC 7677, with the `tls-exporter` binding of RFC 9266), OAUTHBEARER (RFC 7628) and XOAUTH2, both
//! sides.
//!
//! Protocols carry the challenges and responses (and their base64); the caller looks up passwords
//! and keys; nothing here waits, draws random bytes or opens a socket.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mechanism`] | the names, and which of them to offer when |
//! | [`server`] | one exchange as the server sees it, and its state table |
//! | [`client`] | one exchange as the client sees it, and its state table |
//! | [`prepare`] | SASLprep: names and passwords made comparable |
//! | `plain`, `login`, `scram`, `bearer` | the mechanisms themselves |
//!
//! Not here: EXTERNAL and GSSAPI, which need parties that this project has not got;
//! CRAM-MD5, DIGEST-MD5 and SCRAM-SHA-1, which are broken or force clear-text storage; security
//! layers, which TLS has replaced; proxy logins (an authorization identity other than one's own),
//! which are refused.
//!
//! Everything that a peer can send is bounded: a message beyond [`MAX_MESSAGE_OCTETS`] ends the
//! exchange, and a client refuses iteration counts that would keep its processor busy for minutes.

pub mod client;
pub mod mechanism;
pub mod prepare;
pub mod server;

mod bearer;
mod login;
mod plain;
mod scram;

pub use client::{ClientExchange, ClientStep};
pub use mechanism::{ChannelBinding, Mechanism};
pub use prepare::{Prohibited, prepare_login, prepare_password};
pub use scram::{ScramKeys, ScramPair};
pub use server::{ServerExchange, ServerStep};

/// The longest message, base64 already undone, that either side accepts from its peer.
///
/// A PLAIN response with three fields of a kibioctet each still fits.
pub const MAX_MESSAGE_OCTETS: usize = 4096;

/// Entry points for fuzzing: bytes in, no panic out.
#[doc(hidden)]
pub mod fuzzing {
    use crate::{
        ChannelBinding, ClientExchange, Mechanism, ScramKeys, ScramPair, ServerExchange, ServerStep,
    };

    /// The first octet picks the mechanism and whether there is channel binding; the rest are
    /// messages between newlines, fed to a server and to a client.
    pub fn fuzz_command(data: &[u8]) {
        let Some((&choice, rest)) = data.split_first() else { return };
        let mechanism = Mechanism::ALL[usize::from(choice) % Mechanism::ALL.len()];
        let binding = (choice & 0x80 != 0).then_some(ChannelBinding([7; 32]));
        let keys = ScramKeys {
            salt: vec![1; 16],
            iterations: 4096,
            pairs: vec![ScramPair::NONE, ScramPair { stored_key: [2; 32], server_key: [3; 32] }],
        };

        let mut server = ServerExchange::new(mechanism, binding.clone(), [9; 18]);
        let mut messages = rest.split(|&octet| octet == b'\n');
        let initial = if choice & 0x40 != 0 { messages.next() } else { None };
        let mut step = server.start(initial);
        loop {
            step = match step {
                ServerStep::Challenge(_) => match messages.next() {
                    Some(message) => server.respond(message),
                    None => break,
                },
                ServerStep::CheckPassword { .. } => server.password_checked(choice & 0x20 != 0),
                ServerStep::CheckToken { login, .. } => {
                    server.token_checked((choice & 0x20 != 0).then(|| login.unwrap_or_default()))
                }
                ServerStep::NeedKeys { .. } => server.supply_keys(keys.clone()),
                ServerStep::CheckProof { .. } => server.proof_checked(choice & 0x20 != 0),
                ServerStep::Done { .. } | ServerStep::Failed(_) => break,
            };
        }

        // The iteration count is the server's to choose: keep each run short.
        let is_slow = |message: &[u8]| {
            message
                .windows(7)
                .any(|w| w.starts_with(b"i=") && w[2..].iter().all(u8::is_ascii_digit))
        };
        let mut client = ClientExchange::new(mechanism, "u", "p", binding, [9; 18]);
        if choice & 0x40 != 0 {
            let _ = client.initial();
        }
        for message in rest.split(|&octet| octet == b'\n') {
            if !is_slow(message) {
                let _ = client.challenge(message);
            }
        }
        let _ = client.success(Some(rest));
    }
}
