//! `Email/set`, `Email/import`, `Email/copy`.

use serde_json::{Value, json};
use waxwing_store::{FlagChange, Flags, GrantChange, Grantee, MessageId, Rights, SystemFlags, Uid};

use super::support::{Client, World, mail, text};

#[tokio::test]
async fn a_draft_is_written_and_written_anew() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let drafts = text(alice.mailbox("Drafts").await.id);
    let body = "I have the most brilliant plan. What we do is, we";
    let draft = |subject: &str| {
        json!({
            "mailboxIds": {&drafts: true},
            "keywords": {"$seen": true, "$draft": true},
            "from": [{"name": "Joe Bloggs", "email": "joe@x.test"}],
            "subject": subject,
            "receivedAt": "2018-07-10T01:03:11Z",
            "sentAt": "2018-07-10T11:03:11+10:00",
            "bodyStructure": {"type": "text/plain", "partId": "bd48", "header:Content-Language": "en"},
            "bodyValues": {"bd48": {"value": body, "isTruncated": false}},
        })
    };
    let set = alice.call("Email/set", json!({"create": {"k192": draft("World domination")}})).await;
    let created = &set["created"]["k192"];
    let id = created["id"].as_str().unwrap();
    assert_ne!(set["oldState"], set["newState"]);
    let properties = [
        "blobId",
        "threadId",
        "size",
        "subject",
        "sentAt",
        "receivedAt",
        "keywords",
        "messageId",
        "mailboxIds",
        "bodyValues",
    ];
    let arguments = json!({"ids": [id], "properties": properties, "fetchAllBodyValues": true});
    let got = alice.call("Email/get", arguments).await;
    let email = &got["list"][0];
    for name in ["blobId", "threadId", "size"] {
        assert_eq!(email[name], created[name]);
    }
    assert_eq!(email["sentAt"], "2018-07-10T11:03:11+10:00");
    assert_eq!(email["receivedAt"], "2018-07-10T01:03:11Z");
    assert_eq!(email["keywords"], json!({"$draft": true, "$seen": true}));
    assert_eq!(email["mailboxIds"], json!({&drafts: true}));
    assert_eq!(email["bodyValues"]["1"]["value"], body);
    assert!(email["messageId"][0].as_str().unwrap().ends_with("@x.test"));

    let again = json!({"create": {"k2": draft("World peace")}, "destroy": [id]});
    let set = alice.call("Email/set", again).await;
    assert_eq!(set["destroyed"], json!([id]));
    let new = set["created"]["k2"]["id"].as_str().unwrap();
    assert_eq!(alice.find(json!({"inMailbox": drafts})).await, [new]);
}

#[tokio::test]
async fn attachments_come_from_blobs() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let inbox = text(alice.mailbox("INBOX").await.id);
    let file: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let staged = alice.store.stage_bytes(file.clone()).await.unwrap();
    let now = jiff::Timestamp::now();
    let upload = alice.store.keep_upload(alice.account.id, staged, "image/png", now).await.unwrap();
    let other = alice
        .add("INBOX", &mail("Subject: other\nContent-Transfer-Encoding: base64", "aGVsbG8="))
        .await;
    let set = alice
        .call(
            "Email/set",
            json!({"create": {"k": {
                "mailboxIds": {&inbox: true},
                "textBody": [{"partId": "1"}],
                "bodyValues": {"1": {"value": "see there"}},
                "attachments": [
                    {"blobId": format!("U{}", upload.0), "type": "image/png", "name": "ä.png"},
                    {"blobId": format!("B{}", &other[1..]), "type": "message/rfc822"},
                    {"blobId": format!("B{}_1", &other[1..]), "type": "text/plain", "charset": "utf-8"},
                ],
            }}}),
        )
        .await;
    let id = set["created"]["k"]["id"].as_str().unwrap_or_else(|| panic!("{set}"));
    let properties = json!({"ids": [id], "properties": ["attachments"],
        "bodyProperties": ["size", "type", "name", "blobId"]});
    let got = alice.call("Email/get", properties).await;
    let attachments = got["list"][0]["attachments"].as_array().unwrap();
    assert_eq!(attachments[0]["size"], 200_000);
    assert_eq!(attachments[0]["name"], "ä.png");
    assert_eq!(attachments[1]["size"], alice.octets(&other).await.len());
    assert_eq!(attachments[2]["size"], 5);
    let octets = alice.octets(id).await;
    let message = waxwing_message::Message::parse(&octets);
    assert_eq!(&*message.decoded(waxwing_message::parse::PartId(2)), &file[..]);
    // And out of the new message into another.
    let again = json!({"create": {"k": {
        "mailboxIds": {&inbox: true}, "attachments": [{"blobId": attachments[0]["blobId"]}],
    }}});
    assert!(alice.call("Email/set", again).await["created"]["k"]["id"].is_string());
    let missing = json!({"create": {"k": {"mailboxIds": {&inbox: true},
        "attachments": [{"blobId": "U999"}, {"blobId": "x"}, {"blobId": format!("U{}", upload.0)}]}}});
    let error = &alice.call("Email/set", missing).await["notCreated"]["k"];
    assert_eq!(
        (&error["type"], &error["notFound"]),
        (&json!("blobNotFound"), &json!(["U999", "x"]))
    );
}

