//! What comes before a message: EHLO and its kin, STARTTLS (RFC 3207), AUTH (RFC 4954).

use std::ops::Range;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use waxwing_sasl::{Mechanism, ScramKeys, ServerExchange, ServerStep};

use super::{Phase, Question, Role, ServerSession, StartTls, Step};
use crate::Tls;
use crate::reply::Reply;

/// How the client introduced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeting {
    Helo,
    Ehlo,
    Lhlo,
}

#[derive(Debug)]
pub(super) struct Hello {
    pub name: Box<str>,
    pub greeting: Greeting,
}

/// An AUTH under way.
pub(super) struct AuthState {
    mechanism: Mechanism,
    initial: Option<Vec<u8>>,
    /// Once the driver has given random octets.
    exchange: Option<ServerExchange>,
    /// The name, once the client has said it.
    login: Option<String>,
    /// Logged in, but the client must still answer the last challenge with nothing.
    finishing: bool,
}

impl ServerSession {
    pub(super) fn hello_command(&mut self, name: String, greeting: Greeting) {
        // RFC 2033 §4.1: LMTP has LHLO and only LHLO.
        if (self.settings.role == Role::Lmtp) != (greeting == Greeting::Lhlo) {
            let text = match self.settings.role {
                Role::Lmtp => "this is LMTP: say LHLO",
                Role::Mx | Role::Submission => "this is SMTP: say EHLO",
            };
            return self.refuse(Reply::new(500, (5, 5, 1), text));
        }
        // RFC 5321 §4.1.4: EHLO and HELO begin anew.
        self.forget_transaction();
        self.hello = Some(Hello { name: name.into(), greeting });
        let text = match greeting {
            Greeting::Helo => self.settings.host_name.clone(),
            Greeting::Ehlo | Greeting::Lhlo => self.announcement(),
        };
        // RFC 2034 §4: no enhanced status here.
        self.reply(Reply::bare(250, text));
    }

    /// Our name and what we offer, a line each.
    fn announcement(&self) -> String {
        let (settings, on) = (&self.settings, &self.settings.extensions);
        let mut text = settings.host_name.clone();
        let mut line = |line: &str| {
            text.push('\n');
            text.push_str(line);
        };
        if on.pipelining {
            line("PIPELINING");
        }
        if on.size {
            match settings.max_message_octets {
                u64::MAX => line("SIZE"),
                limit => line(&format!("SIZE {limit}")),
            }
        }
        if on.eight_bit_mime {
            line("8BITMIME");
        }
        if on.smtputf8 {
            line("SMTPUTF8");
        }
        line("ENHANCEDSTATUSCODES");
        if on.dsn {
            line("DSN");
        }
        if on.chunking {
            line("CHUNKING");
            if on.binary_mime {
                line("BINARYMIME");
            }
        }
        if self.starttls_offered() {
            line("STARTTLS");
        }
        let mechanisms = self.mechanisms();
        if !mechanisms.is_empty() {
            let names: Vec<&str> = mechanisms.into_iter().map(Mechanism::name).collect();
            line(&format!("AUTH {}", names.join(" ")));
        }
        if on.require_tls && self.is_tls() {
            line("REQUIRETLS");
        }
        if on.limits {
            let (messages, recipients) = (settings.max_messages, settings.max_recipients);
            line(&format!("LIMITS MAILMAX={messages} RCPTMAX={recipients}"));
        }
        line("HELP");
        text
    }

    fn starttls_offered(&self) -> bool {
        self.settings.starttls != StartTls::Off && !self.is_tls()
    }

    /// What AUTH offers now: nothing in clear where TLS is required first.
    fn mechanisms(&self) -> Vec<Mechanism> {
        if !self.settings.auth || self.tls_missing() {
            return Vec::new();
        }
        let binding = self.tls.as_ref().is_some_and(|tls| tls.binding.is_some());
        let offered = match self.settings.tokens {
            true => Mechanism::offered_with_tokens,
            false => Mechanism::offered,
        };
        offered(self.is_tls(), self.settings.plaintext_auth, binding)
    }

