//! Messages in pieces (RFC 4469): sent, and taken from messages that are there.

mod support;

use support::{Client, World, message};

const MULTIPART: &[u8] = b"From: a@example.test\r\nSubject: two parts\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\n\
    Content-Type: text/plain\r\n\r\nsecond\r\n--b--\r\n";

/// The last message of the selected mailbox.
async fn last(client: &mut Client) -> String {
    client.ok("NOOP").await;
    let fetched = client.ok("FETCH * BODY.PEEK[]").await;
    let text = fetched.iter().rfind(|line| line.contains("BODY[]")).expect("a body").clone();
    let (_, text) = text.split_once("}\r\n").expect("a literal");
    text.strip_suffix(')').expect("the end of FETCH").to_owned()
}

/// A client with two messages in its INBOX: UID 1 has two parts, UID 2 is plain.
async fn with_messages(world: &World) -> Client {
    let mut client = world.in_inbox().await;
    client.append("INBOX", MULTIPART).await;
    client.append("INBOX", &message("plain")).await;
    client
}

#[tokio::test]
async fn pieces_of_every_kind() {
    let world = World::new().await;
    let mut client = with_messages(&world).await;
    let validity = world.store.mailbox_by_name(world.account, "INBOX").await.unwrap().unwrap();
    let validity = validity.uid_validity;
    assert!(client.ok("CAPABILITY").await[0].contains(" CATENATE"));
    let answer = client
        .ok(&format!(
            "APPEND INBOX (\\Seen) CATENATE (TEXT {{10+}}\r\nA: new\r\n\r\n \
             URL \"/INBOX;UIDVALIDITY={validity}/;UID=1/;SECTION=1\" TEXT {{3+}}\r\n -  \
             URL {{22+}}\r\n;UID=1/;SECTION=2.MIME URL /inbox/;UID=2/;PARTIAL=6.3)"
        ))
        .await;
    assert!(answer.last().is_some_and(|last| last.contains("[APPENDUID ")), "{answer:?}");
    let expected = "A: new\r\n\r\nfirst - Content-Type: text/plain\r\n\r\nbob";
    assert_eq!(last(&mut client).await, expected);
    // All of it from elsewhere: no literal at all.
    client.ok("APPEND INBOX CATENATE (URL /INBOX/;UID=1)").await;
    assert_eq!(last(&mut client).await.as_bytes(), MULTIPART);
    client
        .ok("APPEND INBOX CATENATE (URL \"/INBOX/;UID=2/;SECTION=HEADER.FIELDS%20(Subject)\")")
        .await;
    assert_eq!(last(&mut client).await, "Subject: plain\r\n\r\n");
}

#[tokio::test]
async fn beside_other_messages_and_in_the_place_of_one() {
    let world = World::new().await;
    let mut client = with_messages(&world).await;
    let answer = client
        .ok("APPEND INBOX CATENATE (URL /INBOX/;UID=2) (\\Seen) {5+}\r\nA: b\n \
             CATENATE (TEXT ~{5+}\r\nC: d\n)")
        .await;
    let tagged = answer.last().expect("an answer");
    assert!(tagged.contains(" 3:5]"), "{tagged}");
    assert_eq!(last(&mut client).await, "C: d\n");
    let answer = client
        .ok("UID REPLACE 5 INBOX CATENATE (URL /INBOX/;UID=2/;SECTION=HEADER TEXT {2+}\r\nhi)")
        .await;
    assert!(answer.iter().any(|line| line == "* 5 EXPUNGE"), "{answer:?}");
    assert!(last(&mut client).await.ends_with("\r\n\r\nhi"));
    // The client waits to be asked for each literal.
    client.send("x APPEND INBOX CATENATE (TEXT {6}\r\n").await;
    assert!(client.line().await.starts_with('+'));
    client.send("A: b\r\n URL {13}\r\n").await;
    assert!(client.line().await.starts_with('+'));
    client.send("/INBOX/;UID=2)\r\n").await;
    assert!(client.until("x").await.last().is_some_and(|last| last.starts_with("x OK")));
}

#[tokio::test]
async fn what_cannot_be_had() {
    let mut settings = waxwing_imap::Settings::new("imap.example.test");
    settings.plaintext_login = true;
    settings.max_message_octets = 1000;
    let world = World::with(settings).await;
    world.account("bob@example.test").await;
    let mut client = with_messages(&world).await;
    for url in [
        "/INBOX/;UID=99",
        "/Nowhere/;UID=1",
        "/INBOX;UIDVALIDITY=1/;UID=1",
        "/INBOX/;UID=1/;SECTION=9",
        "imap://x/INBOX/;UID=1",
        "/Other%20Users/bob@example.test/INBOX/;UID=1",
    ] {
        let refused = client.refused(&format!("APPEND INBOX CATENATE (URL \"{url}\")")).await;
        assert_eq!(refused.split(']').next(), Some(format!("NO [BADURL {url}").as_str()));
    }
    // RFC 4469 §3: what follows is passed over, and nothing is appended.
    let refused = client
        .refused("APPEND INBOX CATENATE (URL /x/;UID=1 TEXT {4+}\r\nA: b) {9+}\r\nb LOGOUT\r\n")
        .await;
    assert!(refused.starts_with("NO [BADURL /x/;UID=1]"), "{refused}");
    let many = "URL /INBOX/;UID=1 ".repeat(9);
    let refused = client.refused(&format!("APPEND INBOX CATENATE ({many}TEXT {{1+}}\r\nx)")).await;
    assert!(refused.starts_with("NO [TOOBIG]"), "{refused}");
    let refused = client.refused("APPEND INBOX CATENATE (TEXT {1001}").await;
    assert!(refused.starts_with("NO [TOOBIG]"), "{refused}");
    let refused = client.refused("APPEND INBOX CATENATE (TEXT {0+}\r\n)").await;
    assert!(refused.starts_with("NO [CANNOT]"), "{refused}");
    let refused = client.refused("APPEND INBOX CATENATE (TEXT {1+}\r\nx").await;
    assert!(refused.starts_with("BAD"), "{refused}");
    let refused = client.refused("APPEND INBOX CATENATE (TEXT {1+}\r\nx) nonsense").await;
    assert!(refused.starts_with("BAD"), "{refused}");
    client.ok("UNSELECT").await;
    let refused = client.refused("APPEND INBOX CATENATE (URL ;UID=1)").await;
    assert!(refused.starts_with("NO [BADURL ;UID=1]"), "{refused}");
    assert_eq!(client.ok("STATUS INBOX (MESSAGES)").await[0], "* STATUS \"INBOX\" (MESSAGES 2)");
}
