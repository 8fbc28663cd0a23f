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
//!
//! # Phases
//!
//! | phase | input is | left by |
//! |---|---|---|
//! | Command | command lines | a command |
//! | Waiting | kept | the driver's answer |
//! | AuthResponse | one line in base64 | the exchange's next step |
//! | Data | the message, up to `CRLF . CRLF` | its end |
//! | Chunk | the octets that BDAT counted | the last of them |
//! | Closing | dropped | `Close` |
//!
//! `handshake.rs` has the commands before a message (EHLO, STARTTLS, AUTH), `transaction.rs` those
//! that make one, `scan.rs` the care that DATA needs, `input.rs` lines and their limits.

mod action;
mod handshake;
mod input;
mod scan;
mod settings;
mod transaction;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use waxwing_message::Envelope;
use waxwing_sasl::Mechanism;
use zeroize::Zeroizing;

use self::handshake::{AuthState, Hello};
use self::input::{Input, Line};
use self::transaction::{Finished, Transaction};
use crate::Tls;
use crate::command::{Command, CommandError};
use crate::reply::Reply;

pub use self::action::{Action, Verdict};
pub use self::settings::{Extensions, Role, ServerSettings, ServerTimeouts, StartTls};

/// While this much output waits, no further command is taken.
const OUTPUT_PAUSE: usize = 16 * 1024;
/// With this much unused input, more is not wanted.
const INPUT_PAUSE: usize = 64 * 1024;

/// One connection, server side.
pub struct ServerSession {
    settings: Arc<ServerSettings>,
    phase: Phase,
    /// An action that is ready before any more input is looked at.
    pending: Option<Step>,
    input: Input,
    output: Vec<u8>,
    /// How much of `output` was written already.
    written: usize,
    tls: Option<Tls>,
    hello: Option<Hello>,
    login: Option<String>,
    auth: Option<Box<AuthState>>,
    transaction: Option<Box<Transaction>>,
    /// Said instead of going on, once no answer is awaited.
    farewell: Option<Reply>,
    counts: Counts,
    /// Octets of messages that had failed.
    swallowed: u64,
    /// When the present wait began.
    since: Instant,
    /// When the message's octets began to come.
    message_since: Instant,
}

#[derive(Debug, Default)]
struct Counts {
    messages: u32,
    errors: u32,
    idle_commands: u32,
    refused_recipients: u32,
}

#[derive(Debug)]
enum Phase {
    Command,
    Waiting(Question),
    AuthResponse,
    Data,
    Chunk(Chunk),
    Closing,
    Closed,
}

/// What the driver is to answer.
#[derive(Debug)]
enum Question {
    TlsHandshake,
    Authenticate,
    Password,
    Token,
    Keys,
    Proof,
    Sender,
    Recipient,
    /// DATA, or a first BDAT with its chunk.
    BeginData(Option<Chunk>),
    Message(Finished),
}

/// Octets that BDAT counted.
#[derive(Debug, Clone)]
struct Chunk {
    octets: u64,
    remaining: u64,
    last: bool,
    /// The chunk is out of place: its octets are swallowed, then this is said.
    refusal: Option<Reply>,
}

/// An [`Action`] that does not borrow the session yet.
enum Step {
    StartTls,
    Authenticate(Mechanism),
    CheckPassword(String, Zeroizing<String>),
    CheckToken(Option<String>, Zeroizing<String>),
    NeedKeys(String),
    CheckProof(String, usize),
    LoginEnded(Option<String>, Result<(), &'static str>),
    CheckSender,
    CheckRecipient,
    BeginData,
    Data(Range<usize>),
    DiscardData,
    DataComplete(Box<Envelope>, u64),
    Close,
}

impl ServerSession {
    /// A session on a new connection; the greeting is its first output. `tls` is given when the
    /// connection is TLS from its start (port 465).
    pub fn new(settings: Arc<ServerSettings>, tls: Option<Tls>, now: Instant) -> ServerSession {
        let protocol = if settings.role == Role::Lmtp { "LMTP" } else { "ESMTP" };
        let greeting = Reply::bare(220, format!("{} {protocol} Waxwing", settings.host_name));
        let mut session = ServerSession {
            settings,
            phase: Phase::Command,
            pending: None,
            input: Input::default(),
            output: Vec::new(),
            written: 0,
            tls,
            hello: None,
            login: None,
            auth: None,
            transaction: None,
            farewell: None,
            counts: Counts::default(),
            swallowed: 0,
            since: now,
            message_since: now,
        };
        session.reply(greeting);
        session
    }

    /// A session that greets with this reply (`421`, `554`) and closes: RFC 5321 §3.1.
    pub fn refused(settings: Arc<ServerSettings>, reply: Reply, now: Instant) -> ServerSession {
        let mut session = ServerSession::new(settings, None, now);
        session.output.clear();
        session.close_with(reply);
        session
    }

