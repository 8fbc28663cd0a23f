//! Readers' scripts, and what these remember from one message to the next.

use std::time::Duration;

use jiff::Timestamp;
use waxwing_message::{Envelope, ReversePath};
use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    one_script_is_active,
    scripts_are_bounded,
    names_are_checked,
    scripts_go_with_their_account,
    an_answer_goes_out_once_in_a_while,
    what_was_seen_is_known_again_until_it_expires,
    a_mailbox_is_made_for_a_deposit,
);

async fn listed(store: &Store, account: &Account) -> Vec<(String, bool)> {
    let scripts = store.sieve_scripts(account.id).await.unwrap();
    scripts.into_iter().map(|script| (script.name, script.active)).collect()
}

async fn one_script_is_active(world: World) {
    let (store, bob) = (&world.store, world.account("bob@wax.test").await);
    let put = async |name: &str, text: &str| {
        store.put_sieve_script(bob.id, name, text.into(), now()).await.unwrap();
    };
    assert!(store.active_sieve_scripts(vec![bob.id]).await.unwrap().is_empty());
    put("a", "keep;").await;
    put("b", "discard;").await;
    assert_eq!(listed(store, &bob).await, [("a".into(), false), ("b".into(), false)]);
    for name in ["a", "b"] {
        store.activate_sieve_script(bob.id, Some(name)).await.unwrap();
    }
    assert_eq!(listed(store, &bob).await, [("a".into(), false), ("b".into(), true)]);
    let active = store.active_sieve_scripts(vec![bob.id, AccountId(999_999)]).await.unwrap();
    assert_eq!((active.len(), active[0].name.as_str(), active[0].account), (1, "b", bob.id));
    assert_eq!(active[0].digest, *blake3::hash(b"discard;").as_bytes());
    // RFC 5804 §2.6: it stays active, with its new content at once.
    put("b", "stop;").await;
    assert_eq!(store.sieve_script(bob.id, "b").await.unwrap().unwrap(), b"stop;");
    let active = store.active_sieve_scripts(vec![bob.id]).await.unwrap();
    assert_eq!(active[0].digest, *blake3::hash(b"stop;").as_bytes());
    // RFC 5804 §2.11: so it does under another name.
    store.rename_sieve_script(bob.id, "b", "c").await.unwrap();
    assert_eq!(listed(store, &bob).await, [("a".into(), false), ("c".into(), true)]);
    let taken = store.rename_sieve_script(bob.id, "c", "a").await;
    assert!(matches!(taken, Err(ScriptError::Exists)));
    let active = store.delete_sieve_script(bob.id, "c").await;
    assert!(matches!(active, Err(ScriptError::Active)));
    let none = store.activate_sieve_script(bob.id, Some("nowhere")).await;
    assert!(matches!(none, Err(ScriptError::NotFound)));
    assert_eq!(listed(store, &bob).await[1], ("c".into(), true), "a refusal changes nothing");
    store.activate_sieve_script(bob.id, None).await.unwrap();
    store.delete_sieve_script(bob.id, "c").await.unwrap();
    let gone = store.delete_sieve_script(bob.id, "c").await;
    assert!(matches!(gone, Err(ScriptError::NotFound)));
    assert_eq!(listed(store, &bob).await, [("a".into(), false)]);
}

async fn scripts_are_bounded(world: World) {
    let (store, bob) = (&world.store, world.account("bob@wax.test").await);
    let put = async |name: String, octets: u64| {
        let content = vec![b'#'; octets as usize];
        store.put_sieve_script(bob.id, &name, content, now()).await
    };
    assert!(matches!(put("x".into(), SCRIPT_OCTETS_MAX + 1).await, Err(ScriptError::TooLarge)));
    for number in 0..SCRIPTS_OCTETS_MAX / SCRIPT_OCTETS_MAX {
        put(format!("large {number}"), SCRIPT_OCTETS_MAX).await.unwrap();
    }
    assert!(matches!(put("x".into(), 1).await, Err(ScriptError::NoSpace)));
    let space = store.sieve_space(bob.id, "x", 1).await;
    assert!(matches!(space, Err(ScriptError::NoSpace)));
    // In the place of another there is room.
    store.sieve_space(bob.id, "large 0", 1).await.unwrap();
    put("large 0".into(), 10).await.unwrap();
    for number in listed(store, &bob).await.len() as u64..SCRIPTS_MAX {
        put(format!("small {number}"), 1).await.unwrap();
    }
    assert!(matches!(put("x".into(), 1).await, Err(ScriptError::TooMany)));
    put("large 0".into(), 11).await.unwrap();
}

async fn names_are_checked(world: World) {
    let (store, bob) = (&world.store, world.account("bob@wax.test").await);
    let long = "x".repeat(513);
    for name in ["", "a\nb", "a\0b", "a\u{2028}b", &long] {
        let put = store.put_sieve_script(bob.id, name, b"keep;".to_vec(), now()).await;
        assert!(matches!(put, Err(ScriptError::BadName)), "{name:?}");
    }
    store.put_sieve_script(bob.id, "für Läden/ü", b"keep;".to_vec(), now()).await.unwrap();
}

async fn scripts_go_with_their_account(world: World) {
    let (store, bob) = (&world.store, world.account("bob@wax.test").await);
    store.put_sieve_script(bob.id, "a", b"keep;".to_vec(), now()).await.unwrap();
    store.remove_account(&bob.address).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM sieve_scripts").await, 0);
    let put = store.put_sieve_script(bob.id, "a", b"keep;".to_vec(), now()).await;
    assert!(matches!(put, Err(ScriptError::NotFound)));
}

