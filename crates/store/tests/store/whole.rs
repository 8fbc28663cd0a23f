//! Messages of an account as a whole: added to several mailboxes, moved between them, flagged wherever they
//! are; found by their ties, and by their words.

use std::collections::HashSet;

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    a_message_is_added_to_all_of_its_mailboxes,
    a_rearrangement_is_whole_or_nothing,
    a_move_asks_nothing_of_the_quota,
    marked_as_deleted_is_not_there,
    ties_grow_with_their_mailbox,
    words_are_found_wherever_a_message_is,
);

async fn mailbox(world: &World, account: &Account, name: &str) -> MailboxId {
    match world.store.mailbox_by_name(account.id, name).await.unwrap() {
        Some(found) => found.id,
        None => world.store.create_mailbox(account.id, name, None).await.unwrap().id,
    }
}

/// Mailboxes and flags of a message.
async fn places(world: &World, account: &Account, message: MessageId) -> Vec<(MailboxId, Flags)> {
    let all: Vec<MailboxId> =
        world.store.mailboxes(account.id).await.unwrap().iter().map(|m| m.id).collect();
    let located = world.store.locate(account.id, &[message], &all, false).await.unwrap();
    let places = located.messages.into_iter().flat_map(|one| one.places);
    places.map(|place| (place.mailbox, place.entry.flags)).collect()
}

async fn a_message_is_added_to_all_of_its_mailboxes(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let [a, b] = [mailbox(&world, &bob, "A").await, mailbox(&world, &bob, "B").await];
    let given = flags(SystemFlags::DRAFT, &["work"]);
    let new = async || new_message(&world.store, &mail("x", "y"), given.clone()).await;
    let message = world.store.add_message(bob.id, &[a, b], new().await).await.unwrap();
    assert_eq!(places(&world, &bob, message).await, [(a, given.clone()), (b, given.clone())]);
    let theirs = mailbox(&world, &eve, "A").await;
    for no in [&[][..], &[a, theirs], &[theirs], &[MailboxId(99_999)]] {
        let added = world.store.add_message(bob.id, no, new().await).await;
        assert!(matches!(added, Err(AppendError::NoMailbox)), "{no:?}");
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM messages").await, 1);
    world.check_invariants().await;
}

async fn a_rearrangement_is_whole_or_nothing(world: World) {
    let bob = world.account("bob@wing.test").await;
    let [a, b, c] = [
        mailbox(&world, &bob, "A").await,
        mailbox(&world, &bob, "B").await,
        mailbox(&world, &bob, "C").await,
    ];
    let new = new_message(&world.store, &mail("x", "y"), flags(SystemFlags::SEEN, &["old"])).await;
    let message = world.store.add_message(bob.id, &[a, b], new).await.unwrap();
    let all = vec![a, b, c];
    let rearrange = async |asked: Rearrangement| {
        let asked = Rearrangement { within: all.clone(), ..asked };
        world.store.rearrange(bob.id, message, asked).await
    };
    // Flags wherever it is, and then into another mailbox with them.
    let asked = Rearrangement {
        add: flags(SystemFlags::FLAGGED, &["new"]),
        remove: flags(SystemFlags::SEEN, &["old"]),
        into: vec![c, a],
        out_of: vec![b],
        ..Rearrangement::default()
    };
    rearrange(asked).await.unwrap();
    let now = flags(SystemFlags::FLAGGED, &["new"]);
    assert_eq!(places(&world, &bob, message).await, [(a, now.clone()), (c, now.clone())]);
    let set =
        Rearrangement { set: Some(flags(SystemFlags::ANSWERED, &[])), ..Rearrangement::default() };
    rearrange(set).await.unwrap();
    let answered = flags(SystemFlags::ANSWERED, &[]);
    let before = [(a, answered.clone()), (c, answered.clone())];
    assert_eq!(places(&world, &bob, message).await, before);

    let nowhere = Rearrangement {
        add: flags(SystemFlags::SEEN, &[]),
        out_of: vec![a, c],
        ..Rearrangement::default()
    };
    assert!(matches!(rearrange(nowhere.clone()).await, Err(RearrangeError::Nowhere)));
    let missing = Rearrangement {
        add: flags(SystemFlags::SEEN, &[]),
        into: vec![MailboxId(99_999)],
        ..Rearrangement::default()
    };
    let missing = rearrange(missing).await;
    assert!(matches!(missing, Err(RearrangeError::Append(AppendError::NoMailbox))));
    assert_eq!(places(&world, &bob, message).await, before);
    // Whoever may not see where it is finds nothing.
    let elsewhere = Rearrangement { within: vec![b], into: vec![b], ..Rearrangement::default() };
    let elsewhere = world.store.rearrange(bob.id, message, elsewhere).await;
    assert!(matches!(elsewhere, Err(RearrangeError::NotFound)));
    world.check_invariants().await;

    rearrange(Rearrangement { may_vanish: true, ..nowhere }).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM messages").await, 0);
    assert!(matches!(rearrange(Rearrangement::default()).await, Err(RearrangeError::NotFound)));
    world.check_invariants().await;
}

async fn a_move_asks_nothing_of_the_quota(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, trash) =
        (mailbox(&world, &bob, "INBOX").await, mailbox(&world, &bob, "Trash").await);
    let new = new_message(&world.store, &mail("x", "y"), Flags::default()).await;
    let size = new.blob.size_octets;
    let message = world.store.add_message(bob.id, &[inbox], new).await.unwrap();
    world.store.set_quota(&bob.address, Some(size)).await.unwrap();
    let within = vec![inbox, trash];
    let copy = Rearrangement { into: vec![trash], within, ..Rearrangement::default() };
    let over = world.store.rearrange(bob.id, message, copy.clone()).await;
    assert!(matches!(over, Err(RearrangeError::Append(AppendError::OverQuota))));
    let moved = Rearrangement { out_of: vec![inbox], ..copy };
    world.store.rearrange(bob.id, message, moved).await.unwrap();
    assert_eq!(places(&world, &bob, message).await, [(trash, Flags::default())]);
    world.check_invariants().await;
}

