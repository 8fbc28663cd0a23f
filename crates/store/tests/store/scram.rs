//! Proofs of passwords: main and app passwords under one salt, and what strangers see of it.

use waxwing_sasl::{
    ClientExchange, ClientStep, Mechanism, ScramKeys, ScramPair, ServerExchange, ServerStep,
};
use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    every_password_of_an_account_is_proven_under_one_salt,
    app_passwords_from_before_get_keys_when_they_log_in,
    new_main_passwords_leave_the_proofs_of_app_passwords_alone,
    a_second_step_takes_the_proof_of_the_main_password_only,
    what_has_ended_meanwhile_lets_in_nobody,
    strangers_see_the_same_whoever_exists,
    a_hundred_app_passwords_are_tried_and_no_more_are_made,
);

const SCRAM: &str = "SCRAM-SHA-256";

fn at(protocol: Protocol) -> Visitor {
    Visitor { protocol, ..visitor() }
}

/// A whole exchange between a client and a server that asks this store; the client must believe it too.
async fn prove(
    store: &Store,
    at: &Visitor,
    login: &str,
    password: &str,
) -> Result<Admitted, LoginError> {
    let mut client = ClientExchange::new(Mechanism::ScramSha256, login, password, None, [1; 18]);
    let mut server = ServerExchange::new(Mechanism::ScramSha256, None, [2; 18]);
    let ServerStep::NeedKeys { login } = server.start(client.initial().as_deref()) else {
        panic!("no keys are asked for")
    };
    let (attempt, keys) = store.scram(at, SCRAM, &login).await?;
    let ServerStep::Challenge(challenge) = server.supply_keys(keys) else { panic!("no challenge") };
    let ClientStep::Respond(proof) = client.challenge(&challenge) else { panic!("no proof") };
    match server.respond(&proof) {
        ServerStep::CheckProof { pair, .. } => {
            let admitted = store.settle_scram(attempt, pair).await?;
            let ServerStep::Done { last: Some(last), .. } = server.proof_checked(true) else {
                panic!("not logged in")
            };
            let believed = client.challenge(&last);
            assert!(matches!(believed, ClientStep::Respond(_)), "the server's own proof is wrong");
            Ok(admitted)
        }
        ServerStep::Failed(_) => {
            store.refuse_scram(attempt);
            Err(LoginError::Rejected)
        }
        _ => panic!("neither right nor wrong"),
    }
}

fn rejected(outcome: Result<Admitted, LoginError>) -> bool {
    matches!(outcome, Err(LoginError::Rejected))
}

async fn app_password(store: &Store, account: &Account, name: &str, scopes: Scope) -> String {
    store.add_app_password(&account.address, name, scopes).await.unwrap().secret.to_string()
}

async fn every_password_of_an_account_is_proven_under_one_salt(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let eve = world.account("eve@wing.test").await;
    let phone = app_password(store, &bob, "phone", Scope::MAIL).await;
    let rules = app_password(store, &bob, "rules", Scope::SIEVE).await;
    for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Submission] {
        let admitted = prove(store, &at(protocol), "Bob@wing.test", &phone).await.unwrap();
        assert_eq!(admitted.account.id, bob.id);
        prove(store, &at(protocol), "bob@wing.test", "secret").await.unwrap();
        let refused = prove(store, &at(protocol), "bob@wing.test", &rules).await;
        assert!(matches!(refused, Err(LoginError::NotHere(NotHere::AppPassword))));
    }
    prove(store, &at(Protocol::Sieve), "bob@wing.test", &rules).await.unwrap();
    assert!(rejected(prove(store, &visitor(), "bob@wing.test", "wrong").await));
    assert!(rejected(prove(store, &visitor(), &eve.address.to_string(), &phone).await));

    // What it was is noted, and the session rests on it.
    let by_app = prove(store, &visitor(), "bob@wing.test", &phone).await.unwrap().pass;
    store.flush_logins().await.unwrap();
    let noted = store.logins(bob.id, 50).await.unwrap();
    let noted = |client: Option<&str>, outcome| {
        noted.iter().any(|note| {
            note.client.as_deref() == client && note.outcome == outcome && note.mechanism == SCRAM
        })
    };
    assert!(noted(Some("phone"), Outcome::Admitted) && noted(None, Outcome::Admitted));
    assert!(noted(Some("rules"), Outcome::NotHere) && noted(None, Outcome::Wrong));
    let listed = store.app_passwords(bob.id).await.unwrap();
    assert!(listed.iter().all(|app| app.last_used_at.is_some()));
    store.revoke_app_password(&bob.address, "phone").await.unwrap();
    assert!(!store.pass_holds(&by_app).await.unwrap());
    assert!(rejected(prove(store, &visitor(), "bob@wing.test", &phone).await));
    prove(store, &at(Protocol::Sieve), "bob@wing.test", &rules).await.unwrap();
}

async fn app_passwords_from_before_get_keys_when_they_log_in(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let phone = app_password(store, &bob, "phone", Scope::MAIL).await;
    let letters = phone.replace('-', "").to_uppercase();
    // Before there were keys; and with such that were made under another count.
    for lost in ["DELETE FROM app_password_keys", "UPDATE app_password_keys SET iterations = 9999"]
    {
        world.execute(lost).await;
        assert!(rejected(prove(store, &visitor(), "bob@wing.test", &phone).await), "{lost}");
        prove(store, &visitor(), "bob@wing.test", "secret").await.unwrap();
        store.login(&visitor(), "PLAIN", "bob@wing.test", &letters).await.unwrap();
        prove(store, &visitor(), "bob@wing.test", &phone).await.unwrap();
    }
    // The proof is of what was shown.
    assert!(rejected(prove(store, &visitor(), "bob@wing.test", &letters).await));
}

