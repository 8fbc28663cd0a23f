//! ManageSieve (RFC 5804) without I/O: people's programs upload, list and activate their Sieve scripts.
//!
//! ```text
//! octets ─▶ Session ─▶ output()                 to the client
//!              │  ▲
//!   next_action│  │answer_…
//!              ▼  │
//!            driver: TLS, passwords, random octets, and the store by way of Scripts
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | pure: commands framed and parsed, responses written |
//! | [`session`] | [`Session`]: the state machine |
//! | [`scripts`] | [`Scripts`]: what is asked of the store, and of the one who compiles |
//!
//! Here: all commands of RFC 5804, UNAUTHENTICATE (§2.14.1) among them; SASL with SCRAM and channel
//! binding. Not here: sockets, TLS, time (the driver ends idle sessions by [`Session::shut_down`]),
//! Sieve itself, referrals, and languages other than English.

pub mod scripts;
pub mod session;
pub mod wire;

pub use scripts::{Answer, Listed, Request, Scripts, perform};
pub use session::{Action, Refusal, Session, Settings};

/// Entry points for fuzzing: octets in, no panic out.
#[doc(hidden)]
pub mod fuzzing {
    use crate::{Action, Answer, Session, Settings};

    /// The octets as a client, in pieces whose length the first octet chooses; the driver always says
    /// yes.
    pub fn fuzz_session(data: &[u8]) {
        let piece = usize::from(data.first().copied().unwrap_or(1)).max(1);
        let mut session = Session::new(Settings::default(), true, None);
        for octets in data.chunks(piece) {
            session.receive(octets);
            while let Some(action) = session.next_action() {
                match action {
                    Action::StartTls => session.tls_established(None),
                    Action::Nonce => session.answer_nonce([7; 18]),
                    Action::CheckPassword { .. } => session.answer_password(Ok(true)),
                    Action::CheckToken { .. } => session.answer_token(Ok(Some("u".into()))),
                    Action::NeedKeys { .. } => session.answer_password(Ok(false)),
                    Action::CheckProof { .. } => session.answer_proof(Ok(true)),
                    Action::Request(_) => session.answer(Answer::Done),
                    Action::Close => return,
                }
            }
            session.take_output();
        }
    }
}