#[tokio::test]
async fn what_cannot_be_created() {
    let world = World::new().await;
    let mut alice = world.client("alice").await;
    let inbox = text(alice.mailbox("INBOX").await.id);
    alice.limits.max_size_message = 10_000;
    let large = "x ".repeat(10_000);
    for (object, kind, properties) in [
        (json!({"subject": "x"}), "invalidProperties", json!(["mailboxIds"])),
        (json!({"mailboxIds": {}}), "invalidProperties", json!(["mailboxIds"])),
        (json!({"mailboxIds": {"F999": true}}), "invalidProperties", json!(["mailboxIds"])),
        (json!({"mailboxIds": {&inbox: false}}), "invalidProperties", json!(["mailboxIds"])),
        (
            json!({"mailboxIds": {&inbox: true}, "keywords": {"a b": true}}),
            "invalidProperties",
            json!(["keywords"]),
        ),
        (
            json!({"mailboxIds": {&inbox: true}, "receivedAt": "x"}),
            "invalidProperties",
            json!(["receivedAt"]),
        ),
        (
            json!({"mailboxIds": {&inbox: true}, "headers": []}),
            "invalidProperties",
            json!(["headers"]),
        ),
        (
            json!({"mailboxIds": {&inbox: true}, "textBody": [{"partId": "1"}], "bodyValues": {"1": {"value": large}}}),
            "tooLarge",
            Value::Null,
        ),
    ] {
        let set = alice.call("Email/set", json!({"create": {"k": object}})).await;
        let error = &set["notCreated"]["k"];
        assert_eq!((&error["type"], &error["properties"]), (&json!(kind), &properties), "{object}");
        assert_eq!(set["oldState"], set["newState"]);
    }
    let wrong = json!({"ifInState": "0", "create": {}});
    assert_eq!(alice.fails("Email/set", wrong).await, "stateMismatch");
    assert!(alice.find(json!({})).await.is_empty());
}

