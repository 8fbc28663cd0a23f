//! PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd`, UTF-8, one message.
//!
//! ```text
//! server   Waiting ──message──▶ Checking ──right──▶ Over (Done)
//!             └──bad message──▶ Over (Failed) ◀──wrong──┘
//! ```

use zeroize::Zeroizing;

use crate::client::ClientStep;
use crate::prepare::{prepare_login, prepare_password};
use crate::server::ServerStep;

/// The server's side.
pub(crate) enum Server {
    Waiting,
    Checking { login: String },
    Over,
}

impl Server {
    pub(crate) fn start(&mut self, initial: Option<&[u8]>) -> ServerStep {
        match initial {
            Some(message) => self.respond(message),
            None => ServerStep::Challenge(Vec::new()), // RFC 4422 §3: "please begin"
        }
    }

    pub(crate) fn respond(&mut self, response: &[u8]) -> ServerStep {
        if !matches!(std::mem::replace(self, Server::Over), Server::Waiting) {
            return ServerStep::Failed("response out of turn");
        }
        match parse(response) {
            Ok((login, password)) => {
                *self = Server::Checking { login: login.clone() };
                ServerStep::CheckPassword { login, password }
            }
            Err(why) => ServerStep::Failed(why),
        }
    }

    pub(crate) fn password_checked(&mut self, right: bool) -> ServerStep {
        match std::mem::replace(self, Server::Over) {
            Server::Checking { login } if right => ServerStep::Done { login, last: None },
            Server::Checking { .. } => ServerStep::Failed("wrong login or password"),
            _ => ServerStep::Failed("no password was asked for"),
        }
    }
}

/// Name and password out of the one message, both prepared.
fn parse(message: &[u8]) -> Result<(String, Zeroizing<String>), &'static str> {
    let text = std::str::from_utf8(message).map_err(|_| "PLAIN message is not UTF-8")?;
    let mut fields = text.split('\0');
    let (Some(authzid), Some(authcid), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("PLAIN message has not three fields");
    };
    if password.is_empty() {
        return Err("PLAIN message has an empty password");
    }
    let login = prepare_login(authcid).map_err(|_| "login name is not allowed by SASLprep")?;
    // RFC 4616 §2: an empty authorization identity stands for the login's own. No other is
    // granted to anybody here, whatever the password.
    if !authzid.is_empty() && prepare_login(authzid).as_ref() != Ok(&login) {
        return Err("authorization identity differs from the login name");
    }
    Ok((login, prepare_password(password)))
}

/// The client's side: one message, sent at once or on the first challenge.
pub(crate) struct Client {
    message: Option<Zeroizing<Vec<u8>>>,
}

impl Client {
    /// A name or password holding NUL cannot be sent (RFC 4616 §2); then there is no message.
    pub(crate) fn new(login: &str, password: &str) -> Client {
        let fits = !login.is_empty() && !login.contains('\0') && !password.contains('\0');
        let mut message = Zeroizing::new(Vec::with_capacity(login.len() + password.len() + 2));
        for field in ["\0", login, "\0", password] {
            message.extend_from_slice(field.as_bytes());
        }
        Client { message: fits.then_some(message) }
    }

    pub(crate) fn initial(&mut self) -> Option<Vec<u8>> {
        self.message.take().map(|message| message.to_vec())
    }

    pub(crate) fn challenge(&mut self, challenge: &[u8]) -> ClientStep {
        match self.initial() {
            Some(message) if challenge.is_empty() => ClientStep::Respond(message),
            Some(_) => ClientStep::Failed("PLAIN begins with an empty challenge"),
            None => ClientStep::Failed("nothing to answer in PLAIN"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &[u8]) -> Result<(String, String), &'static str> {
        parse(message).map(|(login, password)| (login, password.to_string()))
    }

    fn pair(login: &str, password: &str) -> Result<(String, String), &'static str> {
        Ok((login.to_owned(), password.to_owned()))
    }

    #[test]
    fn the_examples_of_rfc_4616() {
        assert_eq!(fields(b"\0tim\0tanstaaftanstaaf"), pair("tim", "tanstaaftanstaaf"));
        // The second example asks for the identity of another person.
        assert!(fields(b"Ursel\0Kurt\0xipj3plmq").is_err());
    }

    #[test]
    fn ones_own_identity_may_be_spelled_out() {
        assert_eq!(fields(b"tim@x.test\0tim@x.test\0pw"), pair("tim@x.test", "pw"));
    }

    #[test]
    fn malformed_messages_are_refused() {
        for message in [
            &b""[..],
            b"tim",
            b"\0tim",
            b"\0tim\0",
            b"\0\0pw",
            b"\0tim\0pw\0",
            b"\0tim\0p\0w",
            b"\0t\xff\0pw",
            b"\0t\x07im\0pw",
        ] {
            assert!(parse(message).is_err(), "{message:?}");
        }
    }

    #[test]
    fn nul_in_a_password_is_never_sent() {
        assert_eq!(Client::new("u", "p\0q").initial(), None);
        assert!(matches!(Client::new("u", "p\0q").challenge(b""), ClientStep::Failed(_)));
    }
}