    pub(super) fn tls_missing(&self) -> bool {
        self.settings.starttls == StartTls::Required && !self.is_tls()
    }

    pub(super) fn starttls_command(&mut self) {
        if self.is_tls() {
            return self.refuse(Reply::new(503, (5, 5, 1), "TLS is in use already"));
        }
        if !self.starttls_offered() {
            return self.refuse(Reply::new(502, (5, 5, 1), "STARTTLS is not offered"));
        }
        // RFC 3207 §4 and RFC 2920 §3.1: STARTTLS ends a group of commands. What follows it in
        // clear may have been put there by somebody in between.
        if !self.input.is_empty() {
            let text = "nothing may follow STARTTLS before the handshake; closing";
            return self.close_with(Reply::new(503, (5, 5, 1), text));
        }
        self.reply(Reply::new(220, (2, 0, 0), "begin TLS"));
        self.phase = Phase::Waiting(Question::TlsHandshake);
        self.pending = Some(Step::StartTls);
    }

    /// After [`Action::StartTls`](super::Action::StartTls): the handshake is done. Everything
    /// learnt before is forgotten (RFC 3207 §4.2).
    pub fn tls_established(&mut self, now: Instant, tls: Tls) {
        if !matches!(self.phase, Phase::Waiting(Question::TlsHandshake)) {
            return;
        }
        self.tls = Some(tls);
        self.hello = None;
        self.login = None;
        self.transaction = None;
        self.input.clear();
        self.phase = Phase::Command;
        self.since = now;
    }

    pub(super) fn auth_command(&mut self, mechanism: &str, initial: Option<String>) {
        if let Some(reply) = self.auth_obstacle() {
            return self.refuse(reply);
        }
        let offered = self.mechanisms();
        let mechanism = match Mechanism::parse(mechanism) {
            Some(mechanism) if offered.contains(&mechanism) => mechanism,
            // RFC 4954 §4 and §6: the mechanism is there, but not in clear.
            Some(mechanism) if mechanism.is_clear_text() && !self.is_tls() => {
                let text = "this mechanism needs TLS";
                return self.refuse(Reply::new(538, (5, 7, 11), text));
            }
            _ => return self.refuse(Reply::new(504, (5, 5, 4), "no such mechanism here")),
        };
        let initial = match initial.as_deref() {
            None => None,
            // RFC 4954 §4: an initial response without octets.
            Some("=") => Some(Vec::new()),
            Some(text) => match BASE64.decode(text) {
                Ok(initial) => Some(initial),
                Err(_) => return self.refuse(not_base64()),
            },
        };
        let state = AuthState { mechanism, initial, exchange: None, login: None, finishing: false };
        self.auth = Some(Box::new(state));
        self.phase = Phase::Waiting(Question::Authenticate);
        self.pending = Some(Step::Authenticate(mechanism));
    }

    /// Why AUTH is out of place now.
    fn auth_obstacle(&self) -> Option<Reply> {
        if !self.settings.auth {
            Some(Reply::new(502, (5, 5, 1), "AUTH is not offered"))
        } else if self.hello.is_none() {
            Some(Reply::new(503, (5, 5, 1), "say EHLO first"))
        } else if self.tls_missing() {
            Some(Reply::new(530, (5, 7, 0), "say STARTTLS first"))
        } else if self.login.is_some() {
            Some(Reply::new(503, (5, 5, 1), "you are logged in already"))
        } else if self.transaction.is_some() {
            Some(Reply::new(503, (5, 5, 1), "not within a mail transaction"))
        } else {
            None
        }
    }

