//! Programs that wait for a consent given elsewhere.

use jiff::{Span, Timestamp};
use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    a_program_waits_until_somebody_consents,
    who_asks_too_often_is_slowed_down,
    an_answer_is_given_once,
    wrong_codes_make_whoever_types_them_wait,
    what_is_over_is_forgotten,
);

async fn client(store: &Store) -> OAuthClient {
    store.register_client("Television".into(), Vec::new()).await.unwrap()
}

fn page() -> Visitor {
    Visitor { protocol: Protocol::Web, ..visitor() }
}

fn later(secs: i64) -> Timestamp {
    now() + Span::new().seconds(secs)
}

async fn a_program_waits_until_somebody_consents(world: World) {
    let (store, second) = (&world.store, world.second().await);
    let bob = world.account("bob@wing.test").await;
    let client = client(store).await;
    let device = store.begin_device(&client, Scope::IMAP, "BCDFGHJK").await.unwrap();
    let poll = async |secs| store.poll_device(&device.code, &client.id, later(secs)).await;
    assert!(matches!(poll(0).await, Err(DeviceError::Pending)));
    let wrong = store.poll_device("wrong", &client.id, now()).await;
    assert!(matches!(wrong, Err(DeviceError::Consent(ConsentError::Invalid))));
    let others = store.poll_device(&device.code, "other", now()).await;
    assert!(matches!(others, Err(DeviceError::Consent(ConsentError::Invalid))));

    let waiting = second.waiting_device(&page(), "BCDFGHJK").await.unwrap().unwrap();
    assert_eq!((waiting.client_name.as_str(), waiting.scopes), ("Television", Scope::IMAP));
    assert!(second.answer_device("BCDFGHJK", Some(Pass::invented(bob.id))).await.unwrap());
    let tokens = poll(1).await.unwrap();
    assert_eq!(tokens.scopes, Scope::IMAP);
    let admitted = store.login_with_token(&visitor(), "OAUTHBEARER", None, &tokens.access).await;
    assert_eq!(admitted.unwrap().account.id, bob.id);
    assert_eq!(store.consents(bob.id).await.unwrap().len(), 1);
    let again = poll(20).await;
    assert!(matches!(again, Err(DeviceError::Consent(ConsentError::Invalid))), "told once");
    let next = store.refresh_tokens(&tokens.refresh, &client.id).await.unwrap();
    assert_eq!(next.scopes, Scope::IMAP);
}

async fn who_asks_too_often_is_slowed_down(world: World) {
    let store = &world.store;
    let client = client(store).await;
    let device = store.begin_device(&client, Scope::MAIL, "BCDFGHJK").await.unwrap();
    let begun = now();
    let poll = async |secs| {
        let at = begun + Span::new().seconds(secs);
        match store.poll_device(&device.code, &client.id, at).await {
            Err(DeviceError::Pending) => "pending",
            Err(DeviceError::SlowDown) => "slow down",
            Err(DeviceError::Expired) => "expired",
            _ => "other",
        }
    };
    // Each that comes too early adds five seconds to the five.
    for (secs, told) in [
        (0, "pending"),
        (5, "pending"),
        (9, "slow down"),
        (18, "slow down"),
        (33, "pending"),
        (47, "slow down"),
        (67, "pending"),
        (601, "expired"),
        (602, "expired"),
    ] {
        assert_eq!(poll(secs).await, told, "after {secs} s");
    }
}

async fn an_answer_is_given_once(world: World) {
    let store = &world.store;
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let client = client(store).await;
    let denied = store.begin_device(&client, Scope::MAIL, "DDDDDDDD").await.unwrap();
    assert!(store.answer_device("DDDDDDDD", None).await.unwrap());
    assert!(!store.answer_device("DDDDDDDD", Some(Pass::invented(eve.id))).await.unwrap());
    assert_eq!(store.waiting_device(&page(), "DDDDDDDD").await.unwrap(), None);
    let told = store.poll_device(&denied.code, &client.id, now()).await;
    assert!(matches!(told, Err(DeviceError::Denied)));

    let allowed = store.begin_device(&client, Scope::MAIL, "BBBBBBBB").await.unwrap();
    // Two programs never wait with one code.
    let taken = store.begin_device(&client, Scope::MAIL, "BBBBBBBB").await;
    assert!(matches!(taken, Err(ConsentError::TooMany)));
    assert!(store.answer_device("BBBBBBBB", Some(Pass::invented(bob.id))).await.unwrap());
    assert!(!store.answer_device("BBBBBBBB", Some(Pass::invented(eve.id))).await.unwrap());
    assert!(!store.answer_device("CCCCCCCC", Some(Pass::invented(eve.id))).await.unwrap());
    // A new password ends what was allowed with the old one.
    store.set_password(&bob.address, "another").await.unwrap();
    let told = store.poll_device(&allowed.code, &client.id, now()).await;
    assert!(matches!(told, Err(DeviceError::Consent(ConsentError::Invalid))));
    assert_eq!(world.count("SELECT COUNT(*) FROM oauth_devices").await, 0);
}

async fn wrong_codes_make_whoever_types_them_wait(world: World) {
    let store = &world.store;
    let client = client(store).await;
    store.begin_device(&client, Scope::MAIL, "BCDFGHJK").await.unwrap();
    for n in 0..10 {
        let found = store.waiting_device(&page(), &format!("wrong {n}")).await.unwrap();
        assert_eq!(found, None);
    }
    let refused = store.waiting_device(&page(), "BCDFGHJK").await;
    assert!(matches!(refused, Err(LoginError::TooMany(_))));
    let elsewhere = Visitor { address: "198.51.100.7".parse().unwrap(), ..page() };
    for _ in 0..30 {
        assert!(store.waiting_device(&elsewhere, "BCDFGHJK").await.unwrap().is_some());
    }
}

async fn what_is_over_is_forgotten(world: World) {
    let store = &world.store;
    let client = client(store).await;
    store.begin_device(&client, Scope::MAIL, "BCDFGHJK").await.unwrap();
    store.forget_tokens(later(601)).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM oauth_devices").await, 1);
    store.forget_tokens(later(4_300)).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM oauth_devices").await, 0);
}
