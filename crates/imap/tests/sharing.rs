//! Mailboxes that Alice shares with Bob (RFC 4314, RFC 8440): what he sees, what he may do, and what
//! happens when he may no more.

mod support;

use support::{Client, LOGIN, World, message};

const BOB: &str = "bob@example.test";
const INBOX: &str = "\"Other Users/alice@example.test/INBOX\"";
const WORK: &str = "\"Other Users/alice@example.test/Work\"";

/// Alice, with a mailbox Work of one message; and Bob.
async fn two_people() -> (World, Client, Client) {
    let world = World::new().await;
    world.account(BOB).await;
    let mut alice = world.client().await;
    alice.ok("CREATE Work").await;
    alice.append("Work", &message("shared")).await;
    let bob = world.client_of(BOB).await;
    (world, alice, bob)
}

async fn allow(alice: &mut Client, rights: &str) {
    alice.ok(&format!("SETACL Work {BOB} \"{rights}\"")).await;
}

#[tokio::test]
async fn rights_are_told() {
    let (_world, mut alice, mut bob) = two_people().await;
    let capability = alice.ok("CAPABILITY").await.remove(0);
    for word in [" ACL", " RIGHTS=kxte", " LIST-MYRIGHTS"] {
        assert!(capability.contains(word), "{capability}");
    }
    alice.ok("SETACL Work BOB@example.test lrd").await;
    alice.ok("SETACL Work -bob@example.test t").await;
    alice.ok("SETACL Work anyone +i").await;
    let owner = format!("* ACL \"Work\" \"{LOGIN}\" lrswipkxteacd");
    let expected = format!("{owner} \"{BOB}\" lrted \"-{BOB}\" td \"anyone\" i");
    assert_eq!(alice.ok("GETACL Work").await[0], expected);
    assert_eq!(
        bob.ok(&format!("MYRIGHTS {WORK}")).await[0],
        format!("* MYRIGHTS {WORK} \"lried\"")
    );
    alice.ok(&format!("DELETEACL Work -{BOB}")).await;
    alice.ok("DELETEACL Work anyone").await;
    assert_eq!(alice.ok("GETACL Work").await[0], format!("{owner} \"{BOB}\" lrted"));
    // The owner cannot lose `l` and `a`.
    let listed = alice.ok(&format!("LISTRIGHTS Work {LOGIN}")).await.remove(0);
    let expected = format!("* LISTRIGHTS \"Work\" \"{LOGIN}\" \"la\" r s w i p k x t e c d");
    assert_eq!(listed, expected);
    let listed = alice.ok("LISTRIGHTS Work anyone").await.remove(0);
    assert_eq!(listed, "* LISTRIGHTS \"Work\" \"anyone\" \"\" l r s w i p k x t e a c d");
    alice.ok(&format!("SETACL Work {LOGIN} r")).await;
    assert_eq!(alice.ok("MYRIGHTS Work").await[0], "* MYRIGHTS \"Work\" \"lra\"");
    // RFC 4314 §3.1: what is not understood is not ignored.
    assert!(alice.refused("SETACL Work anyone lrQ").await.starts_with("BAD"));
    assert!(alice.refused("SETACL Work anyone lrq").await.starts_with("BAD"));
    assert!(alice.refused("SETACL Work \"\" lr").await.starts_with("BAD"));
    assert!(alice.refused("SETACL Work nobody@example.test l").await.starts_with("NO"));
    assert!(alice.refused("SETACL Work bob l").await.starts_with("NO"));
}

