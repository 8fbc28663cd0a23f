//! Logging in with a code: what it opens and what not, that no code is good for twice, recovery codes, and
//! guesses that come at once.

use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::{Span, Timestamp};
use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    the_password_alone_opens_pages_no_more_and_programs_never,
    no_code_is_taken_twice,
    recovery_codes_are_good_for_once,
    wrong_codes_are_throttled_and_noted,
    tickets_end_with_time_and_password,
    sessions_end_when_it_is_switched_on,
    guesses_at_once_are_not_more_than_one_after_another,
    what_is_right_waits_for_nobody_long,
    a_new_password_ends_codes_on_their_way,
);

fn page() -> Visitor {
    Visitor { protocol: Protocol::Web, ..visitor() }
}

/// RFC 6238 with another library's HMAC.
pub fn code_at(secret: &str, at: Timestamp) -> String {
    let (mut key, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in secret.bytes() {
        let digit = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|&known| known == letter);
        bits = bits << 5 | u32::try_from(digit.unwrap()).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            key.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    let step = at.as_second() / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let from = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[from..from + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

fn later(at: Timestamp, secs: i64) -> Timestamp {
    at + Span::new().seconds(secs)
}

/// An account with a second step since `now`; its secret and recovery codes.
async fn with_codes(world: &World, at: &str, now: Timestamp) -> (Account, String, Vec<String>) {
    let account = world.account(at).await;
    let new = world.store.begin_totp(&account.address);
    let secret = new.secret().to_string();
    let refused = world.store.enable_totp(&new, "000000", later(now, 86_400)).await;
    assert!(matches!(refused, Err(TotpError::WrongCode)));
    assert_eq!(world.store.totp(account.id).await.unwrap(), None);
    let codes = world.store.enable_totp(&new, &code_at(&secret, now), now).await.unwrap();
    (account, secret, codes.iter().map(|code| code.to_string()).collect())
}

async fn ticket(store: &Store, login: &str, now: Timestamp) -> Ticket {
    match store.login_by_page(&page(), login, "secret", now).await.unwrap() {
        PageLogin::CodeWanted { ticket, wrong: false } => ticket,
        _ => panic!("no code was asked for"),
    }
}

/// Whether a code lets in.
async fn enter(store: &Store, login: &str, code: &str, now: Timestamp) -> bool {
    let ticket = ticket(store, login, now).await;
    match store.login_by_code(&page(), ticket, code, now).await.unwrap() {
        PageLogin::Admitted(_) => true,
        PageLogin::CodeWanted { wrong, .. } => {
            assert!(wrong);
            false
        }
    }
}

async fn the_password_alone_opens_pages_no_more_and_programs_never(world: World) {
    let (store, now) = (&world.store, now());
    world.account("eve@wing.test").await;
    let (bob, secret, _) = with_codes(&world, "bob@wing.test", now).await;
    let again = store.enable_totp(&store.begin_totp(&bob.address), "", now).await;
    assert!(matches!(again, Err(TotpError::WrongCode)));
    let state = store.totp(bob.id).await.unwrap().unwrap();
    assert_eq!((state.since, state.recovery_codes), (now, 10));

    for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Submission, Protocol::Sieve] {
        let at = Visitor { protocol, ..visitor() };
        let refused = store.login(&at, "PLAIN", "bob@wing.test", "secret").await;
        let Err(LoginError::NotHere(NotHere::PasswordAlone)) = refused else { panic!() };
        let refused = store.login(&at, "PLAIN", "bob@wing.test", "wrong").await;
        assert!(matches!(refused, Err(LoginError::Rejected)));
        let (attempt, _) = store.scram(&at, "SCRAM-SHA-256", "bob@wing.test").await.unwrap();
        let refused = store.settle_scram(attempt, 0).await;
        let Err(LoginError::NotHere(NotHere::PasswordAlone)) = refused else { panic!() };
        store.login(&at, "PLAIN", "eve@wing.test", "secret").await.unwrap();
    }
    let phone = store.add_app_password(&bob.address, "phone", Scope::MAIL).await.unwrap().secret;
    store.login(&visitor(), "PLAIN", "bob@wing.test", &phone).await.unwrap();
    // At a page: the password first, then the code.
    let refused = store.login_by_page(&page(), "bob@wing.test", "wrong", now).await;
    assert!(matches!(refused, Err(LoginError::Rejected)));
    let refused = store.login_by_page(&page(), "bob@wing.test", &phone, now).await;
    assert!(matches!(refused, Err(LoginError::Rejected)));
    let admitted = store.login_by_page(&page(), "eve@wing.test", "secret", now).await;
    assert!(matches!(admitted, Ok(PageLogin::Admitted(_))));
    assert!(enter(store, "bob@wing.test", &code_at(&secret, later(now, 30)), now).await);

    store.flush_logins().await.unwrap();
    let noted = store.logins(bob.id, 50).await.unwrap();
    let count = |outcome| {
        let alike = noted.iter().filter(|note| note.outcome == outcome);
        alike.map(|note| note.count).sum::<u64>()
    };
    assert_eq!(count(Outcome::PasswordAlone), 8);
    assert_eq!(count(Outcome::CodeAsked), 1);
    assert!(noted.iter().any(|note| note.mechanism == "totp" && note.outcome == Outcome::Admitted));

    store.disable_totp(&bob.address).await.unwrap();
    store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await.unwrap();
    let refused = store.disable_totp(&bob.address).await;
    assert!(matches!(refused, Err(TotpError::Off(_))));
    assert!(matches!(store.renew_recovery_codes(&bob.address).await, Err(TotpError::Off(_))));
    assert_eq!(world.count("SELECT COUNT(*) FROM recovery_codes").await, 0);
}

async fn no_code_is_taken_twice(world: World) {
    let (store, now) = (&world.store, now());
    let (bob, secret, _) = with_codes(&world, "bob@wing.test", now).await;
    let second = world.second().await;
    let code = |secs| code_at(&secret, later(now, secs));
    let enters =
        async |code: String, secs| enter(store, "bob@wing.test", &code, later(now, secs)).await;
    // The one that switched it on, and what came before it.
    assert!(!enters(code(0), 0).await);
    assert!(!enters(code(-30), 0).await);
    // A clock that is one step ahead, and one that is one behind; not two.
    assert!(enters(code(30), 0).await);
    assert!(!enters(code(30), 30).await);
    assert!(!enter(&second, "bob@wing.test", &code(30), later(now, 30)).await);
    assert!(!enters(code(120), 60).await);
    assert!(enters(code(60), 90).await);
    assert!(!enters(code(90), 150).await);
    // Two at once: one of them.
    let (a, b) = (ticket(store, "bob@wing.test", later(now, 200)).await, code(200));
    let c = ticket(&second, "bob@wing.test", later(now, 200)).await;
    let visitor = page();
    let (first, other) = tokio::join!(
        store.login_by_code(&visitor, a, &b, later(now, 200)),
        second.login_by_code(&visitor, c, &b, later(now, 200)),
    );
    let admitted = |outcome| matches!(outcome, Ok(PageLogin::Admitted(_)));
    assert!(admitted(first) ^ admitted(other));
    // Switched off and on again, the old secret is nobody's.
    store.disable_totp(&bob.address).await.unwrap();
    let new = store.begin_totp(&bob.address);
    let at = later(now, 300);
    store.enable_totp(&new, &code_at(&new.secret(), at), at).await.unwrap();
    assert!(!enters(code(330), 330).await);
}

async fn recovery_codes_are_good_for_once(world: World) {
    let (store, now) = (&world.store, now());
    let (bob, _, codes) = with_codes(&world, "bob@wing.test", now).await;
    let (_, _, others) = with_codes(&world, "eve@wing.test", now).await;
    assert_eq!(codes.len(), 10);
    assert!(!enter(store, "bob@wing.test", &others[0], now).await);
    assert!(enter(store, "bob@wing.test", &codes[0].to_uppercase().replace('-', " "), now).await);
    assert!(!enter(store, "bob@wing.test", &codes[0], now).await);
    assert_eq!(store.totp(bob.id).await.unwrap().unwrap().recovery_codes, 9);
    let new = store.renew_recovery_codes(&bob.address).await.unwrap();
    assert!(!enter(store, "bob@wing.test", &codes[1], now).await);
    assert!(enter(store, "bob@wing.test", &new[9], now).await);
    assert_eq!(store.totp(bob.id).await.unwrap().unwrap().recovery_codes, 9);
    store.remove_account(&bob.address).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM recovery_codes").await, 10);
    assert_eq!(world.count("SELECT COUNT(*) FROM totp").await, 1);
}

async fn wrong_codes_are_throttled_and_noted(world: World) {
    let (store, now) = (&world.store, now());
    let (bob, secret, _) = with_codes(&world, "bob@wing.test", now).await;
    // The same one again and again is a guess each time: what it is compared with changes.
    let right = code_at(&secret, later(now, 30));
    let wrong = if right == "123456" { "654321" } else { "123456" };
    let mut kept = ticket(store, "bob@wing.test", now).await;
    for _ in 0..10 {
        kept = match store.login_by_code(&page(), kept, wrong, now).await.unwrap() {
            PageLogin::CodeWanted { ticket, wrong: true } => ticket,
            _ => panic!("let in, or asked anew"),
        };
    }
    let refused = store.login_by_code(&page(), kept, &right, now).await;
    assert!(matches!(refused, Err(LoginError::TooMany(_))));
    let refused = store.login_by_page(&page(), "bob@wing.test", "secret", now).await;
    assert!(matches!(refused, Err(LoginError::TooMany(_))));
    store.flush_logins().await.unwrap();
    let noted = store.logins(bob.id, 10).await.unwrap();
    let note = noted.iter().find(|note| note.outcome == Outcome::WrongCode).unwrap();
    assert_eq!((note.count, note.protocol), (10, Protocol::Web));
}

async fn tickets_end_with_time_and_password(world: World) {
    let (store, now) = (&world.store, now());
    let (bob, secret, codes) = with_codes(&world, "bob@wing.test", now).await;
    let again = |ticket: &Ticket| Ticket::from_text(ticket.as_text());
    let enter =
        async |ticket: Ticket, code: &str, at| store.login_by_code(&page(), ticket, code, at).await;
    let kept = ticket(store, "bob@wing.test", now).await;
    let over = later(now, 300);
    let refused = enter(again(&kept), &code_at(&secret, over), over).await;
    assert!(matches!(refused, Err(LoginError::Rejected)));
    // Nothing of it can be changed, and none can be made.
    let text = kept.as_text().to_owned();
    for at in 0..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] = if other[at] == b'1' { b'2' } else { b'1' };
        let other = Ticket::from_text(&String::from_utf8(other).unwrap());
        let refused = enter(other, &codes[0], now).await;
        assert!(matches!(refused, Err(LoginError::Rejected)), "octet {at}");
    }
    for other in ["", "...", "1.1.1.", "9999999999999999999.1.1.1", "a.b.c.d", "1.2.3.ü"] {
        let refused = enter(Ticket::from_text(other), &codes[0], now).await;
        assert!(matches!(refused, Err(LoginError::Rejected)), "{other}");
    }
    store.set_password(&bob.address, "secret").await.unwrap();
    let refused = enter(kept, &codes[0], now).await;
    assert!(matches!(refused, Err(LoginError::Rejected)));
    let fresh = ticket(store, "bob@wing.test", now).await;
    assert!(matches!(enter(fresh, &codes[0], now).await, Ok(PageLogin::Admitted(_))));
    let fresh = ticket(store, "bob@wing.test", now).await;
    store.set_disabled(&bob.address, true).await.unwrap();
    assert!(matches!(enter(fresh, &codes[1], now).await, Err(LoginError::Disabled)));
}

