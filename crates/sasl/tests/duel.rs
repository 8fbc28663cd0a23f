//! Client and server of this crate against each other in memory, and the server against every
//! kind of wrong client.

use proptest::prelude::*;
use waxwing_sasl::{
    ChannelBinding, ClientExchange, ClientStep, MAX_MESSAGE_OCTETS, Mechanism, ScramKeys,
    ScramPair, ServerExchange, ServerStep, prepare_login, prepare_password,
};

const SALT: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// How the two ends of a duel differ.
#[derive(Clone, Copy)]
struct Duel<'a> {
    mechanism: Mechanism,
    initial_response: bool,
    client: (&'a str, &'a str),
    account: (&'a str, &'a str),
    client_binding: Option<[u8; 32]>,
    server_binding: Option<[u8; 32]>,
}

impl Default for Duel<'_> {
    fn default() -> Self {
        Duel {
            mechanism: Mechanism::Plain,
            initial_response: true,
            client: ("ann@wax.test", "correct horse"),
            account: ("ann@wax.test", "correct horse"),
            client_binding: None,
            server_binding: None,
        }
    }
}

impl Duel<'_> {
    /// The login name, if both sides end content.
    fn run(&self) -> Result<String, &'static str> {
        let mut client = ClientExchange::new(
            self.mechanism,
            self.client.0,
            self.client.1,
            self.client_binding.map(ChannelBinding),
            [0x11; 18],
        );
        let mut server = ServerExchange::new(
            self.mechanism,
            self.server_binding.map(ChannelBinding),
            [0x22; 18],
        );
        let initial = if self.initial_response { client.initial() } else { None };
        let mut step = server.start(initial.as_deref());
        for _ in 0..10 {
            step = match step {
                ServerStep::Challenge(challenge) => match client.challenge(&challenge) {
                    ClientStep::Respond(response) => server.respond(&response),
                    ClientStep::Done => return Err("the client stopped too early"),
                    ClientStep::Failed(why) => return Err(why),
                },
                ServerStep::CheckPassword { login, password } => {
                    let right = login == prepare_login(self.account.0).unwrap()
                        && *password == *prepare_password(self.account.1);
                    server.password_checked(right)
                }
                ServerStep::CheckToken { login, token } => {
                    let right = login.as_deref() == prepare_login(self.account.0).as_deref().ok()
                        && *token == *self.account.1;
                    server.token_checked(login.filter(|_| right))
                }
                ServerStep::NeedKeys { login } => {
                    let known = login == prepare_login(self.account.0).unwrap();
                    server.supply_keys(if known {
                        ScramKeys::derive(self.account.1, &SALT, 4096)
                    } else {
                        ScramKeys::invented(&login, &[1; 32], 4096)
                    })
                }
                ServerStep::CheckProof { login, .. } => {
                    server.proof_checked(login == prepare_login(self.account.0).unwrap())
                }
                ServerStep::Done { login, last } => {
                    if let Some(last) = last {
                        match client.challenge(&last) {
                            ClientStep::Respond(empty) if empty.is_empty() => {}
                            ClientStep::Failed(why) => return Err(why),
                            _ => return Err("the client wants to go on"),
                        }
                    }
                    return match client.success(None) {
                        ClientStep::Done => Ok(login),
                        _ => Err("the client does not believe it"),
                    };
                }
                ServerStep::Failed(why) => return Err(why),
            };
        }
        Err("no end")
    }
}

/// Those that take a password.
fn by_password() -> impl Iterator<Item = Mechanism> {
    Mechanism::ALL.into_iter().filter(|mechanism| !Mechanism::TOKENS.contains(mechanism))
}

#[test]
fn tokens_log_in_with_and_without_initial_response() {
    for mechanism in Mechanism::TOKENS {
        for initial_response in [true, false] {
            let account = ("a=b,c@wax.test", "c29tZSB0b2tlbg==");
            let right =
                Duel { mechanism, initial_response, client: account, account, ..Duel::default() };
            assert_eq!(right.run().as_deref(), Ok("a=b,c@wax.test"), "{mechanism:?}");
            for client in [("a=b,c@wax.test", "other"), ("eve@wax.test", "c29tZSB0b2tlbg==")] {
                let wrong = Duel { client, ..right };
                assert_eq!(wrong.run(), Err("wrong or expired access token"), "{mechanism:?}");
            }
        }
    }
}

