//! Domains, accounts, aliases, logins.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    domains_come_and_go,
    accounts_begin_with_their_mailboxes,
    names_are_compared_without_case,
    passwords_let_in_and_keep_out,
    recipients_resolve,
    loops_of_aliases_end,
    an_alias_reaches_all_its_targets_or_is_an_error,
    who_may_send_as_whom,
    removing_an_account_leaves_nothing,
);

async fn domains_come_and_go(world: World) {
    let store = &world.store;
    let made = store.create_domain("Bücher.Example").await.unwrap();
    assert_eq!(made.name, "xn--bcher-kva.example");
    assert!(matches!(
        store.create_domain("xn--bcher-kva.example").await,
        Err(AccountError::Exists(_))
    ));
    assert_eq!(store.domain("bücher.example").await.unwrap().unwrap().id, made.id);
    for wrong in ["", "a b", "[192.0.2.1]", "-x.test"] {
        assert!(matches!(store.create_domain(wrong).await, Err(AccountError::Invalid(_))));
    }
    world.account("bob@xn--bcher-kva.example").await;
    assert!(matches!(store.remove_domain(&made.name).await, Err(AccountError::InUse(_))));
    store.remove_account(&address("bob@xn--bcher-kva.example")).await.unwrap();
    store.remove_domain(&made.name).await.unwrap();
    assert!(matches!(store.remove_domain(&made.name).await, Err(AccountError::NotFound(_))));
    assert!(store.domains().await.unwrap().is_empty());
    // Ids are not used again.
    let again = store.create_domain("again.test").await.unwrap();
    assert!(again.id > made.id);
}

async fn accounts_begin_with_their_mailboxes(world: World) {
    let bob = world.account("bob@wing.test").await;
    let mailboxes = world.store.mailboxes(bob.id).await.unwrap();
    let names: Vec<_> = mailboxes.iter().map(|m| (m.name.as_str(), m.role)).collect();
    assert_eq!(
        names,
        [
            ("INBOX", Some(Role::Inbox)),
            ("Archive", Some(Role::Archive)),
            ("Drafts", Some(Role::Drafts)),
            ("Junk", Some(Role::Junk)),
            ("Sent", Some(Role::Sent)),
            ("Trash", Some(Role::Trash)),
        ]
    );
    assert!(mailboxes.iter().all(|m| m.subscribed && m.uid_next == Uid(1)));
    let mut validities: Vec<_> = mailboxes.iter().map(|m| m.uid_validity).collect();
    validities.sort_unstable();
    validities.dedup();
    assert_eq!(validities.len(), 6);
}

async fn names_are_compared_without_case(world: World) {
    let bob = world.account("Bob.Müller@wing.test").await;
    assert_eq!(bob.address.to_string(), "Bob.Müller@wing.test");
    let same = address("bob.MU\u{308}LLER@WING.test");
    let found = world.store.account_by_address(&same).await.unwrap().unwrap();
    assert_eq!(found.id, bob.id);
    let new = NewAccount { address: &same, display_name: "", password: "x", quota_octets: None };
    assert!(matches!(world.store.create_account(new).await, Err(AccountError::Exists(_))));
    let elsewhere = address("bob@elsewhere.test");
    let new =
        NewAccount { address: &elsewhere, display_name: "", password: "x", quota_octets: None };
    let refused = world.store.create_account(new).await;
    assert!(matches!(refused, Err(AccountError::ForeignDomain(_))));
}

