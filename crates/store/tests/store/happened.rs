//! Accounts as a whole: where messages are, what happened, threads, counts, uploads.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    what_happened_is_told_by_message,
    what_may_not_be_read_did_not_happen,
    deleted_messages_are_gone_and_come_back,
    what_was_forgotten_is_not_made_up,
    mailboxes_come_change_and_go,
    replies_join_their_thread_and_stay,
    old_mail_gets_its_threads,
    messages_have_threads_before_they_are_indexed,
    keys_of_threads_that_are_gone_lead_nowhere,
    counts_follow_what_happens,
    mailboxes_are_changed_whole_or_not_at_all,
    uploads_are_their_uploaders_and_go,
    submissions_wait_and_are_taken_once,
    who_is_away_says_so_for_a_while,
);

/// A message with an id of its own, in reply to others.
fn reply(id: &str, subject: &str, to: &str) -> Vec<u8> {
    format!("Message-ID: <{id}@x>\r\nReferences: {to}\r\nSubject: {subject}\r\n\r\nx\r\n")
        .into_bytes()
}

async fn message_of(store: &Store, mailbox: MailboxId, uid: Uid) -> MessageId {
    store.entries_of(mailbox, &[uid]).await.unwrap()[0].message
}

async fn add(store: &Store, mailbox: MailboxId, octets: &[u8]) -> (Uid, MessageId) {
    let uid = append(store, mailbox, octets).await;
    (uid, message_of(store, mailbox, uid).await)
}

async fn by_name(world: &World, account: &Account, name: &str) -> MailboxId {
    world.store.mailbox_by_name(account.id, name).await.unwrap().unwrap().id
}

async fn modseq(world: &World, account: &Account) -> ModSeq {
    world.store.visible_account(account.id, account.id).await.unwrap().unwrap().modseq
}

async fn since(
    world: &World,
    account: &Account,
    modseq: ModSeq,
    within: &[MailboxId],
) -> Vec<(MessageId, Happened)> {
    let changes = world.store.account_changes(account.id, account.id, modseq, within).await;
    let changes = changes.unwrap().expect("it is known");
    changes.messages.iter().map(|change| (change.message, change.happened)).collect()
}

async fn what_happened_is_told_by_message(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, trash) = (world.inbox(&bob).await.id, by_name(&world, &bob, "Trash").await);
    let (all, store) = ([inbox, trash], &world.store);
    let (one, first) = add(store, inbox, &mail("1", "x")).await;
    let (two, second) = add(store, inbox, &mail("2", "x")).await;
    let start = modseq(&world, &bob).await;
    assert_eq!(since(&world, &bob, start, &all).await, []);

    let (_, third) = add(store, inbox, &mail("3", "x")).await;
    let seen = FlagChange::Add(flags(SystemFlags::SEEN, &[]));
    store.store_flags(inbox, &[two], seen, None).await.unwrap();
    store.expunge(inbox, &[one]).await.unwrap();
    let told = [(first, Happened::Left), (second, Happened::Changed), (third, Happened::Came)];
    assert_eq!(since(&world, &bob, start, &all).await, told);

    // A move, and a copy of which one goes: changes, as long as there is a place left.
    let later = modseq(&world, &bob).await;
    store.move_entries(inbox, &[two], trash).await.unwrap();
    assert_eq!(since(&world, &bob, later, &all).await, [(second, Happened::Changed)]);
    let copied = store.copy(trash, &[Uid(1)], inbox).await.unwrap();
    let later = modseq(&world, &bob).await;
    store.expunge(inbox, &[copied.uids[0].1]).await.unwrap();
    assert_eq!(since(&world, &bob, later, &all).await, [(second, Happened::Changed)]);
    store.expunge(trash, &[Uid(1)]).await.unwrap();
    assert_eq!(since(&world, &bob, later, &all).await, [(second, Happened::Left)]);
    // What came and went in between is told as gone, or not at all.
    assert_eq!(since(&world, &bob, start, &all).await.len(), 3);

    let located = store.locate(bob.id, &[third, second], &all, true).await.unwrap();
    assert_eq!(located.modseq, modseq(&world, &bob).await);
    let [found] = located.messages.as_slice() else { panic!("one is there") };
    assert_eq!((found.message, found.places.len()), (third, 1));
    assert_eq!((found.places[0].mailbox, found.places[0].entry.uid), (inbox, Uid(3)));
    assert_eq!(found.summary.as_ref().unwrap().read().unwrap(), summary(&mail("3", "x")));
    let unknown = store.account_changes(bob.id, bob.id, ModSeq(1 << 40), &all).await.unwrap();
    assert!(unknown.is_none(), "from the future");
    world.check_invariants().await;
}

