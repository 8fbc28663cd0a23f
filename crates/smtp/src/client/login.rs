//! AUTH (RFC 4954), with the strongest mechanism that both sides have.
//!
//! Whatever goes wrong is temporary for the mail: a password that no longer fits is for the
//! operator to mend, and the messages wait meanwhile.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use waxwing_sasl::{ClientExchange, ClientStep, Mechanism};

use super::{ClientSession, Outcome, Stage, State};
use crate::reply::Reply;

/// The longest AUTH command with an initial response; longer ones wait for a challenge first. Not
/// every server has the 12,288 octets of RFC 4954 §4.
const MAX_INITIAL_LINE_OCTETS: usize = 510;

/// A login under way.
pub(super) struct Login {
    exchange: ClientExchange,
    /// Held back because it is too long for the first line.
    initial: Option<Vec<u8>>,
}

impl ClientSession {
    /// Logs in when there is a login, else becomes ready.
    pub(super) fn log_in(&mut self) {
        let Some(credentials) = &self.settings.credentials else {
            return self.become_idle();
        };
        let binding = self.tls.as_ref().and_then(|tls| tls.binding.clone());
        let usable =
            Mechanism::offered(self.is_tls(), credentials.plaintext_allowed, binding.is_some());
        let both = |mechanism: &Mechanism| self.capabilities.auth.contains(mechanism);
        let Some(mechanism) = usable.into_iter().find(both) else {
            let why = "the server offers no way of logging in that can be used here";
            return self.fail(Stage::Login, Outcome::deferred((7, 0), why));
        };
        let (login, password) = (&credentials.login, &credentials.password);
        let mut exchange = ClientExchange::new(mechanism, login, password, binding, self.nonce);
        let initial = exchange.initial();
        let line = match &initial {
            None => None,
            // RFC 4954 §4: an initial response without octets.
            Some(octets) if octets.is_empty() => Some("=".to_owned()),
            Some(octets) => Some(BASE64.encode(octets)),
        };
        let line = line.map(|response| format!("AUTH {} {response}", mechanism.name()));
        let (line, initial) = match line {
            Some(line) if line.len() <= MAX_INITIAL_LINE_OCTETS => (line, None),
            _ => (format!("AUTH {}", mechanism.name()), initial),
        };
        self.say(&line);
        self.state = State::Login(Box::new(Login { exchange, initial }));
    }

    pub(super) fn on_login_reply(&mut self, reply: Reply) {
        let State::Login(login) = &mut self.state else { return };
        match reply.code {
            334 => {
                let Ok(challenge) = BASE64.decode(reply.text.trim()) else {
                    return self.cancel_login("the server's challenge is not base64");
                };
                if let Some(initial) = login.initial.take() {
                    return self.say(&BASE64.encode(initial));
                }
                match login.exchange.challenge(&challenge) {
                    ClientStep::Respond(response) => self.say(&BASE64.encode(response)),
                    ClientStep::Done => self.say(""),
                    ClientStep::Failed(why) => self.cancel_login(why),
                }
            }
            200..300 => match login.exchange.success(None) {
                // RFC 5802 §5: the client checks the server, too.
                ClientStep::Failed(why) => {
                    self.fail(Stage::Login, Outcome::deferred((7, 0), why));
                }
                ClientStep::Done | ClientStep::Respond(_) => self.become_idle(),
            },
            _ => {
                let outcome = Outcome::deferred_by(&reply, "the server refused our login");
                self.fail(Stage::Login, outcome);
            }
        }
    }

    fn cancel_login(&mut self, why: &'static str) {
        // RFC 4954 §4; `fail` would say QUIT, which would be read as a response.
        self.fail_without_quit(Stage::Login, Outcome::deferred((7, 0), why));
        self.output.clear();
        self.written = 0;
        self.say("*");
        self.say("QUIT");
    }
}
