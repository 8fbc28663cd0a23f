//! POP3 (RFC 1939) on the store: a mail client fetches the messages of an INBOX and deletes them.
//!
//! ```text
//!                    ┌── STLS ── TLS handshake (by the caller) ──┐
//!                    ▼                                           │
//! greeting ──▶ AUTHORIZATION ──USER+PASS, AUTH──▶ TRANSACTION ──QUIT──▶ UPDATE ──▶ closed
//!                    │                                 │
//!                    └── QUIT, lost, idle, shutdown ───┴── lost, idle, shutdown ──▶ closed,
//!                                                          and nothing is deleted
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | pure: command lines parsed, responses and messages written |
//! | [`session`] | [`serve`]: one connection from greeting to end, and the state above |
//! | `command` | one file per command |
//! | [`maildrops`] | what POP3 asks of the store, and nothing more |
//! | `maildrop` | the messages of one session, numbered once and for all |
//! | `connection` | lines in and octets out, with time limits |
//!
//! Here besides RFC 1939: CAPA, RESP-CODES, PIPELINING and EXPIRE (RFC 2449), STLS (RFC 2595),
//! AUTH-RESP-CODE (RFC 3206), AUTH (RFC 5034), UTF8 and LANG (RFC 6856).
//!
//! Not here: APOP (RFC 1939 §7), which would need every password in clear text on the server;
//! LOGIN-DELAY (RFC 2449 §6.5), since logging in often costs little; listening and TLS, which are
//! the caller's; mailboxes other than INBOX, which POP3 does not know.

#![warn(missing_docs)]

mod command;
mod connection;
mod maildrop;
pub mod maildrops;
pub mod session;
pub mod settings;
pub mod wire;

pub use maildrops::Maildrops;
pub use session::{Ended, Session, serve};
pub use settings::{Settings, TlsFacts};

/// Entry points for fuzzing: bytes in, no panic out.
#[doc(hidden)]
pub mod fuzzing {
    use crate::wire::{command, multiline};

    /// The octets as a command line, and as a message in pieces.
    pub fn fuzz_command(data: &[u8]) {
        let _ = command::parse(data);
        let piece_octets = usize::from(data.first().copied().unwrap_or(1)).max(1);
        let mut cut = multiline::TopCut::new(u64::from(data.last().copied().unwrap_or(0)));
        let (mut stuffer, mut out) = (multiline::Stuffer::default(), Vec::new());
        for piece in data.chunks(piece_octets) {
            let (taken, done) = cut.take(piece);
            stuffer.push(&piece[..taken], &mut out);
            if done {
                break;
            }
        }
        stuffer.finish(&mut out);
        assert!(out.ends_with(b".\r\n"));
    }
}