#[tokio::test]
async fn keywords_and_mailboxes_are_altered() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let inbox = alice.mailbox("INBOX").await;
    let (archive, trash) = (alice.mailbox("Archive").await, alice.mailbox("Trash").await);
    let id = alice.add("INBOX", &mail("Subject: x", "")).await;
    let [i, a, t] = [&inbox, &archive, &trash].map(|mailbox| text(mailbox.id));
    let update = async |patch: Value| {
        let set = alice.call("Email/set", json!({"update": {&id: patch}})).await;
        match set["notUpdated"].is_null() {
            true => {
                assert_eq!(set["updated"], json!({&id: null}));
                let email = alice.email(&id, &["keywords", "mailboxIds"]).await;
                let names = |value: &Value| -> Vec<String> {
                    value.as_object().unwrap().keys().cloned().collect()
                };
                Ok((names(&email["keywords"]), names(&email["mailboxIds"])))
            }
            false => Err(set["notUpdated"][&id]["type"].as_str().unwrap().to_owned()),
        }
    };
    let is = |keywords: &[&str], mailboxes: &[&String]| {
        let keywords = keywords.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>();
        let mut mailboxes: Vec<String> = mailboxes.iter().map(|m| (*m).clone()).collect();
        mailboxes.sort();
        Ok((keywords, mailboxes))
    };
    assert_eq!(
        update(json!({"keywords/$seen": true, "keywords/Work": true})).await,
        is(&["$seen", "work"], &[&i])
    );
    assert_eq!(
        update(json!({&format!("mailboxIds/{a}"): true})).await,
        is(&["$seen", "work"], &[&i, &a])
    );
    // In each of its mailboxes.
    assert_eq!(
        update(json!({"keywords/$seen": null, "keywords/$flagged": true})).await,
        is(&["$flagged", "work"], &[&i, &a])
    );
    let entries = alice.store.entries(archive.id).await.unwrap().0;
    assert_eq!(entries[0].flags.system, SystemFlags::FLAGGED);
    assert_eq!(
        update(json!({"keywords": {"$answered": true}})).await,
        is(&["$answered"], &[&i, &a])
    );
    // To the trash, and nowhere else.
    assert_eq!(update(json!({"mailboxIds": {&t: true}})).await, is(&["$answered"], &[&t]));
    assert!(alice.store.entries(inbox.id).await.unwrap().0.is_empty());
    assert_eq!(
        update(json!({&format!("mailboxIds/{t}"): null, &format!("mailboxIds/{i}"): true})).await,
        is(&["$answered"], &[&i])
    );
    for (patch, kind) in [
        (json!({&format!("mailboxIds/{i}"): null}), "invalidProperties"),
        (json!({"mailboxIds": {}}), "invalidProperties"),
        (json!({"mailboxIds/F999": true}), "invalidProperties"),
        (json!({"keywords/a b": true}), "invalidProperties"),
        (json!({"keywords/a": false}), "invalidProperties"),
        (json!({"subject": "y"}), "invalidProperties"),
        (json!({"keywords": {}, "keywords/a": true}), "invalidPatch"),
    ] {
        assert_eq!(update(patch.clone()).await, Err(kind.to_owned()), "{patch}");
    }
    let none =
        alice.call("Email/set", json!({"update": {"M999": {}}, "destroy": ["M999", "x"]})).await;
    assert_eq!(none["notUpdated"]["M999"]["type"], "notFound");
    assert_eq!(none["notDestroyed"]["x"]["type"], "notFound");
    let both = json!({"update": {&id: {"keywords/$seen": true}}, "destroy": [id]});
    let both = alice.call("Email/set", both).await;
    assert_eq!(both["notUpdated"][&id]["type"], "willDestroy");
    assert_eq!(both["destroyed"], json!([id]));
}

#[tokio::test]
async fn destroying_leaves_nothing() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let (inbox, archive) = (alice.mailbox("INBOX").await, alice.mailbox("Archive").await);
    let id = alice.add("INBOX", &mail("Subject: x", "")).await;
    alice.store.copy(inbox.id, &[Uid(1)], archive.id).await.unwrap();
    let flags = Flags { system: SystemFlags::DELETED, keywords: None };
    alice.store.copy(inbox.id, &[Uid(1)], inbox.id).await.unwrap();
    alice.store.store_flags(inbox.id, &[Uid(2)], FlagChange::Add(flags), None).await.unwrap();
    let set = alice.call("Email/set", json!({"destroy": [id, id]})).await;
    assert_eq!(set["destroyed"], json!([id]));
    for mailbox in [inbox.id, archive.id] {
        assert!(alice.store.entries(mailbox).await.unwrap().0.is_empty());
    }
    let message = MessageId(id[1..].parse().unwrap());
    assert!(alice.store.content_of(alice.account.id, message).await.unwrap().is_none());
}

