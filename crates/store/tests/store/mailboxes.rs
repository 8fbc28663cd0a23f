//! Mailboxes: names, hierarchy, subscriptions.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    making_a_mailbox_makes_its_parents,
    roles_are_given_once,
    renaming_takes_children_and_subscriptions_along,
    renaming_inbox_moves_its_messages,
    deleting_leaves_children_and_changes_uid_validity,
    subscriptions_need_no_mailbox,
    subscriptions_are_bounded,
);

async fn names(world: &World, account: &Account) -> Vec<String> {
    let mailboxes = world.store.mailboxes(account.id).await.unwrap();
    let made = mailboxes.into_iter().filter(|m| m.role.is_none() || m.name == "INBOX");
    made.map(|m| m.name).collect()
}

async fn making_a_mailbox_makes_its_parents(world: World) {
    let bob = world.account("bob@wing.test").await;
    let made = world.store.create_mailbox(bob.id, "a/b/c", None).await.unwrap();
    assert_eq!((made.name.as_str(), made.total, made.uid_next), ("a/b/c", 0, Uid(1)));
    assert_eq!(names(&world, &bob).await, ["INBOX", "a", "a/b", "a/b/c"]);
    let again = world.store.create_mailbox(bob.id, "a/b", None).await;
    assert!(matches!(again, Err(MailboxError::Exists)));
    let inbox = world.store.create_mailbox(bob.id, "inBOX", None).await;
    assert!(matches!(inbox, Err(MailboxError::Exists)));
    for wrong in ["", "/", "a//b", "x\r\ny"] {
        let refused = world.store.create_mailbox(bob.id, wrong, None).await;
        assert!(matches!(refused, Err(MailboxError::BadName(_))), "{wrong:?}");
    }
    let below = world.store.create_mailbox(bob.id, "inbox/x", None).await.unwrap();
    assert_eq!(below.name, "INBOX/x");
    assert!(world.store.mailbox_by_name(bob.id, "Inbox/x").await.unwrap().is_some());
    assert!(world.store.mailbox_by_name(bob.id, "A").await.unwrap().is_none());
}

async fn roles_are_given_once(world: World) {
    let bob = world.account("bob@wing.test").await;
    let made = world.store.create_mailbox(bob.id, "All", Some(Role::All)).await.unwrap();
    assert_eq!(made.role, Some(Role::All));
    let again = world.store.create_mailbox(bob.id, "Everything", Some(Role::All)).await;
    assert!(matches!(again, Err(MailboxError::Refused(_))));
}

async fn renaming_takes_children_and_subscriptions_along(world: World) {
    let (bob, store) = (world.account("bob@wing.test").await, &world.store);
    for name in ["a/b/c", "ab", "z"] {
        store.create_mailbox(bob.id, name, None).await.unwrap();
    }
    let before = store.mailbox_by_name(bob.id, "a/b").await.unwrap().unwrap();
    append(store, before.id, &mail("x", "y")).await;
    store.set_subscribed(bob.id, "a/b", true).await.unwrap();
    store.rename_mailbox(bob.id, "a", "new/home").await.unwrap();
    assert_eq!(
        names(&world, &bob).await,
        ["INBOX", "ab", "new", "new/home", "new/home/b", "new/home/b/c", "z"]
    );
    let after = store.mailbox(before.id).await.unwrap().unwrap();
    assert_eq!((after.name.as_str(), after.uid_validity), ("new/home/b", before.uid_validity));
    assert!(after.subscribed && after.total == 1);
    let subscriptions = store.subscriptions(bob.id).await.unwrap();
    assert!(!subscriptions.contains(&"a/b".to_owned()));

    let rename = async |from, to| store.rename_mailbox(bob.id, from, to).await;
    assert!(matches!(rename("nowhere", "b").await, Err(MailboxError::NotFound)));
    assert!(matches!(rename("ab", "z").await, Err(MailboxError::Exists)));
    assert!(matches!(rename("z", "Inbox").await, Err(MailboxError::Exists)));
    assert!(matches!(rename("z", "z/below").await, Err(MailboxError::Refused(_))));
    assert!(matches!(rename("z", "").await, Err(MailboxError::BadName(_))));
    assert_eq!(names(&world, &bob).await.len(), 7);
}