/// RFC 4314 §6: the same answers as for a mailbox that is not there.
#[tokio::test]
async fn without_lookup_there_is_nothing() {
    let (_world, mut alice, mut bob) = two_people().await;
    for rights in ["", "rswipkxtea"] {
        allow(&mut alice, rights).await;
        for command in ["SELECT", "EXAMINE", "DELETE", "GETACL", "MYRIGHTS", "GETQUOTAROOT"] {
            let nowhere = bob.refused(&format!("{command} {}", WORK.replace("Work", "No"))).await;
            assert_eq!(bob.refused(&format!("{command} {WORK}")).await, nowhere);
        }
        for (before, after) in
            [("STATUS", "(MESSAGES)"), ("SETACL", "anyone l"), ("RENAME", "x"), ("LISTRIGHTS", BOB)]
        {
            let no = WORK.replace("Work", "No");
            let nowhere = bob.refused(&format!("{before} {no} {after}")).await;
            assert_eq!(bob.refused(&format!("{before} {WORK} {after}")).await, nowhere);
        }
        let nowhere = bob.append(&WORK.replace("Work", "No"), b"A: b\r\n\r\n").await.pop();
        let there = bob.append(WORK, b"A: b\r\n\r\n").await.pop();
        let text =
            |answer: Option<String>| answer.and_then(|a| Some(a.split_once(' ')?.1.to_owned()));
        assert_eq!(text(there), text(nowhere));
        let listed = bob.ok("LIST \"\" *").await;
        assert!(listed.iter().all(|line| !line.contains("Other Users")), "{listed:?}");
    }
    // An account that does not exist says no more than one that shares nothing.
    let one = bob.refused("SELECT \"Other Users/nobody@example.test/INBOX\"").await;
    assert_eq!(bob.refused(&format!("SELECT {INBOX}")).await, one);
    // What is there, but not to be read, says so.
    allow(&mut alice, "l").await;
    for command in ["SELECT", "DELETE", "GETACL", "GETQUOTAROOT"] {
        assert!(bob.refused(&format!("{command} {WORK}")).await.starts_with("NO [NOPERM]"));
    }
    let denied = bob.append(WORK, b"A: b\r\n\r\n").await.pop().expect("an answer");
    assert!(denied.contains("NO [NOPERM]"), "{denied}");
}

#[tokio::test]
async fn names_are_listed_in_their_namespace() {
    let (_world, mut alice, mut bob) = two_people().await;
    let namespaces = "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL";
    assert_eq!(bob.ok("NAMESPACE").await[0], namespaces);
    allow(&mut alice, "lr").await;
    alice.ok(&format!("SETACL Trash {BOB} lr")).await;
    alice.ok(&format!("SETACL INBOX {BOB} l")).await;
    let listed = bob.ok("LIST \"\" \"Other Users*\" RETURN (MYRIGHTS STATUS (MESSAGES))").await;
    let alices = "Other Users/alice@example.test";
    // Alice's Trash is not Bob's.
    let expected = [
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users\"".to_owned(),
        format!("* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"{alices}\""),
        format!("* LIST (\\HasNoChildren) \"/\" {INBOX}"),
        format!("* MYRIGHTS {INBOX} \"l\""),
        format!("* LIST (\\HasNoChildren) \"/\" \"{alices}/Trash\""),
        format!("* MYRIGHTS \"{alices}/Trash\" \"lr\""),
        format!("* STATUS \"{alices}/Trash\" (MESSAGES 0)"),
        format!("* LIST (\\HasNoChildren) \"/\" {WORK}"),
        format!("* MYRIGHTS {WORK} \"lr\""),
        format!("* STATUS {WORK} (MESSAGES 1)"),
    ];
    assert_eq!(listed[..listed.len() - 1], expected);
    let top = bob.ok("LIST \"\" %").await;
    assert_eq!(top.iter().filter(|line| line.contains("Other")).count(), 1);
    // Subscriptions are Bob's own, by the name that he has for it.
    bob.ok("SUBSCRIBE \"Other Users/ALICE@example.test/Work\"").await;
    let subscribed = bob.ok("LIST (SUBSCRIBED) \"\" \"Other Users/*\"").await;
    assert_eq!(subscribed[0], format!("* LIST (\\HasNoChildren \\Subscribed) \"/\" {WORK}"));
    assert!(alice.ok("LIST (SUBSCRIBED) \"\" Work").await.len() == 1);
    // Alice has one name for her own.
    assert!(alice.refused(&format!("SELECT {WORK}")).await.contains("NONEXISTENT"));
}