#[tokio::test]
async fn many_at_once() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let mut update = serde_json::Map::new();
    for n in 0..120 {
        let id = alice.add("INBOX", &mail(&format!("Subject: {n}"), "")).await;
        update.insert(id, json!({"keywords/$seen": true}));
    }
    let set = alice.call("Email/set", json!({"update": update})).await;
    assert_eq!(set["updated"].as_object().unwrap().len(), 120);
    assert_eq!(alice.mailbox("INBOX").await.unseen, 0);
}

/// IMAP's sessions wait on the store's watch, and look at rolls: both hear of what is done here.
#[tokio::test]
async fn sessions_hear_at_once() {
    let world = World::new().await;
    let alice = world.client("alice").await;
    let inbox = alice.mailbox("INBOX").await.id;
    let id = alice.add("INBOX", &mail("Subject: x", "")).await;
    let before = alice.store.roll(inbox).await.unwrap().unwrap();
    let mut watch = alice.store.watch(alice.account.id);
    alice.call("Email/set", json!({"update": {&id: {"keywords/$seen": true}}})).await;
    let heard = tokio::time::timeout(std::time::Duration::from_secs(60), watch.changed());
    heard.await.expect("the bell rings");
    let now = alice.store.roll(inbox).await.unwrap().unwrap();
    assert_eq!(before.row(0).unwrap().system(), SystemFlags(0));
    assert_eq!(now.row(0).unwrap().system(), SystemFlags::SEEN);
}

async fn upload(client: &Client, octets: &[u8]) -> String {
    let staged = client.store.stage_bytes(octets.to_vec()).await.unwrap();
    let now = jiff::Timestamp::now();
    let id = client.store.keep_upload(client.account.id, staged, "message/rfc822", now).await;
    format!("U{}", id.unwrap().0)
}

#[tokio::test]
async fn imports() {
    let world = World::new().await;
    let (alice, bob) = (world.client("alice").await, world.client("bob").await);
    let inbox = text(alice.mailbox("INBOX").await.id);
    let raw = "Received: from a; Tue, 1 Jul 2003 10:52:37 +0200\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\nhi\r\n";
    let blob = upload(&alice, raw.as_bytes()).await;
    let nothing = upload(&alice, b"no message at all").await;
    let theirs = upload(&bob, raw.as_bytes()).await;
    let into = json!({&inbox: true});
    let imported = alice
        .call(
            "Email/import",
            json!({"emails": {
                "a": {"blobId": blob, "mailboxIds": into, "keywords": {"$seen": true}},
                "b": {"blobId": nothing, "mailboxIds": into},
                "c": {"blobId": theirs, "mailboxIds": into},
                "d": {"blobId": blob, "mailboxIds": {}},
                "e": {"blobId": blob, "mailboxIds": into, "receivedAt": "2020-01-01T00:00:00Z"},
                "f": {"blobId": blob, "mailboxIds": into, "subject": "x"},
            }}),
        )
        .await;
    let created = &imported["created"];
    assert_eq!(created["a"]["size"], raw.len());
    let id = created["a"]["id"].as_str().unwrap();
    let email = alice.email(id, &["subject", "receivedAt", "keywords"]).await;
    assert_eq!(email["subject"], "Grüße");
    assert_eq!(email["receivedAt"], "2003-07-01T08:52:37Z");
    assert_eq!(alice.octets(id).await, raw.as_bytes());
    // RFC 8621 §4.8: two of the same content are two.
    assert_ne!(created["e"]["id"], created["a"]["id"]);
    let error = |key: &str| {
        (
            imported["notCreated"][key]["type"].clone(),
            imported["notCreated"][key]["properties"].clone(),
        )
    };
    assert_eq!(error("b").0, "invalidEmail");
    assert_eq!(error("c"), (json!("invalidProperties"), json!(["blobId"])));
    assert_eq!(error("d"), (json!("invalidProperties"), json!(["mailboxIds"])));
    assert_eq!(error("f"), (json!("invalidProperties"), json!(["subject"])));
    let part = json!({"emails": {"x": {"blobId": format!("B{}", &id[1..]), "mailboxIds": into}}});
    assert!(alice.call("Email/import", part).await["created"]["x"]["id"].is_string());
}

