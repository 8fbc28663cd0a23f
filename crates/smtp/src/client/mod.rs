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
//!
//! # States
//!
//! | state | waits for | then |
//! |---|---|---|
//! | Greeting | 220 | Hello |
//! | Hello | the reply to EHLO (or HELO, when EHLO is not understood) | StartTls, Login or Idle |
//! | StartTls | 220 | Handshake; in clear when TLS is only an opportunity and was refused |
//! | Handshake | the driver | Hello again |
//! | Login | 235 | Idle |
//! | Idle | the driver | Sending or Quit |
//! | Sending | replies to a transaction (see `transaction.rs`) | Idle |
//! | Quit | any reply | Closed |
//!
//! What a server says out of turn, `421` anywhere, replies without end and connections lost all end
//! the session; each recipient is told what is known of it.

mod body;
mod capabilities;
mod login;
mod offer;
mod report;
mod settings;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use self::login::Login;
use self::transaction::Sending;
use crate::Tls;
use crate::reply::{Reply, ReplyReader};

pub use self::capabilities::Capabilities;
pub use self::report::{Disposition, Outcome, Report, SessionError, Stage, Transaction};
pub use self::settings::{ClientSettings, ClientTimeouts, Credentials, TlsPolicy};

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
    state: State,
    actions: VecDeque<ClientAction>,
    reader: ReplyReader,
    output: Vec<u8>,
    /// How much of `output` was written already.
    written: usize,
    tls: Option<Tls>,
    nonce: [u8; 18],
    greeting: Option<Reply>,
    capabilities: Capabilities,
    /// Transactions begun on this connection.
    messages: u32,
    /// The server may still have a transaction open.
    reset_needed: bool,
    /// When the present wait began.
    since: Instant,
}

enum State {
    Greeting,
    Hello { helo: bool },
    StartTls,
    Handshake,
    Login(Box<Login>),
    Idle,
    Sending(Box<Sending>),
    Quit,
    Closed,
}

impl ClientSession {
    /// A session on a new connection; it waits for the greeting. `tls` is given when the connection
    /// is TLS from its start. `nonce`: fresh random octets for SCRAM.
    pub fn new(
        settings: Arc<ClientSettings>,
        tls: Option<Tls>,
        nonce: [u8; 18],
        now: Instant,
    ) -> ClientSession {
        ClientSession {
            settings,
            state: State::Greeting,
            actions: VecDeque::new(),
            reader: ReplyReader::default(),
            output: Vec::new(),
            written: 0,
            tls,
            nonce,
            greeting: None,
            capabilities: Capabilities::default(),
            messages: 0,
            reset_needed: false,
            since: now,
        }
    }

