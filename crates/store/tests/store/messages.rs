//! Entries: flags, copies, moves, expunges, what changed, and what many tasks at once leave behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    appending_several_is_one_change,
    flags_change_only_what_they_say,
    flags_of_any_set,
    keywords_keep_their_first_spelling,
    unchanged_since_refuses_newer_entries,
    copies_share_content_until_the_last_goes,
    moves_leave_tombstones,
    changes_tell_what_happened_since,
    forgotten_tombstones_make_changes_incomplete,
    quotas_are_kept,
    large_messages_come_back_by_range,
    many_tasks_at_once_keep_every_count,
    another_handle_hears_of_changes,
    only_one_session_locks_a_maildrop,
    only_what_is_still_deleted_goes,
);

async fn appending_several_is_one_change(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await;
    let mut messages = Vec::new();
    for subject in ["1", "2", "3"] {
        messages.push(new_message(&world.store, &mail(subject, "x"), Flags::default()).await);
    }
    let appended = world.store.append(inbox.id, messages).await.unwrap();
    assert_eq!(appended.iter().map(|a| a.uid).collect::<Vec<_>>(), [Uid(1), Uid(2), Uid(3)]);
    assert!(appended.iter().all(|a| a.modseq == appended[0].modseq));
    assert!(appended.iter().all(|a| a.uid_validity == inbox.uid_validity));
    assert!(appended[0].modseq > inbox.highest_modseq);
    let missing = world.store.append(MailboxId(99_999), Vec::new()).await;
    assert!(matches!(missing, Err(AppendError::NoMailbox)));
    world.check_invariants().await;
}

async fn flags_change_only_what_they_say(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    for subject in ["1", "2", "3"] {
        append(&world.store, inbox, &mail(subject, "x")).await;
    }
    let uids = [Uid(3), Uid(1), Uid(1), Uid(9)];
    let add = FlagChange::Add(flags(SystemFlags::SEEN, &["work"]));
    let results = world.store.store_flags(inbox, &uids, add.clone(), None).await.unwrap();
    let changed: Vec<_> = results.entries.iter().map(|e| (e.uid, e.flags.clone())).collect();
    let expected = flags(SystemFlags::SEEN, &["work"]);
    assert_eq!(changed, [(Uid(1), expected.clone()), (Uid(3), expected)]);
    let (entries, modseq) = world.store.entries(inbox).await.unwrap();
    assert_eq!([&entries[0], &entries[2]], [&results.entries[0], &results.entries[1]]);
    assert_eq!(entries[0].modseq, modseq);
    assert!(entries[1].modseq < modseq);

    // The same again alters nothing and takes no modseq.
    let results = world.store.store_flags(inbox, &uids, add, None).await.unwrap();
    assert_eq!(results.entries.len(), 2);
    assert_eq!(world.store.entries(inbox).await.unwrap().1, modseq);

    let set = FlagChange::Set(flags(SystemFlags::DELETED, &[]));
    let results = world.store.store_flags(inbox, &[Uid(1)], set, None).await.unwrap();
    assert_eq!(results.entries[0].flags, flags(SystemFlags::DELETED, &[]));
    let remove = FlagChange::Remove(flags(SystemFlags::SEEN, &["WORK", "other"]));
    let results = world.store.store_flags(inbox, &[Uid(3)], remove, None).await.unwrap();
    assert_eq!(results.entries[0].flags, Flags::default());
    let mailbox = world.store.mailbox(inbox).await.unwrap().unwrap();
    assert_eq!((mailbox.unseen, mailbox.deleted), (3, 1));
    world.check_invariants().await;
}

async fn keywords_keep_their_first_spelling(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    for (subject, keyword) in [("1", "$Junk"), ("2", "$junk"), ("3", "$JUNK")] {
        let flags = flags(SystemFlags::default(), &[keyword]);
        let new = new_message(&world.store, &mail(subject, "x"), flags).await;
        world.store.append(inbox, vec![new]).await.unwrap();
    }
    let (entries, _) = world.store.entries(inbox).await.unwrap();
    let expected = flags(SystemFlags::default(), &["$Junk"]);
    assert!(entries.iter().all(|entry| entry.flags == expected));
    assert_eq!(world.store.mailbox_keywords(inbox).await.unwrap(), ["$Junk"]);
    // Ever used: also when no entry has it any more.
    world.store.expunge(inbox, &[Uid(1), Uid(2), Uid(3)]).await.unwrap();
    assert_eq!(world.store.mailbox_keywords(inbox).await.unwrap(), ["$Junk"]);
}

