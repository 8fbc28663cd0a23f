//! Methods through a real store: what a client asks, and what it hears.

mod world;

use serde_json::{Value, json};
use waxwing_store::{FlagChange, Flags, GrantChange, Grantee, SystemFlags, Uid};
use world::World;

#[tokio::test]
async fn a_request_is_answered_in_order_with_references_and_errors() {
    let world = World::new().await;
    let answers = world
        .ask(json!([
            ["Core/echo", {"a": 1, "list": [{"id": "x"}, {"id": "y"}]}, "c1"],
            ["Core/echo", {"#ids": {"resultOf": "c1", "name": "Core/echo", "path": "/list/*/id"}}, "c2"],
            ["Core/nothing", {}, "c3"],
            ["Mailbox/get", {"accountId": "A999", "ids": []}, "c4"],
            ["Mailbox/get", {"accountId": world.id(), "properties": ["nothing"]}, "c5"],
            ["Core/echo", {"#a": {"resultOf": "c3", "name": "Core/nothing", "path": "/x"}}, "c6"],
        ]))
        .await;
    let kinds: Vec<_> =
        answers.iter().map(|(name, value, _)| (name.as_str(), &value["type"])).collect();
    assert_eq!(answers[1].1, json!({"ids": ["x", "y"]}));
    assert_eq!(kinds[2], ("error", &json!("unknownMethod")));
    assert_eq!(kinds[3], ("error", &json!("accountNotFound")));
    assert_eq!(kinds[4], ("error", &json!("invalidArguments")));
    assert_eq!(kinds[5], ("error", &json!("invalidResultReference")));
    assert_eq!(
        answers.iter().map(|(.., id)| id.as_str()).collect::<Vec<_>>(),
        ["c1", "c2", "c3", "c4", "c5", "c6"]
    );
}

