//! The server's side of SCRAM.
//!
//! ```text
//! AwaitFirst ─client-first─▶ AwaitKeys ─keys─▶ AwaitFinal ─right proof─▶ Proven ─let in─▶ Over (Done)
//!      └───────bad───────────────┴────out of turn───┴─────────────────────┴──────▶ Over (Failed)
//! ```

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::keys::{hmac, sha256, xor};
use super::wire::{BindingFlag, ClientFinal, ClientFirst};
use super::{ScramKeys, encode_base64};
use crate::prepare::prepare_login;
use crate::{ChannelBinding, ServerStep};

pub(crate) struct Server {
    plus: bool,
    binding: Option<ChannelBinding>,
    /// Our half of the nonce.
    nonce: String,
    state: State,
}

enum State {
    AwaitFirst,
    AwaitKeys(First),
    AwaitFinal {
        first: First,
        keys: ScramKeys,
        server_first: String,
    },
    /// Our own proof is ready.
    Proven {
        login: String,
        last: Vec<u8>,
    },
    Over,
}

/// What is remembered of the client's first message.
struct First {
    login: String,
    /// Both halves.
    nonce: String,
    /// What `c=` must hold: the GS2 header, and the binding data with -PLUS.
    binding_input: Vec<u8>,
    bare: String,
}

impl Server {
    pub(crate) fn new(plus: bool, binding: Option<ChannelBinding>, nonce: String) -> Server {
        Server { plus, binding, nonce, state: State::AwaitFirst }
    }

    pub(crate) fn start(&mut self, initial: Option<&[u8]>) -> ServerStep {
        match initial {
            Some(message) => self.respond(message),
            None => ServerStep::Challenge(Vec::new()), // RFC 4422 §3: "please begin"
        }
    }

    pub(crate) fn respond(&mut self, response: &[u8]) -> ServerStep {
        let outcome = match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitFirst => self.first(response),
            State::AwaitFinal { first, mut keys, server_first } => {
                let outcome = check_proof(&first, &keys, &server_first, response);
                for pair in &mut keys.pairs {
                    pair.stored_key.zeroize();
                    pair.server_key.zeroize();
                }
                outcome.map(|(pair, last)| {
                    let login = first.login.clone();
                    self.state = State::Proven { login: first.login, last };
                    ServerStep::CheckProof { login, pair }
                })
            }
            State::AwaitKeys(_) | State::Proven { .. } | State::Over => Err("response out of turn"),
        };
        outcome.unwrap_or_else(ServerStep::Failed)
    }

    pub(crate) fn supply_keys(&mut self, keys: ScramKeys) -> ServerStep {
        let State::AwaitKeys(first) = std::mem::replace(&mut self.state, State::Over) else {
            return ServerStep::Failed("no keys were asked for");
        };
        let server_first =
            format!("r={},s={},i={}", first.nonce, encode_base64(&keys.salt), keys.iterations);
        let challenge = server_first.clone().into_bytes();
        self.state = State::AwaitFinal { first, keys, server_first };
        ServerStep::Challenge(challenge)
    }

    pub(crate) fn proof_checked(&mut self, lets_in: bool) -> ServerStep {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Proven { login, last } if lets_in => {
                ServerStep::Done { login, last: Some(last) }
            }
            State::Proven { .. } => ServerStep::Failed("the right proof lets nobody in"),
            _ => ServerStep::Failed("no proof was asked about"),
        }
    }

    fn first(&mut self, message: &[u8]) -> Result<ServerStep, &'static str> {
        let first = ClientFirst::parse(message)?;
        let binding_input = self.binding_input(&first)?;
        let login =
            prepare_login(&first.username).map_err(|_| "login name is not allowed by SASLprep")?;
        if let Some(authzid) = &first.authzid
            && prepare_login(authzid).as_ref() != Ok(&login)
        {
            return Err("authorization identity differs from the login name");
        }
        self.state = State::AwaitKeys(First {
            login: login.clone(),
            nonce: format!("{}{}", first.nonce, self.nonce),
            binding_input,
            bare: first.bare.to_owned(),
        });
        Ok(ServerStep::NeedKeys { login })
    }

    /// RFC 5802 §6: does the flag fit the mechanism and what was offered?
    fn binding_input(&self, first: &ClientFirst<'_>) -> Result<Vec<u8>, &'static str> {
        let mut input = first.gs2_header.as_bytes().to_vec();
        match (&first.flag, self.plus, &self.binding) {
            (BindingFlag::Used(ChannelBinding::TYPE_NAME), true, Some(binding)) => {
                input.extend_from_slice(&binding.0);
                Ok(input)
            }
            (BindingFlag::Used(_), true, Some(_)) => Err("unknown type of channel binding"),
            (_, true, None) => Err("this connection has no channel binding"),
            (_, true, Some(_)) => Err("channel binding is missing from SCRAM-SHA-256-PLUS"),
            (BindingFlag::Used(_), false, _) => Err("channel binding needs SCRAM-SHA-256-PLUS"),
            (BindingFlag::NotOffered, false, Some(_)) => {
                Err("downgrade: the client did not see SCRAM-SHA-256-PLUS on offer")
            }
            (BindingFlag::None | BindingFlag::NotOffered, false, _) => Ok(input),
        }
    }
}