async fn unchanged_since_refuses_newer_entries(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    for subject in ["1", "2"] {
        append(&world.store, inbox, &mail(subject, "x")).await;
    }
    let (_, before) = world.store.entries(inbox).await.unwrap();
    let seen = FlagChange::Add(flags(SystemFlags::SEEN, &[]));
    world.store.store_flags(inbox, &[Uid(2)], seen, None).await.unwrap();
    let flagged = FlagChange::Add(flags(SystemFlags::FLAGGED, &[]));
    let uids = [Uid(1), Uid(2)];
    let results = world.store.store_flags(inbox, &uids, flagged, Some(before)).await.unwrap();
    assert_eq!(results.modified, [Uid(2)]);
    assert_eq!(results.entries.iter().map(|e| e.uid).collect::<Vec<_>>(), [Uid(1)]);
    let (entries, _) = world.store.entries(inbox).await.unwrap();
    assert!(!entries[1].flags.system.contains(SystemFlags::FLAGGED));
}

async fn copies_share_content_until_the_last_goes(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let archive = store.mailbox_by_name(bob.id, "Archive").await.unwrap().unwrap().id;
    let octets = mail("copied", "x");
    let seen = flags(SystemFlags::SEEN, &["kept"]);
    store.append(inbox, vec![new_message(store, &octets, seen.clone()).await]).await.unwrap();
    append(store, inbox, &mail("other", "y")).await;

    let copied = store.copy(inbox, &[Uid(1), Uid(5)], archive).await.unwrap();
    assert_eq!(copied.uids, [(Uid(1), Uid(1))]);
    // Twice into the same mailbox, and within one.
    let copied = store.copy(inbox, &[Uid(2), Uid(1)], archive).await.unwrap();
    assert_eq!(copied.uids, [(Uid(1), Uid(2)), (Uid(2), Uid(3))]);
    let copied = store.copy(inbox, &[Uid(1)], inbox).await.unwrap();
    assert_eq!(copied.uids, [(Uid(1), Uid(3))]);
    let (entries, modseq) = store.entries(archive).await.unwrap();
    assert_eq!(entries[1].flags, seen);
    assert_eq!(entries[0].message, entries[1].message);
    assert_eq!(entries[1].modseq, modseq);
    assert_eq!(store.mailbox_keywords(archive).await.unwrap(), ["kept"]);
    world.check_invariants().await;

    let (gone, _) = store.expunge(inbox, &[Uid(1), Uid(3), Uid(77)]).await.unwrap();
    assert_eq!(gone, [Uid(1), Uid(3)]);
    let content = store.content(archive, Uid(2)).await.unwrap().unwrap();
    assert_eq!(content.read_all().await.unwrap(), octets);
    assert!(store.content(inbox, Uid(1)).await.unwrap().is_none());
    // Both places at once: the multiplicity counts.
    store.expunge(archive, &[Uid(1), Uid(2), Uid(3)]).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM messages").await, 1);
    world.check_invariants().await;
}

async fn only_what_is_still_deleted_goes(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    for subject in ["a", "b", "c"] {
        append(store, inbox, &mail(subject, "x")).await;
    }
    let deleted = || flags(SystemFlags::DELETED, &[]);
    let both = [Uid(1), Uid(2)];
    store.store_flags(inbox, &both, FlagChange::Add(deleted()), None).await.unwrap();
    // Another session changes its mind about one between looking and expunging.
    store.store_flags(inbox, &[Uid(1)], FlagChange::Remove(deleted()), None).await.unwrap();
    let asked = [Uid(1), Uid(2), Uid(3)];
    let (gone, modseq) = store.expunge_if_deleted(inbox, &asked).await.unwrap();
    assert_eq!(gone, [Uid(2)]);
    let (entries, highest) = store.entries(inbox).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.uid).collect::<Vec<_>>(), [Uid(1), Uid(3)]);
    assert_eq!(highest, modseq);
    // Nothing left to do: not even a modseq is taken.
    let (gone, unmoved) = store.expunge_if_deleted(inbox, &asked).await.unwrap();
    assert_eq!((gone, unmoved), (Vec::new(), modseq));
    world.check_invariants().await;
}