async fn what_may_not_be_read_did_not_happen(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let (inbox, trash) = (world.inbox(&bob).await.id, by_name(&world, &bob, "Trash").await);
    let store = &world.store;
    let (one, first) = add(store, inbox, &mail("1", "x")).await;
    let start = modseq(&world, &bob).await;
    let (two, _) = add(store, trash, &mail("2", "x")).await;
    store.expunge(trash, &[two]).await.unwrap();
    let told = async |within: &[MailboxId]| {
        let changes = store.account_changes(eve.id, bob.id, start, within).await.unwrap();
        let changes = changes.unwrap().messages;
        changes.iter().map(|change| (change.message, change.happened)).collect::<Vec<_>>()
    };
    assert_eq!(told(&[inbox]).await, []);
    // From where one may read to where one may not: gone.
    store.move_entries(inbox, &[one], trash).await.unwrap();
    assert_eq!(told(&[inbox]).await, [(first, Happened::Left)]);
    assert!(store.locate(bob.id, &[first], &[inbox], false).await.unwrap().messages.is_empty());
    // Nor by way of another's account.
    assert!(
        store.locate(eve.id, &[first], &[inbox, trash], false).await.unwrap().messages.is_empty()
    );
    assert!(store.content_of(eve.id, first).await.unwrap().is_none());

    let none = store.visible_account(eve.id, bob.id).await.unwrap().unwrap();
    assert!(none.mailboxes.is_empty());
    let rights = GrantChange::Set("lr".parse().unwrap());
    store.change_grant(inbox, Grantee::Account(eve.id), false, rights).await.unwrap();
    let some = store.visible_account(eve.id, bob.id).await.unwrap().unwrap();
    assert_eq!(some.mailboxes.len(), 1);
    assert_eq!(some.shared_modseq, modseq(&world, &bob).await);
    // What happens elsewhere leaves what another sees as it is.
    add(store, trash, &mail("3", "x")).await;
    assert_eq!(store.visible_account(eve.id, bob.id).await.unwrap().unwrap().modseq, some.modseq);
    add(store, inbox, &mail("4", "x")).await;
    let after = store.visible_account(eve.id, bob.id).await.unwrap().unwrap();
    assert_eq!(after.modseq, modseq(&world, &bob).await);
    assert!(store.visible_account(eve.id, AccountId(99_999)).await.unwrap().is_none());
}

async fn deleted_messages_are_gone_and_come_back(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let (uid, message) = add(store, inbox, &mail("1", "x")).await;
    let start = modseq(&world, &bob).await;
    let deleted = flags(SystemFlags::DELETED, &[]);
    store.store_flags(inbox, &[uid], FlagChange::Add(deleted.clone()), None).await.unwrap();
    assert_eq!(since(&world, &bob, start, &[inbox]).await, [(message, Happened::Left)]);
    let gone = modseq(&world, &bob).await;
    store.store_flags(inbox, &[uid], FlagChange::Remove(deleted), None).await.unwrap();
    assert_eq!(since(&world, &bob, gone, &[inbox]).await, [(message, Happened::Came)]);
}

async fn what_was_forgotten_is_not_made_up(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let mut states = vec![modseq(&world, &bob).await];
    for subject in ["1", "2", "3"] {
        let (uid, _) = add(store, inbox, &mail(subject, "x")).await;
        store.expunge(inbox, &[uid]).await.unwrap();
        states.push(modseq(&world, &bob).await);
    }
    store.forget_departures_beyond(2).await.unwrap();
    let known = async |at: ModSeq| {
        store.account_changes(bob.id, bob.id, at, &[inbox]).await.unwrap().is_some()
    };
    assert!(!known(states[0]).await && known(states[1]).await && known(states[3]).await);
    assert_eq!(world.count("SELECT COUNT(*) FROM departures").await, 2);
}