    /// After [`Action::Authenticate`](super::Action::Authenticate): fresh random octets for the
    /// exchange, or a refusal.
    pub fn answer_authenticate(&mut self, now: Instant, answer: Result<[u8; 18], Reply>) {
        if !matches!(self.phase, Phase::Waiting(Question::Authenticate)) {
            return;
        }
        self.answered(now);
        let nonce = match answer {
            Ok(nonce) => nonce,
            Err(reply) => return self.auth_failed(reply, "refused before it began"),
        };
        let binding = self.tls.as_ref().and_then(|tls| tls.binding.clone());
        let auth = self.auth.as_mut().expect("AUTH is under way");
        let initial = auth.initial.take();
        let exchange = auth.exchange.insert(ServerExchange::new(auth.mechanism, binding, nonce));
        let step = exchange.start(initial.as_deref());
        self.auth_step(step);
    }

    /// After [`Action::CheckPassword`](super::Action::CheckPassword): whether it is right; `Err`
    /// when that cannot be known now (`454 4.7.0`).
    pub fn answer_password(&mut self, now: Instant, answer: Result<bool, Reply>) {
        if matches!(self.phase, Phase::Waiting(Question::Password)) {
            self.auth_answer(now, answer, ServerExchange::password_checked);
        }
    }

    /// After [`Action::CheckToken`](super::Action::CheckToken): whose it is, `None` for nobody's;
    /// `Err` when that cannot be known now (`454 4.7.0`).
    pub fn answer_token(&mut self, now: Instant, answer: Result<Option<String>, Reply>) {
        if matches!(self.phase, Phase::Waiting(Question::Token)) {
            self.auth_answer(now, answer, ServerExchange::token_checked);
        }
    }

    /// After [`Action::NeedKeys`](super::Action::NeedKeys); `Err` when that cannot be known now
    /// (`454 4.7.0`).
    pub fn answer_keys(&mut self, now: Instant, answer: Result<ScramKeys, Reply>) {
        if matches!(self.phase, Phase::Waiting(Question::Keys)) {
            self.auth_answer(now, answer, ServerExchange::supply_keys);
        }
    }

    /// After [`Action::CheckProof`](super::Action::CheckProof): whether it lets them in; `Err` for
    /// another refusal than that of a wrong password.
    pub fn answer_proof(&mut self, now: Instant, answer: Result<bool, Reply>) {
        if matches!(self.phase, Phase::Waiting(Question::Proof)) {
            self.auth_answer(now, answer, ServerExchange::proof_checked);
        }
    }

    fn auth_answer<T>(
        &mut self,
        now: Instant,
        answer: Result<T, Reply>,
        go_on: impl FnOnce(&mut ServerExchange, T) -> ServerStep,
    ) {
        self.answered(now);
        match answer {
            Ok(answer) => {
                let auth = self.auth.as_mut().expect("AUTH is under way");
                let step = go_on(auth.exchange.as_mut().expect("it has begun"), answer);
                self.auth_step(step);
            }
            Err(reply) => self.auth_failed(reply, "could not be checked"),
        }
    }

    /// A line that answers a challenge.
    pub(super) fn auth_response(&mut self, range: Range<usize>) {
        let line = self.input.octets(range);
        // RFC 4954 §4
        if line == b"*" {
            return self.auth_failed(Reply::new(501, (5, 7, 0), "cancelled"), "cancelled");
        }
        let Ok(response) = BASE64.decode(line) else {
            return self.auth_failed(not_base64(), "not base64");
        };
        let auth = self.auth.as_mut().expect("AUTH is under way");
        if auth.finishing {
            return match response.is_empty() {
                true => self.logged_in(),
                false => self.wrong_login("an answer to the last challenge"),
            };
        }
        let step = auth.exchange.as_mut().expect("it has begun").respond(&response);
        self.auth_step(step);
    }