async fn moves_leave_tombstones(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let trash = store.mailbox_by_name(bob.id, "Trash").await.unwrap().unwrap().id;
    for subject in ["1", "2", "3", "4"] {
        append(store, inbox, &mail(subject, "x")).await;
    }
    let before = store.entries(inbox).await.unwrap();
    let moved = store.move_entries(inbox, &[Uid(4), Uid(2), Uid(3)], trash).await.unwrap();
    assert_eq!(moved.uids, [(Uid(2), Uid(1)), (Uid(3), Uid(2)), (Uid(4), Uid(3))]);
    let changes = store.changes(inbox, before.1).await.unwrap();
    assert_eq!((changes.vanished, changes.changed), (vec![Uid(2), Uid(3), Uid(4)], Vec::new()));
    let (entries, _) = store.entries(trash).await.unwrap();
    assert_eq!(entries[0].message, before.0[1].message);
    assert_eq!(entries[0].received_at, before.0[1].received_at);
    // Into itself: new UIDs.
    let moved = store.move_entries(inbox, &[Uid(1)], inbox).await.unwrap();
    assert_eq!(moved.uids, [(Uid(1), Uid(5))]);
    assert_eq!(store.entries(inbox).await.unwrap().0[0].uid, Uid(5));
    // UIDs are not given again.
    store.expunge(inbox, &[Uid(5)]).await.unwrap();
    assert_eq!(append(store, inbox, &mail("5", "x")).await, Uid(6));
    world.check_invariants().await;
}

async fn changes_tell_what_happened_since(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    for subject in ["1", "2", "3"] {
        append(store, inbox, &mail(subject, "x")).await;
    }
    let (_, since) = store.entries(inbox).await.unwrap();
    let nothing = store.changes(inbox, since).await.unwrap();
    assert!(nothing.changed.is_empty() && nothing.vanished.is_empty() && !nothing.incomplete);
    assert_eq!(nothing.highest_modseq, since);

    append(store, inbox, &mail("4", "x")).await;
    store.expunge(inbox, &[Uid(2)]).await.unwrap();
    let seen = FlagChange::Add(flags(SystemFlags::SEEN, &[]));
    store.store_flags(inbox, &[Uid(1)], seen, None).await.unwrap();
    let changes = store.changes(inbox, since).await.unwrap();
    assert_eq!(changes.changed.iter().map(|e| e.uid).collect::<Vec<_>>(), [Uid(1), Uid(4)]);
    assert_eq!(changes.vanished, [Uid(2)]);
    let (entries, highest) = store.entries(inbox).await.unwrap();
    assert_eq!(changes.highest_modseq, highest);
    assert_eq!([&entries[0], &entries[2]], [&changes.changed[0], &changes.changed[1]]);
    assert!(store.changes(MailboxId(12_345), since).await.unwrap().incomplete);
}

async fn forgotten_tombstones_make_changes_incomplete(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let mut moments = Vec::new();
    for number in 1..=5 {
        append(store, inbox, &mail(&format!("{number}"), "x")).await;
        moments.push(store.expunge(inbox, &[Uid(number)]).await.unwrap().1);
    }
    assert_eq!(store.forget_tombstones(5).await.unwrap(), 0);
    assert_eq!(store.forget_tombstones(2).await.unwrap(), 3);
    let since = async |moment| store.changes(inbox, moment).await.unwrap();
    assert!(since(moments[1]).await.incomplete);
    let complete = since(moments[2]).await;
    assert!(!complete.incomplete);
    assert_eq!(complete.vanished, [Uid(4), Uid(5)]);
}

async fn quotas_are_kept(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let octets = mail("q", "x");
    store.set_quota(&bob.address, Some(octets.len() as u64 * 2)).await.unwrap();
    append(store, inbox, &octets).await;
    append(store, inbox, &octets).await;
    let new = new_message(store, &octets, Flags::default()).await;
    assert!(matches!(store.append(inbox, vec![new]).await, Err(AppendError::OverQuota)));
    assert!(matches!(store.copy(inbox, &[Uid(1)], inbox).await, Err(AppendError::OverQuota)));
    // Moving needs no room.
    store.move_entries(inbox, &[Uid(1)], inbox).await.unwrap();
    store.expunge(inbox, &[Uid(2)]).await.unwrap();
    append(store, inbox, &octets).await;
    world.check_invariants().await;
}

