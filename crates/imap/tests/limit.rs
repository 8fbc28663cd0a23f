//! MESSAGELIMIT and SAVELIMIT (RFC 9738), in the shape of the RFC's own examples, with a limit of 3.

mod support;

use support::{Client, LOGIN, PASSWORD, World, message};
use waxwing_imap::Settings;

/// A mailbox of the UIDs 2, 4, 5, 6, 7 and 8.
async fn world() -> (World, Client) {
    let mut settings = Settings::new("imap.example.test");
    settings.plaintext_login = true;
    settings.message_limit = Some(3);
    let world = World::with(settings).await;
    let mut client = world.in_inbox().await;
    for n in 1..=8 {
        client.append("INBOX", &message(&format!("number {n}"))).await;
    }
    client.ok("UID STORE 1,3 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("UID EXPUNGE 1,3").await;
    (world, client)
}

/// The responses without tags and modseqs.
fn plain(responses: Vec<String>) -> Vec<String> {
    let untagged = |line: String| match line.strip_prefix('t') {
        Some(rest) => rest.trim_start_matches(char::is_numeric).trim_start().to_owned(),
        None => line,
    };
    responses.into_iter().map(untagged).collect()
}

#[tokio::test]
async fn what_is_announced() {
    let (world, _) = world().await;
    let mut client = world.connect();
    client.line().await;
    let answer = client.ok(&format!("LOGIN {LOGIN} \"{PASSWORD}\"")).await;
    assert!(answer[0].contains(" MESSAGELIMIT=3") && !answer[0].contains("SAVELIMIT"));
    let mut client = World::new().await.client().await;
    let answer = client.ok("CAPABILITY").await;
    assert!(answer[0].contains(" SAVELIMIT=1000") && !answer[0].contains("MESSAGELIMIT"));
}

#[tokio::test]
async fn fetch_goes_from_the_highest_down() {
    let (_world, mut client) = world().await;
    assert_eq!(
        plain(client.ok("FETCH 2:6 (UID)").await),
        [
            "* 6 FETCH (UID 8)",
            "* 5 FETCH (UID 7)",
            "* 4 FETCH (UID 6)",
            "OK [MESSAGELIMIT 3 6] Fetched"
        ]
    );
    // Neither more than there are, nor what CHANGEDSINCE leaves out.
    assert_eq!(client.ok("UID FETCH 5:100 (FLAGS) (PARTIAL 1:3)").await.len(), 4);
    let seen = client.ok("UID STORE 2,4 +FLAGS (\\Seen) ").await;
    assert_eq!(seen.len(), 3, "{seen:?}");
    let modseq = client.ok("FETCH 1 (MODSEQ)").await.remove(0);
    let modseq: u64 = modseq.split(['(', ')']).nth(2).unwrap().parse().unwrap();
    let changed = client.ok(&format!("FETCH 1:* (UID) (CHANGEDSINCE {})", modseq - 1)).await;
    assert!(changed.len() == 3 && changed[2].ends_with("OK Fetched"), "{changed:?}");
    let parts = plain(client.ok("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await);
    assert!(parts[0].contains("UID 8 ") && parts[0].contains("number 8"), "{parts:?}");
    assert!(parts[2].contains("UID 6 ") && parts[2].contains("number 6"), "{parts:?}");
    assert_eq!(
        client.refused("UID FETCH 1:100 (FLAGS) (PARTIAL -1:-4)").await,
        "NO [MESSAGELIMIT 3] Too many messages at once: nothing done"
    );
}

#[tokio::test]
async fn what_is_read_is_seen_and_no_more() {
    let (_world, mut client) = world().await;
    client.ok("FETCH 1:* (BODY[])").await;
    assert_eq!(client.ok("UID SEARCH UIDBEFORE 6 SEEN").await[0], "* SEARCH");
    assert_eq!(client.ok("UID SEARCH UIDAFTER 5 SEEN").await[0], "* SEARCH 6 7 8");
}

#[tokio::test]
async fn search_looks_at_the_last_ones() {
    let (_world, mut client) = world().await;
    let answer = plain(client.ok("UID SEARCH SUBJECT number").await);
    assert_eq!(answer, ["* SEARCH 6 7 8", "OK [MESSAGELIMIT 3 6] Searched"]);
    // Looked at, not found.
    let answer = plain(client.ok("UID SEARCH SUBJECT \"number 4\"").await);
    assert_eq!(answer, ["* SEARCH", "OK [MESSAGELIMIT 3 6] Searched"]);
    let answer = plain(client.ok("UID SEARCH UIDBEFORE 6 SUBJECT number").await);
    assert_eq!(answer, ["* SEARCH 2 4 5", "OK Searched"]);
    let answer = plain(client.ok("UID SEARCH (UID 2:7) UNDELETED").await);
    assert_eq!(answer, ["* SEARCH 5 6 7", "OK [MESSAGELIMIT 3 5] Searched"]);
    client.ok("UID SEARCH RETURN (SAVE) SUBJECT number").await;
    assert_eq!(plain(client.ok("UID FETCH $ (UID)").await).len(), 4, "§3.4: `$` is cut too");
    for (key, found) in [
        ("UIDAFTER 8", "* SEARCH"),
        ("UIDAFTER 7", "* SEARCH 8"),
        ("UIDAFTER 4294967295", "* SEARCH"),
        ("UIDBEFORE 1", "* SEARCH"),
        ("UIDBEFORE 2", "* SEARCH"),
        ("UIDBEFORE 3", "* SEARCH 2"),
        ("OR UIDBEFORE 3 UIDAFTER 7", "* SEARCH 8"), // of the three that it looks at
    ] {
        assert_eq!(client.ok(&format!("UID SEARCH {key}")).await[0], found, "{key}");
    }
    for wrong in ["UIDAFTER 0", "UIDAFTER *", "UIDBEFORE 1:2", "UIDBEFORE"] {
        assert!(client.refused(&format!("UID SEARCH {wrong}")).await.starts_with("BAD"), "{wrong}");
    }
    // Sorting and threading have what they need ready.
    let sorted = client.ok("UID SORT (REVERSE ARRIVAL) UTF-8 ALL").await;
    assert_eq!(sorted[0].split(' ').count(), 2 + 6, "{sorted:?}");
    let threads = client.ok("UID THREAD REFERENCES UTF-8 ALL").await;
    assert_eq!(threads[0].matches('(').count(), 6, "{threads:?}");
}

#[tokio::test]
async fn store_alters_the_last_ones() {
    let (_world, mut client) = world().await;
    let answer = plain(client.ok("UID STORE 1:* +FLAGS (\\Flagged)").await);
    assert_eq!(answer.len(), 4, "{answer:?}");
    assert_eq!(answer[3], "OK [MESSAGELIMIT 3 6] Stored");
    assert_eq!(client.ok("UID SEARCH UIDBEFORE 6 FLAGGED").await[0], "* SEARCH");
    // With another code, the limit is said before (§3.1).
    let answer = plain(client.ok("STORE 1:* (UNCHANGEDSINCE 1) +FLAGS (\\Seen)").await);
    let last: Vec<&str> = answer.iter().rev().take(2).map(String::as_str).collect();
    assert!(last[0].starts_with("OK [MODIFIED 4:6] "), "{answer:?}");
    assert!(last[1].starts_with("* NO [MESSAGELIMIT 3 6] "), "{answer:?}");
}

#[tokio::test]
async fn copy_is_refused_and_move_goes_in_steps() {
    let (_world, mut client) = world().await;
    client.ok("CREATE There").await;
    assert_eq!(
        client.refused("UID COPY 1:* There").await,
        "NO [MESSAGELIMIT 3 6] Too many messages at once: nothing done"
    );
    assert_eq!(client.ok("STATUS There (MESSAGES)").await[0], "* STATUS \"There\" (MESSAGES 0)");
    client.ok("UID COPY 2:5 There").await;
    let moved = plain(client.ok("UID MOVE 1:* There").await);
    assert!(moved[0].contains("[COPYUID ") && moved[0].contains(" 6:8 4:6]"), "{moved:?}");
    assert_eq!(moved[1..4], ["* 6 EXPUNGE", "* 5 EXPUNGE", "* 4 EXPUNGE"]);
    assert_eq!(moved[4], "OK [MESSAGELIMIT 3 6] Moved");
    let moved = plain(client.ok("UID MOVE 1:* There").await);
    assert_eq!(moved[4], "OK Moved", "the same command does the rest");
}

#[tokio::test]
async fn only_uid_expunge_is_limited() {
    let (_world, mut client) = world().await;
    client.ok("UID STORE 2:5 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("UID STORE 6:8 +FLAGS.SILENT (\\Deleted)").await;
    let gone = plain(client.ok("UID EXPUNGE 1:7").await);
    assert_eq!(gone[..3], ["* 5 EXPUNGE", "* 4 EXPUNGE", "* 3 EXPUNGE"]);
    assert_eq!(gone[3], "OK [MESSAGELIMIT 3 5] Expunged");
    client.ok("UID STORE 2:8 -FLAGS.SILENT (\\Deleted)").await;
    for n in 0..2 {
        client.append("INBOX", &message(&format!("more {n}"))).await;
    }
    client.ok("UID STORE 2:8 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("UID STORE 9:10 +FLAGS.SILENT (\\Deleted)").await;
    let status = client.ok("STATUS INBOX (UNSEEN)").await;
    assert_eq!(status[0], "* STATUS \"INBOX\" (UNSEEN 5)");
    let gone = plain(client.ok("EXPUNGE").await);
    assert!(gone.len() == 6 && gone[5] == "OK Expunged", "{gone:?}");
}

#[tokio::test]
async fn append_takes_so_many_or_none() {
    let (_world, mut client) = world().await;
    let text = "Subject: x\r\n\r\nx\r\n";
    let many = |count| {
        let one = format!(" {{{}+}}\r\n{text}", text.len());
        format!("APPEND Archive{}", one.repeat(count))
    };
    assert!(client.command(&many(3)).await.pop().unwrap().contains(" OK [APPENDUID "));
    let refused = client.refused(&many(4)).await;
    assert_eq!(refused, "NO [MESSAGELIMIT 3] Too many messages at once: nothing done");
    assert_eq!(
        client.ok("STATUS Archive (MESSAGES)").await[0],
        "* STATUS \"Archive\" (MESSAGES 3)"
    );
}