fn binding_for(mechanism: Mechanism) -> Option<[u8; 32]> {
    (mechanism == Mechanism::ScramSha256Plus).then_some([0xab; 32])
}

#[test]
fn every_mechanism_logs_in_with_and_without_initial_response() {
    for mechanism in by_password() {
        for initial_response in [true, false] {
            let binding = binding_for(mechanism);
            let duel = Duel {
                mechanism,
                initial_response,
                client_binding: binding,
                server_binding: binding,
                ..Duel::default()
            };
            assert_eq!(duel.run().as_deref(), Ok("ann@wax.test"), "{mechanism:?}");
        }
    }
}

#[test]
fn wrong_passwords_and_unknown_logins_fail_alike() {
    for mechanism in by_password() {
        let binding = binding_for(mechanism);
        for client in [("ann@wax.test", "wrong horse"), ("bob@wax.test", "correct horse")] {
            let duel = Duel {
                mechanism,
                client,
                client_binding: binding,
                server_binding: binding,
                ..Duel::default()
            };
            assert_eq!(duel.run(), Err("wrong login or password"), "{mechanism:?}");
        }
    }
}

#[test]
fn a_man_in_the_middle_has_another_binding() {
    let duel = Duel {
        mechanism: Mechanism::ScramSha256Plus,
        client_binding: Some([1; 32]),
        server_binding: Some([2; 32]),
        ..Duel::default()
    };
    assert_eq!(duel.run(), Err("channel binding does not match"));
}

#[test]
fn removing_plus_from_the_offer_is_noticed() {
    let duel = Duel {
        mechanism: Mechanism::ScramSha256,
        client_binding: Some([1; 32]),
        server_binding: Some([1; 32]),
        ..Duel::default()
    };
    assert!(duel.run().unwrap_err().starts_with("downgrade"));
}

#[test]
fn a_client_without_binding_may_use_the_plain_variant_although_plus_is_offered() {
    let duel = Duel {
        mechanism: Mechanism::ScramSha256,
        server_binding: Some([1; 32]),
        ..Duel::default()
    };
    assert!(duel.run().is_ok());
}

#[test]
fn names_with_commas_and_equals_signs_and_accents() {
    for mechanism in by_password() {
        let binding = binding_for(mechanism);
        let duel = Duel {
            mechanism,
            client: ("a=b,c=2C@wax.test", "pa\u{308}ss,=\u{1F422}"),
            account: ("a=b,c=2C@wax.test", "p\u{E4}ss,=\u{1F422}"),
            client_binding: binding,
            server_binding: binding,
            ..Duel::default()
        };
        assert_eq!(duel.run().as_deref(), Ok("a=b,c=2C@wax.test"), "{mechanism:?}");
    }
}

/// An exchange computed by another program (Python's hashlib and hmac) from RFC 5802 §3, since no
/// RFC prints one with channel binding: login `ann=b@wax.test`, password `correct horse`, 4096
/// iterations, salt 0x00..0x0f, binding 32 times 0xab.
#[test]
fn plus_agrees_with_an_independent_computation() {
    let binding = || Some(ChannelBinding([0xab; 32]));
    let plus = Mechanism::ScramSha256Plus;
    let mut client =
        ClientExchange::new(plus, "ann=b@wax.test", "correct horse", binding(), [0x11; 18]);
    let mut server = ServerExchange::new(plus, binding(), [0x22; 18]);

    let first = client.initial().unwrap();
    assert_eq!(
        first.escape_ascii().to_string(),
        "p=tls-exporter,,n=ann=3Db@wax.test,r=ERERERERERERERERERERERER"
    );
    assert!(matches!(server.start(Some(&first)), ServerStep::NeedKeys { .. }));
    let ServerStep::Challenge(challenge) =
        server.supply_keys(ScramKeys::derive("correct horse", &SALT, 4096))
    else {
        panic!("no challenge")
    };
    assert_eq!(
        challenge.escape_ascii().to_string(),
        "r=ERERERERERERERERERERERERIiIiIiIiIiIiIiIiIiIiIiIi,s=AAECAwQFBgcICQoLDA0ODw==,i=4096"
    );
    let ClientStep::Respond(last) = client.challenge(&challenge) else { panic!("no proof") };
    assert_eq!(
        last.escape_ascii().to_string(),
        "c=cD10bHMtZXhwb3J0ZXIsLKurq6urq6urq6urq6urq6urq6urq6urq6urq6urq6ur,\
         r=ERERERERERERERERERERERERIiIiIiIiIiIiIiIiIiIiIiIi,\
         p=AHjp5dQwFlsuZGJG2qAgSbQAGEkeFSJNzw46eyMhOXg="
    );
    assert!(matches!(server.respond(&last), ServerStep::CheckProof { .. }));
    let ServerStep::Done { last: Some(signature), .. } = server.proof_checked(true) else {
        panic!("not logged in")
    };
    assert_eq!(
        signature.escape_ascii().to_string(),
        "v=5pSYlPVx3rKzjRKscecT6FmGbVIQ1a/JnQEj7sEpFHI="
    );
}

