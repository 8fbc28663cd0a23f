//! AUTHENTICATE (RFC 5804 §2.1).
//!
//! ```text
//! C: AUTHENTICATE "SCRAM-SHA-256" "biwsbj11..."
//! S: "cj1mLi4u"                                challenge
//! C: "Yz1iaXdz..."                             response, or "*" to cancel
//! S: OK (SASL "dj02cnJp...") "logged in"       the mechanism's last word
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waxwing_sasl::{Mechanism, ScramKeys, ServerExchange, ServerStep};
use zeroize::Zeroizing;

use super::{Action, Refusal, Session, State};
use crate::wire::command;
use crate::wire::response::{self, Code, Status};

impl Session {
    pub(super) fn authenticate(&mut self, name: &str, initial: Option<Zeroizing<Vec<u8>>>) {
        if self.login().is_some() {
            return self.no("somebody is logged in already: UNAUTHENTICATE first");
        }
        let offered = self.offered();
        let mechanism = match Mechanism::parse(name) {
            Some(mechanism) if offered.contains(&mechanism) => mechanism,
            Some(mechanism) if mechanism.is_clear_text() => {
                let code = Code::EncryptNeeded;
                return self.end(Status::No, Some(&code), "no passwords without TLS: use STARTTLS");
            }
            _ => return self.no("that mechanism is not offered: see CAPABILITY"),
        };
        let Ok(initial) = initial.map(|base64| decode(&base64)).transpose() else {
            return self.no("that is not base64");
        };
        self.mechanism = Some(mechanism);
        self.state = State::Choosing(mechanism, initial);
        self.ask(Action::Nonce);
    }

    /// Answers [`Action::Nonce`].
    pub fn answer_nonce(&mut self, nonce: [u8; 18]) {
        let State::Choosing(mechanism, initial) = std::mem::replace(&mut self.state, State::Anyone)
        else {
            return;
        };
        self.waiting = false;
        let mut exchange = ServerExchange::new(mechanism, self.binding.clone(), nonce);
        let step = exchange.start(initial.as_ref().map(|octets| octets.as_slice()));
        self.state = State::Exchange(Box::new(exchange));
        self.step(step);
    }

    /// Answers [`Action::CheckPassword`]; what it was is then known.
    pub fn answer_password(&mut self, answer: Result<bool, Refusal>) {
        self.answer_exchange(answer, ServerExchange::password_checked);
    }

    /// Answers [`Action::CheckToken`]: whose it is; `None`: nobody's.
    pub fn answer_token(&mut self, answer: Result<Option<String>, Refusal>) {
        self.answer_exchange(answer, ServerExchange::token_checked);
    }

    /// Answers [`Action::NeedKeys`].
    pub fn answer_keys(&mut self, answer: Result<ScramKeys, Refusal>) {
        self.answer_exchange(answer, ServerExchange::supply_keys);
    }

    /// Answers [`Action::CheckProof`].
    pub fn answer_proof(&mut self, answer: Result<bool, Refusal>) {
        self.answer_exchange(answer, ServerExchange::proof_checked);
    }

    fn answer_exchange<T>(
        &mut self,
        answer: Result<T, Refusal>,
        go_on: impl FnOnce(&mut ServerExchange, T) -> ServerStep,
    ) {
        let State::Exchange(exchange) = &mut self.state else { return };
        self.waiting = false;
        match answer {
            Ok(answer) => {
                let step = go_on(exchange, answer);
                self.step(step);
            }
            Err(Refusal::NotHere(why)) => {
                self.state = State::Anyone;
                self.no(why);
            }
            Err(Refusal::Later) => {
                self.state = State::Anyone;
                let code = Code::TryLater;
                self.end(Status::No, Some(&code), "the server has a problem: try again later");
            }
        }
    }

    /// A line from the client while a mechanism is at work.
    pub(super) fn response(&mut self, octets: &[u8]) {
        let response = match command::parse_response(octets) {
            Ok(response) if response.as_slice() == b"*" => {
                self.state = State::Anyone;
                return self.no("cancelled");
            }
            Ok(response) => decode(&response),
            Err(error) => {
                self.state = State::Anyone;
                return self.no(&error.to_string());
            }
        };
        let Ok(response) = response else {
            self.state = State::Anyone;
            return self.no("that is not base64");
        };
        let State::Exchange(exchange) = &mut self.state else { return };
        let step = exchange.respond(&response);
        self.step(step);
    }

    fn step(&mut self, step: ServerStep) {
        match step {
            ServerStep::Challenge(challenge) => {
                response::string(&mut self.output, STANDARD.encode(challenge).as_bytes());
                self.output.extend_from_slice(b"\r\n");
            }
            ServerStep::CheckPassword { login, password } => {
                self.ask(Action::CheckPassword { login, password });
            }
            ServerStep::CheckToken { login, token } => {
                self.ask(Action::CheckToken { login, token });
            }
            ServerStep::NeedKeys { login } => self.ask(Action::NeedKeys { login }),
            ServerStep::CheckProof { login, pair } => self.ask(Action::CheckProof { login, pair }),
            ServerStep::Done { login, last } => {
                self.state = State::Known(login);
                let code = last.map(|last| Code::Sasl(STANDARD.encode(last)));
                self.end(Status::Ok, code.as_ref(), "logged in");
            }
            ServerStep::Failed(_) => {
                self.state = State::Anyone;
                self.failed_logins += 1;
                match self.failed_logins >= self.settings.max_failed_logins {
                    true => self.bye("too many failed logins: goodbye"),
                    false => self.no("name or password is wrong"),
                }
            }
        }
    }
}

struct NotBase64;

/// An empty string is an empty response.
fn decode(base64: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
    // Some clients send `=` for it, as SMTP has it.
    if base64 == b"=" {
        return Ok(Zeroizing::new(Vec::new()));
    }
    STANDARD.decode(base64).map(Zeroizing::new).map_err(|_| NotBase64)
}