/// Each flag has its right; what may not be altered stays (RFC 4314 §4).
#[tokio::test]
async fn flags_as_far_as_rights_go() {
    let (_world, mut alice, mut bob) = two_people().await;
    alice.ok("SELECT Work").await;
    allow(&mut alice, "lr").await;
    let selected = bob.ok(&format!("SELECT {WORK}")).await;
    assert!(selected.iter().any(|line| line.contains("[PERMANENTFLAGS ()]")), "{selected:?}");
    assert!(selected.last().is_some_and(|last| last.contains("[READ-ONLY]")), "{selected:?}");
    assert!(bob.refused("STORE 1 +FLAGS (\\Seen)").await.starts_with("NO [NOPERM]"));
    let fetched = bob.ok("FETCH 1 BODY[TEXT]").await;
    assert!(!fetched[0].contains("\\Seen"), "{fetched:?}");
    for (rights, flag) in [("s", "\\Seen"), ("t", "\\Deleted"), ("w", "\\Flagged"), ("w", "$k")] {
        allow(&mut alice, &format!("lr{rights}")).await;
        let changed = bob.ok(&format!("STORE 1 FLAGS (\\Seen \\Deleted \\Flagged {flag})")).await;
        // FLAGS and PERMANENTFLAGS changed with the rights (RFC 4314 §5.1.1).
        assert!(changed[0].starts_with("* FLAGS") || rights == "w", "{changed:?}");
        let told = changed.iter().rfind(|line| line.contains("FETCH")).expect("a FETCH");
        assert!(told.contains(flag), "{told}");
        assert!(rights == "s" || !told.contains("\\Seen"), "{told}");
        assert!(rights == "t" || !told.contains("\\Deleted"), "{told}");
        // It is the same flag for everybody.
        assert!(alice.ok("FETCH 1 FLAGS").await.iter().any(|line| line.contains(flag)));
        alice.ok("STORE 1 FLAGS ()").await;
        bob.ok("NOOP").await;
    }
    allow(&mut alice, "lrs").await;
    let fetched = bob.ok("FETCH 1 BODY[TEXT]").await;
    assert!(fetched.iter().any(|line| line.contains("\\Seen")), "{fetched:?}");
    let examined = bob.ok(&format!("EXAMINE {WORK}")).await;
    assert!(examined.iter().any(|line| line.contains("[PERMANENTFLAGS ()]")), "{examined:?}");
    assert!(bob.refused("STORE 1 -FLAGS (\\Seen)").await.starts_with("NO "));
}

#[tokio::test]
async fn messages_go_both_ways() {
    let (world, mut alice, mut bob) = two_people().await;
    allow(&mut alice, "lri").await;
    bob.append("INBOX", &message("from bob")).await;
    bob.ok("SELECT INBOX").await;
    bob.ok("STORE 1 FLAGS (\\Seen \\Flagged $k)").await;
    let copied = bob.ok(&format!("COPY 1 {WORK}")).await;
    assert!(copied.iter().any(|line| line.contains("[COPYUID ")), "{copied:?}");
    let work = world.store.mailbox_by_name(world.account, "Work").await.unwrap().unwrap().id;
    let flags = async || {
        let (entries, _) = world.store.entries(work).await.unwrap();
        let last = entries.last().unwrap();
        (entries.len(), last.flags.system.0, last.flags.keywords.is_some())
    };
    assert_eq!(flags().await, (2, 0, false));
    allow(&mut alice, "lriw").await;
    bob.ok(&format!("COPY 1 {WORK}")).await;
    assert_eq!(flags().await, (3, 4, true));
    let octets = message("appended");
    let tagged = format!("a APPEND {WORK} (\\Seen \\Answered) {{{}+}}\r\n", octets.len());
    bob.send(tagged).await;
    bob.send(&octets).await;
    bob.send("\r\n").await;
    assert!(bob.until("a").await.last().is_some_and(|last| last.contains("[APPENDUID ")));
    assert_eq!(flags().await, (4, 2, false));
    // It is in Alice's account, and counts there.
    alice.ok("SELECT Work").await;
    let subject = alice.ok("FETCH 2 BODY.PEEK[HEADER.FIELDS (SUBJECT)]").await;
    assert!(subject[0].contains("from bob"), "{subject:?}");
    // Out of it takes `t` and `e` (RFC 6851 §4.2).
    bob.ok(&format!("SELECT {WORK}")).await;
    for rights in ["lriwt", "lriwe"] {
        allow(&mut alice, rights).await;
        assert!(bob.refused("MOVE 1 INBOX").await.starts_with("NO [NOPERM]"));
        assert!(bob.refused("UID REPLACE 1 INBOX {3+}\r\nA:b").await.starts_with("NO [NOPERM]"));
    }
    allow(&mut alice, "lriwt").await;
    bob.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    assert!(bob.refused("EXPUNGE").await.starts_with("NO [NOPERM]"));
    bob.ok("CLOSE").await; // passes over what it may not do
    assert_eq!(flags().await.0, 4);
    allow(&mut alice, "lriwte").await;
    bob.ok(&format!("SELECT {WORK}")).await;
    let moved = bob.ok("MOVE 1 INBOX").await;
    assert!(moved.iter().any(|line| line == "* 1 EXPUNGE"), "{moved:?}");
    bob.ok("EXPUNGE").await;
    assert_eq!(flags().await.0, 2);
    bob.ok("SELECT INBOX").await;
    assert!(bob.ok("FETCH 2 BODY[HEADER]").await[0].contains("Subject: shared"));
}

