//! The client's session: to an MX, a smarthost or an LMTP server.
//!
//! # Driving it
//!
//! ```text
//! let mut session = ClientSession::new(settings, tls, nonce, now);
//! loop {
//!     match session.next_action(now) {
//!         Some(ClientAction::StartTls)     => write the output, do the handshake,
//!                                             tls_established(…) or connection_lost(…)
//!         Some(ClientAction::Ready)        => send(transaction) or quit()
//!         Some(ClientAction::NeedData)     => supply(octets, last)
//!         Some(ClientAction::Done(report)) => keep it
//!         Some(ClientAction::Closed(why))  => write the output, close, stop
//!         None => write output() if any; else read until deadline():
//!                 receive(…), on_timeout(…), or connection_lost(…) at the end of the stream
//!     }
//! }
//! ```
//!
//! Exactly one [`Report`] answers each [`Transaction`], whatever happens to the connection.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waxwing_message::{Envelope, journey};
use zeroize::Zeroizing;

use crate::Tls;
use crate::reply::{EnhancedStatus, Reply};

/// What the caller demands of TLS on a connection that begins in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Do not use STARTTLS.
    Off,
    /// Use STARTTLS when offered; go on in clear when it is not, or is refused.
    Opportunistic,
    /// Without TLS nothing is sent: RFC 3207, RFC 7672, RFC 8461, smarthosts.
    Required,
}

/// Name and password for AUTH.
#[derive(Clone)]
pub struct Credentials {
    /// Login name.
    pub login: String,
    /// In clear.
    pub password: Zeroizing<String>,
    /// PLAIN and LOGIN may be used without TLS. Only for loopback and tests.
    pub plaintext_allowed: bool,
}

/// How long the server may take: RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// The greeting: 5 minutes.
    pub greeting: Duration,
    /// HELO, EHLO, STARTTLS, AUTH, RSET: 5 minutes, as MAIL.
    pub command: Duration,
    /// MAIL: 5 minutes.
    pub mail: Duration,
    /// RCPT: 5 minutes.
    pub recipient: Duration,
    /// `354` after DATA: 2 minutes.
    pub data_start: Duration,
    /// Until a block of message octets is taken by the network: 3 minutes.
    pub data_block: Duration,
    /// The reply after the end of the message: 10 minutes.
    pub data_end: Duration,
    /// The reply to QUIT, which changes nothing any more.
    pub quit: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        ClientTimeouts {
            greeting: minutes(5),
            command: minutes(5),
            mail: minutes(5),
            recipient: minutes(5),
            data_start: minutes(2),
            data_block: minutes(3),
            data_end: minutes(10),
            quit: Duration::from_secs(10),
        }
    }
}

/// How to speak to one server.
#[derive(Clone)]
pub struct ClientSettings {
    /// Our name for EHLO.
    pub hello_name: String,
    /// LHLO and one reply per recipient (RFC 2033).
    pub lmtp: bool,
    /// TLS.
    pub tls: TlsPolicy,
    /// Log in; without success nothing is sent.
    pub credentials: Option<Credentials>,
    /// How long the server may take.
    pub timeouts: ClientTimeouts,
}

impl ClientSettings {
    /// For an MX: opportunistic TLS, no login.
    pub fn mx(hello_name: impl Into<String>) -> ClientSettings {
        ClientSettings {
            hello_name: hello_name.into(),
            lmtp: false,
            tls: TlsPolicy::Opportunistic,
            credentials: None,
            timeouts: ClientTimeouts::default(),
        }
    }

    /// For a smarthost: TLS is required when we log in.
    pub fn smarthost(
        hello_name: impl Into<String>,
        credentials: Option<Credentials>,
    ) -> ClientSettings {
        let tls = match credentials {
            Some(_) => TlsPolicy::Required,
            None => TlsPolicy::Opportunistic,
        };
        ClientSettings { tls, credentials, ..ClientSettings::mx(hello_name) }
    }

    /// For an LMTP server.
    pub fn lmtp(hello_name: impl Into<String>) -> ClientSettings {
        ClientSettings { lmtp: true, tls: TlsPolicy::Off, ..ClientSettings::mx(hello_name) }
    }
}

/// What the server announced in its reply to EHLO, the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// EHLO was understood (else HELO was used).
    pub esmtp: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870: offered, and its limit if it is not 0.
    pub size: Option<Option<u64>>,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 3461. Without it the caller reports `relayed` itself (RFC 3461 §5.2.2).
    pub dsn: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3030.
    pub binary_mime: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 4954: mechanisms we know.
    pub auth: Vec<waxwing_sasl::Mechanism>,
    /// RFC 9422 RCPTMAX.
    pub max_recipients: Option<u32>,
    /// RFC 9422 MAILMAX.
    pub max_messages: Option<u32>,
}

/// One message to be sent.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Who to whom; all recipients go to this server. At least one.
    pub envelope: Envelope,
    /// Octets of the message, as they will be supplied.
    pub size_octets: u64,
    /// The message's header has UTF-8, so that it cannot go without SMTPUTF8. (Addresses are
    /// looked at here.) When not known: the envelope's `smtputf8`.
    pub utf8_header: bool,
}

impl Transaction {
    /// A transaction that needs SMTPUTF8 if the envelope says so.
    pub fn new(envelope: Envelope, size_octets: u64) -> Transaction {
        let utf8_header = envelope.smtputf8;
        Transaction { envelope, size_octets, utf8_header }
    }
}