async fn letter(store: &Store, beside: Beside, at: Timestamp) -> Acceptance {
    let octets = mail("away", "gone");
    let blob = store.stage_bytes(octets).await.unwrap();
    let recipient = waxwing_message::Recipient::plain(address("x@elsewhere.test"));
    Acceptance {
        journey: journey_id(),
        now: at,
        envelope: Envelope::plain(ReversePath::Null, vec![recipient.address.clone()]),
        message_id: None,
        deposits: Vec::new(),
        queue: vec![NewQueueEntry {
            recipient,
            domain: "elsewhere.test".into(),
            next_attempt_at: at,
            expires_at: at,
        }],
        queue_blob: Some(blob),
        events: Vec::new(),
        beside,
    }
}

async fn an_answer_goes_out_once_in_a_while(world: World) {
    let (store, bob) = (&world.store, world.account("bob@wax.test").await);
    let day = Duration::from_secs(86_400);
    let begin = now();
    let answered = async |at: Timestamp| {
        let once = OnceInAWhile {
            account: bob.id,
            whom: [7; 32],
            again_from: at - day,
            forget_at: at + day,
        };
        let due = store.vacation_due(bob.id, [7; 32], at - day).await.unwrap();
        let acceptance = letter(store, Beside::default(), at).await;
        let caused = vec![Caused { account: bob.id, acceptance, once: Some(once) }];
        let mut message = letter(store, Beside { caused, ..Beside::default() }, at).await;
        message.queue.clear();
        let before = world.count("SELECT COUNT(*) FROM queue").await;
        store.accept(message.clone()).await.unwrap();
        // A repetition after a lost answer changes nothing.
        store.accept(message).await.unwrap();
        let sent = world.count("SELECT COUNT(*) FROM queue").await - before;
        assert_eq!(sent, i64::from(due), "asking and noting agree");
        due
    };
    assert!(answered(begin).await);
    assert!(!answered(begin + Duration::from_secs(3_600)).await);
    assert!(answered(begin + day).await, "a day after, exactly");
    assert!(store.vacation_due(bob.id, [8; 32], begin - day).await.unwrap());
    assert_eq!(store.forget_seen(begin + day).await.unwrap(), 0);
    assert_eq!(store.forget_seen(begin + 2 * day).await.unwrap(), 1);
    world.check_invariants().await;
}

async fn what_was_seen_is_known_again_until_it_expires(world: World) {
    let (store, bob) = (&world.store, world.account("bob@wax.test").await);
    let begin = now();
    let after = |secs| begin + Duration::from_secs(secs);
    let see = async |at: Timestamp, renew: bool| {
        let expires_at = at + Duration::from_secs(100);
        let seen = SeenId { account: bob.id, id: [1; 32], expires_at, renew };
        let beside = Beside { seen_ids: vec![seen], ..Beside::default() };
        store.accept(letter(store, beside, at).await).await.unwrap();
    };
    let knows = async |at| store.was_seen(bob.id, [1; 32], at).await.unwrap();
    assert!(!knows(begin).await);
    see(begin, false).await;
    assert!(knows(after(99)).await && !knows(after(100)).await);
    // RFC 7352 §3: only `:last` begins the time anew.
    see(after(50), false).await;
    assert!(!knows(after(100)).await);
    see(after(50), true).await;
    assert!(knows(after(149)).await && !knows(after(150)).await);
    see(after(200), false).await;
    assert!(knows(after(299)).await);
    assert!(!store.was_seen(AccountId(bob.id.0 + 1), [1; 32], begin).await.unwrap());
    assert_eq!(store.forget_seen(after(300)).await.unwrap(), 1);
}

async fn a_mailbox_is_made_for_a_deposit(world: World) {
    let (store, bob) = (&world.store, world.account("bob@wax.test").await);
    let octets = mail("lists", "hello");
    let blob = store.stage_bytes(octets.clone()).await.unwrap();
    let deposit = |name: &str, create| Deposit {
        account: bob.id,
        mailbox: DepositTo::Name { name: name.into(), create },
        blob: blob.clone(),
        summary: summary(&octets),
        received_at: now(),
        flags: flags(SystemFlags::SEEN, &["work"]),
        recipient: bob.address.clone(),
        despite_quota: false,
        author: None,
    };
    let mut acceptance = letter(store, Beside::default(), now()).await;
    acceptance.queue.clear();
    acceptance.deposits = vec![
        deposit("Lists/Rust", true),
        deposit("Lists/Rust", true),
        deposit("Nowhere", false),
        deposit("Junk", false),
        deposit("a//b", true),
    ];
    store.accept(acceptance).await.unwrap();
    let total = async |name: &str| {
        let mailbox = store.mailbox_by_name(bob.id, name).await.unwrap();
        mailbox.map(|mailbox| (mailbox.total, mailbox.unseen))
    };
    assert_eq!(total("Lists").await, Some((0, 0)));
    assert_eq!(total("Lists/Rust").await, Some((2, 0)));
    assert_eq!(total("Junk").await, Some((1, 0)));
    assert_eq!(total("Nowhere").await, None);
    assert_eq!(total("INBOX").await, Some((2, 0)), "what is nowhere and what cannot be");
    world.check_invariants().await;
}
