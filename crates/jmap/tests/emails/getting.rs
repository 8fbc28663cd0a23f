//! `Email/get`, `Email/parse`, `Email/changes`.

use serde_json::{Value, json};
use waxwing_store::{FlagChange, Flags, SystemFlags, Uid};

use super::support::{World, mail, text};

const LISTED: [&str; 10] = [
    "id",
    "mailboxIds",
    "keywords",
    "threadId",
    "from",
    "subject",
    "preview",
    "receivedAt",
    "size",
    "hasAttachment",
];

#[tokio::test]
async fn what_a_listing_shows() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let raw =
        mail("From: Bob <bob@y.test>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Hello\n  there");
    let id = alice.add_with("INBOX", &raw, SystemFlags::FLAGGED, 1_000_000_000).await;
    let inbox = text(alice.mailbox("INBOX").await.id);
    let expected = json!({
        "id": id,
        "mailboxIds": {inbox: true},
        "keywords": {"$flagged": true},
        "threadId": format!("T{}", &id[1..]),
        "from": [{"name": "Bob", "email": "bob@y.test"}],
        "subject": "Grüße",
        "preview": "Hello there",
        "receivedAt": "2001-09-09T01:46:40Z",
        "size": raw.len() + raw.matches('\n').count(),
        "hasAttachment": false,
    });
    assert_eq!(alice.email(&id, &LISTED).await, expected);
}

#[tokio::test]
async fn everything_of_a_message() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let raw = "From: a@b.test\nX-A: 1\nx-a: =?utf-8?q?2?=\nList-Post: <mailto:l@b.test>\n\
        Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html; charset=iso-8859-1\n\
        Content-Transfer-Encoding: quoted-printable\n\n<p>caf=E9</p>\n--b\nContent-Type: image/png; name=a.png\n\
        Content-Disposition: attachment\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b\n\
        Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=c\n\n\
        --c\n\none\n--c\nContent-Transfer-Encoding: base64\n\ndHdv\n--c--\n--b--\n";
    let id = alice.add("INBOX", raw).await;
    let got = alice
        .call(
            "Email/get",
            json!({
                "ids": [id, "M999", "nonsense"],
                "properties": ["header:X-a:asText:all", "header:LIST-post:asURLs", "bodyStructure",
                    "textBody", "attachments", "bodyValues", "headers", "hasAttachment"],
                "bodyProperties": ["partId", "blobId", "size", "type", "name", "header:Content-Type"],
                "fetchHTMLBodyValues": true,
                "maxBodyValueBytes": 6,
            }),
        )
        .await;
    assert_eq!(got["notFound"], json!(["M999", "nonsense"]));
    let email = &got["list"][0];
    assert_eq!(email["header:X-a:asText:all"], json!(["1", "2"]));
    assert_eq!(email["header:LIST-post:asURLs"], json!(["mailto:l@b.test"]));
    assert_eq!(email["headers"][2], json!({"name": "x-a", "value": " =?utf-8?q?2?="}));
    assert_eq!(email["headers"].as_array().unwrap().len(), 5);
    let blob = |part: &str| json!(format!("B{}_{part}", &id[1..]));
    let html = json!({"partId": "1", "blobId": blob("1"), "size": 11, "type": "text/html", "name": null,
        "header:Content-Type": " text/html; charset=iso-8859-1"});
    let image = json!({"partId": "2", "blobId": blob("2"), "size": 5, "type": "image/png", "name": "a.png",
        "header:Content-Type": " image/png; name=a.png"});
    assert_eq!(email["textBody"], json!([html]));
    assert_eq!(email["bodyStructure"]["subParts"][1], image);
    assert_eq!(email["attachments"][0], image);
    assert_eq!(email["attachments"][1]["type"], "message/rfc822");
    assert_eq!(email["bodyStructure"]["partId"], Value::Null);
    let value = json!({"value": "<p>caf", "isEncodingProblem": false, "isTruncated": true});
    assert_eq!(email["bodyValues"], json!({"1": value}));
    assert_eq!(email["hasAttachment"], true);

    let attached = format!("B{}_3", &id[1..]);
    let parsed = alice
        .call(
            "Email/parse",
            json!({
                "blobIds": [attached, "B999", format!("B{}_2", &id[1..]), "x"],
                "properties": ["id", "blobId", "subject", "keywords", "textBody", "bodyValues", "size"],
                "bodyProperties": ["partId", "blobId", "size"],
                "fetchTextBodyValues": true,
            }),
        )
        .await;
    let inner = &parsed["parsed"][&attached];
    assert_eq!((&inner["id"], &inner["keywords"]), (&Value::Null, &Value::Null));
    assert_eq!((&inner["subject"], &inner["blobId"]), (&json!("inner"), &json!(attached)));
    assert_eq!(
        inner["textBody"][1],
        json!({"partId": "2", "blobId": format!("{attached}_2"), "size": 3})
    );
    assert_eq!(inner["bodyValues"]["2"]["value"], "two");
    assert_eq!(parsed["notParsable"], json!([format!("B{}_2", &id[1..])]));
    assert_eq!(parsed["notFound"], json!(["B999", "x"]));
    let again = alice.call("Email/parse", json!({"blobIds": [format!("{attached}_1")]})).await;
    assert_eq!(again["notParsable"], json!([format!("{attached}_1")]));
}

