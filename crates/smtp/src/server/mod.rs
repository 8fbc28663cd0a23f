//! The server's session: octets and time in, actions and replies out.
//!
//! # Driving it
//!
//! ```text
//! let mut session = ServerSession::new(settings, tls, now);
//! loop {
//!     while let Some(action) = session.next_action(now) {
//!         // flush the output before StartTls; flush and stop at Close; else act, then answer
//!     }
//!     if !session.output().is_empty() { write it; session.output_written(n); continue }
//!     read until session.deadline() → session.receive(now, octets)
//!                                    or session.on_timeout(now)
//! }
//! ```
//!
//! Every action that asks something names the `answer_…` that it waits for; until then the session
//! takes no further command, and `next_action` returns `None`. Pipelined input stays in the
//! session: read more only while [`ServerSession::wants_input`] says so, and memory stays bounded
//! by one read. Losing the connection needs no call: drop the session and what was spooled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxwing_message::{Address, Envelope, Recipient};
use waxwing_sasl::{Mechanism, ScramKeys};
use zeroize::Zeroizing;

use crate::Tls;
use crate::reply::Reply;

/// What the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes mail from other servers: RFC 5321, port 25.
    Mx,
    /// Takes mail from people who have logged in: RFC 6409, ports 587 and 465.
    Submission,
    /// Takes mail from a local mail server, with one reply per recipient: RFC 2033.
    Lmtp,
}

/// Whether STARTTLS is offered (on a connection that is not TLS already).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Not offered.
    Off,
    /// Offered.
    Offered,
    /// Offered, and AUTH and MAIL are refused with `530 5.7.0` before it.
    Required,
}

/// The service extensions that can be switched off. EHLO never announces what is off here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870.
    pub size: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3030; needs `chunking` and `eight_bit_mime`.
    pub binary_mime: bool,
    /// RFC 8689; announced under TLS only.
    pub require_tls: bool,
    /// RFC 9422.
    pub limits: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Extensions {
            pipelining: true,
            size: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            chunking: true,
            binary_mime: true,
            require_tls: true,
            limits: true,
        }
    }
}

/// How long the client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTimeouts {
    /// For a whole command line: RFC 5321 §4.5.3.2.7, 5 minutes.
    pub command: Duration,
    /// Between two blocks of message octets.
    pub data_block: Duration,
    /// For a whole message, so that one octet a minute does not hold a connection for ever.
    pub message: Duration,
}

impl Default for ServerTimeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        ServerTimeouts { command: minutes(5), data_block: minutes(5), message: minutes(60) }
    }
}

/// What a listener's sessions have in common.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Our name, in the greeting and in EHLO.
    pub host_name: String,
    /// What the server is for.
    pub role: Role,
    /// STARTTLS.
    pub starttls: StartTls,
    /// AUTH is offered.
    pub auth: bool,
    /// PLAIN and LOGIN are offered without TLS. Only for loopback and tests.
    pub plaintext_auth: bool,
    /// The largest message, announced by SIZE (RFC 1870).
    pub max_message_octets: u64,
    /// Recipients of one message: RFC 5321 §4.5.3.1.8 wants at least 100.
    pub max_recipients: u32,
    /// Messages in one session.
    pub max_messages: u32,
    /// Refused commands before `421 4.7.0`.
    pub max_errors: u32,
    /// Commands in a row that lead to no message (NOOP, RSET, VRFY, EHLO …) before `421 4.7.0`.
    pub max_idle_commands: u32,
    /// What EHLO announces.
    pub extensions: Extensions,
    /// How long the client may take.
    pub timeouts: ServerTimeouts,
}

impl ServerSettings {
    /// Takes mail from other servers; offers STARTTLS and no AUTH.
    pub fn mx(host_name: impl Into<String>) -> ServerSettings {
        ServerSettings {
            host_name: host_name.into(),
            role: Role::Mx,
            starttls: StartTls::Offered,
            auth: false,
            plaintext_auth: false,
            max_message_octets: 50 * 1024 * 1024,
            max_recipients: 1000,
            max_messages: 1000,
            max_errors: 20,
            max_idle_commands: 100,
            extensions: Extensions::default(),
            timeouts: ServerTimeouts::default(),
        }
    }