async fn passwords_let_in_and_keep_out(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    assert_eq!(
        store.login(&visitor(), "PLAIN", "BOB@wing.test", "secret").await.unwrap().account.id,
        bob.id
    );
    assert_eq!(
        store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await.unwrap().account.id,
        bob.id
    );
    for (login, password) in [
        ("bob@wing.test", "Secret"),
        ("bob@wing.test", ""),
        ("nobody@wing.test", "secret"),
        ("bob", "secret"),
        ("bob+x@wing.test", "secret"),
    ] {
        let refused = store.login(&visitor(), "PLAIN", login, password).await;
        assert!(matches!(refused, Err(LoginError::Rejected)), "{login} {password}");
    }
    store.set_password(&bob.address, "another").await.unwrap();
    assert!(matches!(
        store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await,
        Err(LoginError::Rejected)
    ));
    store.login(&visitor(), "PLAIN", "bob@wing.test", "another").await.unwrap();
    store.set_disabled(&bob.address, true).await.unwrap();
    assert!(matches!(
        store.login(&visitor(), "PLAIN", "bob@wing.test", "another").await,
        Err(LoginError::Disabled)
    ));
    assert!(matches!(
        store.login(&visitor(), "PLAIN", "bob@wing.test", "x").await,
        Err(LoginError::Rejected)
    ));
    let kept = world.store.set_password(&bob.address, "").await;
    assert!(matches!(kept, Err(AccountError::Invalid(_))));
}

async fn leads_to(world: &World, recipient: &str) -> Vec<String> {
    match world.store.resolve(&address(recipient)).await.unwrap() {
        Resolution::Leads(destinations) => destinations
            .into_iter()
            .map(|destination| match destination {
                Destination::Account { address, detail: None, .. } => address.to_string(),
                Destination::Account { address, detail: Some(detail), .. } => {
                    format!("{address} ({detail})")
                }
                Destination::Remote(address) => format!("remote {address}"),
            })
            .collect(),
        other => vec![format!("{other:?}")],
    }
}

async fn recipients_resolve(world: World) {
    let store = &world.store;
    world.account("bob@wing.test").await;
    world.account("carol@wing.test").await;
    let team = address("team@wing.test");
    for target in ["bob@wing.test", "carol@wing.test", "dora@far.test", "staff@wing.test"] {
        store.create_alias(&team, &address(target)).await.unwrap();
    }
    store.create_alias(&address("staff@wing.test"), &address("BOB@wing.test")).await.unwrap();

    assert_eq!(leads_to(&world, "bob@far.test").await, ["NotLocal"]);
    assert_eq!(leads_to(&world, "nobody@wing.test").await, ["NoSuchRecipient"]);
    assert_eq!(leads_to(&world, "BOB@wing.test").await, ["bob@wing.test"]);
    assert_eq!(leads_to(&world, "bob+lists@wing.test").await, ["bob@wing.test (lists)"]);
    assert_eq!(
        leads_to(&world, "Team@wing.test").await,
        ["bob@wing.test", "carol@wing.test", "remote dora@far.test"]
    );
    assert_eq!(leads_to(&world, "staff+x@wing.test").await, ["bob@wing.test"]);

    store.set_catch_all("wing.test", Some(&address("carol@wing.test"))).await.unwrap();
    assert_eq!(leads_to(&world, "nobody@wing.test").await, ["carol@wing.test"]);
    assert_eq!(leads_to(&world, "bob@wing.test").await, ["bob@wing.test"]);
    store.set_catch_all("wing.test", None).await.unwrap();

    store.set_disabled(&address("bob@wing.test"), true).await.unwrap();
    assert_eq!(leads_to(&world, "bob@wing.test").await, ["Disabled"]);
    assert_eq!(leads_to(&world, "staff@wing.test").await, ["Disabled"]);
    assert_eq!(
        leads_to(&world, "team@wing.test").await,
        ["carol@wing.test", "remote dora@far.test"]
    );

    let aliases = store.aliases(Some("wing.test")).await.unwrap();
    let listed: Vec<_> =
        aliases.iter().map(|a| (a.address.local_part(), a.targets.len())).collect();
    assert_eq!(listed, [("staff", 1), ("team", 4)]);
    store.remove_alias(&team, Some(&address("dora@far.test"))).await.unwrap();
    assert_eq!(leads_to(&world, "team@wing.test").await, ["carol@wing.test"]);
    store.remove_alias(&team, None).await.unwrap();
    assert!(matches!(store.remove_alias(&team, None).await, Err(AccountError::NotFound(_))));
    // An alias and an account cannot share a name.
    let taken = store.create_alias(&address("bob@wing.test"), &address("x@far.test")).await;
    assert!(matches!(taken, Err(AccountError::Exists(_))));
}