async fn mailboxes_come_change_and_go(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let store = &world.store;
    let start = modseq(&world, &bob).await;
    let made = store.create_mailbox(bob.id, "a/b", None).await.unwrap();
    assert!(made.created_modseq > start && made.changed_modseq == made.created_modseq);
    let uid = append(store, made.id, &mail("1", "x")).await;
    let message = message_of(store, made.id, uid).await;
    let changed = async |id: MailboxId| store.mailbox(id).await.unwrap().unwrap().changed_modseq;
    // Mail changes what is in it, not the mailbox.
    assert_eq!(changed(made.id).await, made.changed_modseq);
    let before = modseq(&world, &bob).await;
    store.rename_mailbox(bob.id, "a", "c").await.unwrap();
    // The child is what it was: below the same one, by the same name.
    assert_eq!(changed(made.id).await, made.changed_modseq);
    assert!(changed(by_name(&world, &bob, "c").await).await > before);
    // Nobody is above it any more, then somebody is again.
    store.delete_mailbox(bob.id, "c").await.unwrap();
    let orphan = changed(made.id).await;
    assert!(orphan > made.changed_modseq);
    store.create_mailbox(bob.id, "c", None).await.unwrap();
    assert!(changed(made.id).await > orphan);
    let before = modseq(&world, &bob).await;
    store.set_subscribed(bob.id, "c/b", true).await.unwrap();
    assert!(changed(made.id).await > before);

    let before = modseq(&world, &bob).await;
    store.delete_mailbox(bob.id, "c/b").await.unwrap();
    let all: Vec<_> = store.mailboxes(bob.id).await.unwrap().iter().map(|m| m.id).collect();
    let told = store.account_changes(bob.id, bob.id, before, &all).await.unwrap().unwrap();
    assert_eq!(told.lost_mailboxes.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [made.id]);
    let [change] = told.messages.as_slice() else { panic!("one message is gone") };
    assert_eq!((change.message, change.happened), (message, Happened::Left));
    // Another knew nothing of it.
    let told = store.account_changes(eve.id, bob.id, before, &all).await.unwrap().unwrap();
    assert!(told.lost_mailboxes.is_empty() && told.messages.is_empty());
    world.check_invariants().await;
}

async fn thread(store: &Store, account: &Account, message: MessageId) -> ThreadId {
    store.threads_of(account.id, &[message]).await.unwrap()[&message]
}

async fn replies_join_their_thread_and_stay(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let (_, first) = add(store, inbox, &reply("1", "lunch", "")).await;
    let (_, second) = add(store, inbox, &reply("2", "Re: lunch", "<1@x>")).await;
    let (_, other) = add(store, inbox, &reply("3", "dinner", "<1@x>")).await;
    let (_, lone) = add(store, inbox, &reply("4", "lunch", "")).await;
    let all = store.threads_of(bob.id, &[first, second, other, lone]).await.unwrap();
    assert_eq!(all[&first], ThreadId(first.0));
    assert_eq!(all[&second], all[&first]);
    assert_eq!((all[&other], all[&lone]), (ThreadId(other.0), ThreadId(lone.0)));
    // One that answers both joins the older thread; the younger stays what it was.
    let (_, bridge) = add(store, inbox, &reply("5", "Re: lunch", "<4@x> <1@x>")).await;
    assert_eq!(thread(store, &bob, bridge).await, all[&first]);
    assert_eq!(thread(store, &bob, lone).await, all[&lone]);
    let (members, _) = store.thread_members(bob.id, &[all[&first]], &[inbox]).await.unwrap();
    let members: Vec<_> = members.iter().map(|member| member.message).collect();
    assert_eq!(members, [first, second, bridge]);
    let none = store.thread_members(eve.id, &[all[&first]], &[inbox]).await.unwrap().0;
    assert!(none.is_empty(), "another's threads are not there");
    // The same conversation in another's account is another thread.
    let (_, hers) = add(store, world.inbox(&eve).await.id, &reply("2", "Re: lunch", "<1@x>")).await;
    assert_eq!(thread(store, &eve, hers).await, ThreadId(hers.0));
    let boxes = store.mailboxes_of_threads(bob.id, &[all[&first]]).await.unwrap();
    assert_eq!(boxes.into_iter().collect::<Vec<_>>(), [inbox]);
}