#[tokio::test]
async fn mailboxes_are_made_below_others() {
    let (_world, mut alice, mut bob) = two_people().await;
    let below = WORK.replace("Work", "Work/2026");
    allow(&mut alice, "lr").await;
    assert!(bob.refused(&format!("CREATE {below}")).await.starts_with("NO [NOPERM]"));
    let top = WORK.replace("Work", "Bobs");
    assert!(bob.refused(&format!("CREATE {top}")).await.starts_with("NO [NOPERM]"));
    allow(&mut alice, "lrkx").await;
    bob.ok(&format!("CREATE {below}")).await;
    // RFC 4314 §4: with the rights of the one above.
    let mine = bob.ok(&format!("MYRIGHTS {below}")).await.remove(0);
    assert_eq!(mine, format!("* MYRIGHTS {below} \"lrkxc\""));
    assert!(alice.ok("LIST \"\" Work/%").await[0].contains("\"Work/2026\""));
    assert!(bob.refused(&format!("RENAME {below} {top}")).await.starts_with("NO [NOPERM]"));
    assert!(bob.refused(&format!("RENAME {below} Mine")).await.starts_with("NO [CANNOT]"));
    bob.ok(&format!("RENAME {below} {}", WORK.replace("Work", "Work/old"))).await;
    for kept in ["Other Users", "Other Users/mine"] {
        assert!(bob.refused(&format!("CREATE \"{kept}\"")).await.starts_with("NO [CANNOT]"));
    }
    assert!(bob.refused(&format!("CREATE {top} (USE (\\Sent))")).await.starts_with("NO"));
    allow(&mut alice, "lrk").await;
    assert!(bob.refused(&format!("DELETE {WORK}")).await.starts_with("NO [NOPERM]"));
    bob.ok(&format!("DELETE {}", WORK.replace("Work", "Work/old"))).await;
}

#[tokio::test]
async fn idle_hears_of_changes_in_anothers_account() {
    let (_world, mut alice, mut bob) = two_people().await;
    allow(&mut alice, "lr").await;
    bob.ok(&format!("SELECT {WORK}")).await;
    bob.send("i IDLE\r\n").await;
    assert!(bob.line().await.starts_with('+'));
    alice.append("Work", &message("new")).await;
    assert_eq!(bob.line().await, "* 2 EXISTS");
    assert_eq!(bob.line().await, "* 0 RECENT");
    // Rights that go take the session with them.
    alice.ok(&format!("DELETEACL Work {BOB}")).await;
    assert!(bob.line().await.starts_with("* BYE "));
}

#[tokio::test]
async fn rights_that_vanish_end_the_session() {
    let (_world, mut alice, mut bob) = two_people().await;
    allow(&mut alice, "lr").await;
    bob.ok(&format!("SELECT {WORK}")).await;
    allow(&mut alice, "l").await;
    let answer = bob.command("FETCH 1 BODY[]").await;
    assert!(answer[0].starts_with("* BYE "), "{answer:?}");
    assert!(answer[1].contains(" NO [NOPERM]"), "{answer:?}");
    assert_eq!(bob.try_line().await, None);
}

/// RFC 5464 §3.3: private entries are everybody's own, shared ones take `w`.
#[tokio::test]
async fn metadata_of_a_shared_mailbox() {
    let (_world, mut alice, mut bob) = two_people().await;
    alice.ok("SETMETADATA Work (/private/comment \"hers\" /shared/comment \"all\")").await;
    assert!(
        bob.refused(&format!("GETMETADATA {WORK} /shared/comment")).await.contains("NONEXISTENT")
    );
    allow(&mut alice, "l").await;
    assert!(bob.refused(&format!("GETMETADATA {WORK} /shared/comment")).await.contains("NOPERM"));
    allow(&mut alice, "lr").await;
    let both = format!("GETMETADATA {WORK} (/private/comment /shared/comment)");
    let expected = |mine| {
        format!("* METADATA {WORK} (\"/private/comment\" {mine} \"/shared/comment\" \"all\")")
    };
    assert_eq!(bob.ok(&both).await[0], expected("NIL"));
    bob.ok(&format!("SETMETADATA {WORK} (/private/comment \"his\")")).await;
    assert!(
        bob.refused(&format!("SETMETADATA {WORK} (/shared/comment \"x\")"))
            .await
            .contains("NOPERM")
    );
    assert_eq!(bob.ok(&both).await[0], expected("\"his\""));
    allow(&mut alice, "lrw").await;
    bob.ok(&format!("SETMETADATA {WORK} (/shared/comment ~{{3+}}\r\na\0b)")).await;
    let shared = alice.ok("GETMETADATA Work (/private/comment /shared/comment)").await.remove(0);
    assert!(shared.contains("\"hers\"") && shared.contains("~{3}\r\na\0b"), "{shared:?}");
}
