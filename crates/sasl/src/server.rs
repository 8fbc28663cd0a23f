//! One SASL exchange as the server sees it: fed with responses, it says what to do next.
//!
//! ```text
//!            ┌────────────── respond ◀── client's answer ──┐
//!            ▼                                             │
//! start ──▶ step ── Challenge ─────────▶ send it ──────────┘
//!            │ ──── CheckPassword ─────▶ look it up ──▶ password_checked ──▶ step
//!            │ ──── CheckToken ────────▶ look it up ──▶ token_checked ─────▶ step
//!            │ ──── NeedKeys ──────────▶ look them up ──▶ supply_keys ─────▶ step
//!            │ ──── CheckProof ────────▶ let them in? ──▶ proof_checked ───▶ step
//!            │ ──── Done               logged in
//!            └───── Failed             refused; the exchange is over
//! ```
//!
//! Calls out of turn are answered with `Failed`, never with a panic.

use zeroize::Zeroizing;

use crate::bearer::{self, Dialect};
use crate::{ChannelBinding, MAX_MESSAGE_OCTETS, Mechanism, ScramKeys, login, plain, scram};

/// What the protocol does next on the server's side.
pub enum ServerStep {
    /// Send this challenge (not yet base64) and feed the answer.
    Challenge(Vec<u8>),
    /// Check name and password, then call [`ServerExchange::password_checked`].
    CheckPassword {
        /// By SASLprep; the store decides about upper and lower case.
        login: String,
        /// As [`prepare_password`](crate::prepare_password) makes it.
        password: Zeroizing<String>,
    },
    /// Check an access token, then call [`ServerExchange::token_checked`].
    CheckToken {
        /// By SASLprep; `None`: the token alone says who it is.
        login: Option<String>,
        /// As it was given out.
        token: Zeroizing<String>,
    },
    /// Look up the keys of that login name, then call [`ServerExchange::supply_keys`].
    NeedKeys {
        /// By SASLprep; the store decides about upper and lower case.
        login: String,
    },
    /// The client has proven that it knows what a pair of keys was made of: decide whether that lets it in,
    /// then call [`ServerExchange::proof_checked`].
    CheckProof {
        /// As in the step before.
        login: String,
        /// The place in [`ScramKeys::pairs`] of the first pair that the proof fits.
        pair: usize,
    },
    /// Logged in. `last` is additional data with success (RFC 4422 §5), to be sent as a challenge
    /// answered by an empty response where the protocol has no place for it.
    Done {
        /// As in the step before.
        login: String,
        /// The server's own proof, for SCRAM.
        last: Option<Vec<u8>>,
    },
    /// Refused; what to log, never the secret. Say the same to the client in every case.
    Failed(&'static str),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for ServerStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerStep::Challenge(octets) => write!(f, "Challenge({} octets)", octets.len()),
            ServerStep::CheckPassword { login, .. } => write!(f, "CheckPassword({login:?})"),
            ServerStep::CheckToken { login, .. } => write!(f, "CheckToken({login:?})"),
            ServerStep::NeedKeys { login } => write!(f, "NeedKeys({login:?})"),
            ServerStep::CheckProof { login, pair } => write!(f, "CheckProof({login:?}, {pair})"),
            ServerStep::Done { login, .. } => write!(f, "Done({login:?})"),
            ServerStep::Failed(why) => write!(f, "Failed({why:?})"),
        }
    }
}

/// The server's side of one exchange.
pub struct ServerExchange {
    side: Side,
}

enum Side {
    Plain(plain::Server),
    Login(login::Server),
    Bearer(bearer::Server),
    Scram(Box<scram::Server>),
}

impl ServerExchange {
    /// `nonce` is fresh random octets. `binding` is given whenever -PLUS was offered, whichever
    /// mechanism the client chose: its presence is how a downgrade is noticed (RFC 5802 §6).
    pub fn new(
        mechanism: Mechanism,
        binding: Option<ChannelBinding>,
        nonce: [u8; 18],
    ) -> ServerExchange {
        let side = match mechanism {
            Mechanism::Plain => Side::Plain(plain::Server::Waiting),
            Mechanism::Login => Side::Login(login::Server::AwaitName),
            Mechanism::OAuthBearer => Side::Bearer(bearer::Server::Waiting(Dialect::OAuthBearer)),
            Mechanism::XOAuth2 => Side::Bearer(bearer::Server::Waiting(Dialect::XOAuth2)),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let plus = mechanism == Mechanism::ScramSha256Plus;
                Side::Scram(Box::new(scram::Server::new(plus, binding, scram::nonce_text(nonce))))
            }
        };
        ServerExchange { side }
    }

    /// Call first with the initial response, or `None` when the client sent none.
    pub fn start(&mut self, initial: Option<&[u8]>) -> ServerStep {
        if initial.is_some_and(|message| message.len() > MAX_MESSAGE_OCTETS) {
            return self.fail("initial response too long");
        }
        match &mut self.side {
            Side::Plain(side) => side.start(initial),
            Side::Login(side) => side.start(initial),
            Side::Bearer(side) => side.start(initial),
            Side::Scram(side) => side.start(initial),
        }
    }

    /// A response, base64 already undone.
    pub fn respond(&mut self, response: &[u8]) -> ServerStep {
        if response.len() > MAX_MESSAGE_OCTETS {
            return self.fail("response too long");
        }
        match &mut self.side {
            Side::Plain(side) => side.respond(response),
            Side::Login(side) => side.respond(response),
            Side::Bearer(side) => side.respond(response),
            Side::Scram(side) => side.respond(response),
        }
    }

    /// The answer to [`ServerStep::CheckPassword`].
    pub fn password_checked(&mut self, right: bool) -> ServerStep {
        match &mut self.side {
            Side::Plain(side) => side.password_checked(right),
            Side::Login(side) => side.password_checked(right),
            Side::Scram(_) | Side::Bearer(_) => self.fail("no password was asked for"),
        }
    }

    /// The answer to [`ServerStep::CheckToken`]: whose it is; `None`: nobody's, or not the one's who
    /// was named.
    pub fn token_checked(&mut self, login: Option<String>) -> ServerStep {
        match &mut self.side {
            Side::Bearer(side) => side.token_checked(login),
            Side::Plain(_) | Side::Login(_) | Side::Scram(_) => self.fail("no token was asked for"),
        }
    }

    /// The answer to [`ServerStep::NeedKeys`].
    ///
    /// For an unknown login supply invented keys (same salt each time,
    /// [`ScramKeys::invented`]), so that it cannot be told from a wrong password.
    pub fn supply_keys(&mut self, keys: ScramKeys) -> ServerStep {
        match &mut self.side {
            Side::Scram(side) => side.supply_keys(keys),
            Side::Plain(_) | Side::Login(_) | Side::Bearer(_) => {
                self.fail("no keys were asked for")
            }
        }
    }

    /// The answer to [`ServerStep::CheckProof`].
    pub fn proof_checked(&mut self, lets_in: bool) -> ServerStep {
        match &mut self.side {
            Side::Scram(side) => side.proof_checked(lets_in),
            Side::Plain(_) | Side::Login(_) | Side::Bearer(_) => {
                self.fail("no proof was asked about")
            }
        }
    }

    /// Ends the exchange for good.
    fn fail(&mut self, why: &'static str) -> ServerStep {
        self.side = Side::Plain(plain::Server::Over);
        ServerStep::Failed(why)
    }
}
