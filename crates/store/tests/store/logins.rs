//! The door: who has to wait, app passwords, what is noted, and when a pass ends.

use std::net::IpAddr;
use std::time::Duration;

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    guesses_from_one_address_make_it_wait_and_nobody_else,
    nodes_share_what_was_guessed,
    who_was_here_before_is_not_shut_out,
    app_passwords_open_what_they_are_for,
    logins_are_noted_for_their_owner,
    a_pass_ends_with_what_it_rests_on,
    notes_are_bounded,
    tokens_open_what_was_consented_to,
    a_code_or_refresh_token_used_twice_ends_all,
    programs_that_nobody_wants_make_room,
);

fn from(address: &str) -> Visitor {
    Visitor { address: address.parse().unwrap(), ..visitor() }
}

fn at(protocol: Protocol) -> Visitor {
    Visitor { protocol, ..visitor() }
}

async fn guess(store: &Store, from: &Visitor, login: &str, password: &str) -> LoginError {
    store.login(from, "PLAIN", login, password).await.expect_err("a wrong password")
}

async fn guesses_from_one_address_make_it_wait_and_nobody_else(world: World) {
    let store = &world.store;
    world.account("bob@wing.test").await;
    let (attacker, home) = (from("198.51.100.7"), from("192.0.2.9"));
    for n in 0..10 {
        let error = guess(store, &attacker, "bob@wing.test", &format!("guess {n}")).await;
        assert!(matches!(error, LoginError::Rejected), "{error}");
    }
    // The right one is not even looked at from there.
    let error = guess(store, &attacker, "bob@wing.test", "secret").await;
    assert!(matches!(error, LoginError::TooMany(_)), "{error}");
    // Nor is another name; nor do keys come.
    let error = guess(store, &attacker, "nobody@wing.test", "x").await;
    assert!(matches!(error, LoginError::TooMany(_)), "{error}");
    assert!(matches!(
        store.scram(&attacker, "SCRAM-SHA-256", "bob@wing.test").await,
        Err(LoginError::TooMany(_))
    ));
    store.login(&home, "PLAIN", "bob@wing.test", "secret").await.unwrap();
    // A program with an old password asks again and again, and shuts nobody out.
    for _ in 0..30 {
        let error = guess(store, &home, "bob@wing.test", "old secret").await;
        assert!(matches!(error, LoginError::Rejected), "{error}");
    }
    store.login(&home, "PLAIN", "bob@wing.test", "secret").await.unwrap();
}

async fn nodes_share_what_was_guessed(world: World) {
    world.account("bob@wing.test").await;
    let second = world.second().await;
    let attacker = from("198.51.100.7");
    for n in 0..5 {
        guess(&world.store, &attacker, "bob@wing.test", &format!("a {n}")).await;
        guess(&second, &attacker, "bob@wing.test", &format!("b {n}")).await;
    }
    world.store.flush_logins().await.unwrap();
    second.flush_logins().await.unwrap();
    let error = guess(&second, &attacker, "bob@wing.test", "secret").await;
    assert!(matches!(error, LoginError::TooMany(_)), "{error}");
    // An address, an account, and both; not a row per guess.
    assert_eq!(world.count("SELECT COUNT(*) FROM login_guesses").await, 3);
    assert_eq!(world.count("SELECT MAX(guesses) FROM login_guesses").await, 10);
}

async fn who_was_here_before_is_not_shut_out(world: World) {
    let store = &world.store;
    world.account("bob@wing.test").await;
    let home = from("2001:db8:1:2::1");
    store.login(&home, "PLAIN", "bob@wing.test", "secret").await.unwrap();
    store.flush_logins().await.unwrap();
    // Another node, after a restart, with an attack from everywhere.
    let second = world.second().await;
    for n in 0..100 {
        let attacker = from(&format!("198.51.100.{n}"));
        guess(&second, &attacker, "bob@wing.test", &format!("guess {n}")).await;
    }
    let error = guess(&second, &from("192.0.2.77"), "bob@wing.test", "secret").await;
    assert!(matches!(error, LoginError::TooMany(_)), "{error}");
    let privacy = from("2001:db8:1:2:aaaa:bbbb:cccc:dddd");
    second.login(&privacy, "PLAIN", "bob@wing.test", "secret").await.unwrap();
}