    fn auth_step(&mut self, step: ServerStep) {
        match step {
            ServerStep::Challenge(challenge) => self.challenge(&challenge),
            ServerStep::CheckPassword { login, password } => {
                self.ask_about(&login, Question::Password);
                self.pending = Some(Step::CheckPassword(login, password));
            }
            ServerStep::CheckToken { login, token } => {
                self.auth.as_mut().expect("AUTH is under way").login.clone_from(&login);
                self.phase = Phase::Waiting(Question::Token);
                self.pending = Some(Step::CheckToken(login, token));
            }
            ServerStep::NeedKeys { login } => {
                self.ask_about(&login, Question::Keys);
                self.pending = Some(Step::NeedKeys(login));
            }
            ServerStep::CheckProof { login, pair } => {
                self.ask_about(&login, Question::Proof);
                self.pending = Some(Step::CheckProof(login, pair));
            }
            ServerStep::Done { login, last } => {
                let auth = self.auth.as_mut().expect("AUTH is under way");
                auth.login = Some(login);
                match last {
                    // SMTP's 235 has no place for it (RFC 4954 §4).
                    Some(last) => {
                        auth.finishing = true;
                        self.challenge(&last);
                    }
                    None => self.logged_in(),
                }
            }
            ServerStep::Failed(why) => self.wrong_login(why),
        }
    }

    fn ask_about(&mut self, login: &str, question: Question) {
        self.auth.as_mut().expect("AUTH is under way").login = Some(login.to_owned());
        self.phase = Phase::Waiting(question);
    }

    fn challenge(&mut self, challenge: &[u8]) {
        // One line however long: RFC 4954 §4 allows 12,288 octets, and it must not be folded.
        self.output.extend_from_slice(b"334 ");
        self.output.extend_from_slice(BASE64.encode(challenge).as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.phase = Phase::AuthResponse;
    }

    fn logged_in(&mut self) {
        let login = self.auth.take().and_then(|auth| auth.login);
        self.login.clone_from(&login);
        self.phase = Phase::Command;
        self.reply(Reply::new(235, (2, 7, 0), "logged in"));
        self.pending = Some(Step::LoginEnded(login, Ok(())));
    }

    /// The same words whatever was wrong: RFC 4954 §6.
    fn wrong_login(&mut self, why: &'static str) {
        self.auth_failed(Reply::new(535, (5, 7, 8), "wrong name or password"), why);
    }

    fn auth_failed(&mut self, reply: Reply, why: &'static str) {
        let login = self.auth.take().and_then(|auth| auth.login);
        self.phase = Phase::Command;
        self.refuse(reply);
        self.pending = Some(Step::LoginEnded(login, Err(why)));
    }

    /// RFC 4954 §4.
    pub(super) fn auth_line_too_long(&mut self) {
        let reply = Reply::new(500, (5, 5, 6), "authentication exchange line too long");
        self.auth_failed(reply, "response too long");
    }

    /// For the `with` of Received (RFC 3848, RFC 6531 §4.3): `SMTP`, `ESMTPSA`, `UTF8SMTPS`,
    /// `LMTP` … of the transaction that is open or being answered.
    pub fn protocol(&self) -> &'static str {
        let greeting = self.hello.as_ref().map(|hello| hello.greeting);
        let utf8 = match &self.phase {
            Phase::Waiting(Question::Message(finished)) => finished.smtputf8,
            _ => self.transaction.as_ref().is_some_and(|open| open.envelope.smtputf8),
        };
        let names: [&'static str; 4] = match (greeting, utf8) {
            (Some(Greeting::Lhlo), false) => ["LMTP", "LMTPA", "LMTPS", "LMTPSA"],
            (Some(Greeting::Lhlo), true) => ["UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"],
            (Some(Greeting::Ehlo), false) => ["ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"],
            (Some(Greeting::Ehlo), true) => ["UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"],
            (Some(Greeting::Helo) | None, _) => ["SMTP"; 4],
        };
        names[usize::from(self.is_tls()) * 2 + usize::from(self.login.is_some())]
    }
}

fn not_base64() -> Reply {
    Reply::new(501, (5, 5, 2), "not base64")
}