/// What became of one recipient, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The server has taken responsibility.
    Delivered,
    /// Not now.
    Deferred,
    /// Never.
    Failed,
    /// Not tried: the server takes fewer recipients at a time. Send again at once in another
    /// transaction, on this connection if it is still `Ready`.
    NotTried,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In one word.
    pub disposition: Disposition,
    /// For the DSN: the server's status, or ours when it said nothing.
    pub status: EnhancedStatus,
    /// The reply that decided it, if a reply did.
    pub reply: Option<Reply>,
    /// Why, in words that stand alone.
    pub reason: Cow<'static, str>,
}

impl From<&Outcome> for journey::Outcome {
    fn from(outcome: &Outcome) -> journey::Outcome {
        let reply = outcome.reply.as_ref().map(Reply::seen);
        let reason = outcome.reason.clone().into_owned();
        match (outcome.disposition, reply) {
            (Disposition::Delivered, Some(reply)) => journey::Outcome::Delivered { reply },
            (Disposition::Failed, reply) => journey::Outcome::Failed { reply, reason },
            (_, reply) => journey::Outcome::Deferred { reply, reason },
        }
    }
}

/// What became of a transaction: one outcome per recipient of its envelope, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Same length and order as the envelope's recipients.
    pub outcomes: Vec<Outcome>,
}

/// Why a session ended before we said QUIT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .outcome.reason)]
pub struct SessionError {
    /// At which point.
    pub stage: Stage,
    /// Temporary or permanent, status, reply and reason, as for a recipient: what a message that
    /// could not even be offered is to be told. Never `Delivered`.
    pub outcome: Box<Outcome>,
}

/// How far a session had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before or at the greeting.
    Greeting,
    /// EHLO, HELO, LHLO.
    Hello,
    /// STARTTLS or the handshake; TLS was required but is not offered.
    Tls,
    /// AUTH.
    Login,
    /// Waiting for a transaction.
    Idle,
    /// Within a transaction.
    Transaction,
    /// After QUIT.
    Quit,
}

/// What the driver is to do now.
#[derive(Debug)]
pub enum ClientAction {
    /// Write all output, then do the TLS handshake, then call [`ClientSession::tls_established`];
    /// when it fails, [`ClientSession::connection_lost`] (and perhaps connect again without TLS).
    StartTls,
    /// Ready for a message: call [`ClientSession::send`], or [`ClientSession::quit`]. The
    /// connection may also be kept for a while: the session has no deadline now.
    Ready,
    /// Give the next octets of the message by [`ClientSession::supply`]: 64 KiB at a time is good.
    NeedData,
    /// The transaction is over. `Ready` or `Closed` follows.
    Done(Report),
    /// Write all output, then close the connection. `None` when all ended as agreed.
    Closed(Option<SessionError>),
}

/// One connection, client side.
pub struct ClientSession {
    settings: Arc<ClientSettings>,
}

#[allow(unused_variables)]
impl ClientSession {
    /// A session on a new connection; it waits for the greeting. `tls` is given when the connection
    /// is TLS from its start. `nonce`: fresh random octets for SCRAM.
    pub fn new(
        settings: Arc<ClientSettings>,
        tls: Option<Tls>,
        nonce: [u8; 18],
        now: Instant,
    ) -> ClientSession {
        todo!()
    }

    /// Octets from the connection.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        todo!()
    }

    /// What to do next, or `None` when the session waits for output to be written or for input.
    pub fn next_action(&mut self, now: Instant) -> Option<ClientAction> {
        todo!()
    }

    /// Octets to be written to the connection.
    pub fn output(&self) -> &[u8] {
        todo!()
    }

    /// The first `octets` of the output were written.
    pub fn output_written(&mut self, now: Instant, octets: usize) {
        todo!()
    }

    /// When [`ClientSession::on_timeout`] is due; `None` while `Ready` or after the end.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// The deadline has passed: the session ends. Without effect before the deadline.
    pub fn on_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// The connection ended or failed, or the TLS handshake did; `why` is for people. What is
    /// known of each recipient is reported.
    pub fn connection_lost(&mut self, now: Instant, why: &str) {
        todo!()
    }

    /// After [`ClientAction::StartTls`]: the handshake is done. EHLO is said again
    /// (RFC 3207 §4.2).
    pub fn tls_established(&mut self, now: Instant, tls: Tls) {
        todo!()
    }

    /// When [`ClientAction::Ready`]: begins a transaction. [`ClientAction::Done`] will answer it.
    pub fn send(&mut self, now: Instant, transaction: Transaction) {
        todo!()
    }

    /// After [`ClientAction::NeedData`]: the next octets of the message; `last` with the final
    /// ones, which may be none.
    pub fn supply(&mut self, now: Instant, octets: &[u8], last: bool) {
        todo!()
    }

    /// The message cannot be read any further. The transaction ends with `451 4.3.0`-like
    /// deferrals and the connection is closed, so that the server never takes half a message.
    pub fn fail_supply(&mut self, now: Instant, why: &str) {
        todo!()
    }

    /// When [`ClientAction::Ready`]: says QUIT; [`ClientAction::Closed`] follows.
    pub fn quit(&mut self, now: Instant) {
        todo!()
    }

    /// What the server announced last.
    pub fn capabilities(&self) -> &Capabilities {
        todo!()
    }

    /// The server's greeting, once it came.
    pub fn greeting(&self) -> Option<&Reply> {
        todo!()
    }

    /// Whether the connection is TLS.
    pub fn is_tls(&self) -> bool {
        todo!()
    }
}