async fn app_passwords_open_what_they_are_for(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let eve = world.account("eve@wing.test").await;
    let phone = store.add_app_password(&bob.address, "phone", Scope::MAIL).await.unwrap().secret;
    let rules = store.add_app_password(&bob.address, "rules", Scope::SIEVE).await.unwrap().secret;
    let again = store.add_app_password(&bob.address, "phone", Scope::MAIL).await;
    assert!(matches!(again, Err(AppPasswordError::Exists(_))));
    for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Submission] {
        let upper = phone.to_uppercase();
        store.login(&at(protocol), "PLAIN", "bob@wing.test", &phone).await.unwrap();
        store.login(&at(protocol), "PLAIN", "bob@wing.test", &upper).await.unwrap();
        let error = guess(store, &at(protocol), "bob@wing.test", &rules).await;
        assert!(matches!(error, LoginError::NotHere(_)), "{error}");
    }
    store.login(&at(Protocol::Sieve), "PLAIN", "bob@wing.test", &rules).await.unwrap();
    // Pages want the person; other accounts their own.
    let error = guess(store, &at(Protocol::Web), "bob@wing.test", &phone).await;
    assert!(matches!(error, LoginError::Rejected), "{error}");
    let error = guess(store, &visitor(), "eve@wing.test", &phone).await;
    assert!(matches!(error, LoginError::Rejected), "{error}");
    store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await.unwrap();

    let listed = store.app_passwords(bob.id).await.unwrap();
    let names: Vec<_> = listed.iter().map(|app| (app.name.as_str(), app.scopes)).collect();
    assert_eq!(names, [("phone", Scope::MAIL), ("rules", Scope::SIEVE)]);
    assert!(listed.iter().all(|app| app.last_used_at.is_some()));
    assert!(store.app_passwords(eve.id).await.unwrap().is_empty());
    store.revoke_app_password(&bob.address, "phone").await.unwrap();
    let error = guess(store, &visitor(), "bob@wing.test", &phone).await;
    assert!(matches!(error, LoginError::Rejected), "{error}");
    let gone = store.revoke_app_password(&bob.address, "phone").await;
    assert!(matches!(gone, Err(AppPasswordError::NotFound(_))));
}

async fn logins_are_noted_for_their_owner(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let phone = store.add_app_password(&bob.address, "phone", Scope::MAIL).await.unwrap().secret;
    for _ in 0..3 {
        store.login(&visitor(), "PLAIN", "bob@wing.test", &phone).await.unwrap();
    }
    guess(store, &from("198.51.100.7"), "bob@wing.test", "x").await;
    store.flush_logins().await.unwrap();
    store.login(&visitor(), "PLAIN", "bob@wing.test", &phone).await.unwrap();
    store.flush_logins().await.unwrap();
    let noted = store.logins(bob.id, 10).await.unwrap();
    let shown: Vec<_> = noted
        .iter()
        .map(|note| (note.outcome, note.address, note.client.as_deref(), note.count))
        .collect();
    let (home, elsewhere): (IpAddr, IpAddr) =
        ("192.0.2.1".parse().unwrap(), "198.51.100.7".parse().unwrap());
    assert_eq!(
        shown,
        [
            (Outcome::Admitted, Some(home), Some("phone"), 4),
            (Outcome::Wrong, Some(elsewhere), None, 1)
        ]
    );
    assert!(noted[0].tls && noted[0].mechanism == "PLAIN" && noted[0].protocol == Protocol::Imap);
    store.remove_account(&bob.address).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM logins").await, 0);
}

