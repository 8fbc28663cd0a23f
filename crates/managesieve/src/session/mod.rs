//! One connection as a state machine.
//!
//! ```text
//! greeting ─▶ Anyone ─AUTHENTICATE─▶ exchange ─▶ Known ─UNAUTHENTICATE─▶ Anyone
//!               │  ▲                     │          │
//!      STARTTLS │  │ tls_established     │ refused  │ script commands ⇄ driver
//!               ▼  │                     ▼          │
//!              handshake              Anyone        └─ LOGOUT ─▶ Closed
//! ```
//!
//! While the driver owes an answer, what the client sends waits.

mod login;
mod script;

use std::collections::VecDeque;

use waxwing_sasl::{ChannelBinding, Mechanism, ServerExchange};
use zeroize::Zeroizing;

use crate::scripts::Request;
use crate::wire::command::{self, Command};
use crate::wire::frame::{Frame, Framer};
use crate::wire::response::{self, Code, Status};

/// What a session needs to know of the site.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether STARTTLS is offered while there is no TLS.
    pub starttls: bool,
    /// Whether passwords may cross a connection without TLS.
    pub plaintext_allowed: bool,
    /// Access tokens are given out here: OAUTHBEARER and XOAUTH2 are offered under TLS.
    pub tokens: bool,
    /// The extensions of Sieve: the capability `SIEVE`.
    pub sieve: Vec<String>,
    /// The methods of `notify`: the capability `NOTIFY`.
    pub notify: Vec<String>,
    /// The largest script in octets.
    pub max_script_octets: u64,
    /// The capability `MAXREDIRECTS`.
    pub max_redirects: usize,
    /// After so many failed logins the connection ends.
    pub max_failed_logins: u32,
    /// After so many lines that are no command, one after another, the connection ends.
    pub max_bad_commands: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            starttls: true,
            plaintext_allowed: false,
            tokens: false,
            sieve: vec!["fileinto".into()],
            notify: Vec::new(),
            max_script_octets: 1 << 20,
            max_redirects: 4,
            max_failed_logins: 3,
            max_bad_commands: 10,
        }
    }
}

/// Something for the driver to do; it goes on once that is answered.
#[derive(Debug)]
pub enum Action {
    /// Send what is to be sent, perform the handshake, then [`Session::tls_established`].
    StartTls,
    /// Draw random octets: [`Session::answer_nonce`].
    Nonce,
    /// Check name and password: [`Session::answer_password`].
    CheckPassword {
        /// By SASLprep.
        login: String,
        /// By SASLprep.
        password: Zeroizing<String>,
    },
    /// Check an access token: [`Session::answer_token`].
    CheckToken {
        /// By SASLprep; `None`: the token alone says who it is.
        login: Option<String>,
        /// As it was given out.
        token: Zeroizing<String>,
    },
    /// Look up the keys of that login, invented ones where there is none: [`Session::answer_keys`].
    NeedKeys {
        /// By SASLprep.
        login: String,
    },
    /// The client has proven that it knows what a pair of keys was made of: does that let it in?
    /// [`Session::answer_proof`].
    CheckProof {
        /// By SASLprep.
        login: String,
        /// The place of that pair in [`ScramKeys::pairs`](waxwing_sasl::ScramKeys::pairs).
        pair: usize,
    },
    /// Do that for [`Session::login`]: [`Session::answer`].
    Request(Request),
    /// Send what is to be sent, and close the connection.
    Close,
}

/// Why a question about a login has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be said now.
    Later,
    /// What was given is right, but does not open this door: this is what to tell.
    NotHere(&'static str),
}

enum State {
    Anyone,
    /// A mechanism was chosen; the nonce is owed.
    Choosing(Mechanism, Option<Zeroizing<Vec<u8>>>),
    Exchange(Box<ServerExchange>),
    Known(String),
    Closed,
}

/// One connection.
pub struct Session {
    settings: Settings,
    tls: bool,
    binding: Option<ChannelBinding>,
    framer: Framer,
    output: Vec<u8>,
    actions: VecDeque<Action>,
    state: State,
    /// The driver owes an answer.
    waiting: bool,
    mechanism: Option<Mechanism>,
    failed_logins: u32,
    bad_commands: u32,
}

impl Session {
    /// Begins with the greeting. `tls` where TLS came first.
    pub fn new(settings: Settings, tls: bool, binding: Option<ChannelBinding>) -> Session {
        let framer = Framer::new(settings.max_script_octets);
        let mut session = Session {
            settings,
            tls,
            binding,
            framer,
            output: Vec::new(),
            actions: VecDeque::new(),
            state: State::Anyone,
            waiting: false,
            mechanism: None,
            failed_logins: 0,
            bad_commands: 0,
        };
        session.capabilities();
        session.ok("ManageSieve ready");
        session
    }

    /// Takes octets from the client.
    pub fn receive(&mut self, octets: &[u8]) {
        if !matches!(self.state, State::Closed) {
            self.framer.push(octets);
        }
    }