    /// Takes mail from people: TLS and AUTH are required.
    pub fn submission(host_name: impl Into<String>) -> ServerSettings {
        ServerSettings {
            role: Role::Submission,
            starttls: StartTls::Required,
            auth: true,
            ..ServerSettings::mx(host_name)
        }
    }

    /// Takes mail from a local mail server.
    pub fn lmtp(host_name: impl Into<String>) -> ServerSettings {
        ServerSettings {
            role: Role::Lmtp,
            starttls: StartTls::Off,
            ..ServerSettings::mx(host_name)
        }
    }
}

/// What the driver says to a question: `Ok` is the usual positive reply, `Err` is sent as it is. A
/// reply of `421` also ends the session.
pub type Verdict = Result<(), Reply>;

/// What the driver is to do now.
#[derive(Debug)]
pub enum Action<'a> {
    /// Write all output, then do the TLS handshake on the connection, then call
    /// [`ServerSession::tls_established`]; on failure close. Octets that arrived with the plain
    /// connection are gone already: nothing is carried over (RFC 3207 §4.2).
    StartTls,
    /// The client wants to log in. Call [`ServerSession::answer_authenticate`] with fresh random
    /// octets, or with a refusal (too many attempts from there, say).
    Authenticate {
        /// As chosen by the client among those offered.
        mechanism: Mechanism,
    },
    /// Check name and password, then call [`ServerSession::answer_password`].
    CheckPassword {
        /// Login name as given.
        login: String,
        /// The password, in clear.
        password: Zeroizing<String>,
    },
    /// Look up SCRAM keys (invented ones for an unknown login), then call
    /// [`ServerSession::answer_keys`].
    NeedKeys {
        /// Login name as given.
        login: String,
    },
    /// A login succeeded or failed: for the log and for counting. Nothing to answer.
    LoginEnded {
        /// The name, when it came to that.
        login: Option<String>,
        /// Why not, for the log; the client hears the same in every case.
        outcome: Result<(), &'static str>,
    },
    /// MAIL FROM: may this sender? Call [`ServerSession::answer_sender`].
    CheckSender {
        /// No recipients yet.
        envelope: &'a Envelope,
        /// SIZE=, already within the limit.
        size_octets: Option<u64>,
    },
    /// RCPT TO: is there such a recipient, and may this client send there? Call
    /// [`ServerSession::answer_recipient`]. Repetitions are not asked again.
    CheckRecipient {
        /// With the recipients accepted so far.
        envelope: &'a Envelope,
        /// The one in question.
        recipient: &'a Recipient,
    },
    /// DATA, or the first BDAT, with at least one recipient: make ready to spool and call
    /// [`ServerSession::answer_data`].
    BeginData {
        /// Complete.
        envelope: &'a Envelope,
    },
    /// Message octets, in order, transparency already undone. Nothing to answer; if they cannot be
    /// kept, call [`ServerSession::fail_data`].
    Data(&'a [u8]),
    /// Forget what was spooled: the client broke the rules, was over the size limit or said RSET.
    /// Nothing to answer.
    DiscardData,
    /// The message is whole. Make it durable, then call [`ServerSession::answer_message`] (or
    /// [`ServerSession::answer_message_each`] in LMTP).
    DataComplete {
        /// Who to whom. The session has forgotten it.
        envelope: Box<Envelope>,
        /// Octets handed over.
        octets: u64,
    },
    /// Write all output, then close the connection. Nothing follows.
    Close,
}

/// One connection, server side.
pub struct ServerSession {
    settings: Arc<ServerSettings>,
}

#[allow(unused_variables, missing_docs)]
impl ServerSession {
    /// A session on a new connection; the greeting is its first output. `tls` is given when the
    /// connection is TLS from its start (port 465).
    pub fn new(settings: Arc<ServerSettings>, tls: Option<Tls>, now: Instant) -> ServerSession {
        todo!()
    }

    /// A session that greets with this reply (`421`, `554`) and closes: RFC 5321 §3.1.
    pub fn refused(settings: Arc<ServerSettings>, reply: Reply, now: Instant) -> ServerSession {
        todo!()
    }

