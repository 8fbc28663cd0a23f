//! OAUTHBEARER (RFC 7628) and XOAUTH2, its forerunner: an access token instead of a password.
//!
//! ```text
//! OAUTHBEARER   n,a=LOGIN, ^A [host=… ^A] [port=… ^A] auth=Bearer TOKEN ^A ^A
//! XOAUTH2       user=LOGIN ^A auth=Bearer TOKEN ^A ^A
//!
//! server   Waiting ──message──▶ Checking ──right──▶ Over (Done)
//!             │                     └────wrong──▶ Telling ──any answer──▶ Over (Failed)
//!             └──bad message──▶ Over (Failed)
//! ```
//!
//! A token that is wrong is told of by a challenge in JSON (RFC 7628 §3.2.2), which the client answers
//! before it hears of the failure; programs fetch a new token then. The login name may be left out of
//! OAUTHBEARER: the token says whose it is.

use zeroize::Zeroizing;

use crate::client::ClientStep;
use crate::prepare::prepare_login;
use crate::server::ServerStep;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OAuthBearer,
    XOAuth2,
}

/// The server's side.
pub(crate) enum Server {
    Waiting(Dialect),
    Checking(Dialect),
    Telling,
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
        match std::mem::replace(self, Server::Over) {
            Server::Waiting(dialect) => match parse(dialect, response) {
                Ok((login, token)) => {
                    *self = Server::Checking(dialect);
                    ServerStep::CheckToken { login, token }
                }
                Err(why) => ServerStep::Failed(why),
            },
            // RFC 7628 §3.2.3: a dummy response, whatever it is.
            Server::Telling => ServerStep::Failed("wrong or expired access token"),
            Server::Checking(_) | Server::Over => ServerStep::Failed("response out of turn"),
        }
    }

    pub(crate) fn token_checked(&mut self, login: Option<String>) -> ServerStep {
        let Server::Checking(dialect) = std::mem::replace(self, Server::Over) else {
            return ServerStep::Failed("no token was asked for");
        };
        if let Some(login) = login {
            return ServerStep::Done { login, last: None };
        }
        *self = Server::Telling;
        let json = match dialect {
            // RFC 7628 §3.2.2.
            Dialect::OAuthBearer => r#"{"status":"invalid_token","scope":"mail"}"#,
            Dialect::XOAuth2 => r#"{"status":"401","schemes":"bearer","scope":"mail"}"#,
        };
        ServerStep::Challenge(json.as_bytes().to_vec())
    }
}

type Parsed = (Option<String>, Zeroizing<String>);

/// The login name, prepared, and the token.
fn parse(dialect: Dialect, message: &[u8]) -> Result<Parsed, &'static str> {
    let text = std::str::from_utf8(message).map_err(|_| "bearer message is not UTF-8")?;
    let (head, pairs) = text.split_once('\x01').ok_or("bearer message without its separators")?;
    let login = match dialect {
        Dialect::OAuthBearer => authorization_identity(head)?,
        Dialect::XOAuth2 => {
            Some(head.strip_prefix("user=").ok_or("XOAUTH2 message without a user")?.to_owned())
        }
    };
    // RFC 7628 §3.1: each pair ends with the separator, and so does the whole.
    let pairs = pairs.strip_suffix("\x01\x01").ok_or("bearer message without its end")?;
    let mut token = None;
    for pair in pairs.split('\x01') {
        let (key, value) = pair.split_once('=').ok_or("bearer message with a broken pair")?;
        if key == "auth" && token.replace(bearer(value)?).is_some() {
            return Err("bearer message with two tokens");
        }
    }
    let login = match login.filter(|login| !login.is_empty()) {
        Some(login) => {
            Some(prepare_login(&login).map_err(|_| "login name is not allowed by SASLprep")?)
        }
        None => None,
    };
    Ok((login, token.ok_or("bearer message without a token")?))
}

/// RFC 5801 §4 without channel binding: `n,a=LOGIN,` with `=2C` and `=3D` in the name.
fn authorization_identity(header: &str) -> Result<Option<String>, &'static str> {
    let rest = header.strip_prefix("n,").or_else(|| header.strip_prefix("y,"));
    let rest = rest.and_then(|rest| rest.strip_suffix(','));
    match rest.ok_or("OAUTHBEARER message with a broken header")? {
        "" => Ok(None),
        named => {
            let name = named.strip_prefix("a=").ok_or("OAUTHBEARER message with a broken name")?;
            if name.contains(',') {
                return Err("OAUTHBEARER message with a broken name");
            }
            Ok(Some(name.replace("=2C", ",").replace("=3D", "=")))
        }
    }
}

