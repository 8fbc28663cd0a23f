//! Acceptance: all or nothing, once, and what it leaves behind.

use std::sync::Arc;

use waxwing_message::journey::Step;
use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    a_deposit_is_in_the_inbox_with_its_journey,
    accepting_twice_does_nothing_the_second_time,
    a_repetition_is_never_refused,
    many_recipients_share_one_blob,
    a_full_mailbox_refuses_the_whole,
    a_report_of_ours_fits_into_a_full_mailbox,
    a_message_id_of_any_length_is_found,
    a_removed_account_refuses_the_whole,
    deposits_find_their_mailbox,
    watchers_wake_after_the_commit,
    concurrent_acceptances_all_arrive_once,
);

async fn a_deposit_is_in_the_inbox_with_its_journey(world: World) {
    let bob = world.account("Bob@wing.test").await;
    let octets = mail("hello", "how are you");
    let acceptance =
        Acceptance { deposits: vec![deposit(&world.store, &bob, &octets).await], ..acceptance() };
    let (journey, started_at) = (acceptance.journey, acceptance.now);
    let received_at = acceptance.deposits[0].received_at;
    world.store.accept(acceptance).await.unwrap();

    let inbox = world.inbox(&bob).await;
    assert_eq!((inbox.total, inbox.unseen, inbox.deleted), (1, 1, 0));
    assert_eq!(inbox.octets, octets.len() as u64);
    let (entries, modseq) = world.store.entries(inbox.id).await.unwrap();
    assert_eq!(modseq, inbox.highest_modseq);
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.uid, entry.size_octets), (Uid(1), octets.len() as u64));
    assert_eq!((entry.received_at, entry.modseq), (received_at, modseq));
    assert_eq!(entry.flags, Flags::default());
    let content = world.store.content(inbox.id, Uid(1)).await.unwrap().unwrap();
    assert_eq!(content.read_all().await.unwrap(), octets);
    let summaries = world.store.summaries(inbox.id, &[Uid(1), Uid(7)]).await.unwrap();
    assert_eq!(summaries, [(Uid(1), summary(&octets))]);
    assert_eq!(world.store.journey_of(inbox.id, Uid(1)).await.unwrap(), Some(journey));

    let kept = world.store.journey(journey).await.unwrap().unwrap();
    assert_eq!((kept.id, kept.started_at, kept.pending), (journey, started_at, 0));
    assert_eq!(kept.events.len(), 2);
    let Step::Deposited { recipient, account, mailbox } = &kept.events[1].step else {
        panic!("{:?}", kept.events[1])
    };
    assert_eq!((recipient, account, mailbox.as_str()), (&bob.address, &bob.address, "INBOX"));
    let found = world.store.journeys_by_message_id("x@wax.test").await.unwrap();
    assert_eq!(found.iter().map(|j| j.id).collect::<Vec<_>>(), [journey]);
    let bob = world.store.account(bob.id).await.unwrap().unwrap();
    assert_eq!((bob.message_count, bob.used_octets), (1, octets.len() as u64));
    world.check_invariants().await;
}

async fn accepting_twice_does_nothing_the_second_time(world: World) {
    let bob = world.account("bob@wing.test").await;
    let octets = mail("twice", "x");
    let journey = journey_id();
    for _ in 0..2 {
        let deposits = vec![deposit(&world.store, &bob, &octets).await];
        let acceptance = Acceptance { journey, deposits, ..acceptance() };
        world.store.accept(acceptance).await.unwrap();
    }
    assert_eq!(world.inbox(&bob).await.total, 1);
    assert_eq!(world.store.journey(journey).await.unwrap().unwrap().events.len(), 2);
    world.check_invariants().await;
}

async fn a_repetition_is_never_refused(world: World) {
    let bob = world.account("bob@wing.test").await;
    let octets = mail("full", "x");
    world.execute(&format!("UPDATE accounts SET quota_octets = {}", octets.len())).await;
    let journey = journey_id();
    for _ in 0..2 {
        let deposits = vec![deposit(&world.store, &bob, &octets).await];
        world.store.accept(Acceptance { journey, deposits, ..acceptance() }).await.unwrap();
    }
    let deposits = vec![deposit(&world.store, &bob, &octets).await];
    let another = world.store.accept(Acceptance { deposits, ..acceptance() }).await;
    assert!(matches!(another, Err(AcceptError::OverQuota(_))));
    assert_eq!(world.inbox(&bob).await.total, 1);
    world.check_invariants().await;
}