async fn marked_as_deleted_is_not_there(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = mailbox(&world, &bob, "INBOX").await;
    let new = new_message(&world.store, &mail("x", "y"), Flags::default()).await;
    let message = world.store.add_message(bob.id, &[inbox], new).await.unwrap();
    let deleted = FlagChange::Add(flags(SystemFlags::DELETED, &[]));
    world.store.store_flags(inbox, &[Uid(1)], deleted, None).await.unwrap();
    let within = vec![inbox];
    let asked =
        Rearrangement { add: flags(SystemFlags::SEEN, &[]), within, ..Rearrangement::default() };
    let nothing = world.store.rearrange(bob.id, message, asked).await;
    assert!(matches!(nothing, Err(RearrangeError::NotFound)));
    assert_eq!(places(&world, &bob, message).await, [(inbox, flags(SystemFlags::DELETED, &[]))]);
}

async fn ties_grow_with_their_mailbox(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = mailbox(&world, &bob, "INBOX").await;
    let ties = async || {
        let roll = world.store.roll(inbox).await.unwrap().unwrap();
        let ties = world.store.ties(bob.id, inbox, &roll).await.unwrap();
        let list: Vec<(u32, i64, i64)> =
            ties.iter().map(|tie| (tie.uid.0, tie.message.0, tie.thread.0)).collect();
        (list, ties.may_repeat())
    };
    assert_eq!(ties().await, (vec![], false));
    let mut messages = Vec::new();
    for subject in ["a", "b"] {
        let new = new_message(&world.store, &mail(subject, "x"), Flags::default()).await;
        messages.push(world.store.add_message(bob.id, &[inbox], new).await.unwrap().0);
    }
    let reply = b"Subject: Re: a\r\nIn-Reply-To: <a@wax.test>\r\n\r\n";
    let new = new_message(&world.store, reply, Flags::default()).await;
    let (first, second) = (messages[0], messages[1]);
    let expected = vec![(1, first, first), (2, second, second)];
    assert_eq!(ties().await, (expected.clone(), false));
    let reply = world.store.add_message(bob.id, &[inbox], new).await.unwrap().0;
    let expected = [expected, vec![(3, reply, first)]].concat();
    assert_eq!(ties().await, (expected.clone(), false));
    world.store.copy(inbox, &[Uid(2)], inbox).await.unwrap();
    let expected = [expected, vec![(4, second, second)]].concat();
    assert_eq!(ties().await, (expected, true));
    world.store.expunge(inbox, &[Uid(4)]).await.unwrap();
    // What has vanished may stay.
    assert_eq!(ties().await.0.len(), 4);
}

async fn words_are_found_wherever_a_message_is(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let [a, b] = [mailbox(&world, &bob, "A").await, mailbox(&world, &bob, "B").await];
    let theirs = mailbox(&world, &eve, "A").await;
    let add = async |account: &Account, mailbox, subject: &str, body: &str| {
        let new = new_message(&world.store, &mail(subject, body), Flags::default()).await;
        world.store.add_message(account.id, &[mailbox], new).await.unwrap()
    };
    let one = add(&bob, a, "one", "the brilliant plan").await;
    let two = add(&bob, b, "plan", "a plan that is brilliant").await;
    let three = add(&eve, theirs, "three", "the brilliant plan").await;
    let all = HashSet::from([one, two, three]);
    for indexed in [false, true] {
        if indexed {
            world.store.index_some(100).await.unwrap();
        }
        let find = async |text: &str, headers_too, among: &HashSet<MessageId>| {
            world.store.search_messages(bob.id, among, text, headers_too).await.unwrap()
        };
        assert_eq!(find("plan", true, &all).await, Some(HashSet::from([one, two])));
        assert_eq!(find("brilliant plan", false, &all).await, Some(HashSet::from([one])));
        assert_eq!(find("one", false, &all).await, Some(HashSet::new()));
        assert_eq!(find("plan", true, &HashSet::from([two])).await, Some(HashSet::from([two])));
        assert_eq!(find("--", true, &all).await, None);
    }
}