async fn old_mail_gets_its_threads(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let mut messages = Vec::new();
    for number in 0..300 {
        let to = if number % 3 == 0 { String::new() } else { format!("<{}@x>", number / 3 * 3) };
        messages.push(add(store, inbox, &reply(&number.to_string(), "old", &to)).await.1);
    }
    while store.index_some(64).await.unwrap() > 0 {}
    // As a database is that is older than threads.
    world
        .execute(
            "DELETE FROM threaded; DELETE FROM thread_keys; UPDATE accounts SET threaded_upto = 0",
        )
        .await;
    messages.push(add(store, inbox, &reply("new", "Re: old", "<298@x>")).await.1);
    // Indexed before its thread is known: it is gone through with the others.
    while store.index_some(64).await.unwrap() > 0 {}
    let threads = store.threads_of(bob.id, &messages).await.unwrap();
    for (number, message) in messages[..300].iter().enumerate() {
        assert_eq!(threads[message], ThreadId(messages[number / 3 * 3].0), "{number}");
    }
    assert_eq!(threads[&messages[300]], ThreadId(messages[297].0));
    let done = "SELECT COUNT(*) FROM accounts WHERE threaded_upto IS NULL";
    assert_eq!(world.count(done).await, 1);
    assert_eq!(world.count("SELECT COUNT(*) FROM threaded").await, 301);
}

async fn messages_have_threads_before_they_are_indexed(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    for subject in ["1", "2"] {
        append(&world.store, inbox, &mail(subject, "x")).await;
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM threaded").await, 0);
    world.store.index_some(64).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM threaded").await, 2);
}

async fn keys_of_threads_that_are_gone_lead_nowhere(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let (uid, first) = add(store, inbox, &reply("1", "lunch", "")).await;
    thread(store, &bob, first).await;
    store.expunge(inbox, &[uid]).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM threaded").await, 0);
    let (_, second) = add(store, inbox, &reply("2", "Re: lunch", "<1@x>")).await;
    assert_eq!(thread(store, &bob, second).await, ThreadId(second.0), "no id is given twice");
    let (_, third) = add(store, inbox, &reply("3", "Re: lunch", "<1@x>")).await;
    assert_eq!(thread(store, &bob, third).await, ThreadId(second.0));
}

async fn counts_follow_what_happens(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, trash) = (world.inbox(&bob).await.id, by_name(&world, &bob, "Trash").await);
    let store = &world.store;
    add(store, inbox, &reply("1", "lunch", "")).await;
    let (two, _) = add(store, inbox, &reply("2", "Re: lunch", "<1@x>")).await;
    let count = async || {
        let (census, _) = store.census(bob.id, &[inbox, trash], Some(trash)).await.unwrap();
        [inbox, trash].map(|mailbox| {
            let tally = census.get(&mailbox).copied().unwrap_or_default();
            [tally.messages, tally.unread_messages, tally.threads, tally.unread_threads]
        })
    };
    assert_eq!(count().await, [[2, 2, 1, 1], [0; 4]]);
    let seen = FlagChange::Add(flags(SystemFlags::SEEN, &[]));
    store.store_flags(inbox, &[Uid(1)], seen, None).await.unwrap();
    store.move_entries(inbox, &[two], trash).await.unwrap();
    assert_eq!(count().await, [[1, 0, 1, 0], [1, 1, 1, 1]]);
    let deleted = FlagChange::Add(flags(SystemFlags::DELETED, &[]));
    store.store_flags(trash, &[Uid(1)], deleted, None).await.unwrap();
    assert_eq!(count().await, [[1, 0, 1, 0], [0; 4]]);
}