#[tokio::test]
async fn arguments_are_checked() {
    let world = World::new().await;
    let mut alice = world.client("alice").await;
    for no in [
        json!({"ids": [], "properties": ["header:From:asDate"]}),
        json!({"ids": [], "bodyProperties": ["header:Date:asText"]}),
        json!({"ids": [], "more": 1}),
        json!({"ids": "M1"}),
    ] {
        assert_eq!(alice.fails("Email/get", no.clone()).await, "invalidArguments", "{no}");
    }
    assert_eq!(
        alice.fails("Email/get", json!({"accountId": "A99", "ids": []})).await,
        "accountNotFound"
    );
    alice.limits.max_objects_in_get = 2;
    let ids = json!({"ids": ["M1", "M2", "M3"]});
    assert_eq!(alice.fails("Email/get", ids).await, "requestTooLarge");
    for subject in ["a", "b"] {
        alice.add("INBOX", &mail(&format!("Subject: {subject}"), "")).await;
    }
    let all = json!({"ids": null, "properties": ["subject"]});
    assert_eq!(alice.call("Email/get", all.clone()).await["list"].as_array().unwrap().len(), 2);
    alice.add("Sent", &mail("Subject: c", "")).await;
    assert_eq!(alice.fails("Email/get", all).await, "requestTooLarge");
}

#[tokio::test]
async fn what_changes_is_told() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let a = alice.add("INBOX", &mail("Subject: a", "")).await;
    let b = alice.add("INBOX", &mail("Subject: b", "")).await;
    let since = alice.state().await;
    let c = alice.add("INBOX", &mail("Subject: c", "")).await;
    let inbox = alice.mailbox("INBOX").await.id;
    let flags = |system| FlagChange::Add(Flags { system, keywords: None });
    alice.store.store_flags(inbox, &[Uid(1)], flags(SystemFlags::SEEN), None).await.unwrap();
    alice.store.expunge(inbox, &[Uid(2)]).await.unwrap();
    let changes = alice.call("Email/changes", json!({"sinceState": since})).await;
    assert_eq!(changes["created"], json!([c]));
    assert_eq!(changes["updated"], json!([a]));
    assert_eq!(changes["destroyed"], json!([b]));
    assert_eq!(changes["newState"], json!(alice.state().await));
    assert_eq!(changes["hasMoreChanges"], false);

    // RFC 8621 §4.1.1: what IMAP marks as deleted is not there.
    let since = alice.state().await;
    alice.store.store_flags(inbox, &[Uid(1)], flags(SystemFlags::DELETED), None).await.unwrap();
    let changes = alice.call("Email/changes", json!({"sinceState": since})).await;
    assert_eq!(changes["destroyed"], json!([a]));
    let got = alice.call("Email/get", json!({"ids": [a]})).await;
    assert_eq!(got["notFound"], json!([a]));
    assert_eq!(alice.find(json!({})).await, [c]);
    for no in ["999999", "x", ""] {
        let arguments = json!({"sinceState": no});
        assert_eq!(alice.fails("Email/changes", arguments).await, "cannotCalculateChanges");
    }
}

#[tokio::test]
async fn nobody_sees_anothers() {
    let world = World::new().await;
    let (alice, bob) = (world.client("alice").await, world.client("bob").await);
    let id = alice
        .add("INBOX", &mail("Subject: secret\nContent-Type: message/rfc822", "Subject: x\n\ny"))
        .await;
    let got = bob.call("Email/get", json!({"ids": [id]})).await;
    assert_eq!(got["notFound"], json!([id]));
    let blobs = json!({"blobIds": [format!("B{}", &id[1..]), format!("B{}_1", &id[1..])]});
    let parsed = bob.call("Email/parse", blobs.clone()).await;
    assert_eq!((&parsed["parsed"], &parsed["notFound"]), (&Value::Null, &blobs["blobIds"]));
    assert!(bob.find(json!({"text": "secret"})).await.is_empty());
    let theirs = json!({"accountId": alice.id, "ids": [id]});
    assert_eq!(bob.fails("Email/get", theirs).await, "accountNotFound");
    let set = json!({"update": {&id: {"keywords/$seen": true}}, "destroy": [id]});
    let set = bob.call("Email/set", set).await;
    assert_eq!(set["notUpdated"][&id]["type"], "notFound");
    assert_eq!(set["notDestroyed"][&id]["type"], "notFound");
    let create = json!({"create": {"k": {
        "mailboxIds": {text(bob.mailbox("INBOX").await.id): true},
        "attachments": [{"blobId": format!("B{}", &id[1..])}],
    }}});
    let set = bob.call("Email/set", create).await;
    assert_eq!(set["notCreated"]["k"]["type"], "blobNotFound");
    assert_eq!(set["notCreated"]["k"]["notFound"], json!([format!("B{}", &id[1..])]));
}