#[tokio::test]
async fn mailboxes_are_shown_as_a_tree_with_counts_and_rights() {
    let world = World::new().await;
    world.store.create_mailbox(world.account, "Work/2026", None).await.unwrap();
    let inbox = world.mailbox("INBOX").await;
    world.append(inbox, "1", "lunch", "").await;
    let (_, answer) = world.one("Mailbox/get", json!({"ids": null})).await;
    let list = answer["list"].as_array().unwrap();
    assert_eq!(list.len(), 8);
    let named = |name: &str| list.iter().find(|one| one["name"] == name).unwrap();
    let inbox = named("Inbox");
    assert_eq!((&inbox["role"], &inbox["parentId"]), (&json!("inbox"), &json!(null)));
    assert_eq!(
        [
            &inbox["totalEmails"],
            &inbox["unreadEmails"],
            &inbox["totalThreads"],
            &inbox["unreadThreads"]
        ],
        [1; 4]
    );
    assert_eq!(
        (&inbox["myRights"]["mayReadItems"], &inbox["myRights"]["mayDelete"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(named("2026")["parentId"], named("Work")["id"]);
    assert_eq!(named("Sent")["isSubscribed"], true);

    let ids = json!([named("Work")["id"], "F999", named("Work")["id"], "nonsense"]);
    let (_, some) = world.one("Mailbox/get", json!({"ids": ids, "properties": ["name"]})).await;
    assert_eq!(some["list"], json!([{"id": named("Work")["id"], "name": "Work"}]));
    assert_eq!(some["notFound"], json!(["F999", "nonsense"]));
    let (name, _) = world.one("Mailbox/get", json!({"ids": vec!["F1"; 501]})).await;
    assert_eq!(name, "error");
}

#[tokio::test]
async fn mailboxes_are_made_changed_and_destroyed() {
    let world = World::new().await;
    let (_, before) = world.one("Mailbox/get", json!({"ids": []})).await;
    let made = world
        .ask(json!([
            ["Mailbox/set", {"accountId": world.id(), "ifInState": before["state"], "create": {
                "child": {"name": "Child", "parentId": "#top", "isSubscribed": true},
                "top": {"name": "Top", "parentId": null, "sortOrder": 5},
                "again": {"name": "Sent"},
                "bad": {"name": "a/b", "totalEmails": 4},
                "lost": {"name": "Lost", "parentId": "#nobody"},
                "second": {"name": "Second", "role": "sent"},
            }}, "0"],
            ["Mailbox/get", {"accountId": world.id(), "ids": ["#child"]}, "1"],
        ]))
        .await;
    let set = &made[0].1;
    let top = set["created"]["top"]["id"].clone();
    assert_eq!(set["created"]["child"]["myRights"]["mayDelete"], true);
    assert_eq!(set["notCreated"]["again"]["properties"], json!(["name"]));
    assert_eq!(set["notCreated"]["bad"]["properties"], json!(["name", "totalEmails"]));
    assert_eq!(set["notCreated"]["lost"]["properties"], json!(["parentId"]));
    assert_eq!(set["notCreated"]["second"]["type"], "invalidProperties");
    assert_eq!(set["oldState"], before["state"]);
    assert_ne!(set["newState"], before["state"]);
    let child = set["created"]["child"]["id"].as_str().unwrap().to_owned();
    let (_, shown) = world.one("Mailbox/get", json!({"ids": [child, top]})).await;
    assert_eq!(
        (&shown["list"][0]["parentId"], &shown["list"][0]["isSubscribed"]),
        (&top, &json!(true))
    );
    assert_eq!(shown["list"][1]["sortOrder"], 5);

    // Moved to the top, renamed, given a role.
    let patch = json!({"parentId": null, "name": "Other", "role": "important", "sortOrder": 2});
    let (_, set) = world.one("Mailbox/set", json!({"update": {&child: patch, "F999": {}}})).await;
    assert_eq!(set["updated"], json!({&child: null}));
    assert_eq!(set["notUpdated"]["F999"]["type"], "notFound");
    let (_, shown) = world.one("Mailbox/get", json!({"ids": [child]})).await;
    let one = &shown["list"][0];
    assert_eq!(
        [&one["name"], &one["role"], &one["parentId"], &one["sortOrder"]],
        [&json!("Other"), &json!("important"), &json!(null), &json!(2)]
    );
    let (name, error) = world.one("Mailbox/set", json!({"ifInState": before["state"]})).await;
    assert_eq!((name.as_str(), &error["type"]), ("error", &json!("stateMismatch")));

    // What is below goes first; what has mail stays unless it is said.
    let (_, set) = world.one("Mailbox/set", json!({"update": {&child: {"parentId": top}}})).await;
    assert_eq!(set["updated"], json!({&child: null}));
    world.append(world.mailbox("Top/Other").await, "1", "x", "").await;
    let (_, set) = world.one("Mailbox/set", json!({"destroy": [top, child]})).await;
    assert_eq!(set["notDestroyed"][&child]["type"], "mailboxHasEmail");
    assert_eq!(set["notDestroyed"][top.as_str().unwrap()]["type"], "mailboxHasChild");
    let inbox = world.text("INBOX").await;
    let all = json!({"destroy": [top, child, inbox], "onDestroyRemoveEmails": true});
    let (_, set) = world.one("Mailbox/set", all).await;
    assert_eq!(set["destroyed"], json!([child, top]));
    assert_eq!(set["notDestroyed"][&inbox]["type"], "forbidden");
}

#[tokio::test]
async fn changes_of_mailboxes_and_threads_are_told() {
    let world = World::new().await;
    let (inbox, trash) = (world.mailbox("INBOX").await, world.mailbox("Trash").await);
    let first = world.append(inbox, "1", "lunch", "").await;
    let (_, start) = world.one("Mailbox/get", json!({"ids": []})).await;
    let state = start["state"].clone();
    let changes =
        async |method: &str, since: &Value| world.one(method, json!({"sinceState": since})).await.1;
    let nothing = changes("Mailbox/changes", &state).await;
    assert_eq!((&nothing["updated"], &nothing["hasMoreChanges"]), (&json!([]), &json!(false)));

    // A reply in the trash makes the thread there unread, and is told of the inbox too, where the thread is.
    let second = world.append(trash, "2", "Re: lunch", "<1@x>").await;
    let told = changes("Mailbox/changes", &state).await;
    assert_eq!(told["updated"], json!([world.text("INBOX").await, world.text("Trash").await]));
    assert_eq!(
        told["updatedProperties"],
        json!(["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"])
    );
    let thread = format!("T{}", first.0);
    let told = changes("Thread/changes", &state).await;
    assert_eq!((&told["updated"], &told["created"]), (&json!([thread]), &json!([])));
    let (_, shown) = world.one("Thread/get", json!({"ids": [thread, "T999"]})).await;
    let emails = json!([format!("M{}", first.0), format!("M{}", second.0)]);
    assert_eq!(shown["list"], json!([{"id": thread, "emailIds": emails}]));
    assert_eq!(shown["notFound"], json!(["T999"]));

    // Reading changes no thread; a new one comes, and goes.
    let later = told["newState"].clone();
    let seen = FlagChange::Add(Flags { system: SystemFlags::SEEN, keywords: None });
    world.store.store_flags(inbox, &[Uid(1)], seen, None).await.unwrap();
    let third = world.append(inbox, "3", "dinner", "").await;
    let told = changes("Thread/changes", &later).await;
    assert_eq!(
        (&told["created"], &told["updated"]),
        (&json!([format!("T{}", third.0)]), &json!([]))
    );
    world.store.expunge(inbox, &[Uid(2)]).await.unwrap();
    let told = changes("Thread/changes", &told["newState"]).await;
    assert_eq!(told["destroyed"], json!([format!("T{}", third.0)]));

    // Piece by piece.
    world.one("Mailbox/set", json!({"create": {"a": {"name": "A"}, "b": {"name": "B"}}})).await;
    let mut since = told["newState"].clone();
    let mut heard = Vec::new();
    loop {
        let asked = json!({"sinceState": since, "maxChanges": 1});
        let (_, told) = world.one("Mailbox/changes", asked).await;
        heard.extend(told["created"].as_array().unwrap().clone());
        since = told["newState"].clone();
        if told["hasMoreChanges"] == false {
            break;
        }
    }
    assert_eq!(heard, [json!(world.text("A").await), json!(world.text("B").await)]);
    for no in ["999999", "x", "", "-1"] {
        let error = changes("Mailbox/changes", &json!(no)).await;
        assert_eq!(error["type"], "cannotCalculateChanges", "{no}");
    }
}

#[tokio::test]
async fn queries_of_mailboxes_follow_their_changes() {
    let world = World::new().await;
    let query = json!({"filter": {"hasAnyRole": false}, "sort": [{"property": "name"}], "calculateTotal": true});
    let (_, empty) = world.one("Mailbox/query", query.clone()).await;
    assert_eq!((&empty["ids"], &empty["total"]), (&json!([]), &json!(0)));
    world.one("Mailbox/set", json!({"create": {"b": {"name": "b"}, "a": {"name": "A"}}})).await;
    let (_, full) = world.one("Mailbox/query", query.clone()).await;
    let ids = json!([world.text("A").await, world.text("b").await]);
    assert_eq!((&full["ids"], &full["canCalculateChanges"]), (&ids, &json!(true)));
    let mut since = query;
    since["sinceQueryState"] = empty["queryState"].clone();
    let (_, changes) = world.one("Mailbox/queryChanges", since).await;
    let added = json!([{"id": ids[0], "index": 0}, {"id": ids[1], "index": 1}]);
    assert_eq!((&changes["added"], &changes["total"]), (&added, &json!(2)));
    let anchored = json!({"sort": [{"property": "name"}], "filter": {"hasAnyRole": false}, "anchor": ids[1], "limit": 1});
    let (_, piece) = world.one("Mailbox/query", anchored).await;
    assert_eq!((&piece["ids"], &piece["position"]), (&json!([ids[1]]), &json!(1)));
}

#[tokio::test]
async fn another_sees_what_is_shared_and_nothing_else() {
    let world = World::new().await;
    let bob = world.another("bob@example.test").await;
    let (inbox, trash) = (world.mailbox("INBOX").await, world.mailbox("Trash").await);
    let message = world.append(inbox, "1", "lunch", "").await;
    let hidden = world.append(trash, "2", "Re: lunch", "<1@x>").await;
    let theirs = world.id();
    let get = json!({"accountId": theirs, "ids": null});
    let error = bob.one("Mailbox/get", get.clone()).await.1;
    assert_eq!(error["type"], "accountNotFound");

    let rights = GrantChange::Set("lr".parse().unwrap());
    let grantee = Grantee::Account(bob.account);
    world.store.change_grant(inbox, grantee, false, rights).await.unwrap();
    let (_, shared) = bob.one("Mailbox/get", get.clone()).await;
    let [one] = shared["list"].as_array().unwrap().as_slice() else { panic!("one is shared") };
    assert_eq!((&one["id"], &one["totalEmails"]), (&json!(world.text("INBOX").await), &json!(1)));
    assert_eq!((&one["role"], &one["myRights"]["mayAddItems"]), (&json!(null), &json!(false)));
    let thread = json!({"accountId": theirs, "ids": [format!("T{}", message.0)]});
    let (_, shown) = bob.one("Thread/get", thread).await;
    assert_eq!(shown["list"][0]["emailIds"], json!([format!("M{}", message.0)]));
    // Nothing of it can be changed.
    let text = world.text("INBOX").await;
    let set = json!({"accountId": theirs, "create": {"x": {"name": "X"}, "y": {"name": "Y", "parentId": text}},
        "update": {&text: {"sortOrder": 4}}, "destroy": [world.text("Trash").await]});
    let (_, set) = bob.one("Mailbox/set", set).await;
    assert_eq!(set["notCreated"]["x"]["type"], "forbidden");
    assert_eq!(set["notCreated"]["y"]["type"], "forbidden");
    assert_eq!(set["notUpdated"][&text]["type"], "forbidden");
    assert_eq!(set["notDestroyed"][world.text("Trash").await]["type"], "notFound");
    // What happens where he may not look is no news.
    let state = shared["state"].clone();
    world.store.expunge(trash, &[Uid(1)]).await.unwrap();
    let (_, told) =
        bob.one("Thread/changes", json!({"accountId": theirs, "sinceState": state})).await;
    assert_eq!([&told["created"], &told["updated"], &told["destroyed"]], [&json!([]); 3]);
    assert_eq!(told["newState"], state);

    let blob = |message: waxwing_store::MessageId| format!("B{}", message.0);
    let copy = json!({"fromAccountId": theirs, "accountId": bob.id(), "blobIds": [blob(message), blob(hidden)]});
    let (_, copied) = bob.ask(json!([["Blob/copy", copy, "0"]])).await.remove(0).split();
    assert!(copied["copied"][blob(message)].as_str().unwrap().starts_with('U'));
    assert_eq!(copied["notCopied"][blob(hidden)]["type"], "notFound");
    // Taken away again: as if it had never been.
    world.store.change_grant(inbox, grantee, false, GrantChange::Forget).await.unwrap();
    assert_eq!(bob.one("Mailbox/get", get).await.1["type"], "accountNotFound");
}

/// A response without its call id.
trait Split {
    fn split(self) -> (String, Value);
}

impl Split for (String, Value, String) {
    fn split(self) -> (String, Value) {
        (self.0, self.1)
    }
}