async fn mailboxes_are_changed_whole_or_not_at_all(world: World) {
    let bob = world.account("bob@wing.test").await;
    let store = &world.store;
    let made = store.create_mailbox(bob.id, "a/b", None).await.unwrap().id;
    let read = async |id| store.mailbox(id).await.unwrap().unwrap();
    let change = MailboxChange {
        name: Some("c".to_owned()),
        role: Some(Some(Role::Important)),
        sort_order: Some(7),
        subscribed: Some(true),
    };
    store.change_mailbox(made, change.clone()).await.unwrap();
    let now = read(made).await;
    assert_eq!(
        (now.name.as_str(), now.role, now.sort_order, now.subscribed),
        ("c", change.role.unwrap(), 7, true)
    );
    assert_eq!(now.changed_modseq, now.changed_modseq.max(modseq(&world, &bob).await));

    // One thing of it cannot be: nothing is.
    let impossible = MailboxChange {
        name: Some("Sent".to_owned()),
        role: Some(None),
        sort_order: Some(1),
        subscribed: Some(false),
    };
    assert!(matches!(store.change_mailbox(made, impossible).await, Err(MailboxError::Exists)));
    assert_eq!(format!("{:?}", read(made).await), format!("{now:?}"));
    let taken = MailboxChange { role: Some(Some(Role::Sent)), ..MailboxChange::default() };
    assert!(matches!(store.change_mailbox(made, taken).await, Err(MailboxError::Refused(_))));
    let inbox = world.inbox(&bob).await.id;
    let renamed = MailboxChange { name: Some("x".to_owned()), ..MailboxChange::default() };
    assert!(matches!(store.change_mailbox(inbox, renamed).await, Err(MailboxError::Refused(_))));
    let not_inbox = MailboxChange { role: Some(None), ..MailboxChange::default() };
    assert!(matches!(store.change_mailbox(inbox, not_inbox).await, Err(MailboxError::Refused(_))));

    let child = store.create_mailbox(bob.id, "c/d", None).await.unwrap().id;
    append(store, child, &mail("1", "x")).await;
    assert!(matches!(store.remove_mailbox(made, true).await, Err(RemoveMailboxError::HasChildren)));
    assert!(matches!(
        store.remove_mailbox(child, false).await,
        Err(RemoveMailboxError::HasMessages)
    ));
    assert!(matches!(store.remove_mailbox(inbox, true).await, Err(RemoveMailboxError::Inbox)));
    store.remove_mailbox(child, true).await.unwrap();
    store.remove_mailbox(made, false).await.unwrap();
    assert!(matches!(store.remove_mailbox(made, true).await, Err(RemoveMailboxError::NotFound)));
    assert_eq!(world.count("SELECT COUNT(*) FROM messages").await, 0);
    world.check_invariants().await;
}

async fn uploads_are_their_uploaders_and_go(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let (store, now) = (&world.store, now());
    let keep = async |account: &Account, text: &str, at| {
        let blob = store.stage_bytes(text.as_bytes().to_vec()).await.unwrap();
        store.keep_upload(account.id, blob, "text/plain", at).await.unwrap()
    };
    let first = keep(&bob, "first", now).await;
    let found = store.upload(bob.id, first).await.unwrap().unwrap();
    assert_eq!(found.media_type, "text/plain");
    assert_eq!(found.content.read_all().await.unwrap(), b"first");
    assert!(store.upload(eve.id, first).await.unwrap().is_none());
    // A message can be made of it, and outlives it.
    let inbox = world.inbox(&bob).await.id;
    store.append(inbox, vec![of_blob(found.blob)]).await.unwrap();
    world.check_invariants().await;
    let hour = jiff::SignedDuration::from_hours(1);
    let young = keep(&bob, "second", now + hour * 10).await;
    assert_eq!(store.forget_uploads(now + hour * 11).await.unwrap(), 0);
    assert_eq!(store.forget_uploads(now + hour * 13).await.unwrap(), 1);
    assert!(store.upload(bob.id, first).await.unwrap().is_none());
    assert!(store.upload(bob.id, young).await.unwrap().is_some());
    let content = store.content(inbox, Uid(1)).await.unwrap().unwrap();
    assert_eq!(content.read_all().await.unwrap(), b"first");
    world.check_invariants().await;
    store.remove_account(&bob.address).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM uploads").await, 0);
    world.check_invariants().await;
}