async fn sessions_end_when_it_is_switched_on(world: World) {
    let (store, now) = (&world.store, now());
    let bob = world.account("bob@wing.test").await;
    let phone = store.add_app_password(&bob.address, "phone", Scope::MAIL).await.unwrap().secret;
    let by_app = store.login(&visitor(), "PLAIN", "bob@wing.test", &phone).await.unwrap().pass;
    let by_main = store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await.unwrap().pass;
    let ends = tokio::spawn(store.pass_ended(by_main));
    let new = store.begin_totp(&bob.address);
    store.enable_totp(&new, &code_at(&new.secret(), now), now).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("it is woken").unwrap();
    assert!(!store.pass_holds(&by_main).await.unwrap());
    assert!(store.pass_holds(&by_app).await.unwrap());
    // One that begins after its end ends too.
    let late = store.pass_ended(by_main);
    tokio::time::timeout(Duration::from_secs(20), late).await.expect("it looks by itself");
}

async fn guesses_at_once_are_not_more_than_one_after_another(world: World) {
    let store = &world.store;
    world.account("bob@wing.test").await;
    let guesses: Vec<_> = (0..40)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store.login(&visitor(), "PLAIN", "bob@wing.test", &format!("guess {n}")).await
            })
        })
        .collect();
    let (mut looked_at, mut not) = (0, 0);
    for guess in guesses {
        match guess.await.unwrap() {
            Err(LoginError::Rejected) => looked_at += 1,
            Err(LoginError::TooMany(_)) => not += 1,
            other => panic!("{other:?}"),
        }
    }
    // Ten are free; a slow machine gives another as each pause is over.
    assert!((10..=13).contains(&looked_at), "{looked_at}");
    assert_eq!(not, 40 - looked_at);
}