/// RFC 6750 §2.1; the scheme in any case (RFC 7628 §3.1).
fn bearer(value: &str) -> Result<Zeroizing<String>, &'static str> {
    let (scheme, token) = value.split_once(' ').ok_or("bearer message with a broken token")?;
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet);
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || !token.bytes().all(allowed) {
        return Err("bearer message with a broken token");
    }
    Ok(Zeroizing::new(token.to_owned()))
}

/// The client's side: one message, and a dummy when it was refused.
pub(crate) struct Client {
    message: Option<Zeroizing<Vec<u8>>>,
    refused: bool,
}

impl Client {
    /// A login or token holding a separator cannot be sent; then there is no message.
    pub(crate) fn new(dialect: Dialect, login: &str, token: &str) -> Client {
        let fits = !login.contains('\x01') && !token.is_empty() && !token.contains('\x01');
        let head = match dialect {
            Dialect::OAuthBearer => {
                format!("n,a={},", login.replace('=', "=3D").replace(',', "=2C"))
            }
            Dialect::XOAuth2 => format!("user={login}"),
        };
        let mut message = Zeroizing::new(Vec::with_capacity(head.len() + token.len() + 16));
        for part in [head.as_str(), "\x01auth=Bearer ", token, "\x01\x01"] {
            message.extend_from_slice(part.as_bytes());
        }
        Client { message: fits.then_some(message), refused: false }
    }

    pub(crate) fn initial(&mut self) -> Option<Vec<u8>> {
        self.message.take().map(|message| message.to_vec())
    }

    pub(crate) fn challenge(&mut self, challenge: &[u8]) -> ClientStep {
        match self.initial() {
            Some(message) if challenge.is_empty() => ClientStep::Respond(message),
            Some(_) => ClientStep::Failed("a bearer exchange begins with an empty challenge"),
            // RFC 7628 §3.2.3.
            None if !std::mem::replace(&mut self.refused, true) => {
                ClientStep::Respond(b"\x01".to_vec())
            }
            None => ClientStep::Failed("nothing to answer in a bearer exchange"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(dialect: Dialect, message: &str) -> Result<(Option<String>, String), &'static str> {
        parse(dialect, message.as_bytes()).map(|(login, token)| (login, token.to_string()))
    }

    /// RFC 7628 §4.1.
    #[test]
    fn the_example_of_rfc_7628() {
        let message = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                       auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let (login, token) = parsed(Dialect::OAuthBearer, message).unwrap();
        assert_eq!(login.as_deref(), Some("user@example.com"));
        assert_eq!(token, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    }

    #[test]
    fn names_may_be_left_out_or_hold_commas() {
        let token = "auth=Bearer t\x01\x01";
        let with = |head: &str| parsed(Dialect::OAuthBearer, &format!("{head}\x01{token}"));
        assert_eq!(with("n,,"), Ok((None, "t".into())));
        assert_eq!(with("y,a=a=2Cb=3D,"), Ok((Some("a,b=".into()), "t".into())));
        for wrong in ["", "n", "n,", "n,a=x", "p=tls-exporter,,", "n,b=x,", "n,a=x,y,"] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
        let user = parsed(Dialect::XOAuth2, "user=bob@wing.test\x01auth=Bearer t\x01\x01");
        assert_eq!(user, Ok((Some("bob@wing.test".into()), "t".into())));
    }

    #[test]
    fn broken_messages_are_refused() {
        for wrong in [
            "n,,\x01auth=Bearer t\x01",
            "n,,\x01auth=Bearer t",
            "n,,\x01\x01",
            "n,,\x01auth=Basic t\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Bearer a b\x01\x01",
            "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            "n,,\x01broken\x01\x01",
            "auth=Bearer t\x01\x01",
        ] {
            assert!(parsed(Dialect::OAuthBearer, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_wrong_token_is_told_of_before_it_fails() {
        for dialect in [Dialect::OAuthBearer, Dialect::XOAuth2] {
            let mut client = Client::new(dialect, "bob@wing.test", "token");
            let mut server = Server::Waiting(dialect);
            let step = server.start(client.initial().as_deref());
            assert!(matches!(step, ServerStep::CheckToken { login: Some(_), .. }));
            let ServerStep::Challenge(json) = server.token_checked(None) else {
                panic!("an error in JSON")
            };
            assert!(json.starts_with(b"{\"status\":"));
            let ClientStep::Respond(dummy) = client.challenge(&json) else { panic!("a dummy") };
            assert!(matches!(server.respond(&dummy), ServerStep::Failed(_)));
            assert!(matches!(server.token_checked(Some("x".into())), ServerStep::Failed(_)));
        }
    }
}