async fn submissions_wait_and_are_taken_once(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let (store, now) = (&world.store, now());
    let (_, message) = add(store, world.inbox(&bob).await.id, &mail("1", "x")).await;
    let hour = jiff::SignedDuration::from_hours(1);
    let to = vec![address("carol@far.test")];
    let from = waxwing_message::ReversePath::Address(bob.address.clone());
    let new = async |at| NewSubmission {
        account: bob.id,
        identity: IdentityId(1),
        message,
        thread: ThreadId(message.0),
        envelope: waxwing_message::Envelope::plain(from.clone(), to.clone()),
        send_at: at,
        what: Handing::Later(store.content_of(bob.id, message).await.unwrap().unwrap().1),
    };
    let first = store.add_submission(new(now + hour).await).await.unwrap();
    let second = store.add_submission(new(now + hour * 2).await).await.unwrap();
    let third = store.add_submission(new(now + hour * 3).await).await.unwrap();
    world.check_invariants().await;
    assert_eq!(store.next_submission().await.unwrap(), Some(now + hour));
    assert!(store.due_submission(now).await.unwrap().is_none());
    let cancel = store.cancel_submission(eve.id, second).await;
    assert!(matches!(cancel, Err(SubmissionError::NotFound)), "another's");
    store.cancel_submission(bob.id, second).await.unwrap();

    // Leased: nobody else has it, until the lease has run out.
    let due = store.due_submission(now + hour * 2).await.unwrap().unwrap();
    assert_eq!(due.submission.id, first);
    assert_eq!(due.content.read_all().await.unwrap(), mail("1", "x"));
    assert!(store.due_submission(now + hour * 2).await.unwrap().is_none());
    let again = store.due_submission(now + hour * 2 + hour / 4).await.unwrap().unwrap();
    assert_eq!(again.submission.id, first);
    let journey = journey_id();
    store.settle_submission(first, SubmissionOutcome::Taken(journey)).await.unwrap();
    store.settle_submission(first, SubmissionOutcome::Refused("late".into())).await.unwrap();
    store.settle_submission(second, SubmissionOutcome::Taken(journey)).await.unwrap();
    let put_off = SubmissionOutcome::PutOff(now + hour * 4);
    assert_eq!(store.due_submission(now + hour * 3).await.unwrap().unwrap().submission.id, third);
    store.settle_submission(third, put_off).await.unwrap();
    assert_eq!(store.next_submission().await.unwrap(), Some(now + hour * 4));
    let all = store.submissions(bob.id).await.unwrap();
    let states: Vec<_> = all.iter().map(|one| (one.state, one.journey, &one.refusal)).collect();
    let expected = [
        (SubmissionState::Final, Some(journey), &None),
        (SubmissionState::Canceled, None, &None),
        (SubmissionState::Waiting, None, &None),
    ];
    assert_eq!(states, expected);
    world.check_invariants().await;
    assert!(matches!(store.cancel_submission(bob.id, first).await, Err(SubmissionError::TooLate)));

    let before = modseq(&world, &bob).await;
    assert_eq!(store.forget_submissions(now + hour * 24 * 40).await.unwrap(), 2);
    let lost = store.lost_submissions(bob.id, before).await.unwrap();
    assert_eq!(lost.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, second]);
    store.remove_account(&bob.address).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM submissions").await, 0);
    world.check_invariants().await;
}

async fn who_is_away_says_so_for_a_while(world: World) {
    let (bob, eve) = (world.account("bob@wing.test").await, world.account("eve@wing.test").await);
    let (store, now) = (&world.store, now());
    let hour = jiff::SignedDuration::from_hours(1);
    let none = store.absence(bob.id).await.unwrap();
    assert!(!none.is_enabled && none.changed_modseq == ModSeq(0));
    let answer = AbsenceAnswer { text: Some("away".into()), ..AbsenceAnswer::default() };
    let (from_at, to_at) = (Some(now), Some(now + hour));
    let away = Absence { is_enabled: true, from_at, to_at, answer: answer.clone(), ..none };
    store.set_absence(away.clone()).await.unwrap();
    let found = store.absence(bob.id).await.unwrap();
    assert_eq!(found.changed_modseq, modseq(&world, &bob).await);
    assert_eq!(Absence { changed_modseq: ModSeq(0), ..found }, away);
    let said = async |at| store.active_rules(vec![bob.id, eve.id], at).await.unwrap();
    assert_eq!(said(now).await.answers, [(bob.id, answer)]);
    assert!(said(now - hour).await.are_none() && said(now + hour).await.are_none());
    store.put_sieve_script(bob.id, "a", b"keep;".to_vec(), now).await.unwrap();
    store.activate_sieve_script(bob.id, Some("a")).await.unwrap();
    let both = store.active_rules(vec![bob.id], now).await.unwrap();
    assert_eq!((both.scripts.len(), both.answers.len()), (1, 1));
    store.set_absence(Absence { is_enabled: false, ..away }).await.unwrap();
    assert!(said(now).await.answers.is_empty());
}