async fn new_main_passwords_leave_the_proofs_of_app_passwords_alone(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let phone = app_password(store, &bob, "phone", Scope::MAIL).await;
    let (_, before) = store.scram(&visitor(), SCRAM, "bob@wing.test").await.unwrap();
    let dearer = PasswordCost { scram_iterations: 5_000, ..CHEAP };
    let settings = settings(&world.url, world.folder.path().into(), "dearer");
    let dearer = Store::open_with(settings, dearer).await.unwrap();

    dearer.set_password(&bob.address, "another").await.unwrap();
    let (_, after) = store.scram(&visitor(), SCRAM, "bob@wing.test").await.unwrap();
    assert_eq!((&after.salt, after.iterations), (&before.salt, 4_096));
    prove(store, &visitor(), "bob@wing.test", &phone).await.unwrap();
    prove(store, &visitor(), "bob@wing.test", "another").await.unwrap();
    assert!(rejected(prove(store, &visitor(), "bob@wing.test", "secret").await));

    // Where nothing else hangs on it, the count is the newest.
    store.revoke_app_password(&bob.address, "phone").await.unwrap();
    dearer.set_password(&bob.address, "a third").await.unwrap();
    let (_, after) = store.scram(&visitor(), SCRAM, "bob@wing.test").await.unwrap();
    assert_eq!((&after.salt, after.iterations), (&before.salt, 5_000));
    let laptop = app_password(store, &bob, "laptop", Scope::MAIL).await;
    prove(store, &visitor(), "bob@wing.test", &laptop).await.unwrap();
    prove(store, &visitor(), "bob@wing.test", "a third").await.unwrap();
}

async fn a_second_step_takes_the_proof_of_the_main_password_only(world: World) {
    let (store, now) = (&world.store, now());
    let bob = world.account("bob@wing.test").await;
    let phone = app_password(store, &bob, "phone", Scope::MAIL).await;
    let new = store.begin_totp(&bob.address);
    let code = crate::second_step::code_at(&new.secret(), now);
    store.enable_totp(&new, &code, now).await.unwrap();
    let refused = prove(store, &visitor(), "bob@wing.test", "secret").await;
    assert!(matches!(refused, Err(LoginError::NotHere(NotHere::PasswordAlone))));
    prove(store, &visitor(), "bob@wing.test", &phone).await.unwrap();
}

async fn what_has_ended_meanwhile_lets_in_nobody(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    app_password(store, &bob, "phone", Scope::MAIL).await;
    let begin = async || store.scram(&visitor(), SCRAM, "bob@wing.test").await.unwrap().0;
    // The app password comes first, then the main one, then none.
    let [by_app, by_main, by_none] = [begin().await, begin().await, begin().await];
    assert!(store.settle_scram(by_app, 0).await.is_ok());
    assert!(store.settle_scram(by_main, 1).await.is_ok());
    assert!(rejected(store.settle_scram(by_none, 2).await));

    let [by_app, by_main] = [begin().await, begin().await];
    store.revoke_app_password(&bob.address, "phone").await.unwrap();
    store.set_password(&bob.address, "another").await.unwrap();
    assert!(rejected(store.settle_scram(by_app, 0).await));
    assert!(rejected(store.settle_scram(by_main, 1).await));

    let by_main = begin().await;
    store.set_disabled(&bob.address, true).await.unwrap();
    assert!(rejected(store.settle_scram(by_main, 0).await));
}

async fn strangers_see_the_same_whoever_exists(world: World) {
    let store = &world.store;
    let look = async |store: &Store, login: &str| {
        let (attempt, keys) = store.scram(&visitor(), SCRAM, login).await.unwrap();
        // Whatever was proven.
        drop(attempt);
        keys
    };
    let shown = |keys: &ScramKeys| (keys.salt.clone(), keys.iterations, keys.pairs.len());
    let nobody = look(store, "bob@wing.test").await;
    let [first, second] = ["nobody@wing.test", "nobody2@wing.test"];
    assert!(look(store, first).await.salt != look(store, second).await.salt);
    let (attempt, _) = store.scram(&visitor(), SCRAM, first).await.unwrap();
    assert!(rejected(store.settle_scram(attempt, 0).await));

    // Being made, given an app password, disabled and removed shows nothing; on another node neither.
    let bob = world.account("bob@wing.test").await;
    let known = look(store, "Bob@wing.test").await;
    assert_eq!(shown(&known), shown(&nobody));
    let ScramKeys { salt, iterations, .. } = &known;
    assert!(known.pairs.contains(&ScramPair::derive("secret", salt, *iterations)));
    app_password(store, &bob, "phone", Scope::MAIL).await;
    assert_eq!(shown(&look(store, "bob@wing.test").await), shown(&nobody));
    assert_eq!(shown(&look(&world.second().await, "BOB@wing.test").await), shown(&nobody));
    store.set_disabled(&bob.address, true).await.unwrap();
    let disabled = look(store, "bob@wing.test").await;
    assert_eq!(shown(&disabled), shown(&nobody));
    assert!(disabled.pairs.iter().all(|pair| *pair == ScramPair::NONE));
    store.remove_account(&bob.address).await.unwrap();
    assert_eq!(shown(&look(store, "bob@wing.test").await), shown(&nobody));
}

async fn a_hundred_app_passwords_are_tried_and_no_more_are_made(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let mut last = String::new();
    for number in 0..100 {
        last = app_password(store, &bob, &format!("no. {number}"), Scope::MAIL).await;
    }
    let more = store.add_app_password(&bob.address, "no. 100", Scope::MAIL).await;
    assert!(matches!(more, Err(AppPasswordError::TooMany)));
    for password in [last.as_str(), "secret"] {
        prove(store, &visitor(), "bob@wing.test", password).await.unwrap();
    }
}