async fn large_messages_come_back_by_range(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let mut spool = store.spool();
    let mut octets = Vec::new();
    blake3::Hasher::new().finalize_xof().fill({
        octets.resize(3_000_000, 0);
        &mut octets
    });
    // Half noise, half text.
    octets.extend(b"line after line\r\n".repeat(100_000));
    for piece in octets.chunks(70_001) {
        spool.write(piece).unwrap();
    }
    assert_eq!(spool.len(), octets.len() as u64);
    let spool = spool.finish().unwrap();
    assert_eq!(spool.as_bytes(), octets);
    assert_eq!(
        std::fs::read_dir(world.folder.path()).unwrap().count(),
        if world.is_sqlite() { 3 } else { 0 }
    );
    let prefix = b"Return-Path: <>\r\n".to_vec();
    let whole = [&prefix[..], &octets[5..]].concat();
    let blob = store.stage(prefix, &spool, 5).await.unwrap();
    assert_eq!(blob.size_octets, whole.len() as u64);
    let again = store.stage_bytes(whole.clone()).await.unwrap();
    assert_eq!(again.id, blob.id);
    for blob in [blob, again] {
        let new = NewMessage { blob, ..new_message(store, b"x", Flags::default()).await };
        store.append(inbox, vec![new]).await.unwrap();
    }
    let content = store.content(inbox, Uid(2)).await.unwrap().unwrap();
    for (offset, len) in [
        (0, 10),
        (262_140, 8),
        (262_144, 262_144),
        (1_000_000, 1_000_000),
        (whole.len() as u64 - 3, 100),
        (whole.len() as u64, 1),
        (u64::MAX, u64::MAX),
        (5, 0),
    ] {
        let from = (offset as usize).min(whole.len());
        let to = (offset.saturating_add(len) as usize).min(whole.len());
        assert_eq!(content.read(offset, len).await.unwrap(), whole[from..to], "{offset}+{len}");
    }
    assert!(content.read_all().await.unwrap() == whole);
    world.check_invariants().await;
}

