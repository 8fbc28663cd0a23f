//! `Email/query`, `Email/queryChanges`.

use serde_json::{Value, json};
use waxwing_store::{FlagChange, Flags, SystemFlags, Uid};

use super::support::{Client, World, mail, text};

/// A few messages: ids by their subject.
struct Box {
    alice: Client,
    _world: World,
    ids: Vec<(&'static str, String)>,
}

impl Box {
    async fn new() -> Box {
        let world = World::new().await;
        let alice = world.client("alice").await;
        let mut ids = Vec::new();
        let with = "Content-Type: multipart/mixed; boundary=b";
        let attachment = "--b\n\nquarterly report\n--b\nContent-Type: application/pdf\n\nx\n--b--";
        for (name, mailbox, header, body, system, secs) in [
            (
                "plan",
                "INBOX",
                "From: Bob <bob@y.test>\nTo: alice@x.test\nMessage-ID: <1@x>",
                "The brilliant plan",
                0,
                100,
            ),
            (
                "re: plan",
                "INBOX",
                "From: Carol <c@z.test>\nReferences: <1@x>\nMessage-ID: <2@x>",
                "About it",
                1,
                200,
            ),
            ("Zebra", "INBOX", with, attachment, 4, 300),
            (
                "spam",
                "Junk",
                "From: Bob <bob@w.test>\nBcc: hidden@x.test\nX-Spam: very much",
                "cheap pills",
                0,
                400,
            ),
            (
                "fwd: plan",
                "Archive",
                "References: <1@x>\nCc: dave@x.test",
                "A plan, and a café",
                1,
                500,
            ),
        ] {
            let raw = mail(&format!("Subject: {name}\n{header}"), body);
            ids.push((name, alice.add_with(mailbox, &raw, SystemFlags(system), secs).await));
        }
        Box { alice, _world: world, ids }
    }

    fn id(&self, name: &str) -> &str {
        &self.ids.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn names(&self, ids: &[String]) -> Vec<&'static str> {
        let name = |id: &String| self.ids.iter().find(|(_, known)| known == id).unwrap().0;
        ids.iter().map(name).collect()
    }

    async fn found(&self, filter: Value) -> Vec<&'static str> {
        self.names(&self.alice.find(filter).await)
    }

    async fn mailbox(&self, name: &str) -> String {
        text(self.alice.mailbox(name).await.id)
    }
}