async fn loops_of_aliases_end(world: World) {
    let store = &world.store;
    store.create_domain("wing.test").await.unwrap();
    for number in 0..900 {
        let from = address(&format!("a{number}@wing.test"));
        store
            .create_alias(&from, &address(&format!("a{}@wing.test", (number + 1) % 900)))
            .await
            .unwrap();
        if number == 3 {
            // A short loop too.
            store.create_alias(&from, &address("a1@wing.test")).await.unwrap();
        }
    }
    assert_eq!(leads_to(&world, "a0@wing.test").await, ["NoSuchRecipient"]);
}

async fn who_may_send_as_whom(world: World) {
    let store = &world.store;
    let bob = world.account("bob@wing.test").await;
    let carol = world.account("carol@wing.test").await;
    store.create_alias(&address("sales@wing.test"), &bob.address).await.unwrap();
    for (account, as_whom, may) in [
        (&bob, "Bob@wing.test", true),
        (&bob, "bob+shop@wing.test", true),
        (&bob, "sales@wing.test", true),
        (&bob, "carol@wing.test", false),
        (&bob, "bob@far.test", false),
        (&carol, "sales@wing.test", false),
    ] {
        let address = address(as_whom);
        assert_eq!(store.may_send_as(account.id, &address).await.unwrap(), may, "{as_whom}");
    }
    store.set_catch_all("wing.test", Some(&carol.address)).await.unwrap();
    assert!(store.may_send_as(carol.id, &address("anything@wing.test")).await.unwrap());
    assert!(!store.may_send_as(carol.id, &address("bob@wing.test")).await.unwrap());
}

async fn removing_an_account_leaves_nothing(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await;
    for number in 0..3 {
        append(&world.store, inbox.id, &mail(&format!("{number}"), "x")).await;
    }
    let archive = world.store.mailbox_by_name(bob.id, "Archive").await.unwrap().unwrap();
    world.store.copy(inbox.id, &[Uid(1), Uid(2)], archive.id).await.unwrap();
    world.store.expunge(inbox.id, &[Uid(1)]).await.unwrap();
    let lock = world.store.lock_maildrop(bob.id).await.unwrap().unwrap();
    world.store.remove_account(&bob.address).await.unwrap();
    lock.release().await.unwrap();
    for table in [
        "accounts",
        "credentials",
        "mailboxes",
        "entries",
        "messages",
        "tombstones",
        "subscriptions",
        "keywords",
        "maildrop_locks",
    ] {
        assert_eq!(world.count(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    world.check_invariants().await;
    // A new account of that name is another one.
    let again = world.account("bob@wing.test").await;
    assert!(again.id > bob.id);
    assert!(world.inbox(&again).await.uid_validity > inbox.uid_validity);
}

async fn an_alias_reaches_all_its_targets_or_is_an_error(world: World) {
    let store = &world.store;
    let domain = store.create_domain("wing.test").await.unwrap().id.0;
    let targets = |from: u32, to: u32| {
        format!(
            "INSERT INTO aliases (domain, address_key, target_key, address, target) \
             WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) \
             SELECT {domain}, 'all@wing.test', 'r' || i || '@far.test', 'all@wing.test', \
             'r' || i || '@far.test' FROM n"
        )
    };
    world.execute(&targets(1, 999)).await;
    let all = address("all@wing.test");
    store.create_alias(&all, &address("last@far.test")).await.unwrap();
    let Resolution::Leads(destinations) = store.resolve(&all).await.unwrap() else { panic!() };
    assert_eq!(destinations.len(), 1_000);
    // No more than that, and the operator hears why.
    let refused = store.create_alias(&all, &address("surplus@far.test")).await;
    assert!(matches!(refused, Err(AccountError::Invalid(why)) if why.contains("1000 targets")));
    // What came there in other ways is never cut in silence.
    world.execute(&targets(1_000, 1_000)).await;
    assert!(matches!(store.resolve(&all).await, Err(StoreError::Damaged(_))));
}