/// RFC 5802 §3: which pair of keys does the proof fit? Its place, and the server's own signature.
fn check_proof(
    first: &First,
    keys: &ScramKeys,
    server_first: &str,
    response: &[u8],
) -> Result<(usize, Vec<u8>), &'static str> {
    let last = ClientFinal::parse(response)?;
    if last.nonce != first.nonce {
        return Err("SCRAM nonce is not ours");
    }
    if !bool::from(last.binding.as_slice().ct_eq(&first.binding_input)) {
        return Err("channel binding does not match");
    }
    let auth_message: [&[u8]; 5] =
        [first.bare.as_bytes(), b",", server_first.as_bytes(), b",", last.without_proof.as_bytes()];
    let mut fitting = None;
    // All of them, whichever it is: the time it takes does not tell.
    for (place, pair) in keys.pairs.iter().enumerate() {
        let client_key = xor(&last.proof, &hmac(&pair.stored_key, &auth_message));
        if bool::from(sha256(&client_key[..]).ct_eq(&pair.stored_key)) {
            fitting = fitting.or(Some((place, pair)));
        }
    }
    let (place, pair) = fitting.ok_or("wrong login or password")?;
    let signature = hmac(&pair.server_key, &auth_message);
    Ok((place, format!("v={}", encode_base64(&signature[..])).into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3, whole.
    #[test]
    fn the_example_of_rfc_7677() {
        let salt = super::super::decode_base64("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::derive("pencil", &salt, 4096);
        let mut server = Server::new(false, None, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned());

        let ServerStep::NeedKeys { login } =
            server.start(Some(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
        else {
            panic!("the keys are asked for")
        };
        assert_eq!(login, "user");
        let ServerStep::Challenge(challenge) = server.supply_keys(keys) else {
            panic!("challenge")
        };
        assert_eq!(
            String::from_utf8(challenge).unwrap(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let ServerStep::CheckProof { login, pair: 0 } = server.respond(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
              p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ) else {
            panic!("the proof is right")
        };
        assert_eq!(login, "user");
        let ServerStep::Done { login, last } = server.proof_checked(true) else {
            panic!("logged in")
        };
        assert_eq!(login, "user");
        assert_eq!(last.unwrap(), b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(matches!(server.respond(b""), ServerStep::Failed(_)));
    }

    fn flag_outcome(plus: bool, binding: bool, first: &str) -> Result<(), &'static str> {
        let binding = binding.then_some(ChannelBinding([1; 32]));
        match Server::new(plus, binding, "srv".into()).respond(first.as_bytes()) {
            ServerStep::NeedKeys { .. } => Ok(()),
            ServerStep::Failed(why) => Err(why),
            _ => panic!("neither asked for keys nor failed"),
        }
    }

    #[test]
    fn every_flag_is_taken_only_where_it_belongs() {
        let (none, not_offered, used, other) = (
            "n,,n=u,r=x",
            "y,,n=u,r=x",
            "p=tls-exporter,,n=u,r=x",
            "p=tls-server-end-point,,n=u,r=x",
        );
        assert_eq!(flag_outcome(false, false, none), Ok(()));
        assert_eq!(flag_outcome(false, true, none), Ok(()));
        assert_eq!(flag_outcome(false, false, not_offered), Ok(()));
        assert!(flag_outcome(false, true, not_offered).unwrap_err().starts_with("downgrade"));
        assert!(flag_outcome(false, true, used).is_err());
        assert_eq!(flag_outcome(true, true, used), Ok(()));
        assert!(flag_outcome(true, true, none).is_err());
        assert!(flag_outcome(true, true, not_offered).is_err());
        assert!(flag_outcome(true, true, other).is_err());
        assert!(flag_outcome(true, false, used).is_err());
    }

    #[test]
    fn only_ones_own_identity_may_be_asked_for() {
        assert_eq!(flag_outcome(false, false, "n,a=u,n=u,r=x"), Ok(()));
        assert!(flag_outcome(false, false, "n,a=v,n=u,r=x").is_err());
    }
}