#[tokio::test]
async fn conditions() {
    let world = Box::new().await;
    let (inbox, junk) = (world.mailbox("INBOX").await, world.mailbox("Junk").await);
    for indexed in [false, true] {
        if indexed {
            while world.alice.store.index_some(100).await.unwrap() > 0 {}
        }
        for (filter, found) in [
            (json!(null), vec!["plan", "re: plan", "Zebra", "spam", "fwd: plan"]),
            (json!({"inMailbox": inbox}), vec!["plan", "re: plan", "Zebra"]),
            (json!({"inMailbox": "F999"}), vec![]),
            (json!({"inMailboxOtherThan": [inbox, junk]}), vec!["fwd: plan"]),
            (json!({"before": "1970-01-01T00:03:20Z"}), vec!["plan"]),
            (json!({"after": "1970-01-01T00:06:40Z"}), vec!["spam", "fwd: plan"]),
            (json!({"hasKeyword": "$SEEN"}), vec!["re: plan", "fwd: plan"]),
            (json!({"inMailbox": inbox, "notKeyword": "$seen"}), vec!["plan", "Zebra"]),
            (json!({"hasKeyword": "$flagged"}), vec!["Zebra"]),
            (json!({"hasAttachment": true}), vec!["Zebra"]),
            (json!({"allInThreadHaveKeyword": "$seen"}), vec![]),
            (json!({"someInThreadHaveKeyword": "$seen"}), vec!["plan", "re: plan", "fwd: plan"]),
            (json!({"noneInThreadHaveKeyword": "$seen"}), vec!["Zebra", "spam"]),
            (json!({"allInThreadHaveKeyword": "$flagged"}), vec!["Zebra"]),
            (json!({"from": "bob"}), vec!["plan", "spam"]),
            (json!({"from": "bob Y.TEST"}), vec!["plan"]),
            (json!({"to": "alice"}), vec!["plan"]),
            (json!({"cc": "dave"}), vec!["fwd: plan"]),
            (json!({"bcc": "hidden"}), vec!["spam"]),
            (json!({"subject": "PLAN"}), vec!["plan", "re: plan", "fwd: plan"]),
            (json!({"header": ["X-Spam"]}), vec!["spam"]),
            (json!({"header": ["x-spam", "much very"]}), vec!["spam"]),
            (json!({"header": ["X-Spam", "\"much very\""]}), vec![]),
            (json!({"hasAttachment": false, "bcc": "hidden"}), vec!["spam"]),
            (json!({"hasAttachment": true, "header": ["X-Spam"]}), vec![]),
            (json!({"header": ["References"]}), vec!["re: plan", "fwd: plan"]),
            (json!({"body": "plan"}), vec!["plan", "fwd: plan"]),
            (json!({"text": "plan"}), vec!["plan", "re: plan", "fwd: plan"]),
            (json!({"text": "cafe plan"}), vec!["fwd: plan"]),
            (json!({"text": "\"brilliant plan\""}), vec!["plan"]),
            (json!({"text": "\"plan brilliant\""}), vec![]),
            (json!({"text": "report", "inMailbox": inbox}), vec!["Zebra"]),
            (json!({"text": "dave"}), vec!["fwd: plan"]),
            (json!({"minSize": 1_000_000}), vec![]),
            (json!({"maxSize": 1_000_000, "hasKeyword": "$flagged"}), vec!["Zebra"]),
            (
                json!({"operator": "OR", "conditions": [{"subject": "zebra"}, {"text": "pills"}]}),
                vec!["Zebra", "spam"],
            ),
            (
                json!({"operator": "NOT", "conditions": [{"subject": "plan"}, {"inMailbox": junk}]}),
                vec!["Zebra"],
            ),
            (
                json!({"operator": "AND", "conditions": [
                    {"inMailbox": inbox}, {"operator": "NOT", "conditions": [{"header": ["X-Spam"]}]},
                    {"body": "plan"},
                ]}),
                vec!["plan"],
            ),
        ] {
            assert_eq!(world.found(filter.clone()).await, found, "{filter} {indexed}");
        }
    }
    assert_eq!(
        world.alice.fails("Email/query", json!({"filter": {"x": 1}})).await,
        "unsupportedFilter"
    );
    assert_eq!(
        world.alice.fails("Email/query", json!({"filter": {"text": "--"}})).await,
        "unsupportedFilter"
    );
    assert_eq!(world.alice.fails("Email/query", json!({"more": 1})).await, "invalidArguments");
}

#[tokio::test]
async fn orders_and_pieces() {
    let world = Box::new().await;
    let by =
        |property: &str, ascending: bool| json!([{"property": property, "isAscending": ascending}]);
    let sorted = async |sort: Value| {
        let ids = world.alice.query(json!({"sort": sort})).await;
        world.names(&ids)
    };
    let newest = ["fwd: plan", "spam", "Zebra", "re: plan", "plan"];
    assert_eq!(sorted(json!(null)).await, newest);
    assert_eq!(sorted(by("receivedAt", false)).await, newest);
    assert_eq!(
        sorted(by("subject", true)).await,
        ["plan", "re: plan", "fwd: plan", "spam", "Zebra"]
    );
    assert_eq!(sorted(by("from", true)).await, ["Zebra", "fwd: plan", "plan", "spam", "re: plan"]);
    let seen = json!([{"property": "hasKeyword", "keyword": "$seen", "isAscending": false},
        {"property": "receivedAt"}]);
    assert_eq!(sorted(seen).await, ["re: plan", "fwd: plan", "plan", "Zebra", "spam"]);
    let some = json!([{"property": "someInThreadHaveKeyword", "keyword": "$seen", "isAscending": false},
        {"property": "receivedAt"}]);
    assert_eq!(sorted(some).await, ["plan", "re: plan", "fwd: plan", "Zebra", "spam"]);
    assert_eq!(
        world.alice.fails("Email/query", json!({"sort": by("colour", true)})).await,
        "unsupportedSort"
    );

    let piece = async |arguments: Value| {
        let results = world.alice.call("Email/query", arguments).await;
        let ids: Vec<String> = serde_json::from_value(results["ids"].clone()).unwrap();
        (results["position"].as_u64().unwrap(), world.names(&ids), results["total"].clone())
    };
    let first = piece(json!({"limit": 2, "calculateTotal": true})).await;
    assert_eq!(first, (0, newest[..2].to_vec(), json!(5)));
    assert_eq!(piece(json!({"position": -2})).await, (3, newest[3..].to_vec(), Value::Null));
    let anchor = json!({"anchor": world.id("Zebra"), "anchorOffset": -1, "limit": 2});
    assert_eq!(piece(anchor).await, (1, newest[1..3].to_vec(), Value::Null));
    assert_eq!(world.alice.fails("Email/query", json!({"anchor": "M999"})).await, "anchorNotFound");
    let collapsed = piece(json!({"collapseThreads": true, "calculateTotal": true})).await;
    assert_eq!(collapsed, (0, vec!["fwd: plan", "spam", "Zebra"], json!(3)));
    let inbox = world.mailbox("INBOX").await;
    let collapsed = json!({"collapseThreads": true, "filter": {"inMailbox": inbox}});
    assert_eq!(piece(collapsed).await.1, ["Zebra", "re: plan"]);
}

