//! NOTIFY (RFC 5465): what a client hears of, without asking.

mod support;

use support::{Client, World, message};

/// Two clients of one account: the first hears, the second does things.
async fn two(world: &World) -> (Client, Client) {
    (world.client().await, world.client().await)
}

/// The client has been told nothing more than this, up to the answer to a NOOP.
async fn nothing_more(client: &mut Client) {
    assert_eq!(client.ok("NOOP").await.len(), 1);
}

#[tokio::test]
async fn other_mailboxes_are_counted() {
    let world = World::new().await;
    let (mut listener, mut doer) = two(&world).await;
    doer.append("Archive", &message("old")).await;
    let answer = listener
        .ok("NOTIFY SET STATUS (mailboxes (Archive Nowhere) (MessageNew MessageExpunge FlagChange))")
        .await;
    assert!(answer[0].starts_with("* STATUS \"Archive\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "));
    assert!(answer[0].contains(" HIGHESTMODSEQ ") && answer.len() == 2, "{answer:?}");
    doer.append("INBOX", &message("not asked for")).await;
    doer.append("Archive", &message("new")).await;
    let came = listener.line().await;
    assert!(
        came.starts_with("* STATUS \"Archive\" (UIDNEXT 3 MESSAGES 2 ")
            && came.contains("UNSEEN 2")
    );
    doer.ok("SELECT Archive").await;
    doer.ok("STORE 1 +FLAGS (\\Seen)").await;
    let flags = listener.line().await;
    assert!(
        flags.starts_with("* STATUS \"Archive\" (UIDVALIDITY ") && flags.contains(" UNSEEN 1)")
    );
    doer.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    doer.ok("EXPUNGE").await;
    assert_eq!(listener.line().await, "* STATUS \"Archive\" (UIDNEXT 3 MESSAGES 1)");
    listener.ok("NOTIFY NONE").await;
    doer.append("Archive", &message("unheard")).await;
    nothing_more(&mut listener).await;
}

#[tokio::test]
async fn new_messages_of_the_selected_mailbox_are_shown() {
    let world = World::new().await;
    let (mut listener, mut doer) = two(&world).await;
    listener.ok("SELECT INBOX").await;
    listener
        .ok("NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) \
             MessageExpunge FlagChange))")
        .await;
    doer.append("INBOX", &message("pushed")).await;
    assert_eq!(listener.line().await, "* 1 EXISTS");
    assert_eq!(listener.line().await, "* 0 RECENT");
    let shown = listener.response().await;
    assert!(shown.starts_with("* 1 FETCH (UID 1 BODY[HEADER") && shown.contains("Subject: pushed"));
    doer.ok("SELECT INBOX").await;
    doer.ok("STORE 1 +FLAGS (\\Deleted)").await;
    assert_eq!(listener.line().await, "* 1 FETCH (UID 1 FLAGS (\\Deleted))");
    doer.ok("EXPUNGE").await;
    assert_eq!(listener.line().await, "* 1 EXPUNGE");
    // IDLE tells the same (RFC 5465 §4).
    listener.send("i IDLE\r\n").await;
    assert!(listener.line().await.starts_with('+'));
    doer.append("INBOX", &message("while idle")).await;
    assert_eq!(listener.line().await, "* 1 EXISTS");
    assert_eq!(listener.line().await, "* 0 RECENT");
    listener.send("DONE\r\n").await;
    assert!(listener.until("i").await.last().is_some_and(|last| last.starts_with("i OK")));
}

/// RFC 5465 §6.1.2.
#[tokio::test]
async fn expunges_wait_when_they_are_to() {
    let world = World::new().await;
    let (mut listener, mut doer) = two(&world).await;
    doer.append("INBOX", &message("a")).await;
    listener.ok("SELECT INBOX").await;
    listener.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge))").await;
    doer.ok("SELECT INBOX").await;
    doer.ok("STORE 1 +FLAGS (\\Deleted)").await; // FlagChange was not asked for
    doer.ok("EXPUNGE").await;
    doer.append("INBOX", &message("b")).await;
    assert_eq!(listener.line().await, "* 2 EXISTS");
    assert_eq!(listener.line().await, "* 0 RECENT");
    let fetched = listener.ok("FETCH 2 (UID)").await;
    assert_eq!(fetched[0], "* 2 FETCH (UID 2)");
    assert_eq!(listener.ok("NOOP").await[0], "* 1 EXPUNGE");
}