/// The client knows one of several passwords: the server says which, and proves by that one's own key that
/// it knows it too.
#[test]
fn a_proof_finds_its_pair_among_many() {
    let passwords = ["main", "phone", "laptop", "phone"];
    let pairs: Vec<_> =
        passwords.map(|password| ScramPair::derive(password, &SALT, 4096)).into_iter().collect();
    let mut keys = ScramKeys { salt: SALT.to_vec(), iterations: 4096, pairs };
    keys.pairs.resize(20, ScramPair::NONE);
    let converse = |keys: &ScramKeys, password| {
        let mut client = ClientExchange::new(Mechanism::ScramSha256, "u", password, None, [1; 18]);
        let mut server = ServerExchange::new(Mechanism::ScramSha256, None, [2; 18]);
        server.start(client.initial().as_deref());
        let ServerStep::Challenge(challenge) = server.supply_keys(keys.clone()) else {
            panic!("no challenge")
        };
        let ClientStep::Respond(last) = client.challenge(&challenge) else { panic!("no proof") };
        let pair = match server.respond(&last) {
            ServerStep::CheckProof { pair, .. } => pair,
            ServerStep::Failed(why) => return Err(why),
            _ => panic!("neither right nor wrong"),
        };
        let ServerStep::Done { last: Some(last), .. } = server.proof_checked(true) else {
            panic!("not logged in")
        };
        match client.challenge(&last) {
            ClientStep::Respond(_) => Ok(pair),
            _ => Err("the client does not believe it"),
        }
    };
    for (place, password) in [(0, "main"), (1, "phone"), (2, "laptop")] {
        assert_eq!(converse(&keys, password), Ok(place), "{password}");
    }
    assert_eq!(converse(&keys, "tablet"), Err("wrong login or password"));
    keys.pairs[1] = ScramPair::NONE;
    assert_eq!(converse(&keys, "phone"), Ok(3));
    keys.pairs.clear();
    assert_eq!(converse(&keys, "main"), Err("wrong login or password"));
}

#[test]
fn every_octet_of_the_last_message_matters() {
    let keys = ScramKeys::derive("pw", &SALT, 4096);
    let transcript = || {
        let mut client = ClientExchange::new(Mechanism::ScramSha256, "u", "pw", None, [1; 18]);
        let mut server = ServerExchange::new(Mechanism::ScramSha256, None, [2; 18]);
        server.start(client.initial().as_deref());
        let ServerStep::Challenge(challenge) = server.supply_keys(keys.clone()) else {
            panic!("no challenge")
        };
        (client, server, challenge)
    };
    let (mut client, _, challenge) = transcript();
    let ClientStep::Respond(right) = client.challenge(&challenge) else { panic!("no proof") };
    let (_, mut server, _) = transcript();
    assert!(matches!(server.respond(&right), ServerStep::CheckProof { .. }));
    assert!(matches!(server.proof_checked(true), ServerStep::Done { .. }));
    // A right proof that lets nobody in is not answered by one of ours.
    let (_, mut server, _) = transcript();
    assert!(matches!(server.respond(&right), ServerStep::CheckProof { .. }));
    assert!(matches!(server.proof_checked(false), ServerStep::Failed(_)));
    assert!(matches!(server.proof_checked(true), ServerStep::Failed(_)));
    for index in 0..right.len() {
        for flip in [0x01, 0x20] {
            let mut wrong = right.clone();
            wrong[index] ^= flip;
            let (_, mut server, _) = transcript();
            assert!(matches!(server.respond(&wrong), ServerStep::Failed(_)), "octet {index}");
        }
    }
}

