//! The client's side of SCRAM.
//!
//! ```text
//! Start ──first message out──▶ AwaitFirst ──server-first──▶ AwaitFinal ──signature──▶ Verified
//!   └────────────bad───────────────┴────────────bad──────────────┴──────bad────▶ Over
//! ```

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::encode_base64;
use super::keys::{Key, client_key, hmac, salted_password, server_key, sha256, xor};
use super::wire::{ServerFirst, encode_name, parse_server_final};
use crate::prepare::prepare_login;
use crate::{ChannelBinding, ClientStep};

/// RFC 7677 §4: fewer iterations are not to be trusted.
const MIN_ITERATIONS: u32 = 4096;
/// More would let a server keep this processor busy for minutes.
const MAX_ITERATIONS: u32 = 2_000_000;

pub(crate) struct Client {
    gs2_header: String,
    /// What goes into `c=`.
    binding_input: Zeroizing<Vec<u8>>,
    bare: String,
    nonce: String,
    password: Zeroizing<String>,
    state: State,
}

enum State {
    Start,
    AwaitFirst,
    AwaitFinal { signature: Key },
    Verified,
    Over(&'static str),
}

impl Client {
    pub(crate) fn new(
        plus: bool,
        login: &str,
        password: &str,
        binding: Option<ChannelBinding>,
        nonce: String,
    ) -> Client {
        let gs2_header = match (plus, &binding) {
            (true, _) => format!("p={},,", ChannelBinding::TYPE_NAME),
            (false, Some(_)) => "y,,".to_owned(),
            (false, None) => "n,,".to_owned(),
        };
        let mut binding_input = Zeroizing::new(Vec::with_capacity(gs2_header.len() + 32));
        binding_input.extend_from_slice(gs2_header.as_bytes());
        let mut state = State::Start;
        if plus {
            match &binding {
                Some(binding) => binding_input.extend_from_slice(&binding.0),
                None => state = State::Over("this connection has no channel binding"),
            }
        }
        let login = prepare_login(login).unwrap_or_else(|_| {
            state = State::Over("login name is not allowed by SASLprep");
            String::new()
        });
        Client {
            gs2_header,
            binding_input,
            bare: format!("n={},r={nonce}", encode_name(&login)),
            nonce,
            password: Zeroizing::new(password.to_owned()),
            state,
        }
    }

    pub(crate) fn initial(&mut self) -> Option<Vec<u8>> {
        if !matches!(self.state, State::Start) {
            return None;
        }
        self.state = State::AwaitFirst;
        Some([self.gs2_header.as_bytes(), self.bare.as_bytes()].concat())
    }

    pub(crate) fn challenge(&mut self, challenge: &[u8]) -> ClientStep {
        match std::mem::replace(&mut self.state, State::Over("the exchange is over")) {
            State::Start if challenge.is_empty() => {
                self.state = State::Start;
                ClientStep::Respond(self.initial().expect("the first message is not yet sent"))
            }
            State::Start => self.fail("SCRAM begins with an empty challenge"),
            State::AwaitFirst => match self.prove(challenge) {
                Ok((response, signature)) => {
                    self.state = State::AwaitFinal { signature };
                    ClientStep::Respond(response)
                }
                Err(why) => self.fail(why),
            },
            State::AwaitFinal { signature } => match verify(challenge, &signature) {
                Ok(()) => {
                    self.state = State::Verified;
                    ClientStep::Respond(Vec::new())
                }
                Err(why) => self.fail(why),
            },
            State::Verified => self.fail("nothing to answer in SCRAM"),
            State::Over(why) => self.fail(why),
        }
    }

    pub(crate) fn success(&mut self, additional: Option<&[u8]>) -> ClientStep {
        let state = std::mem::replace(&mut self.state, State::Over("the exchange is over"));
        match (state, additional) {
            (State::Verified, None | Some(b"")) => ClientStep::Done,
            (State::AwaitFinal { signature }, Some(message)) => match verify(message, &signature) {
                Ok(()) => ClientStep::Done,
                Err(why) => self.fail(why),
            },
            _ => self.fail("the server has not proved that it knows the password"),
        }
    }

    fn fail(&mut self, why: &'static str) -> ClientStep {
        self.state = State::Over(why);
        ClientStep::Failed(why)
    }

