//! Identities and submissions through a real store; what is sent goes to a post office of the test.

mod world;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use waxwing_jmap::submission::handing::hand_over_due;
use waxwing_message::Address;
use world::World;

async fn identity(world: &World) -> String {
    let (_, answer) = world.one("Identity/get", json!({"ids": null})).await;
    answer["list"][0]["id"].as_str().unwrap().to_owned()
}

/// A draft, as `Mxx`.
async fn draft(world: &World, to: &str) -> String {
    let octets = format!(
        "From: Alice <alice@example.test>\r\nTo: {to}\r\nBcc: hidden@elsewhere.test\r\n\
         Subject: hello\r\nMessage-ID: <draft@x>\r\n\r\nhello\r\n"
    );
    let drafts = world.mailbox("Drafts").await;
    format!("M{}", world.append_octets(drafts, octets.as_bytes()).await.0)
}

fn recipients(mail: &waxwing_jmap::Outgoing) -> Vec<String> {
    mail.envelope.recipients.iter().map(|to| to.address.to_string()).collect()
}

#[tokio::test]
async fn identities_are_those_that_reach_the_account() {
    let world = World::new().await;
    let alias = Address::parse("sales@example.test").unwrap();
    let alice = Address::parse("alice@example.test").unwrap();
    world.store.create_alias(&alias, &alice).await.unwrap();
    world.another("bob@example.test").await;
    let (_, first) = world.one("Identity/get", json!({"ids": null})).await;
    let emails: Vec<&Value> =
        first["list"].as_array().unwrap().iter().map(|one| &one["email"]).collect();
    assert_eq!(emails, ["alice@example.test", "sales@example.test"]);
    assert_eq!(
        (&first["list"][0]["mayDelete"], &first["list"][1]["mayDelete"]),
        (&json!(false), &json!(true))
    );
    let (own, other) =
        (first["list"][0]["id"].as_str().unwrap(), first["list"][1]["id"].as_str().unwrap());

    let create = json!({
        "plus": {"email": "alice+lists@example.test", "name": "Lists"},
        "bob": {"email": "bob@example.test"},
        "far": {"email": "alice@elsewhere.test"},
        "none": {"name": "x"},
    });
    let update = json!({own: {"name": "Alice", "replyTo": [{"name": null, "email": "sales@example.test"}]}, other: {"email": "x@y.test"}});
    let (_, set) = world
        .one("Identity/set", json!({"create": create, "update": update, "destroy": [own]}))
        .await;
    assert_eq!(set["notCreated"]["bob"]["type"], "forbiddenFrom");
    assert_eq!(set["notCreated"]["far"]["type"], "forbiddenFrom");
    assert_eq!(set["notCreated"]["none"]["properties"], json!(["email"]));
    assert_eq!(set["notUpdated"][other]["properties"], json!(["email"]));
    assert_eq!(set["notDestroyed"][own]["type"], "forbidden");
    let made = set["created"]["plus"]["id"].as_str().unwrap();
    // It was to be destroyed as well, so that nothing of it was changed.
    assert_eq!(set["notUpdated"][own]["type"], "willDestroy");
    let (_, set) = world
        .one("Identity/set", json!({"update": {own: {"name": "Alice"}}, "destroy": [other]}))
        .await;
    assert_eq!((&set["updated"], &set["destroyed"]), (&json!({own: null}), &json!([other])));
    let (_, told) = world.one("Identity/changes", json!({"sinceState": first["state"]})).await;
    assert_eq!(
        [&told["created"], &told["updated"], &told["destroyed"]],
        [&json!([made]), &json!([own]), &json!([other])]
    );
}