#[tokio::test]
async fn a_message_in_several_mailboxes_is_one() {
    let world = Box::new().await;
    let alice = &world.alice;
    let (inbox, archive) = (alice.mailbox("INBOX").await, alice.mailbox("Archive").await);
    alice.store.copy(inbox.id, &[Uid(1), Uid(2)], archive.id).await.unwrap();
    alice.store.copy(inbox.id, &[Uid(1)], inbox.id).await.unwrap();
    assert_eq!(alice.find(json!({})).await.len(), 5);
    let in_inbox = json!({"inMailbox": text(inbox.id)});
    assert_eq!(world.found(in_inbox).await, ["plan", "re: plan", "Zebra"]);
    let both = json!({"operator": "AND", "conditions": [
        {"inMailbox": text(inbox.id)}, {"inMailbox": text(archive.id)}]});
    assert_eq!(world.found(both).await, ["plan", "re: plan"]);
    // It is seen in one of its mailboxes only.
    let flags = Flags { system: SystemFlags::SEEN.with(SystemFlags::ANSWERED), keywords: None };
    alice.store.store_flags(archive.id, &[Uid(2)], FlagChange::Add(flags), None).await.unwrap();
    let keywords = alice.email(world.id("plan"), &["keywords", "mailboxIds"]).await;
    let mailboxes = json!({text(inbox.id): true, text(archive.id): true});
    assert_eq!(keywords, json!({"keywords": {"$answered": true}, "mailboxIds": mailboxes}));
    let unseen = json!({"inMailbox": text(archive.id), "notKeyword": "$seen"});
    assert_eq!(world.found(unseen).await, ["plan"]);
    let answered = json!({"inMailbox": text(inbox.id), "hasKeyword": "$answered"});
    assert_eq!(world.found(answered).await, ["plan"]);
}

/// RFC 8620 §5.6: what a client makes of the changes.
fn spliced(mut has: Vec<String>, changes: &Value) -> Vec<String> {
    let removed: Vec<String> = serde_json::from_value(changes["removed"].clone()).unwrap();
    has.retain(|id| !removed.contains(id));
    for added in changes["added"].as_array().unwrap() {
        let index = added["index"].as_u64().unwrap() as usize;
        has.insert(index, added["id"].as_str().unwrap().to_owned());
    }
    has
}

