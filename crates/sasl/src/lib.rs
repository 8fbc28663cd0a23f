//! SASL (RFC 4422) without I/O: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802, 7677),
//! both sides. Protocols carry the challenges and responses (and their base64); the caller looks
//! up passwords and keys; nothing here waits, draws random bytes or opens a socket.
#![allow(missing_docs, dead_code, unused_variables)] // interface sketch

use zeroize::Zeroizing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Login,
    ScramSha256,
    ScramSha256Plus,
}

impl Mechanism {
    /// `PLAIN`, `LOGIN`, `SCRAM-SHA-256`, `SCRAM-SHA-256-PLUS`; any case.
    pub fn parse(name: &str) -> Option<Mechanism> {
        todo!()
    }
    pub fn name(self) -> &'static str {
        todo!()
    }
    /// What to offer, strongest first. Without TLS the clear-text ones are left out unless
    /// `plaintext_allowed`; -PLUS needs channel binding data.
    pub fn offered(tls: bool, plaintext_allowed: bool, channel_binding: bool) -> Vec<Mechanism> {
        todo!()
    }
}

/// Channel binding data of the TLS connection: `tls-exporter` (RFC 9266), 32 octets.
#[derive(Clone)]
pub struct ChannelBinding(pub [u8; 32]);

/// What a server keeps instead of a password (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub stored_key: [u8; 32],
    pub server_key: [u8; 32],
}

impl ScramKeys {
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
        todo!()
    }
}

/// What the protocol does next on the server's side.
pub enum ServerStep {
    /// Send this challenge (not yet base64) and feed the answer.
    Challenge(Vec<u8>),
    /// Check name and password, then call [`ServerExchange::password_checked`].
    CheckPassword { login: String, password: Zeroizing<String> },
    /// Look up the keys of that login name, then call [`ServerExchange::supply_keys`].
    NeedKeys { login: String },
    /// Logged in. `last` is additional data with success (RFC 4422 §5), to be sent as a challenge
    /// answered by an empty response where the protocol has no place for it.
    Done { login: String, last: Option<Vec<u8>> },
    /// Refused; what to log, never the secret. Say the same to the client in every case.
    Failed(&'static str),
}

pub struct ServerExchange {}

impl ServerExchange {
    /// `nonce` is fresh random octets.
    pub fn new(
        mechanism: Mechanism,
        binding: Option<ChannelBinding>,
        nonce: [u8; 18],
    ) -> ServerExchange {
        todo!()
    }
    /// Call first with the initial response, or `None` when the client sent none.
    pub fn start(&mut self, initial: Option<&[u8]>) -> ServerStep {
        todo!()
    }
    /// A response, base64 already undone.
    pub fn respond(&mut self, response: &[u8]) -> ServerStep {
        todo!()
    }
    pub fn password_checked(&mut self, right: bool) -> ServerStep {
        todo!()
    }
    /// For an unknown login supply invented keys (same salt each time), so that it cannot be told
    /// from a wrong password.
    pub fn supply_keys(&mut self, keys: ScramKeys) -> ServerStep {
        todo!()
    }
}

/// The client's side, for smarthosts and tests.
pub struct ClientExchange {}

pub enum ClientStep {
    Respond(Vec<u8>),
    /// Nothing more to send; wait for the outcome.
    Done,
    Failed(&'static str),
}

impl ClientExchange {
    pub fn new(
        mechanism: Mechanism,
        login: &str,
        password: &str,
        binding: Option<ChannelBinding>,
        nonce: [u8; 18],
    ) -> ClientExchange {
        todo!()
    }
    /// The initial response, if the mechanism has one.
    pub fn initial(&mut self) -> Option<Vec<u8>> {
        todo!()
    }
    pub fn challenge(&mut self, challenge: &[u8]) -> ClientStep {
        todo!()
    }
}