    /// Octets from the connection.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        match self.phase {
            // Nothing plain is carried over into TLS, and nothing is heard after the end.
            Phase::Waiting(Question::TlsHandshake) | Phase::Closing | Phase::Closed => {}
            _ => self.input.push(octets),
        }
        if matches!(self.phase, Phase::Data | Phase::Chunk(_)) {
            self.since = now;
        }
    }

    /// What to do next, or `None` when the session waits: for output to be written, for an answer,
    /// or for input.
    pub fn next_action(&mut self, now: Instant) -> Option<Action<'_>> {
        let step = self.step(now)?;
        Some(self.action(step))
    }

    /// Whether more input is of use now. While an answer is awaited, a driver may still read to
    /// notice that the client has gone, but then memory is its own concern.
    pub fn wants_input(&self) -> bool {
        !matches!(self.phase, Phase::Waiting(_) | Phase::Closing | Phase::Closed)
            && self.input.rest().len() < INPUT_PAUSE
    }

    /// Octets to be written to the connection.
    pub fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// The first `octets` of the output were written.
    pub fn output_written(&mut self, octets: usize) {
        self.written = (self.written + octets).min(self.output.len());
        if self.written == self.output.len() {
            self.output = Vec::new();
            self.written = 0;
        }
    }

    /// All output, taken away.
    pub fn take_output(&mut self) -> Vec<u8> {
        let mut output = std::mem::take(&mut self.output);
        output.drain(..std::mem::take(&mut self.written));
        output
    }

    /// When [`ServerSession::on_timeout`] is due; `None` while an answer is awaited or after the
    /// end. It holds for writing, too: a client that does not read its replies is not kept.
    pub fn deadline(&self) -> Option<Instant> {
        let timeouts = &self.settings.timeouts;
        match self.phase {
            Phase::Command | Phase::AuthResponse => Some(self.since + timeouts.command),
            Phase::Data | Phase::Chunk(_) => {
                let block = self.since + timeouts.data_block;
                Some(block.min(self.message_since + timeouts.message))
            }
            Phase::Waiting(_) | Phase::Closing | Phase::Closed => None,
        }
    }

    /// The deadline has passed: `421 4.4.2`, then `Close`. Without effect before the deadline.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.close_with(Reply::new(421, (4, 4, 2), "timeout, closing the connection"));
        }
    }

    /// Ends the session with this reply (such as [`Reply::shutting_down`]) as soon as no answer is
    /// awaited: a message that is being made durable still gets its reply.
    pub fn shut_down(&mut self, reply: Reply) {
        self.farewell = Some(reply);
    }

    /// The name given in HELO, EHLO or LHLO.
    pub fn hello(&self) -> Option<&str> {
        self.hello.as_ref().map(|hello| &*hello.name)
    }

    /// The name that logged in.
    pub fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// Whether the connection is TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Octets that buffers hold room for: for tests of their bounds.
    #[doc(hidden)]
    pub fn buffered_capacity(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    fn action(&mut self, step: Step) -> Action<'_> {
        const OPEN: &str = "a transaction is open while its driver is asked";
        match step {
            Step::StartTls => Action::StartTls,
            Step::Authenticate(mechanism) => Action::Authenticate { mechanism },
            Step::CheckPassword(login, password) => Action::CheckPassword { login, password },
            Step::CheckToken(login, token) => Action::CheckToken { login, token },
            Step::NeedKeys(login) => Action::NeedKeys { login },
            Step::CheckProof(login, pair) => Action::CheckProof { login, pair },
            Step::LoginEnded(login, outcome) => Action::LoginEnded { login, outcome },
            Step::CheckSender => {
                let transaction = self.transaction.as_ref().expect(OPEN);
                let (envelope, size_octets) = (&transaction.envelope, transaction.size_octets);
                Action::CheckSender { envelope, size_octets }
            }
            Step::CheckRecipient => {
                let transaction = self.transaction.as_ref().expect(OPEN);
                let recipient = transaction.candidate.as_ref().expect(OPEN);
                let (envelope, size_octets) = (&transaction.envelope, transaction.size_octets);
                Action::CheckRecipient { envelope, recipient, size_octets }
            }
            Step::BeginData => {
                Action::BeginData { envelope: &self.transaction.as_ref().expect(OPEN).envelope }
            }
            Step::Data(range) => Action::Data(self.input.octets(range)),
            Step::DiscardData => Action::DiscardData,
            Step::DataComplete(envelope, octets) => Action::DataComplete { envelope, octets },
            Step::Close => Action::Close,
        }
    }

    fn step(&mut self, now: Instant) -> Option<Step> {
        loop {
            if let Some(step) = self.pending.take() {
                return Some(step);
            }
            let closing = matches!(self.phase, Phase::Closing | Phase::Closed);
            if !matches!(self.phase, Phase::Waiting(_))
                && !closing
                && let Some(reply) = self.farewell.take()
            {
                self.close_with(reply);
            }
            if self.output().len() > OUTPUT_PAUSE && !closing {
                return None;
            }
            match self.phase {
                Phase::Command | Phase::AuthResponse => {
                    if !self.line(now) {
                        self.input.shrink();
                        return None;
                    }
                }
                Phase::Data => {
                    if let Some(step) = self.data(now) {
                        return Some(step);
                    }
                    if self.input.is_empty() && matches!(self.phase, Phase::Data) {
                        return None;
                    }
                }
                Phase::Chunk(_) => {
                    if let Some(step) = self.chunk(now) {
                        return Some(step);
                    }
                    let more = matches!(&self.phase, Phase::Chunk(chunk) if chunk.remaining > 0);
                    if self.input.is_empty() && more {
                        return None;
                    }
                }
                Phase::Closing => {
                    self.phase = Phase::Closed;
                    return Some(Step::Close);
                }
                Phase::Waiting(_) | Phase::Closed => return None,
            }
        }
    }

    /// Takes one line and obeys it; false when there is none.
    fn line(&mut self, now: Instant) -> bool {
        let in_auth = matches!(self.phase, Phase::AuthResponse);
        let line = match self.input.take_line(in_auth) {
            Line::Incomplete => return false,
            line => line,
        };
        self.since = now;
        match line {
            Line::Incomplete => {}
            // Nobody can say where the next command of such a client begins.
            Line::LoneLf => self.close_with(Reply::new(
                500,
                (5, 5, 2),
                "bare LF: a line ends with CRLF (RFC 5321 section 2.3.8); closing",
            )),
            Line::TooLong if in_auth => self.auth_line_too_long(),
            Line::TooLong => self.refuse(Reply::new(500, (5, 5, 2), "line too long")),
            Line::Whole(range) if in_auth => self.auth_response(range),
            Line::Whole(range) => match Command::parse(self.input.octets(range)) {
                Ok(command) => self.command(command),
                Err(error) => self.command_error(error),
            },
        }
        true
    }

    fn command_error(&mut self, error: CommandError) {
        match error {
            // The chunk's octets would be read as commands.
            CommandError::Chunk => self.close_with(error.reply()),
            _ => self.refuse(error.reply()),
        }
    }

    fn command(&mut self, command: Command) {
        let leads_to_mail = matches!(
            command,
            Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::Bdat { .. }
        );
        if !leads_to_mail {
            self.counts.idle_commands += 1;
            if self.counts.idle_commands > self.settings.max_idle_commands {
                let text = "too many commands without a message";
                return self.close_with(Reply::new(421, (4, 7, 0), text));
            }
        }
        match command {
            Command::Helo(name) => self.hello_command(name, handshake::Greeting::Helo),
            Command::Ehlo(name) => self.hello_command(name, handshake::Greeting::Ehlo),
            Command::Lhlo(name) => self.hello_command(name, handshake::Greeting::Lhlo),
            Command::StartTls => self.starttls_command(),
            Command::Auth { mechanism, initial } => self.auth_command(&mechanism, initial),
            Command::Mail(mail) => self.mail_command(*mail),
            Command::Rcpt(rcpt) => self.rcpt_command(*rcpt),
            Command::Data => self.data_command(),
            Command::Bdat { octets, last } => self.bdat_command(octets, last),
            Command::Rset => {
                self.forget_transaction();
                self.reply(Reply::new(250, (2, 0, 0), "forgotten"));
            }
            Command::Noop => self.reply(Reply::new(250, (2, 0, 0), "ok")),
            // RFC 5321 §3.5.3: neither confirmed nor denied.
            Command::Vrfy => self.reply(Reply::new(
                252,
                (2, 5, 2),
                "cannot verify, but will accept the message and attempt delivery",
            )),
            Command::Expn => {
                self.refuse(Reply::new(502, (5, 5, 1), "mailing lists are not shown"));
            }
            Command::Help => self.reply(Reply::new(
                214,
                (2, 0, 0),
                "EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY AUTH STARTTLS QUIT: see RFC 5321",
            )),
            Command::Quit => self.close_with(Reply::new(221, (2, 0, 0), "goodbye")),
        }
    }

    /// Says something.
    fn reply(&mut self, reply: Reply) {
        if reply.code == 421 {
            return self.close_with(reply);
        }
        let utf8 = self.transaction.as_ref().is_some_and(|open| open.envelope.smtputf8);
        reply.write(&mut self.output, utf8);
    }

    /// Refuses a command, which a client may not do endlessly.
    fn refuse(&mut self, reply: Reply) {
        self.counts.errors += 1;
        if self.counts.errors > self.settings.max_errors {
            return self.close_with(Reply::new(421, (4, 7, 0), "too many errors"));
        }
        self.reply(reply);
    }

    /// An answer has come: commands are taken again.
    fn answered(&mut self, now: Instant) {
        self.phase = Phase::Command;
        self.since = now;
    }

    /// Says something and ends the session.
    fn close_with(&mut self, reply: Reply) {
        reply.write(&mut self.output, false);
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Closing;
        self.pending = None;
        self.transaction = None;
        self.auth = None;
        self.input.clear();
    }
}
