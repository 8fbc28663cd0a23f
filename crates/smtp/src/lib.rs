//! SMTP without I/O: the server's and the client's session as state machines.
//!
//! A session is fed with octets and time and gives back actions; sockets, TLS, clocks, random
//! octets, accounts and disks belong to whoever drives it. So the whole protocol can be tested
//! under a virtual clock, and one session type serves a listener, a test and a fuzzer alike.
//!
//! | module | what it holds |
//! |---|---|
//! | [`server`] | [`ServerSession`]: MX (RFC 5321), submission (RFC 6409) and LMTP (RFC 2033) |
//! | [`client`] | [`ClientSession`]: to an MX, a smarthost or an LMTP server |
//! | [`reply`] | replies and enhanced status codes, written and read |
//! | [`command`] | the grammar of commands, paths and ESMTP parameters |
//! | [`xtext`] | the encodings of RFC 3461 and RFC 6533 |
//!
//! Deliberately not here: what a sender may do, which recipients exist, what a message says. A
//! session asks its driver. Nor is anything remembered between sessions.

pub mod client;
pub mod command;
#[doc(hidden)]
#[path = "../fuzz_targets/mod.rs"]
pub mod fuzzing;
pub mod reply;
pub mod server;
pub mod xtext;

pub use client::{
    Capabilities, ClientAction, ClientSession, ClientSettings, Disposition, Outcome, Transaction,
};
pub use reply::{EnhancedStatus, Reply};
pub use server::{Action, Role, ServerSession, ServerSettings, Verdict};

/// What a session must know of a TLS connection.
#[derive(Clone, Default)]
pub struct Tls {
    /// `tls-exporter` (RFC 9266), when the TLS library gives it: makes SCRAM-SHA-256-PLUS possible.
    pub binding: Option<waxwing_sasl::ChannelBinding>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("binding", &self.binding.is_some()).finish()
    }
}
