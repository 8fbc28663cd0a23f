//! Sharing: who may do what in whose mailbox, and messages that go from one account to another.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    rights_are_given_and_taken,
    new_mailboxes_inherit,
    what_others_see,
    grants_go_with_accounts_and_mailboxes,
    messages_go_to_another_account,
    messages_move_to_another_account,
    flags_go_along_as_far_as_they_may,
    accounts_that_move_to_each_other_do_not_wait_for_ever,
);

fn rights(letters: &str) -> Rights {
    letters.parse().unwrap()
}

async fn grant(world: &World, mailbox: MailboxId, to: Option<&Account>, letters: &str) {
    let grantee = to.map_or(Grantee::Anyone, |account| Grantee::Account(account.id));
    let change = GrantChange::Set(rights(letters));
    world.store.change_grant(mailbox, grantee, false, change).await.unwrap();
}

async fn rights_are_given_and_taken(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let (store, inbox) = (&world.store, world.inbox(&bob).await.id);
    let has = async |account: &Account| store.rights(inbox, account.id).await.unwrap().to_string();
    assert_eq!((has(&bob).await, has(&ann).await), ("lrswipkxtea".into(), String::new()));
    grant(&world, inbox, None, "lr").await;
    grant(&world, inbox, Some(&ann), "si").await;
    assert_eq!(has(&ann).await, "lrsi");
    let (to_ann, to_bob) = (Grantee::Account(ann.id), Grantee::Account(bob.id));
    let change = |negative, change| store.change_grant(inbox, to_ann, negative, change);
    change(false, GrantChange::Add(rights("t"))).await.unwrap();
    change(false, GrantChange::Take(rights("s"))).await.unwrap();
    change(true, GrantChange::Set(rights("r"))).await.unwrap();
    assert_eq!(has(&ann).await, "lit");
    let listed = async || {
        let grants = store.grants(inbox).await.unwrap();
        let one = |g: Grant| {
            let who = g.address.map_or("anyone".into(), |address| address.to_string());
            format!("{}{who} {}", if g.negative { "-" } else { "" }, g.rights)
        };
        grants.into_iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ["ann@wing.test it", "-ann@wing.test r", "anyone lr"]);
    change(false, GrantChange::Take(rights("it"))).await.unwrap();
    change(true, GrantChange::Forget).await.unwrap();
    assert_eq!(listed().await, ["anyone lr"]);
    // The owner can give rights up, but not the last ones; and can forget having done so.
    store.change_grant(inbox, to_bob, false, GrantChange::Take(rights("e"))).await.unwrap();
    assert_eq!(has(&bob).await, "lrswipkxta");
    store.change_grant(inbox, to_bob, false, GrantChange::Set(Rights::NONE)).await.unwrap();
    assert_eq!((has(&bob).await, listed().await.len()), ("lra".into(), 2));
    store.change_grant(inbox, to_bob, false, GrantChange::Forget).await.unwrap();
    assert_eq!(has(&bob).await, "lrswipkxtea");
    let nowhere =
        store.change_grant(MailboxId(4711), to_ann, false, GrantChange::Set(rights("l"))).await;
    assert!(matches!(nowhere, Err(GrantError::NotFound)));
    let nobody = Grantee::Account(AccountId(4711));
    let nobody = store.change_grant(inbox, nobody, false, GrantChange::Set(rights("l"))).await;
    assert!(matches!(nobody, Err(GrantError::NotFound)));
}

async fn new_mailboxes_inherit(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let store = &world.store;
    let top = store.create_mailbox(bob.id, "top", None).await.unwrap();
    grant(&world, top.id, Some(&ann), "lrk").await;
    store.create_mailbox(bob.id, "top/a/b", None).await.unwrap();
    store.create_mailbox(bob.id, "other", None).await.unwrap();
    let seen = async |name: &str| {
        store.mailbox_as(ann.id, bob.id, name).await.unwrap().unwrap().1.to_string()
    };
    assert_eq!((seen("top/a").await, seen("top/a/b").await), ("lrk".into(), "lrk".into()));
    assert_eq!(seen("other").await, "");
    // RFC 4314 §4: renaming leaves rights as they are.
    store.rename_mailbox(bob.id, "top/a", "other/a").await.unwrap();
    assert_eq!(seen("other/a/b").await, "lrk");
}