async fn a_pass_ends_with_what_it_rests_on(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let phone = store.add_app_password(&bob.address, "phone", Scope::MAIL).await.unwrap().secret;
    let by_app = store.login(&visitor(), "PLAIN", "bob@wing.test", &phone).await.unwrap().pass;
    let by_main = store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await.unwrap().pass;
    let (app_ends, main_ends) = (store.pass_ended(by_app), store.pass_ended(by_main));
    let (app_ends, main_ends) = (tokio::spawn(app_ends), tokio::spawn(main_ends));
    assert!(store.pass_holds(&by_app).await.unwrap() && store.pass_holds(&by_main).await.unwrap());

    let within = Duration::from_secs(20);
    store.set_password(&bob.address, "another").await.unwrap();
    tokio::time::timeout(within, main_ends).await.expect("it is woken").unwrap();
    assert!(!store.pass_holds(&by_main).await.unwrap());
    assert!(store.pass_holds(&by_app).await.unwrap());
    store.revoke_app_password(&bob.address, "phone").await.unwrap();
    tokio::time::timeout(within, app_ends).await.expect("it is woken").unwrap();
    assert!(!store.pass_holds(&by_app).await.unwrap());

    let main = store.login(&visitor(), "PLAIN", "bob@wing.test", "another").await.unwrap().pass;
    store.set_disabled(&bob.address, true).await.unwrap();
    assert!(!store.pass_holds(&main).await.unwrap());
}

async fn notes_are_bounded(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let phone = store.add_app_password(&bob.address, "phone", Scope::MAIL).await.unwrap().secret;
    for n in 0..1_300_u32 {
        let address = format!("10.0.{}.{}", n / 250, n % 250);
        store.login(&from(&address), "PLAIN", "bob@wing.test", &phone).await.unwrap();
    }
    store.flush_logins().await.unwrap();
    let kept = world.count("SELECT COUNT(*) FROM logins").await;
    assert!((900..=1_000).contains(&kept), "{kept}");
}

async fn client(store: &Store) -> OAuthClient {
    let uris = vec!["http://127.0.0.1/back".to_owned()];
    store.register_client("Mailer".into(), uris).await.unwrap()
}

async fn code(store: &Store, account: &Account, client: &OAuthClient) -> Redeem {
    let new = NewCode {
        pass: Pass::invented(account.id),
        client: client.clone(),
        redirect_uri: "http://127.0.0.1:9/back".into(),
        challenge: "challenge".into(),
        scopes: Scope::MAIL,
    };
    let code = store.make_code(new).await.unwrap();
    let (redirect_uri, challenge) = ("http://127.0.0.1:9/back".into(), "challenge".into());
    Redeem { code, client: client.id.clone(), redirect_uri, challenge }
}

fn again(redeem: &Redeem) -> Redeem {
    Redeem {
        code: redeem.code.clone(),
        client: redeem.client.clone(),
        redirect_uri: redeem.redirect_uri.clone(),
        challenge: redeem.challenge.clone(),
    }
}

async fn tokens_open_what_was_consented_to(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    world.account("eve@wing.test").await;
    let client = client(store).await;
    assert_eq!(store.oauth_client(&client.id).await.unwrap().as_ref(), Some(&client));
    let tokens = store.redeem_code(code(store, &bob, &client).await).await.unwrap();
    let enter = async |protocol, login: Option<&str>| {
        store.login_with_token(&at(protocol), "OAUTHBEARER", login, &tokens.access).await
    };
    for login in [None, Some("bob@wing.test"), Some("BOB@wing.test")] {
        assert_eq!(enter(Protocol::Imap, login).await.unwrap().account.id, bob.id);
    }
    assert!(matches!(
        enter(Protocol::Imap, Some("eve@wing.test")).await,
        Err(LoginError::Rejected)
    ));
    assert!(matches!(enter(Protocol::Sieve, None).await, Err(LoginError::NotHere(_))));
    assert!(matches!(enter(Protocol::Web, None).await, Err(LoginError::NotHere(_))));
    // A refresh token opens no door.
    let refused = store.login_with_token(&visitor(), "OAUTHBEARER", None, &tokens.refresh).await;
    assert!(matches!(refused, Err(LoginError::Rejected)));

    let pass = enter(Protocol::Imap, None).await.unwrap().pass;
    let consents = store.consents(bob.id).await.unwrap();
    assert_eq!((consents.len(), consents[0].client_name.as_str()), (1, "Mailer"));
    assert!(store.pass_holds(&pass).await.unwrap());
    assert!(store.revoke_consent(bob.id, consents[0].id).await.unwrap());
    assert!(!store.revoke_consent(bob.id, consents[0].id).await.unwrap());
    assert!(!store.pass_holds(&pass).await.unwrap());
    assert!(matches!(enter(Protocol::Imap, None).await, Err(LoginError::Rejected)));
}