#[tokio::test]
async fn sharing() {
    let world = World::new().await;
    let (alice, bob) = (world.client("alice").await, world.client("bob").await);
    let (shared, secret) = (alice.mailbox("Shared").await, alice.mailbox("Secret").await);
    let id = alice.add("Shared", &mail("Subject: for you", "x")).await;
    let hidden = alice.add("Secret", &mail("Subject: not for you", "x")).await;
    alice.store.copy(secret.id, &[Uid(1)], secret.id).await.unwrap();
    let give = async |rights: &str| {
        let rights: Rights = rights.parse().unwrap();
        let grantee = Grantee::Account(bob.account.id);
        alice
            .store
            .change_grant(shared.id, grantee, false, GrantChange::Set(rights))
            .await
            .unwrap();
    };
    give("l").await;
    let theirs = |mut arguments: Value| {
        arguments["accountId"] = json!(alice.id);
        arguments
    };
    let ids = theirs(json!({"ids": [id, hidden], "properties": ["subject", "mailboxIds"]}));
    assert_eq!(bob.call("Email/get", ids.clone()).await["notFound"], json!([id, hidden]));
    give("lr").await;
    let got = bob.call("Email/get", ids).await;
    assert_eq!(got["list"][0]["subject"], "for you");
    assert_eq!(got["notFound"], json!([hidden]));
    assert_eq!(bob.call("Email/query", theirs(json!({}))).await["ids"], json!([id]));
    let search = theirs(json!({"filter": {"text": "you"}}));
    assert_eq!(bob.call("Email/query", search).await["ids"], json!([id]));
    let inside = theirs(json!({"filter": {"inMailbox": text(secret.id)}}));
    assert_eq!(bob.call("Email/query", inside).await["ids"], json!([]));

    let update = async |patch: Value| {
        let set = bob.call("Email/set", theirs(json!({"update": {&id: patch}}))).await;
        set["notUpdated"][&id]["type"].as_str().map(str::to_owned)
    };
    let forbidden = Some("forbidden".to_owned());
    assert_eq!(update(json!({"keywords/$seen": true})).await, forbidden);
    give("lrs").await;
    assert_eq!(update(json!({"keywords/$seen": true})).await, None);
    assert_eq!(update(json!({"keywords/$flagged": true})).await, forbidden);
    let destroy = theirs(json!({"destroy": [id]}));
    let set = bob.call("Email/set", destroy.clone()).await;
    assert_eq!(set["notDestroyed"][&id]["type"], "forbidden");
    let create = theirs(json!({"create": {"k": {"mailboxIds": {text(shared.id): true}}}}));
    assert_eq!(bob.call("Email/set", create.clone()).await["notCreated"]["k"]["type"], "forbidden");

    // Out of a shared mailbox into one's own.
    give("lrsite").await;
    let copy = json!({"fromAccountId": alice.id, "onSuccessDestroyOriginal": true, "create": {
        "k": {"id": id, "mailboxIds": {text(bob.mailbox("INBOX").await.id): true}},
    }, "accountId": bob.id});
    let responses = bob.responses(json!([["Email/copy", copy, "0"]])).await;
    let new =
        responses[0].1["created"]["k"]["id"].as_str().unwrap_or_else(|| panic!("{responses:?}"));
    assert_eq!(responses[1].0, "Email/set");
    assert_eq!(responses[1].1["destroyed"], json!([id]));
    let email = bob.email(new, &["subject", "keywords", "receivedAt"]).await;
    assert_eq!(email["subject"], "for you");
    assert_eq!(email["keywords"], json!({"$seen": true}));
    assert_eq!(email["receivedAt"], "2020-09-13T12:26:40Z");
    assert!(bob.call("Email/set", create).await["created"]["k"]["id"].is_string());
    let same = json!({"fromAccountId": bob.id, "create": {}});
    assert_eq!(bob.fails("Email/copy", same).await, "invalidArguments");
    let none = json!({"fromAccountId": "A999", "create": {}});
    assert_eq!(bob.fails("Email/copy", none).await, "fromAccountNotFound");
}