async fn what_others_see(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let eve = world.account("eve@wing.test").await;
    let (store, inbox) = (&world.store, world.inbox(&bob).await.id);
    let shared = async |account: &Account| {
        let all = store.visible_mailboxes(account.id).await.unwrap();
        let others = all.into_iter().filter_map(|seen| {
            Some(format!("{} {} {}", seen.owner?, seen.mailbox.name, seen.rights))
        });
        others.collect::<Vec<_>>()
    };
    let all = store.visible_mailboxes(ann.id).await.unwrap();
    assert_eq!((all.len(), all[0].mailbox.name.as_str()), (6, "INBOX"));
    assert!(all.iter().all(|seen| seen.rights == Rights::ALL && seen.owner.is_none()));
    grant(&world, inbox, Some(&ann), "lr").await;
    let archive = store.mailbox_by_name(bob.id, "Archive").await.unwrap().unwrap().id;
    grant(&world, archive, None, "l").await;
    let to_eve = Grantee::Account(eve.id);
    let denied = GrantChange::Set(rights("l"));
    store.change_grant(archive, to_eve, true, denied).await.unwrap();
    assert_eq!(shared(&ann).await, ["bob@wing.test INBOX lr", "bob@wing.test Archive l"]);
    assert!(shared(&eve).await.is_empty() && shared(&bob).await.is_empty());
}

async fn grants_go_with_accounts_and_mailboxes(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let (store, inbox) = (&world.store, world.inbox(&bob).await.id);
    grant(&world, inbox, Some(&ann), "lr").await;
    store.remove_account(&ann.address).await.unwrap();
    let again = world.account("ann@wing.test").await;
    assert!(store.rights(inbox, again.id).await.unwrap().is_empty());
    let gone = store.create_mailbox(bob.id, "gone", None).await.unwrap().id;
    grant(&world, gone, Some(&again), "lr").await;
    store.delete_mailbox(bob.id, "gone").await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM grants").await, 0);
    grant(&world, inbox, Some(&again), "lr").await;
    store.remove_account(&bob.address).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM grants").await, 0);
}

async fn messages_go_to_another_account(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let (store, from) = (&world.store, world.inbox(&bob).await.id);
    let to = world.inbox(&ann).await.id;
    // Keywords have other numbers there.
    let first = new_message(store, &mail("0", "x"), flags(SystemFlags::SEEN, &["z"])).await;
    store.append(to, vec![first]).await.unwrap();
    let octets = mail("1", "carried");
    let message = new_message(store, &octets, flags(SystemFlags::FLAGGED, &["a", "z"])).await;
    let uid = store.append(from, vec![message]).await.unwrap()[0].uid;
    let twin = store.copy(from, &[uid], from).await.unwrap().uids[0].1;
    let copied = store.copy(from, &[uid, twin], to).await.unwrap();
    assert_eq!(copied.uids, [(uid, Uid(2)), (twin, Uid(3))]);
    let (entries, _) = store.entries(to).await.unwrap();
    assert_eq!(entries[1].flags, flags(SystemFlags::FLAGGED, &["a", "z"]));
    assert_eq!(entries[1].message, entries[2].message);
    let content = store.content(to, Uid(2)).await.unwrap().unwrap();
    assert_eq!(content.read(0, u64::MAX).await.unwrap(), octets);
    assert_eq!(store.mailbox_keywords(to).await.unwrap(), ["a", "z"]);
    world.check_invariants().await;
    // The content stays for as long as one of them has it.
    store.expunge(from, &[uid, twin]).await.unwrap();
    assert!(store.content(to, Uid(3)).await.unwrap().is_some());
    // It is the target's quota that counts.
    store.set_quota(&ann.address, Some(1)).await.unwrap();
    let uid = append(store, from, &octets).await;
    assert!(matches!(store.copy(from, &[uid], to).await, Err(AppendError::OverQuota)));
    assert!(matches!(store.move_entries(from, &[uid], to).await, Err(AppendError::OverQuota)));
    world.check_invariants().await;
}