#[tokio::test]
async fn results_are_brought_up_to_date() {
    let world = Box::new().await;
    let alice = &world.alice;
    let (inbox, archive) = (world.mailbox("INBOX").await, world.mailbox("Archive").await);
    let queries = [
        json!({"filter": {"inMailbox": inbox}}),
        json!({"filter": {"inMailbox": inbox}, "collapseThreads": true}),
        json!({"filter": {"hasKeyword": "$seen"}, "sort": [{"property": "subject"}]}),
        json!({"filter": {"noneInThreadHaveKeyword": "$flagged"}}),
        json!({"sort": [{"property": "someInThreadHaveKeyword", "keyword": "$flagged"}]}),
    ];
    let mut before = Vec::new();
    for query in &queries {
        before.push(alice.call("Email/query", query.clone()).await);
    }
    let steps = [
        json!({"update": {world.id("re: plan"): {"keywords/$flagged": true, "keywords/$seen": null}}}),
        json!({"update": {world.id("Zebra"): {"mailboxIds": {&archive: true}}}}),
        json!({"destroy": [world.id("fwd: plan")]}),
        json!({"update": {world.id("plan"): {"keywords": {"$seen": true}}}}),
        json!({"create": {"n": {"mailboxIds": {&inbox: true}, "subject": "new", "keywords": {"$seen": true}}}}),
    ];
    for step in steps {
        let set = alice.call("Email/set", step).await;
        for no in ["notCreated", "notUpdated", "notDestroyed"] {
            assert_eq!(set[no], Value::Null, "{set}");
        }
        for (query, before) in queries.iter().zip(&mut before) {
            let mut asked = query.clone();
            asked["sinceQueryState"] = before["queryState"].clone();
            asked["calculateTotal"] = json!(true);
            let changes = alice.call("Email/queryChanges", asked.clone()).await;
            let now = alice.call("Email/query", query.clone()).await;
            let had: Vec<String> = serde_json::from_value(before["ids"].clone()).unwrap();
            let has: Vec<String> = serde_json::from_value(now["ids"].clone()).unwrap();
            assert_eq!(spliced(had, &changes), has, "{query}");
            assert_eq!(changes["total"], json!(has.len()));
            assert_eq!(changes["newQueryState"], now["queryState"]);
            asked["maxChanges"] = json!(0);
            assert_eq!(alice.fails("Email/queryChanges", asked).await, "tooManyChanges");
            *before = now;
        }
    }
    let unknown = json!({"sinceQueryState": "99999"});
    assert_eq!(alice.fails("Email/queryChanges", unknown).await, "cannotCalculateChanges");
}

/// RFC 8621 §4.10: one request, in which each call takes the results of the one before.
#[tokio::test]
async fn the_first_screen() {
    let world = Box::new().await;
    let account = &world.alice.id;
    let inbox = world.mailbox("INBOX").await;
    let of =
        |call: &str, name: &str, path: &str| json!({"resultOf": call, "name": name, "path": path});
    let responses = world
        .alice
        .responses(json!([
            ["Email/query", {
                "accountId": account, "filter": {"inMailbox": inbox},
                "sort": [{"isAscending": false, "property": "receivedAt"}],
                "collapseThreads": true, "position": 0, "limit": 30, "calculateTotal": true,
            }, "0"],
            ["Email/get", {
                "accountId": account, "#ids": of("0", "Email/query", "/ids"), "properties": ["threadId"],
            }, "1"],
        ]))
        .await;
    assert_eq!(responses[0].1["total"], 2);
    let plan = format!("T{}", &world.id("plan")[1..]);
    let threads: Vec<&Value> =
        responses[1].1["list"].as_array().unwrap().iter().map(|email| &email["threadId"]).collect();
    assert_eq!(threads, [&json!(format!("T{}", &world.id("Zebra")[1..])), &json!(plan)]);
}

#[tokio::test]
async fn snippets() {
    let world = Box::new().await;
    let ids = [world.id("fwd: plan"), world.id("Zebra"), "M999"];
    let filter = json!({"operator": "AND", "conditions": [
        {"text": "plan cafe"}, {"operator": "NOT", "conditions": [{"body": "and"}]}]});
    let arguments = json!({"filter": filter, "emailIds": ids});
    let got = world.alice.call("SearchSnippet/get", arguments).await;
    let expected = json!([
        {"emailId": ids[0], "subject": "fwd: <mark>plan</mark>", "preview": "A <mark>plan</mark>, and a <mark>café</mark>"},
        {"emailId": ids[1], "subject": null, "preview": null},
    ]);
    assert_eq!((&got["list"], &got["notFound"]), (&expected, &json!(["M999"])));
    let other = json!({"filter": {"subject": "zeb"}, "emailIds": [ids[1]]});
    let got = world.alice.call("SearchSnippet/get", other).await;
    assert_eq!(got["list"][0]["subject"], "<mark>Zeb</mark>ra");
    let nothing = json!({"filter": null, "emailIds": [ids[1]]});
    assert_eq!(world.alice.call("SearchSnippet/get", nothing).await["notFound"], Value::Null);
}