    /// The client-final-message, and the signature that the server must answer with.
    fn prove(&self, challenge: &[u8]) -> Result<(Vec<u8>, Key), &'static str> {
        let first = ServerFirst::parse(challenge)?;
        // RFC 5802 §5.1: ours, with something added.
        if !first.nonce.starts_with(&self.nonce) || first.nonce.len() == self.nonce.len() {
            return Err("SCRAM nonce is not ours");
        }
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&first.iterations) {
            return Err("SCRAM iteration count is out of bounds");
        }
        if first.salt.is_empty() {
            return Err("SCRAM salt is empty");
        }
        let salted = salted_password(&self.password, &first.salt, first.iterations);
        let client_key = client_key(&salted);
        let stored_key = Zeroizing::new(sha256(&client_key[..]));
        let without_proof = format!("c={},r={}", encode_base64(&self.binding_input), first.nonce);
        let auth_message: [&[u8]; 5] =
            [self.bare.as_bytes(), b",", challenge, b",", without_proof.as_bytes()];
        let proof = xor(&client_key, &hmac(&stored_key[..], &auth_message));
        let signature = hmac(&server_key(&salted)[..], &auth_message);
        Ok((format!("{without_proof},p={}", encode_base64(&proof[..])).into_bytes(), signature))
    }
}

fn verify(message: &[u8], signature: &Key) -> Result<(), &'static str> {
    let given = parse_server_final(message)?;
    if bool::from(given[..].ct_eq(&signature[..])) {
        Ok(())
    } else {
        Err("the server's signature is wrong")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Client {
        Client::new(false, "user", "pencil", None, "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    /// RFC 7677 §3, whole.
    #[test]
    fn the_example_of_rfc_7677() {
        let mut client = example();
        assert_eq!(client.initial().unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let ClientStep::Respond(last) = client.challenge(SERVER_FIRST.as_bytes()) else {
            panic!("the proof is sent")
        };
        assert_eq!(
            String::from_utf8(last).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let ClientStep::Respond(empty) = client.challenge(SERVER_FINAL.as_bytes()) else {
            panic!("the signature is right")
        };
        assert_eq!(empty, b"");
        assert!(matches!(client.success(None), ClientStep::Done));
    }

    #[test]
    fn the_signature_may_come_with_success() {
        let mut client = example();
        client.initial();
        client.challenge(SERVER_FIRST.as_bytes());
        assert!(matches!(client.success(Some(SERVER_FINAL.as_bytes())), ClientStep::Done));
    }

    #[test]
    fn success_without_the_servers_proof_is_an_impostor() {
        let mut client = example();
        client.initial();
        assert!(matches!(client.success(None), ClientStep::Failed(_)));

        let mut client = example();
        client.initial();
        client.challenge(SERVER_FIRST.as_bytes());
        assert!(matches!(client.success(None), ClientStep::Failed(_)));

        let mut client = example();
        client.initial();
        client.challenge(SERVER_FIRST.as_bytes());
        let wrong = SERVER_FINAL.replace("6rri", "6rrj");
        assert!(matches!(client.challenge(wrong.as_bytes()), ClientStep::Failed(_)));
        assert!(matches!(client.success(None), ClientStep::Failed(_)));
    }

    #[test]
    fn hostile_first_messages_are_refused() {
        for challenge in [
            SERVER_FIRST.replace("r=rOpr", "r=xOpr"),
            SERVER_FIRST.replace("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""),
            SERVER_FIRST.replace("4096", "4095"),
            SERVER_FIRST.replace("4096", "2000001"),
            SERVER_FIRST.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
        ] {
            let mut client = example();
            client.initial();
            assert!(
                matches!(client.challenge(challenge.as_bytes()), ClientStep::Failed(_)),
                "{challenge}"
            );
        }
    }

    #[test]
    fn a_binding_that_was_not_asked_for_is_mentioned() {
        let binding = Some(ChannelBinding([1; 32]));
        let first = |plus, binding| Client::new(plus, "u", "p", binding, "x".into()).initial();
        assert_eq!(first(false, None).unwrap(), b"n,,n=u,r=x");
        assert_eq!(first(false, binding.clone()).unwrap(), b"y,,n=u,r=x");
        assert_eq!(first(true, binding).unwrap(), b"p=tls-exporter,,n=u,r=x");
        assert_eq!(first(true, None), None);
    }
}