#[tokio::test]
async fn names_subscriptions_and_notes() {
    let world = World::new().await;
    let (mut listener, mut doer) = two(&world).await;
    listener
        .ok("NOTIFY SET (personal (MailboxName SubscriptionChange MailboxMetadataChange)) \
             (mailboxes INBOX (ServerMetadataChange))")
        .await;
    doer.ok("CREATE a").await;
    assert_eq!(listener.line().await, "* LIST (\\HasNoChildren) \"/\" \"a\"");
    doer.ok("CREATE a/b").await;
    assert_eq!(listener.line().await, "* LIST (\\HasNoChildren) \"/\" \"a/b\"");
    assert_eq!(listener.line().await, "* LIST (\\HasChildren) \"/\" \"a\"");
    // Children go along without a word.
    doer.ok("RENAME a c").await;
    let renamed = "* LIST (\\HasChildren) \"/\" \"c\" (\"OLDNAME\" (\"a\"))";
    assert_eq!(listener.line().await, renamed);
    doer.ok("SUBSCRIBE c").await;
    assert_eq!(listener.line().await, "* LIST (\\HasChildren \\Subscribed) \"/\" \"c\"");
    doer.ok("DELETE c/b").await;
    assert_eq!(listener.line().await, "* LIST (\\NonExistent) \"/\" \"c/b\"");
    assert_eq!(listener.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"c\"");
    doer.ok("SETMETADATA INBOX (/private/comment \"x\" /shared/comment \"y\")").await;
    let noted = "* METADATA \"INBOX\" \"/private/comment\" \"/shared/comment\"";
    assert_eq!(listener.line().await, noted);
    doer.ok("SETMETADATA INBOX (/private/comment NIL)").await;
    assert_eq!(listener.line().await, "* METADATA \"INBOX\" \"/private/comment\"");
    doer.ok("SETMETADATA \"\" (/private/x \"y\")").await;
    assert_eq!(listener.line().await, "* METADATA \"\" \"/private/x\"");
}

/// RFC 5465 §5.4, §5.9: a right that comes or goes is a mailbox that comes or goes.
#[tokio::test]
async fn mailboxes_that_others_share() {
    let world = World::new().await;
    world.account("bob@example.test").await;
    let mut alice = world.client().await;
    let mut bob = world.client_of("bob@example.test").await;
    let shared = "\"Other Users/alice@example.test/INBOX\"";
    bob.ok("NOTIFY SET (subtree \"Other Users\" (MailboxName MessageNew MessageExpunge))").await;
    alice.ok("SETACL INBOX bob@example.test l").await;
    assert_eq!(bob.line().await, format!("* LIST (\\HasNoChildren) \"/\" {shared}"));
    alice.append("INBOX", &message("not for bob")).await;
    let refused = bob.ok("NOTIFY SET (mailboxes INBOX NONE) (mailboxes \
        \"Other Users/alice@example.test/INBOX\" (MessageNew MessageExpunge))");
    assert_eq!(refused.await[0], format!("* LIST (\\NoAccess) \"/\" {shared}"));
    bob.ok("NOTIFY SET (subtree \"Other Users\" (MailboxName MessageNew MessageExpunge))").await;
    alice.ok("SETACL INBOX bob@example.test lr").await;
    alice.append("INBOX", &message("for bob")).await;
    assert_eq!(bob.line().await, format!("* STATUS {shared} (UIDNEXT 3 MESSAGES 2)"));
    alice.ok("DELETEACL INBOX bob@example.test").await;
    assert_eq!(bob.line().await, format!("* LIST (\\NonExistent) \"/\" {shared}"));
    nothing_more(&mut bob).await;
}

/// Who shares with everybody is heard of as soon as who shares with one.
#[tokio::test]
async fn mailboxes_that_are_shared_with_anyone() {
    let world = World::new().await;
    world.account("bob@example.test").await;
    let mut alice = world.client().await;
    let mut bob = world.client_of("bob@example.test").await;
    let work = "\"Other Users/alice@example.test/Work\"";
    bob.ok("NOTIFY SET (subtree \"Other Users\" (MailboxName MessageNew MessageExpunge))").await;
    alice.ok("CREATE Work").await;
    alice.ok("SETACL Work anyone lr").await;
    assert_eq!(bob.line().await, format!("* LIST (\\HasNoChildren) \"/\" {work}"));
    alice.append("Work", &message("for all")).await;
    assert_eq!(bob.line().await, format!("* STATUS {work} (UIDNEXT 2 MESSAGES 1)"));
    alice.ok("DELETEACL Work anyone").await;
    assert_eq!(bob.line().await, format!("* LIST (\\NonExistent) \"/\" {work}"));

    // What begins with the grants of the mailbox above it, where that one is not asked about.
    bob.ok("NOTIFY NONE").await;
    alice.ok("SETACL Work anyone lr").await;
    let below = "\"Other Users/alice@example.test/Work/New\"";
    bob.ok(&format!("NOTIFY SET (mailboxes {below} (MailboxName MessageNew MessageExpunge))"))
        .await;
    alice.ok("CREATE Work/New").await;
    assert_eq!(bob.line().await, format!("* LIST (\\HasNoChildren) \"/\" {below}"));
    nothing_more(&mut bob).await;
}

#[tokio::test]
async fn what_is_refused() {
    let world = World::new().await;
    let mut client = world.client().await;
    let refused = client.refused("NOTIFY SET (personal (AnnotationChange))").await;
    assert!(refused.starts_with("NO [BADEVENT (MessageNew "), "{refused}");
    for bad in ["(personal (MessageNew))", "(selected (MailboxName))", "(personal (FlagChange))"] {
        assert!(client.refused(&format!("NOTIFY SET {bad}")).await.starts_with("BAD"), "{bad}");
    }
}