#[tokio::test]
async fn a_message_is_sent_and_moved_to_sent() {
    let world = World::new().await;
    let (identity, email) =
        (identity(&world).await, draft(&world, "bob@example.test, carol@elsewhere.test").await);
    let (drafts, sent) = (world.text("Drafts").await, world.text("Sent").await);
    let move_it = json!({
        format!("mailboxIds/{drafts}"): null,
        format!("mailboxIds/{sent}"): true,
        "keywords/$draft": null,
    });
    let answers = world
        .ask(json!([["EmailSubmission/set", {
            "accountId": world.id(),
            "create": {"s": {"identityId": identity, "emailId": email}},
            "onSuccessUpdateEmail": {"#s": move_it},
        }, "0"]]))
        .await;
    let (name, set, _) = &answers[0];
    assert_eq!((name.as_str(), &set["notCreated"]), ("EmailSubmission/set", &Value::Null));
    let made = &set["created"]["s"];
    assert_eq!(made["undoStatus"], "final");
    let id = made["id"].clone();
    let mail = world.post.taken.lock().unwrap().remove(0);
    assert_eq!(
        recipients(&mail),
        ["bob@example.test", "carol@elsewhere.test", "hidden@elsewhere.test"]
    );
    assert_eq!(mail.envelope.reverse_path.to_string(), "alice@example.test");
    // RFC 8621 §7.5: the response of the Email/set that it called follows, with the same id.
    assert_eq!((answers[1].0.as_str(), answers[1].2.as_str()), ("Email/set", "0"));
    assert_eq!(answers[1].1["updated"], json!({&email: null}));
    let (_, shown) =
        world.one("Email/get", json!({"ids": [email], "properties": ["mailboxIds"]})).await;
    assert_eq!(shown["list"][0]["mailboxIds"], json!({sent: true}));

    let (_, shown) = world.one("EmailSubmission/get", json!({"ids": [id]})).await;
    let one = &shown["list"][0];
    assert_eq!((&one["emailId"], &one["identityId"]), (&json!(email), &json!(identity)));
    assert_eq!(one["deliveryStatus"]["bob@example.test"]["displayed"], "unknown");
    let patch = json!({"update": {id.as_str().unwrap(): {"undoStatus": "canceled"}}});
    let (_, set) = world.one("EmailSubmission/set", patch).await;
    assert_eq!(set["notUpdated"][id.as_str().unwrap()]["type"], "cannotUnsend");
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_and_stays_where_it_is() {
    let world = World::new().await;
    world.another("bob@example.test").await;
    let (identity, email) = (identity(&world).await, draft(&world, "carol@elsewhere.test").await);
    let envelope = |from: &str, to: &[&str]| {
        let to: Vec<Value> = to.iter().map(|to| json!({"email": to})).collect();
        json!({"identityId": identity, "emailId": email, "envelope": {"mailFrom": {"email": from}, "rcptTo": to}})
    };
    let many: Vec<String> = (0..1_001).map(|n| format!("a{n}@elsewhere.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let create = json!({
        "another": envelope("bob@example.test", &["x@elsewhere.test"]),
        "nobody": envelope("alice@example.test", &[]),
        "bad": envelope("alice@example.test", &["no", "x@elsewhere.test"]),
        "unknown": envelope("alice@example.test", &["refuse@elsewhere.test"]),
        "many": envelope("alice@example.test", &many),
        "gone": {"identityId": identity, "emailId": "M999"},
        "stranger": {"identityId": "I999", "emailId": email},
        "status": {"identityId": identity, "emailId": email, "undoStatus": "pending"},
    });
    let asked = json!({"create": create, "onSuccessDestroyEmail": ["#another", "#nobody"]});
    let (_, set) = world.one("EmailSubmission/set", asked).await;
    assert_eq!(set["created"], Value::Null);
    let not = &set["notCreated"];
    for (name, kind) in [
        ("another", "forbiddenMailFrom"),
        ("nobody", "noRecipients"),
        ("bad", "invalidRecipients"),
        ("unknown", "invalidRecipients"),
        ("many", "tooManyRecipients"),
        ("gone", "invalidProperties"),
        ("stranger", "invalidProperties"),
        ("status", "invalidProperties"),
    ] {
        assert_eq!(not[name]["type"], kind, "{name}");
    }
    assert_eq!(not["bad"]["invalidRecipients"], json!(["no"]));
    assert_eq!(not["unknown"]["invalidRecipients"], json!(["refuse@elsewhere.test"]));
    assert_eq!(not["many"]["maxRecipients"], 1_000);
    assert!(world.post.taken.lock().unwrap().is_empty());
    let (_, shown) = world.one("Email/get", json!({"ids": [email], "properties": ["id"]})).await;
    assert_eq!(shown["notFound"], json!([]));
}

#[tokio::test]
async fn what_is_held_back_can_be_taken_back_until_it_is_sent() {
    let world = World::new().await;
    let (identity, email) = (identity(&world).await, draft(&world, "carol@elsewhere.test").await);
    let held = json!({"identityId": identity, "emailId": email, "envelope": {
        "mailFrom": {"email": "alice@example.test", "parameters": {"HOLDFOR": "3600"}},
        "rcptTo": [{"email": "carol@elsewhere.test"}],
    }});
    let (_, before) = world.one("EmailSubmission/get", json!({"ids": null})).await;
    let (_, set) =
        world.one("EmailSubmission/set", json!({"create": {"a": held, "b": held}})).await;
    let id = |name: &str| set["created"][name]["id"].as_str().unwrap().to_owned();
    assert_eq!(set["created"]["a"]["undoStatus"], "pending");
    let canceled = json!({"update": {id("a"): {"undoStatus": "canceled"}}});
    let (_, changed) = world.one("EmailSubmission/set", canceled).await;
    assert_eq!(changed["updated"], json!({id("a"): null}));

    let now = Timestamp::now();
    let due = async |at| hand_over_due(&world.store, &*world.post, at).await.unwrap();
    assert_eq!(due(now + SignedDuration::from_secs(3_500)).await, 0);
    assert!(world.post.taken.lock().unwrap().is_empty());
    assert_eq!(due(now + SignedDuration::from_secs(3_700)).await, 1);
    assert_eq!(recipients(&world.post.taken.lock().unwrap()[0]), ["carol@elsewhere.test"]);
    assert_eq!(due(now + SignedDuration::from_hours(10)).await, 0, "once");
    let sort = json!([{"property": "sentAt"}]);
    let (_, query) = world
        .one("EmailSubmission/query", json!({"filter": {"undoStatus": "final"}, "sort": sort}))
        .await;
    assert_eq!(query["ids"], json!([id("b")]));
    let since = json!({"sinceState": before["state"]});
    let (_, told) = world.one("EmailSubmission/changes", since).await;
    assert_eq!(told["created"], json!([id("a"), id("b")]));
    let (_, told) =
        world.one("EmailSubmission/changes", json!({"sinceState": changed["newState"]})).await;
    assert_eq!(told["updated"], json!([id("b")]));

    // Too long, or refused when its time has come.
    let mut far = held.clone();
    far["envelope"]["mailFrom"]["parameters"]["HOLDFOR"] = json!("9999999");
    let mut refused = held;
    refused["envelope"]["rcptTo"] = json!([{"email": "refuse@elsewhere.test"}]);
    let (_, set) =
        world.one("EmailSubmission/set", json!({"create": {"far": far, "refused": refused}})).await;
    assert_eq!(set["notCreated"]["far"]["type"], "invalidProperties");
    assert_eq!(due(now + SignedDuration::from_hours(2)).await, 1);
    let one = json!({"ids": [set["created"]["refused"]["id"]]});
    let (_, shown) = world.one("EmailSubmission/get", one).await;
    let status = &shown["list"][0]["deliveryStatus"]["refuse@elsewhere.test"];
    assert_eq!(status["delivered"], "no");
    let (_, gone) = world.one("EmailSubmission/set", json!({"destroy": [id("b"), "S999"]})).await;
    assert_eq!(
        (&gone["destroyed"], &gone["notDestroyed"]["S999"]["type"]),
        (&json!([id("b")]), &json!("notFound"))
    );
}

#[tokio::test]
async fn nobody_sends_as_another() {
    let world = World::new().await;
    let bob = world.another("bob@example.test").await;
    let rights = waxwing_store::GrantChange::Set("lrswipkxte".parse().unwrap());
    let grantee = waxwing_store::Grantee::Account(bob.account);
    world.store.change_grant(world.mailbox("INBOX").await, grantee, false, rights).await.unwrap();
    for method in ["Identity/get", "EmailSubmission/get"] {
        let (_, error) = bob.one(method, json!({"accountId": world.id(), "ids": null})).await;
        assert_eq!(error["type"], "accountNotSupportedByMethod", "{method}");
    }
}
