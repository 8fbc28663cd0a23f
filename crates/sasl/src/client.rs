//! One SASL exchange as the client sees it: for smarthosts, and for tests of the server's side.
//!
//! ```text
//! initial (if the protocol carries one) ──▶ challenge* ──▶ success
//! ```
//!
//! Where the protocol carries no initial response, [`ClientExchange::initial`] is simply not
//! called: the first, empty challenge then draws the same octets.

use crate::bearer::{self, Dialect};
use crate::{ChannelBinding, MAX_MESSAGE_OCTETS, Mechanism, login, plain, scram};

/// What the protocol does next on the client's side.
pub enum ClientStep {
    /// Send this, as base64.
    Respond(Vec<u8>),
    /// Nothing more to send: the server has proved what it had to.
    Done,
    /// Give up, and cancel the exchange where it is still open; what to log.
    Failed(&'static str),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for ClientStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientStep::Respond(octets) => write!(f, "Respond({} octets)", octets.len()),
            ClientStep::Done => f.write_str("Done"),
            ClientStep::Failed(why) => write!(f, "Failed({why:?})"),
        }
    }
}

/// The client's side of one exchange.
pub struct ClientExchange {
    side: Side,
}

enum Side {
    Plain(plain::Client),
    Login(login::Client),
    Bearer(bearer::Client),
    Scram(Box<scram::Client>),
}

impl ClientExchange {
    /// `nonce` is fresh random octets. `binding` is the binding data of the connection if it has
    /// any: -PLUS needs it, and SCRAM-SHA-256 tells the server by it that -PLUS was not seen on
    /// offer (RFC 5802 §6), so leave it out if -PLUS *was* offered and is not wanted.
    ///
    /// Login and password go through SASLprep for SCRAM; PLAIN and LOGIN send them as they are,
    /// for the server to prepare (RFC 4616 §2). For OAUTHBEARER and XOAUTH2 the password is an access
    /// token.
    pub fn new(
        mechanism: Mechanism,
        login: &str,
        password: &str,
        binding: Option<ChannelBinding>,
        nonce: [u8; 18],
    ) -> ClientExchange {
        let side = match mechanism {
            Mechanism::Plain => Side::Plain(plain::Client::new(login, password)),
            Mechanism::Login => Side::Login(login::Client::new(login, password)),
            Mechanism::OAuthBearer => {
                Side::Bearer(bearer::Client::new(Dialect::OAuthBearer, login, password))
            }
            Mechanism::XOAuth2 => {
                Side::Bearer(bearer::Client::new(Dialect::XOAuth2, login, password))
            }
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let plus = mechanism == Mechanism::ScramSha256Plus;
                let nonce = scram::nonce_text(nonce);
                Side::Scram(Box::new(scram::Client::new(plus, login, password, binding, nonce)))
            }
        };
        ClientExchange { side }
    }

    /// The initial response, if the mechanism has one.
    pub fn initial(&mut self) -> Option<Vec<u8>> {
        match &mut self.side {
            Side::Plain(side) => side.initial(),
            Side::Login(_) => None,
            Side::Bearer(side) => side.initial(),
            Side::Scram(side) => side.initial(),
        }
    }

    /// A challenge, base64 already undone. SCRAM spends its time here (PBKDF2: some milliseconds
    /// at 4096 iterations, a second at the largest count that is accepted).
    pub fn challenge(&mut self, challenge: &[u8]) -> ClientStep {
        if challenge.len() > MAX_MESSAGE_OCTETS {
            return ClientStep::Failed("challenge too long");
        }
        match &mut self.side {
            Side::Plain(side) => side.challenge(challenge),
            Side::Login(side) => side.challenge(),
            Side::Bearer(side) => side.challenge(challenge),
            Side::Scram(side) => side.challenge(challenge),
        }
    }

    /// Call when the server reports success, with the additional data if the protocol carried any
    /// there (RFC 4422 §5). `Failed` means that the server has not proved that it knows the
    /// password (SCRAM): then it is an impostor, and the connection must be closed.
    pub fn success(&mut self, additional: Option<&[u8]>) -> ClientStep {
        if additional.is_some_and(|octets| octets.len() > MAX_MESSAGE_OCTETS) {
            return ClientStep::Failed("additional data too long");
        }
        match &mut self.side {
            Side::Plain(_) | Side::Login(_) | Side::Bearer(_) => ClientStep::Done,
            Side::Scram(side) => side.success(additional),
        }
    }
}