async fn many_recipients_share_one_blob(world: World) {
    let mut accounts = Vec::new();
    for number in 0..5 {
        accounts.push(world.account(&format!("user{number}@wing.test")).await);
    }
    let octets = mail("all", "the same for all");
    let mut deposits = Vec::new();
    for account in accounts.iter().rev() {
        deposits.push(deposit(&world.store, account, &octets).await);
    }
    let acceptance = Acceptance { deposits, ..acceptance() };
    let journey = acceptance.journey;
    world.store.accept(acceptance).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM blobs").await, 1);
    assert_eq!(world.count("SELECT refs FROM blobs").await, 5);
    // The steps stand in the order of the recipients, whatever the order of the work.
    let kept = world.store.journey(journey).await.unwrap().unwrap();
    let deposited = kept.events.iter().filter_map(|event| match &event.step {
        Step::Deposited { account, .. } => Some(account.to_string()),
        _ => None,
    });
    let expected: Vec<String> = accounts.iter().rev().map(|a| a.address.to_string()).collect();
    assert_eq!(deposited.collect::<Vec<_>>(), expected);
    world.check_invariants().await;
}

async fn a_full_mailbox_refuses_the_whole(world: World) {
    let bob = world.account("bob@wing.test").await;
    let carol = world.account("carol@wing.test").await;
    let octets = mail("big", &"x".repeat(500));
    let fits = octets.len() as u64;
    world.store.set_quota(&carol.address, Some(fits)).await.unwrap();
    let both = async || Acceptance {
        deposits: vec![
            deposit(&world.store, &bob, &octets).await,
            deposit(&world.store, &carol, &octets).await,
        ],
        ..acceptance()
    };
    world.store.accept(both().await).await.unwrap();
    match world.store.accept(both().await).await {
        Err(AcceptError::OverQuota(address)) => assert_eq!(address, carol.address),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.inbox(&bob).await.total, 1);
    assert_eq!(world.inbox(&carol).await.total, 1);
    assert_eq!(world.store.recent_journeys(10).await.unwrap().len(), 1);
    world.check_invariants().await;
}

async fn a_removed_account_refuses_the_whole(world: World) {
    let bob = world.account("bob@wing.test").await;
    let deposits = vec![deposit(&world.store, &bob, &mail("late", "x")).await];
    world.store.remove_account(&bob.address).await.unwrap();
    let refused = world.store.accept(Acceptance { deposits, ..acceptance() }).await;
    assert!(matches!(refused, Err(AcceptError::Gone(address)) if address == bob.address));
    assert_eq!(world.count("SELECT COUNT(*) FROM journeys").await, 0);
    world.check_invariants().await;
}

async fn deposits_find_their_mailbox(world: World) {
    let bob = world.account("bob@wing.test").await;
    let lists = world.store.create_mailbox(bob.id, "Lists", None).await.unwrap();
    let carol = world.account("carol@wing.test").await;
    let hers = world.inbox(&carol).await;
    for (to, expected) in [
        (DepositTo::Role(Role::Junk), "Junk"),
        (DepositTo::Role(Role::Important), "INBOX"),
        (DepositTo::NameOrInbox("lISTs".into()), "Lists"),
        (DepositTo::NameOrInbox("nowhere".into()), "INBOX"),
        // Strangers do not file into what has a role.
        (DepositTo::NameOrInbox("Sent".into()), "INBOX"),
        (DepositTo::NameOrInbox("drafts".into()), "INBOX"),
        (DepositTo::NameOrInbox("not//possible".into()), "INBOX"),
        (DepositTo::Mailbox(lists.id), "Lists"),
        // Someone else's: never.
        (DepositTo::Mailbox(hers.id), "INBOX"),
    ] {
        let before = world.store.mailbox_by_name(bob.id, expected).await.unwrap().unwrap();
        let new = deposit(&world.store, &bob, &mail("to", expected)).await;
        let seen = flags(SystemFlags::SEEN, &["$Forwarded"]);
        let deposits = vec![Deposit { mailbox: to, flags: seen.clone(), ..new }];
        world.store.accept(Acceptance { deposits, ..acceptance() }).await.unwrap();
        let after = world.store.mailbox(before.id).await.unwrap().unwrap();
        assert_eq!((after.total, after.unseen), (before.total + 1, 0), "{expected}");
        let entry = world.store.entries(after.id).await.unwrap().0.pop().unwrap();
        assert_eq!(entry.flags, seen);
        assert_eq!(world.store.mailbox_keywords(after.id).await.unwrap(), ["$Forwarded"]);
    }
    assert_eq!(world.inbox(&carol).await.total, 0);
    world.check_invariants().await;
}