async fn what_is_right_waits_for_nobody_long(world: World) {
    let store = &world.store;
    world.account("bob@wing.test").await;
    // A program that opens many connections at its first login.
    let logins: Vec<_> = (0..40)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await
            })
        })
        .collect();
    for login in logins {
        login.await.unwrap().unwrap();
    }
    // Exchanges that are given up count; those that are right do not.
    let elsewhere = Visitor { address: "198.51.100.7".parse().unwrap(), ..visitor() };
    for _ in 0..20 {
        let begun = store.scram(&elsewhere, "SCRAM-SHA-256", "nobody@wing.test").await;
        match begun {
            Ok((attempt, _)) => drop(attempt),
            Err(LoginError::TooMany(_)) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("as many as one likes");
}

async fn a_new_password_ends_codes_on_their_way(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let uris = vec!["http://127.0.0.1/back".to_owned()];
    let client = store.register_client("Mailer".into(), uris).await.unwrap();
    let second = world.second().await;
    let log_in = async |password: &str| match store
        .login_by_page(&page(), "bob@wing.test", password, now())
        .await
    {
        Ok(PageLogin::Admitted(admitted)) => admitted.pass,
        _ => panic!("not let in"),
    };
    let consent = |pass| NewCode {
        pass,
        client: client.clone(),
        redirect_uri: "http://127.0.0.1/back".into(),
        challenge: "challenge".into(),
        scopes: Scope::MAIL,
    };
    let redeem = |code| Redeem {
        code,
        client: client.id.clone(),
        redirect_uri: "http://127.0.0.1/back".into(),
        challenge: "challenge".into(),
    };
    let pass = log_in("secret").await;
    let code = store.make_code(consent(pass)).await.unwrap();
    store.set_password(&bob.address, "another").await.unwrap();
    assert!(matches!(store.redeem_code(redeem(code)).await, Err(ConsentError::Invalid)));

    // Who was let in by the old one, and says yes only now.
    store.begin_device(&client, Scope::MAIL, "BCDFGHJK").await.unwrap();
    let late = store.make_code(consent(pass)).await;
    assert!(matches!(late, Err(ConsentError::Invalid)));
    let late = store.answer_device("BCDFGHJK", Some(pass)).await;
    assert!(matches!(late, Err(ConsentError::Invalid)));
    let pass = log_in("another").await;
    assert!(store.answer_device("BCDFGHJK", Some(pass)).await.unwrap());
    let code = store.make_code(consent(pass)).await.unwrap();
    store.set_disabled(&bob.address, true).await.unwrap();
    assert!(matches!(store.make_code(consent(pass)).await, Err(ConsentError::Invalid)));
    assert!(matches!(store.redeem_code(redeem(code)).await, Err(ConsentError::Invalid)));
    store.set_disabled(&bob.address, false).await.unwrap();

    // At the same moment, on two nodes: whichever comes first, nothing is left of the old one.
    let mut password = "another".to_owned();
    for round in 0..20 {
        let pass = log_in(&password).await;
        let code = store.make_code(consent(pass)).await.unwrap();
        password = format!("password {round}");
        let (_, set, _) = tokio::join!(
            store.redeem_code(redeem(code)),
            second.set_password(&bob.address, &password),
            store.make_code(consent(pass)),
        );
        set.unwrap();
        assert!(store.consents(bob.id).await.unwrap().is_empty(), "round {round}");
        assert_eq!(world.count("SELECT COUNT(*) FROM oauth_codes").await, 0, "round {round}");
    }
}