async fn messages_move_to_another_account(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let (store, from) = (&world.store, world.inbox(&bob).await.id);
    let to = world.inbox(&ann).await.id;
    let uid = append(store, from, &mail("1", "x")).await;
    let (_, before) = store.entries(from).await.unwrap();
    store.move_entries(from, &[uid], to).await.unwrap();
    let changes = store.changes(from, before).await.unwrap();
    assert_eq!((changes.vanished, changes.incomplete), (vec![uid], false));
    let summaries = store.summaries(to, &[Uid(1)]).await.unwrap();
    assert_eq!(summaries[0].1.overview.subject.as_deref(), Some(&b"1"[..]));
    let old = new_message(store, &mail("2", "y"), Flags::default()).await;
    let replaced = store.replace(to, Uid(1), from, old).await.unwrap().unwrap();
    assert_eq!(replaced.uid, Uid(2));
    assert!(store.entries(to).await.unwrap().0.is_empty());
    world.check_invariants().await;
}

async fn flags_go_along_as_far_as_they_may(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let (store, from) = (&world.store, world.inbox(&bob).await.id);
    let within = store.mailbox_by_name(bob.id, "Archive").await.unwrap().unwrap().id;
    let across = world.inbox(&ann).await.id;
    let all = flags(SystemFlags(31), &["k"]);
    let message = new_message(store, &mail("1", "x"), all.clone()).await;
    let uid = store.append(from, vec![message]).await.unwrap()[0].uid;
    for (mask, expected) in [
        (FlagMask { system: SystemFlags::SEEN, keywords: false }, flags(SystemFlags::SEEN, &[])),
        (FlagMask { system: SystemFlags(0), keywords: true }, flags(SystemFlags(0), &["k"])),
        (FlagMask::ALL, all),
    ] {
        for to in [within, across] {
            let copied = store.transfer(from, &[uid], to, false, mask).await.unwrap();
            let entries = store.entries_of(to, &[copied.uids[0].1]).await.unwrap();
            assert_eq!(entries[0].flags, expected);
        }
        world.check_invariants().await;
        // Setting flags within a mask leaves the others.
        let set = FlagChange::SetWithin(Flags::default(), mask);
        store.store_flags(from, &[uid], set, None).await.unwrap();
        let left = store.entries_of(from, &[uid]).await.unwrap().remove(0).flags;
        assert_eq!(mask.of(left.clone()), Flags::default());
        let back = FlagChange::Add(flags(SystemFlags(31), &["k"]));
        store.store_flags(from, &[uid], back, None).await.unwrap();
    }
    world.check_invariants().await;
}

async fn accounts_that_move_to_each_other_do_not_wait_for_ever(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let (his, hers) = (world.inbox(&bob).await.id, world.inbox(&ann).await.id);
    for n in 0..8 {
        append(&world.store, his, &mail(&n.to_string(), "x")).await;
        append(&world.store, hers, &mail(&n.to_string(), "y")).await;
    }
    let mover = |from, to| {
        let store = world.store.clone();
        tokio::spawn(async move {
            for n in 1..=8 {
                store.move_entries(from, &[Uid(n)], to).await.unwrap();
            }
        })
    };
    let (one, other) = (mover(his, hers), mover(hers, his));
    one.await.unwrap();
    other.await.unwrap();
    let total = |mailbox: Option<Mailbox>| mailbox.unwrap().total;
    assert_eq!(total(world.store.mailbox(his).await.unwrap()), 8);
    assert_eq!(total(world.store.mailbox(hers).await.unwrap()), 8);
    world.check_invariants().await;
}
