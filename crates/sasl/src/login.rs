//! LOGIN (draft-murchison-sasl-login-00): the server asks for the name, then for the password.
//!
//! Never standardised and long obsolete, but all that some scanners, cameras and Outlook releases
//! speak. The draft has the server speak first; curl and others send the name as an initial
//! response all the same, which is taken for what it is.
//!
//! ```text
//! server   AwaitName ──name──▶ AwaitPassword ──password──▶ Checking ──right──▶ Over (Done)
//!              └──────bad──────────┴──────bad────▶ Over (Failed) ◀──wrong──┘
//! ```

use zeroize::Zeroizing;

use crate::client::ClientStep;
use crate::prepare::{prepare_login, prepare_password};
use crate::server::ServerStep;

/// The server's side.
pub(crate) enum Server {
    AwaitName,
    AwaitPassword { login: String },
    Checking { login: String },
    Over,
}

impl Server {
    pub(crate) fn start(&mut self, initial: Option<&[u8]>) -> ServerStep {
        match initial {
            // `AUTH LOGIN =` is an empty initial response: nothing was said yet.
            None | Some(b"") => ServerStep::Challenge(b"Username:".to_vec()),
            Some(name) => self.respond(name),
        }
    }

    pub(crate) fn respond(&mut self, response: &[u8]) -> ServerStep {
        let state = std::mem::replace(self, Server::Over);
        let Ok(text) = std::str::from_utf8(response) else {
            return ServerStep::Failed("LOGIN response is not UTF-8");
        };
        if text.contains('\0') {
            return ServerStep::Failed("LOGIN response holds NUL");
        }
        match state {
            Server::AwaitName => match prepare_login(text) {
                Ok(login) => {
                    *self = Server::AwaitPassword { login };
                    ServerStep::Challenge(b"Password:".to_vec())
                }
                Err(_) => ServerStep::Failed("login name is not allowed by SASLprep"),
            },
            Server::AwaitPassword { .. } if text.is_empty() => {
                ServerStep::Failed("LOGIN response has an empty password")
            }
            Server::AwaitPassword { login } => {
                *self = Server::Checking { login: login.clone() };
                ServerStep::CheckPassword { login, password: prepare_password(text) }
            }
            Server::Checking { .. } | Server::Over => ServerStep::Failed("response out of turn"),
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

/// The client's side. The prompts differ from server to server (`Username:`, `User Name`, nothing
/// at all), so they are not read: the first asks for the name and the second for the password.
pub(crate) struct Client {
    login: Option<String>,
    password: Option<Zeroizing<String>>,
}

impl Client {
    pub(crate) fn new(login: &str, password: &str) -> Client {
        Client {
            login: Some(login.to_owned()),
            password: Some(Zeroizing::new(password.to_owned())),
        }
    }

    pub(crate) fn challenge(&mut self) -> ClientStep {
        if let Some(login) = self.login.take() {
            ClientStep::Respond(login.into_bytes())
        } else if let Some(password) = self.password.take() {
            ClientStep::Respond(password.as_bytes().to_vec())
        } else {
            ClientStep::Failed("nothing to answer in LOGIN")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initial_response_is_the_name() {
        let mut server = Server::AwaitName;
        let ServerStep::Challenge(prompt) = server.start(Some(b"tim@x.test")) else {
            panic!("the password is asked for")
        };
        assert_eq!(prompt, b"Password:");
        let ServerStep::CheckPassword { login, password } = server.respond(b"pw") else {
            panic!("the password is checked")
        };
        assert_eq!((login.as_str(), password.as_str()), ("tim@x.test", "pw"));
        assert!(matches!(server.password_checked(false), ServerStep::Failed(_)));
        assert!(matches!(server.password_checked(true), ServerStep::Failed(_)));
    }

    #[test]
    fn empty_and_broken_answers_are_refused() {
        for (name, password) in
            [(&b""[..], &b"pw"[..]), (b"tim", b""), (b"t\0", b"pw"), (b"tim", b"\xff")]
        {
            let mut server = Server::AwaitName;
            assert!(matches!(server.start(None), ServerStep::Challenge(_)));
            let refused = matches!(server.respond(name), ServerStep::Failed(_))
                || matches!(server.respond(password), ServerStep::Failed(_));
            assert!(refused, "{name:?} {password:?}");
        }
    }
}