async fn many_tasks_at_once_keep_every_count(world: World) {
    let world = Arc::new(world);
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let archive = world.store.mailbox_by_name(bob.id, "Archive").await.unwrap().unwrap().id;
    let tasks = (0..8u32).map(|task| {
        let world = world.clone();
        let bob = bob.clone();
        tokio::spawn(async move {
            let store = &world.store;
            for round in 0..12 {
                let octets = mail(&format!("{task}-{round}"), "x");
                match (task + round) % 6 {
                    0 => drop(append(store, inbox, &octets).await),
                    1 => {
                        let deposits = vec![deposit(store, &bob, &octets).await];
                        store.accept(Acceptance { deposits, ..acceptance() }).await.unwrap();
                    }
                    kind => {
                        let (entries, _) = store.entries(inbox).await.unwrap();
                        let uids: Vec<Uid> = entries
                            .iter()
                            .map(|e| e.uid)
                            .filter(|uid| uid.0 % 3 == task % 3)
                            .collect();
                        match kind {
                            2 => {
                                let change = flags(SystemFlags::SEEN, &[&format!("k{task}")]);
                                let change = FlagChange::Add(change);
                                store.store_flags(inbox, &uids, change, None).await.unwrap();
                            }
                            3 => drop(store.copy(inbox, &uids, archive).await.unwrap()),
                            4 => drop(store.move_entries(inbox, &uids, archive).await.unwrap()),
                            _ => drop(store.expunge(archive, &uids).await.unwrap()),
                        }
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    world.check_invariants().await;
    let mailbox = world.store.mailbox(inbox).await.unwrap().unwrap();
    let changes = world.store.changes(inbox, ModSeq(0)).await.unwrap();
    // Every UID ever given is here or has a tombstone.
    let mut all: Vec<Uid> = changes.changed.iter().map(|e| e.uid).chain(changes.vanished).collect();
    all.sort_unstable();
    assert_eq!(all, (1..mailbox.uid_next.0).map(Uid).collect::<Vec<_>>());
}

async fn another_handle_hears_of_changes(world: World) {
    let bob = world.account("bob@wing.test").await;
    let second = world.second().await;
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let background = second.clone();
    tokio::spawn(async move { background.run_background(stopped).await });
    let mut watch = second.watch(bob.id);
    // The listener says when it listens by waking everybody; SQLite's looks twice a second.
    if !world.is_sqlite() {
        watch.changed().await;
    }
    let inbox = world.inbox(&bob).await.id;
    append(&world.store, inbox, &mail("from elsewhere", "x")).await;
    while second.mailbox(inbox).await.unwrap().unwrap().total == 0 {
        watch.changed().await;
    }
    // A change that no waking comes for would hang here.
    append(&world.store, inbox, &mail("and again", "x")).await;
    tokio::time::timeout(std::time::Duration::from_secs(20), watch.changed()).await.unwrap();
}

async fn only_one_session_locks_a_maildrop(world: World) {
    let bob = world.account("bob@wing.test").await;
    let second = world.second().await;
    let lock = world.store.lock_maildrop(bob.id).await.unwrap().unwrap();
    assert!(world.store.lock_maildrop(bob.id).await.unwrap().is_none());
    assert!(second.lock_maildrop(bob.id).await.unwrap().is_none());
    lock.release().await.unwrap();
    let lock = second.lock_maildrop(bob.id).await.unwrap().unwrap();
    assert!(world.store.lock_maildrop(bob.id).await.unwrap().is_none());
    // A node that died: its lock has run out.
    world.execute("UPDATE maildrop_locks SET held_until = 5").await;
    let mine = world.store.lock_maildrop(bob.id).await.unwrap().unwrap();
    // The old holder lets go of nothing any more.
    lock.release().await.unwrap();
    assert!(second.lock_maildrop(bob.id).await.unwrap().is_none());
    drop(mine);
}

/// Any set of UIDs, close together or scattered, in any order, each altered as a list of flags would be.
async fn flags_of_any_set(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    const MESSAGES: u32 = 60;
    for n in 0..MESSAGES {
        append(&world.store, inbox, &mail(&format!("number {n}"), "x")).await;
    }
    // Gaps, so that runs are bridged over what is gone.
    let gone: Vec<Uid> = [3, 10, 11, 12, 30, 59].map(Uid).to_vec();
    world.store.expunge(inbox, &gone).await.unwrap();
    let mut model: BTreeMap<u32, (u8, bool)> = (1..=MESSAGES)
        .filter(|uid| !gone.contains(&Uid(*uid)))
        .map(|uid| (uid, (0, false)))
        .collect();
    let mut random = StdRng::seed_from_u64(7);
    for step in 0..120 {
        let density = [0.03, 0.3, 0.7, 0.97, 1.0][step % 5];
        let from = random.random_range(1..=MESSAGES);
        let to = random.random_range(from..=MESSAGES + 2);
        let mut uids: Vec<Uid> =
            (from..=to).filter(|_| random.random_bool(density)).map(Uid).collect();
        if step % 7 == 0 {
            uids.reverse();
        }
        let system = random.random_range(0..32u8);
        let keyword = random.random_bool(0.3);
        let keywords: &[&str] = if keyword { &["k"] } else { &[] };
        let given = flags(SystemFlags(system), keywords);
        let how = random.random_range(0..3);
        let change = match how {
            0 => FlagChange::Set(given),
            1 => FlagChange::Add(given),
            _ => FlagChange::Remove(given),
        };
        let before = model.clone();
        for uid in &uids {
            let Some((has, labelled)) = model.get_mut(&uid.0) else { continue };
            (*has, *labelled) = match how {
                0 => (system, keyword),
                1 => (*has | system, *labelled || keyword),
                _ => (*has & !system, *labelled && !keyword),
            };
        }
        let (entries, modseq) = world.store.entries(inbox).await.unwrap();
        let results = world.store.store_flags(inbox, &uids, change, None).await.unwrap();
        let there = uids.iter().filter(|uid| model.contains_key(&uid.0)).count();
        assert_eq!(results.entries.len(), there);
        assert!(results.entries.is_sorted_by_key(|entry| entry.uid));
        let (after, _) = world.store.entries(inbox).await.unwrap();
        for (entry, old) in after.iter().zip(entries) {
            let (has, labelled) = model[&entry.uid.0];
            assert_eq!(entry.flags.system.0, has, "step {step}, UID {}", entry.uid.0);
            assert_eq!(entry.flags.keywords.is_some(), labelled, "step {step}");
            let altered = before[&entry.uid.0] != (has, labelled);
            assert_eq!(entry.modseq > modseq, altered, "step {step}, UID {}", entry.uid.0);
            assert!(altered || entry.modseq == old.modseq);
        }
    }
    world.check_invariants().await;
}