async fn a_code_or_refresh_token_used_twice_ends_all(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let client = client(store).await;
    let count = async || store.consents(bob.id).await.unwrap().len();

    let redeem = code(store, &bob, &client).await;
    for wrong in [
        Redeem { client: "other".into(), ..again(&redeem) },
        Redeem { redirect_uri: "http://127.0.0.1:9/".into(), ..again(&redeem) },
        Redeem { challenge: "other".into(), ..again(&redeem) },
    ] {
        assert!(matches!(store.redeem_code(wrong).await, Err(ConsentError::Invalid)));
    }
    let second = again(&redeem);
    store.redeem_code(redeem).await.unwrap();
    assert_eq!(count().await, 1);
    assert!(matches!(store.redeem_code(second).await, Err(ConsentError::Invalid)));
    assert_eq!(count().await, 0);

    let first = store.redeem_code(code(store, &bob, &client).await).await.unwrap();
    let refused = store.refresh_tokens(&first.refresh, "other").await;
    assert!(matches!(refused, Err(ConsentError::Invalid)));
    let next = store.refresh_tokens(&first.refresh, &client.id).await.unwrap();
    let enter = async |token: &str| {
        store.login_with_token(&visitor(), "OAUTHBEARER", None, token).await.is_ok()
    };
    assert!(enter(&next.access).await && !enter(&first.access).await);
    // Somebody has a copy.
    let refused = store.refresh_tokens(&first.refresh, &client.id).await;
    assert!(matches!(refused, Err(ConsentError::Invalid)));
    assert!(!enter(&next.access).await);
    assert_eq!(count().await, 0);

    // Revoking either token, or a new password, ends the consent.
    let tokens = store.redeem_code(code(store, &bob, &client).await).await.unwrap();
    store.revoke_token("unknown", Some(&client.id)).await.unwrap();
    let others = store.revoke_token(&tokens.refresh, Some("other")).await;
    assert!(matches!(others, Err(ConsentError::Invalid)));
    assert_eq!(count().await, 1);
    store.revoke_token(&tokens.refresh, Some(&client.id)).await.unwrap();
    assert_eq!(count().await, 0);
    let tokens = store.redeem_code(code(store, &bob, &client).await).await.unwrap();
    store.revoke_token(&tokens.access, None).await.unwrap();
    assert_eq!(count().await, 0);
    store.redeem_code(code(store, &bob, &client).await).await.unwrap();
    store.set_password(&bob.address, "another").await.unwrap();
    assert_eq!(count().await, 0);
}

/// Anybody registers programs: a flood of them shuts out others for an hour at most, and none that is used.
async fn programs_that_nobody_wants_make_room(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let used = client(store).await;
    let tokens = store.redeem_code(code(store, &bob, &used).await).await.unwrap();
    let flood = |secs_ago: i64| {
        let created_at = (jiff::Timestamp::now().as_second() - secs_ago) * 1_000_000;
        format!(
            "DELETE FROM oauth_clients WHERE name = 'flood'; \
             WITH RECURSIVE flood (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM flood WHERE n < 9999) \
             INSERT INTO oauth_clients (id, name, redirect_uris, created_at) \
             SELECT 'flood ' || n, 'flood', '[]', {created_at} FROM flood"
        )
    };
    let register = async || store.register_client("Mailer".into(), Vec::new()).await;
    world.execute(&flood(3_000)).await;
    assert!(matches!(register().await, Err(ConsentError::TooMany)));
    world.execute(&flood(3_700)).await;
    register().await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM oauth_clients").await, 2);
    store.refresh_tokens(&tokens.refresh, &used.id).await.unwrap();
}