async fn renaming_inbox_moves_its_messages(world: World) {
    let (bob, store) = (world.account("bob@wing.test").await, &world.store);
    let inbox = world.inbox(&bob).await;
    store.create_mailbox(bob.id, "INBOX/child", None).await.unwrap();
    for subject in ["1", "2"] {
        append(store, inbox.id, &mail(subject, "x")).await;
    }
    store.rename_mailbox(bob.id, "inbox", "old").await.unwrap();
    let now = world.inbox(&bob).await;
    assert_eq!((now.id, now.total, now.uid_next), (inbox.id, 0, Uid(3)));
    let old = store.mailbox_by_name(bob.id, "old").await.unwrap().unwrap();
    assert_eq!((old.total, old.uid_next), (2, Uid(3)));
    assert!(store.mailbox_by_name(bob.id, "INBOX/child").await.unwrap().is_some());
    world.check_invariants().await;
}

async fn deleting_leaves_children_and_changes_uid_validity(world: World) {
    let (bob, store) = (world.account("bob@wing.test").await, &world.store);
    store.create_mailbox(bob.id, "a/b", None).await.unwrap();
    let a = store.mailbox_by_name(bob.id, "a").await.unwrap().unwrap();
    append(store, a.id, &mail("x", "y")).await;
    store.delete_mailbox(bob.id, "a").await.unwrap();
    assert_eq!(names(&world, &bob).await, ["INBOX", "a/b"]);
    assert!(store.mailbox(a.id).await.unwrap().is_none());
    assert!(store.entries(a.id).await.unwrap().0.is_empty());
    let again = store.create_mailbox(bob.id, "a", None).await.unwrap();
    assert!(again.id > a.id && again.uid_validity > a.uid_validity);
    let delete = async |name| store.delete_mailbox(bob.id, name).await;
    assert!(matches!(delete("Inbox").await, Err(MailboxError::Refused(_))));
    assert!(matches!(delete("nowhere").await, Err(MailboxError::NotFound)));
    world.check_invariants().await;
}

async fn subscriptions_need_no_mailbox(world: World) {
    let (bob, store) = (world.account("bob@wing.test").await, &world.store);
    store.set_subscribed(bob.id, "not/there", true).await.unwrap();
    store.set_subscribed(bob.id, "not/there", true).await.unwrap();
    store.set_subscribed(bob.id, "inbox", false).await.unwrap();
    assert!(!world.inbox(&bob).await.subscribed);
    let subscriptions = store.subscriptions(bob.id).await.unwrap();
    assert_eq!(subscriptions, ["Archive", "Drafts", "Junk", "Sent", "Trash", "not/there"]);
    let made = store.create_mailbox(bob.id, "not/there", None).await.unwrap();
    assert!(made.subscribed);
}

async fn subscriptions_are_bounded(world: World) {
    let bob = world.account("bob@wing.test").await;
    let have = world.store.subscriptions(bob.id).await.unwrap().len();
    world
        .execute(&format!(
            "INSERT INTO subscriptions (account, name) WITH RECURSIVE c (i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {}) SELECT {}, 'n' || i FROM c",
            10_000 - have,
            bob.id.0
        ))
        .await;
    let refused = world.store.set_subscribed(bob.id, "one more", true).await;
    assert!(matches!(refused, Err(MailboxError::TooMany)));
    world.store.set_subscribed(bob.id, "n1", true).await.unwrap();
    world.store.set_subscribed(bob.id, "n1", false).await.unwrap();
    world.store.set_subscribed(bob.id, "one more", true).await.unwrap();
}