async fn watchers_wake_after_the_commit(world: World) {
    let bob = world.account("bob@wing.test").await;
    let mut watch = world.store.watch(bob.id);
    let mut queue = world.store.watch_queue();
    let store = world.store.clone();
    let inbox = world.inbox(&bob).await;
    let woken = tokio::spawn(async move {
        watch.changed().await;
        store.mailbox(inbox.id).await.unwrap().unwrap().total
    });
    let deposits = vec![deposit(&world.store, &bob, &mail("wake", "up")).await];
    world.store.accept(Acceptance { deposits, ..acceptance() }).await.unwrap();
    assert_eq!(woken.await.unwrap(), 1);
    use futures_util::FutureExt as _;
    assert!(queue.changed().now_or_never().is_none());
}

async fn concurrent_acceptances_all_arrive_once(world: World) {
    let world = Arc::new(world);
    let mut accounts = Vec::new();
    for number in 0..4 {
        accounts.push(world.account(&format!("user{number}@wing.test")).await);
    }
    world.store.set_quota(&accounts[3].address, Some(2_000)).await.unwrap();
    let accounts = Arc::new(accounts);
    let tasks = (0..16).map(|task: usize| {
        let (world, accounts) = (world.clone(), accounts.clone());
        tokio::spawn(async move {
            let mut accepted = 0;
            for round in 0..20 {
                let to = [&accounts[task % 4], &accounts[(task + round) % 3]];
                let mut deposits = Vec::new();
                for account in to {
                    let octets = mail(&format!("{task}-{round}"), "flood");
                    deposits.push(deposit(&world.store, account, &octets).await);
                }
                match world.store.accept(Acceptance { deposits, ..acceptance() }).await {
                    Ok(()) => accepted += 2,
                    Err(AcceptError::OverQuota(full)) => assert_eq!(full, accounts[3].address),
                    Err(error) => panic!("{error}"),
                }
            }
            accepted
        })
    });
    let mut accepted = 0;
    for task in tasks.collect::<Vec<_>>() {
        accepted += task.await.unwrap();
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM entries").await, accepted);
    assert!(accepted >= 16 * 20 * 2 * 3 / 4);
    world.check_invariants().await;
}

async fn a_report_of_ours_fits_into_a_full_mailbox(world: World) {
    let bob = world.account("bob@wing.test").await;
    world.store.set_quota(&bob.address, Some(1)).await.unwrap();
    let octets = mail("report", "x");
    let report = Deposit { despite_quota: true, ..deposit(&world.store, &bob, &octets).await };
    world.store.accept(Acceptance { deposits: vec![report], ..acceptance() }).await.unwrap();
    assert_eq!(world.inbox(&bob).await.total, 1);
    let usual = deposit(&world.store, &bob, &octets).await;
    let refused = world.store.accept(Acceptance { deposits: vec![usual], ..acceptance() }).await;
    assert!(matches!(refused, Err(AcceptError::OverQuota(_))));
}

async fn a_message_id_of_any_length_is_found(world: World) {
    // Nothing that an index could compress.
    let mut state = 1_u64;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + u8::try_from(state >> 33 & 63).unwrap())
    });
    let id: String = letters.take(20_000).collect();
    let acceptance = Acceptance { message_id: Some(id.clone()), ..acceptance() };
    let journey = acceptance.journey;
    world.store.accept(acceptance).await.unwrap();
    let found = world.store.journeys_by_message_id(&id).await.unwrap();
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [journey]);
    assert_eq!(found[0].message_id.as_deref(), Some(&id[..998]));
}