    /// Octets from the connection.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() && !matches!(self.state, State::Closed) {
            if matches!(self.state, State::Handshake) {
                // RFC 3207 §6: octets between the reply and the handshake were put there by
                // somebody in between.
                let why = "the server's reply to STARTTLS was followed by more in clear";
                return self.fail(Stage::Tls, Outcome::deferred((7, 0), why));
            }
            let (used, reply) = self.reader.read(rest);
            rest = &rest[used..];
            match reply {
                None => return,
                Some(Ok(reply)) => {
                    // Only a whole reply counts as progress: octets that drip do not.
                    self.since = now;
                    self.on_reply(now, reply);
                }
                Some(Err(error)) => {
                    self.fail(self.stage(), Outcome::deferred((5, 0), error.to_string()));
                }
            }
        }
    }

    /// What to do next, or `None` when the session waits for output to be written or for input.
    pub fn next_action(&mut self, now: Instant) -> Option<ClientAction> {
        if self.actions.is_empty() {
            self.go_on_sending(now);
        }
        self.actions.pop_front().or_else(|| self.wants_data().then_some(ClientAction::NeedData))
    }

    /// Octets to be written to the connection.
    pub fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// The first `octets` of the output were written.
    pub fn output_written(&mut self, now: Instant, octets: usize) {
        if octets == 0 {
            return;
        }
        self.written = (self.written + octets).min(self.output.len());
        self.since = now;
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
    }

    /// When [`ClientSession::on_timeout`] is due; `None` while idle or after the end. It holds for
    /// writing, too.
    pub fn deadline(&self) -> Option<Instant> {
        let timeouts = &self.settings.timeouts;
        let patience = match &self.state {
            State::Greeting => timeouts.greeting,
            State::Hello { .. } | State::StartTls | State::Handshake | State::Login(_) => {
                timeouts.command
            }
            State::Sending(sending) => sending.patience(timeouts),
            State::Quit => timeouts.quit,
            State::Idle | State::Closed => return None,
        };
        Some(self.since + patience)
    }

    /// The deadline has passed: the session ends. Without effect before the deadline.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.broken("the server took too long");
        }
    }

    /// The connection ended or failed, or the TLS handshake did; `why` is for people. What is known
    /// of each recipient is reported.
    pub fn connection_lost(&mut self, _now: Instant, why: &str) {
        self.broken(why);
    }

    /// After [`ClientAction::StartTls`]: the handshake is done. EHLO is said again
    /// (RFC 3207 §4.2).
    pub fn tls_established(&mut self, now: Instant, tls: Tls) {
        if matches!(self.state, State::Handshake) {
            self.tls = Some(tls);
            self.capabilities = Capabilities::default();
            self.since = now;
            self.say_hello(false);
        }
    }

    /// When [`ClientAction::Ready`]: says QUIT; [`ClientAction::Closed`] follows.
    pub fn quit(&mut self, now: Instant) {
        if matches!(self.state, State::Idle) {
            self.since = now;
            self.say("QUIT");
            self.state = State::Quit;
            // A `Ready` that nobody has seen is no longer true.
            self.actions.retain(|action| !matches!(action, ClientAction::Ready));
        }
    }

    /// What the server announced last.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The server's greeting, once it came.
    pub fn greeting(&self) -> Option<&Reply> {
        self.greeting.as_ref()
    }

    /// Whether the connection is TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn on_reply(&mut self, now: Instant, reply: Reply) {
        match &self.state {
            State::Greeting => self.on_greeting(reply),
            State::Hello { helo } => self.on_hello(*helo, &reply),
            State::StartTls if reply.code == 220 => {
                self.state = State::Handshake;
                self.actions.push_back(ClientAction::StartTls);
            }
            State::StartTls if reply.code == 421 || self.settings.tls == TlsPolicy::Required => {
                let outcome = Outcome::deferred_by(&reply, "the server refused STARTTLS");
                self.fail(Stage::Tls, outcome);
            }
            State::StartTls => self.log_in(),
            State::Login(_) => self.on_login_reply(reply),
            State::Sending(_) => self.on_transaction_reply(now, reply),
            State::Quit => self.end(None),
            State::Idle => {
                let why = "the server ended the connection";
                self.fail(Stage::Idle, Outcome::deferred_by(&reply, why));
            }
            State::Handshake | State::Closed => {}
        }
    }

    fn on_greeting(&mut self, reply: Reply) {
        if reply.code == 220 {
            self.greeting = Some(reply);
            return self.say_hello(false);
        }
        let why = "the server does not take mail from us";
        let outcome = match reply.code {
            400.. => Outcome::of_reply(&reply, why),
            _ => Outcome::deferred_by(&reply, "the server's greeting makes no sense"),
        };
        self.fail(Stage::Greeting, outcome);
    }

    fn say_hello(&mut self, helo: bool) {
        let verb = match (helo, self.settings.lmtp) {
            (_, true) => "LHLO",
            (true, false) => "HELO",
            (false, false) => "EHLO",
        };
        self.state = State::Hello { helo };
        self.say(&format!("{verb} {}", self.settings.hello_name));
    }

    fn on_hello(&mut self, helo: bool, reply: &Reply) {
        match reply.code {
            200..300 if helo => self.capabilities = Capabilities::default(),
            200..300 => self.capabilities = Capabilities::parse(reply),
            // RFC 5321 §3.2: a server that does not know EHLO says 5xx.
            500.. if !helo && !self.settings.lmtp => return self.say_hello(true),
            500.. => {
                let outcome = Outcome::of_reply(reply, "the server refused our greeting");
                return self.fail(Stage::Hello, outcome);
            }
            _ => {
                let outcome = Outcome::deferred_by(reply, "the server refused our greeting");
                return self.fail(Stage::Hello, outcome);
            }
        }
        if self.is_tls() || self.settings.tls == TlsPolicy::Off {
            self.log_in();
        } else if self.capabilities.starttls {
            self.state = State::StartTls;
            self.say("STARTTLS");
        } else if self.settings.tls == TlsPolicy::Required {
            let why = "TLS is required, but the server does not offer it";
            self.fail(Stage::Tls, Outcome::deferred((7, 10), why));
        } else {
            self.log_in();
        }
    }

    /// Takes the next message, unless the server takes no more of them here.
    fn become_idle(&mut self) {
        self.state = State::Idle;
        if self.capabilities.max_messages.is_some_and(|max| self.messages >= max) {
            // RFC 9422 §4.1
            self.quit(self.since);
        } else {
            self.actions.push_back(ClientAction::Ready);
        }
    }

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn stage(&self) -> Stage {
        match self.state {
            State::Greeting => Stage::Greeting,
            State::Hello { .. } => Stage::Hello,
            State::StartTls | State::Handshake => Stage::Tls,
            State::Login(_) => Stage::Login,
            State::Idle => Stage::Idle,
            State::Sending(_) => Stage::Transaction,
            State::Quit | State::Closed => Stage::Quit,
        }
    }

    /// Nothing more can be said or heard.
    fn broken(&mut self, why: &str) {
        let outcome = match &self.state {
            State::Closed => return,
            // Everything was settled before.
            State::Quit => return self.end(None),
            State::Sending(sending) if sending.awaits_the_end() => Outcome::deferred(
                (4, 2),
                format!("{why}; the message was sent, and the server may have taken it"),
            ),
            // RFC 3463 §3.8: a security failure rather than a lost connection.
            State::Handshake => Outcome::deferred((7, 0), format!("no TLS: {why}")),
            State::Greeting => Outcome::deferred((4, 1), why.to_owned()),
            _ => Outcome::deferred((4, 2), why.to_owned()),
        };
        let stage = self.stage();
        self.output.clear();
        self.written = 0;
        self.fail_without_quit(stage, outcome);
    }

    /// Ends the session for this reason, politely where commands are heard.
    fn fail(&mut self, stage: Stage, outcome: Outcome) {
        self.output.clear();
        self.written = 0;
        if matches!(
            self.state,
            State::Greeting | State::Hello { .. } | State::StartTls | State::Login(_)
        ) {
            self.say("QUIT");
        }
        self.fail_without_quit(stage, outcome);
    }

    fn fail_without_quit(&mut self, stage: Stage, outcome: Outcome) {
        if let State::Sending(sending) = std::mem::replace(&mut self.state, State::Closed) {
            self.actions.push_back(ClientAction::Done(sending.into_report(&outcome)));
        }
        self.end(Some(SessionError { stage, outcome: Box::new(outcome) }));
    }

    fn end(&mut self, error: Option<SessionError>) {
        self.state = State::Closed;
        self.actions.retain(|action| matches!(action, ClientAction::Done(_)));
        self.actions.push_back(ClientAction::Closed(error));
    }
}