    /// Octets from the connection.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        todo!()
    }

    /// What to do next, or `None` when the session waits: for output to be written, for an answer,
    /// or for input.
    pub fn next_action(&mut self, now: Instant) -> Option<Action<'_>> {
        todo!()
    }

    /// Whether more input is of use now. While an answer is awaited, a driver may still read to
    /// notice that the client has gone, but then memory is its own concern.
    pub fn wants_input(&self) -> bool {
        todo!()
    }

    /// Octets to be written to the connection.
    pub fn output(&self) -> &[u8] {
        todo!()
    }

    /// The first `octets` of the output were written.
    pub fn output_written(&mut self, octets: usize) {
        todo!()
    }

    /// All output, taken away.
    pub fn take_output(&mut self) -> Vec<u8> {
        todo!()
    }

    /// When [`ServerSession::on_timeout`] is due; `None` while an answer is awaited or after the
    /// end.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// The deadline has passed: `421 4.4.2`, then `Close`. Without effect before the deadline.
    pub fn on_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// Ends the session with this reply (such as [`Reply::shutting_down`]) as soon as no answer is
    /// awaited: a message that is being made durable still gets its reply.
    pub fn shut_down(&mut self, reply: Reply) {
        todo!()
    }

    /// After [`Action::StartTls`]: the handshake is done. Everything learnt before is forgotten.
    pub fn tls_established(&mut self, now: Instant, tls: Tls) {
        todo!()
    }

    /// After [`Action::Authenticate`]: fresh random octets for the exchange, or a refusal.
    pub fn answer_authenticate(&mut self, now: Instant, answer: Result<[u8; 18], Reply>) {
        todo!()
    }

    /// After [`Action::CheckPassword`]: whether it is right; `Err` when that cannot be known now
    /// (`454 4.7.0`).
    pub fn answer_password(&mut self, now: Instant, answer: Result<bool, Reply>) {
        todo!()
    }

    /// After [`Action::NeedKeys`]; `Err` when that cannot be known now (`454 4.7.0`).
    pub fn answer_keys(&mut self, now: Instant, answer: Result<ScramKeys, Reply>) {
        todo!()
    }

    /// After [`Action::CheckSender`].
    pub fn answer_sender(&mut self, now: Instant, verdict: Verdict) {
        todo!()
    }

    /// After [`Action::CheckRecipient`].
    pub fn answer_recipient(&mut self, now: Instant, verdict: Verdict) {
        todo!()
    }

    /// After [`Action::BeginData`]. `Err` refuses the message before its octets.
    pub fn answer_data(&mut self, now: Instant, verdict: Verdict) {
        todo!()
    }

    /// Between [`Action::BeginData`] and [`Action::DataComplete`]: the message cannot be kept. Its
    /// remaining octets are swallowed and this is the reply. No `DiscardData` follows.
    pub fn fail_data(&mut self, reply: Reply) {
        todo!()
    }

    /// After [`Action::DataComplete`]: the reply. `250` says that the message is durable. In LMTP
    /// it is given for every recipient.
    pub fn answer_message(&mut self, now: Instant, reply: Reply) {
        todo!()
    }

    /// After [`Action::DataComplete`] in LMTP: a reply for each recipient of the envelope, in its
    /// order (RFC 2033 §4.2). Missing ones count as `451 4.3.0`.
    pub fn answer_message_each(&mut self, now: Instant, replies: Vec<Reply>) {
        todo!()
    }

    /// The name given in HELO, EHLO or LHLO.
    pub fn hello(&self) -> Option<&str> {
        todo!()
    }

    /// The name that logged in.
    pub fn login(&self) -> Option<&str> {
        todo!()
    }

    /// Whether the connection is TLS.
    pub fn is_tls(&self) -> bool {
        todo!()
    }

    /// For the `with` of Received: `SMTP`, `ESMTPSA`, `UTF8SMTPS`, `LMTP` … (RFC 3848, RFC 6531
    /// §4.3).
    pub fn protocol(&self) -> &'static str {
        todo!()
    }
}

#[allow(unused)]
type Unused = Address;