#[test]
fn a_failed_exchange_stays_failed() {
    for mechanism in Mechanism::ALL {
        let binding = binding_for(mechanism).map(ChannelBinding);
        let mut server = ServerExchange::new(mechanism, binding, [2; 18]);
        let long = vec![b'x'; MAX_MESSAGE_OCTETS + 1];
        assert!(matches!(server.start(Some(&long)), ServerStep::Failed(_)));
        for message in [&b"\0u\0p"[..], b"n,,n=u,r=x", b""] {
            assert!(matches!(server.respond(message), ServerStep::Failed(_)), "{mechanism:?}");
        }
        assert!(matches!(server.password_checked(true), ServerStep::Failed(_)));
        assert!(matches!(server.proof_checked(true), ServerStep::Failed(_)));
    }
}

#[test]
fn calls_out_of_turn_fail() {
    let keys = || ScramKeys::derive("pw", &SALT, 1);
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        let mut server = ServerExchange::new(mechanism, None, [2; 18]);
        assert!(matches!(server.supply_keys(keys()), ServerStep::Failed(_)));
        let mut server = ServerExchange::new(mechanism, None, [2; 18]);
        assert!(matches!(server.password_checked(true), ServerStep::Failed(_)));
    }
    let mut server = ServerExchange::new(Mechanism::ScramSha256, None, [2; 18]);
    assert!(matches!(server.supply_keys(keys()), ServerStep::Failed(_)));
    let mut server = ServerExchange::new(Mechanism::ScramSha256, None, [2; 18]);
    server.start(Some(b"n,,n=u,r=x"));
    assert!(matches!(server.password_checked(true), ServerStep::Failed(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever name and password two ends agree on, the log-in succeeds under every mechanism.
    #[test]
    fn any_credentials_log_in(
        login in "[^\0\u{7f}-\u{9f}\u{1}-\u{1f}]{1,20}",
        password in "[^\0]{1,20}",
    ) {
        prop_assume!(prepare_login(&login).is_ok());
        for mechanism in by_password() {
            let binding = binding_for(mechanism);
            let duel = Duel {
                mechanism,
                client: (&login, &password),
                account: (&login, &password),
                client_binding: binding,
                server_binding: binding,
                ..Duel::default()
            };
            prop_assert_eq!(duel.run(), Ok(prepare_login(&login).unwrap()));
        }
    }

    /// Whatever name and token two ends agree on.
    #[test]
    fn any_token_logs_in(
        login in "[^\0\u{7f}-\u{9f}\u{1}-\u{1f}]{1,20}",
        token in "[A-Za-z0-9._~+/=-]{1,60}",
    ) {
        prop_assume!(prepare_login(&login).is_ok_and(|prepared| !prepared.is_empty()));
        for mechanism in Mechanism::TOKENS {
            let account = (login.as_str(), token.as_str());
            let duel = Duel { mechanism, client: account, account, ..Duel::default() };
            prop_assert_eq!(duel.run(), Ok(prepare_login(&login).unwrap()));
        }
    }

    #[test]
    fn garbage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        waxwing_sasl::fuzzing::fuzz_command(&data);
    }

    #[test]
    fn nearly_right_dialogues_never_panic(
        choice in any::<u8>(),
        messages in proptest::collection::vec(
            prop_oneof![
                Just("n,,n=u,r=x".to_owned()),
                Just("y,,n=u,r=x".to_owned()),
                Just("p=tls-exporter,a=u,n=u,r=x".to_owned()),
                Just("\0u\0p".to_owned()),
                Just("n,a=u,\x01auth=Bearer t\x01\x01".to_owned()),
                Just("user=u\x01auth=Bearer t\x01\x01".to_owned()),
                Just("r=CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJx,s=AAAA,i=4096".to_owned()),
                Just("c=biws,r=xCQkJCQkJCQkJCQkJCQkJCQkJCQkJ,p=AAAA".to_owned()),
                Just(String::new()),
                "[a-z=,]{0,30}",
            ],
            0..5,
        ),
    ) {
        let mut data = vec![choice];
        data.extend_from_slice(messages.join("\n").as_bytes());
        waxwing_sasl::fuzzing::fuzz_command(&data);
    }
}