    /// What the driver is to do next; `None` when the client is to speak.
    pub fn next_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            if self.waiting || matches!(self.state, State::Closed) {
                return None;
            }
            match self.framer.next_frame() {
                Frame::Incomplete => return None,
                Frame::Command(octets) => self.line(&Zeroizing::new(octets)),
                Frame::TooLarge => {
                    // RFC 5804 §1.3.
                    let code = Code::QuotaMaxSize;
                    self.end(Status::No, Some(&code), "the script is too large");
                }
                Frame::Hopeless => self.bye("that line is too long: goodbye"),
            }
        }
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Takes what is to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether a mechanism is at work.
    pub fn is_logging_in(&self) -> bool {
        matches!(self.state, State::Choosing(..) | State::Exchange(_))
    }

    /// The mechanism by which somebody logs in or has logged in.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.mechanism
    }

    /// Who is logged in.
    pub fn login(&self) -> Option<&str> {
        match &self.state {
            State::Known(login) => Some(login),
            _ => None,
        }
    }

    /// The handshake after [`Action::StartTls`] is done.
    pub fn tls_established(&mut self, binding: Option<ChannelBinding>) {
        self.tls = true;
        self.binding = binding;
        self.waiting = false;
        // RFC 5804 §2.2: nothing from before counts, and the capabilities are told anew.
        self.framer.clear();
        self.state = State::Anyone;
        self.capabilities();
        self.ok("TLS is on");
    }

    /// Ends the session: the server stops, or the client was silent for too long.
    pub fn shut_down(&mut self, text: &str) {
        if !matches!(self.state, State::Closed) {
            self.bye(text);
        }
    }

    fn line(&mut self, octets: &[u8]) {
        if matches!(self.state, State::Exchange(_)) {
            return self.response(octets);
        }
        let command = match command::parse(octets) {
            Ok(command) => command,
            Err(error) => {
                self.bad_commands += 1;
                if self.bad_commands >= self.settings.max_bad_commands {
                    return self.bye("too many lines that are no command: goodbye");
                }
                return self.no(&error.to_string());
            }
        };
        self.bad_commands = 0;
        match command {
            Command::Authenticate(mechanism, initial) => self.authenticate(&mechanism, initial),
            Command::StartTls => self.start_tls(),
            Command::Logout => {
                self.ok("goodbye");
                self.close();
            }
            Command::Capability => {
                self.capabilities();
                self.ok("these are the capabilities");
            }
            Command::Noop(tag) => {
                let code = tag.map(Code::Tag);
                self.end(Status::Ok, code.as_ref(), "done");
            }
            Command::Unauthenticate if self.login().is_some() => {
                self.state = State::Anyone;
                self.ok("logged out");
            }
            // RFC 5804 §2.14.1: only after a login.
            Command::Unauthenticate => self.no("nobody is logged in"),
            other => self.script_command(other),
        }
    }

    fn start_tls(&mut self) {
        if self.tls || !self.settings.starttls {
            return self.no("STARTTLS is not offered");
        }
        if self.login().is_some() {
            return self.no("STARTTLS comes before the login");
        }
        if !self.framer.is_empty() {
            // CVE-2011-0411: what follows in clear text may be another's.
            return self.bye("nothing may follow STARTTLS before the handshake");
        }
        self.ok("begin the handshake");
        self.ask(Action::StartTls);
    }

    /// RFC 5804 §1.7.
    fn capabilities(&mut self) {
        let mechanisms: Vec<&str> = self.offered().into_iter().map(Mechanism::name).collect();
        let mut lines = vec![
            ("IMPLEMENTATION", Some("Waxwing".to_owned())),
            ("SIEVE", Some(self.settings.sieve.join(" "))),
            ("SASL", Some(mechanisms.join(" "))),
            ("VERSION", Some("1.0".to_owned())),
            ("MAXREDIRECTS", Some(self.settings.max_redirects.to_string())),
            ("UNAUTHENTICATE", None),
        ];
        if !self.settings.notify.is_empty() {
            lines.push(("NOTIFY", Some(self.settings.notify.join(" "))));
        }
        if self.settings.starttls && !self.tls {
            lines.push(("STARTTLS", None));
        }
        if let Some(login) = self.login() {
            lines.push(("OWNER", Some(login.to_owned())));
        }
        for (name, value) in lines {
            response::string(&mut self.output, name.as_bytes());
            if let Some(value) = value {
                self.output.push(b' ');
                response::string(&mut self.output, value.as_bytes());
            }
            self.output.extend_from_slice(b"\r\n");
        }
    }

    /// What may be used to log in; nothing once somebody is (RFC 5804 §1.7).
    fn offered(&self) -> Vec<Mechanism> {
        if self.login().is_some() {
            return Vec::new();
        }
        let offered = match self.settings.tokens {
            true => Mechanism::offered_with_tokens,
            false => Mechanism::offered,
        };
        offered(self.tls, self.settings.plaintext_allowed, self.binding.is_some())
    }

    fn ask(&mut self, action: Action) {
        self.waiting = true;
        self.actions.push_back(action);
    }

    fn end(&mut self, status: Status, code: Option<&Code>, text: &str) {
        response::end(&mut self.output, status, code, text);
    }

    fn ok(&mut self, text: &str) {
        self.end(Status::Ok, None, text);
    }

    fn no(&mut self, text: &str) {
        self.end(Status::No, None, text);
    }

    fn bye(&mut self, text: &str) {
        self.end(Status::Bye, None, text);
        self.close();
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.framer.clear();
        self.actions.clear();
        self.actions.push_back(Action::Close);
    }
}
