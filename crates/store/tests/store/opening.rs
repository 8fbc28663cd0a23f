//! Opening: new, again, twice at once, too new, not ours, wrong; and the schema a person reads.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    opening_again_finds_everything,
    two_open_a_new_database_at_once,
    a_newer_schema_is_refused,
    older_databases_are_brought_up_to_date,
    closing_finishes_what_was_asked,
);

async fn opening_again_finds_everything(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    append(&world.store, inbox, &mail("kept", "x")).await;
    world.store.clone().close().await;
    let again = world.second().await;
    assert_eq!(again.entries(inbox).await.unwrap().0.len(), 1);
    assert_eq!(world.count("SELECT version FROM schema_version").await, 7);
    again.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await.unwrap();
}

async fn two_open_a_new_database_at_once(world: World) {
    // Another one, which nobody has opened yet.
    let (folder, url) = if world.is_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("new.db").display());
        (folder, url)
    } else {
        (tempfile::tempdir().unwrap(), crate::server::Server::shared().create_database().await)
    };
    let open = |node: &str| Store::open_with(settings(&url, folder.path().into(), node), CHEAP);
    let (a, b, c) = tokio::join!(open("a"), open("b"), open("c"));
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    a.create_domain("wing.test").await.unwrap();
    assert_eq!(b.domains().await.unwrap().len(), 1);
    // One secret for all.
    let keys = a.scram(&visitor(), "SCRAM-SHA-256", "x@y.test").await.unwrap().1;
    assert!(keys == b.scram(&visitor(), "SCRAM-SHA-256", "x@y.test").await.unwrap().1);
    assert!(keys == c.scram(&visitor(), "SCRAM-SHA-256", "x@y.test").await.unwrap().1);
}

async fn a_newer_schema_is_refused(world: World) {
    world.execute("UPDATE schema_version SET version = 4711").await;
    let settings = settings(&world.url, world.folder.path().into(), "old");
    match Store::open(settings).await {
        Err(OpenError::TooNew { found: 4711, known }) => assert!(known < 4711),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
    assert_eq!(world.count("SELECT version FROM schema_version").await, 4711);
}

/// The migrations, from the first, on SQLite and on PostgreSQL.
const MIGRATIONS: [(&str, &str); 7] = [
    (include_str!("../../src/schema/sqlite.sql"), include_str!("../../src/schema/postgres.sql")),
    (
        include_str!("../../src/schema/sqlite-2.sql"),
        include_str!("../../src/schema/postgres-2.sql"),
    ),
    (
        include_str!("../../src/schema/sqlite-3.sql"),
        include_str!("../../src/schema/postgres-3.sql"),
    ),
    (
        include_str!("../../src/schema/sqlite-4.sql"),
        include_str!("../../src/schema/postgres-4.sql"),
    ),
    (
        include_str!("../../src/schema/sqlite-5.sql"),
        include_str!("../../src/schema/postgres-5.sql"),
    ),
    (
        include_str!("../../src/schema/sqlite-6.sql"),
        include_str!("../../src/schema/postgres-6.sql"),
    ),
    (
        include_str!("../../src/schema/sqlite-7.sql"),
        include_str!("../../src/schema/postgres-7.sql"),
    ),
];

/// Somebody who was there before: an account with an INBOX, without a password.
const LONG_THERE: &str = "
    INSERT INTO schema_version (only_row, version) VALUES (1, VERSION);
    INSERT INTO counters (name, value) VALUES ('uid_validity', 1000);
    INSERT INTO domains (name, created_at) VALUES ('wing.test', 1);
    INSERT INTO accounts (domain, address, address_key, display_name, disabled, used_octets,
        message_count, modseq, created_at)
        VALUES (1, 'bob@wing.test', 'bob@wing.test', 'Bob', 0, 0, 0, 1, 1);
    INSERT INTO mailboxes (account, name, role, uid_validity, uid_next, total, unseen, deleted,
        octets, highest_modseq, forgotten_modseq, keywords)
        VALUES (1, 'INBOX', 1, 1000, 7, 0, 0, 0, 0, 1, 0, '');";

async fn older_databases_are_brought_up_to_date(world: World) {
    for version in 1..MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let url = if world.is_sqlite() {
            format!("sqlite:{}", folder.path().join("old.db").display())
        } else {
            crate::server::Server::shared().create_database().await
        };
        let rows = LONG_THERE.replace("VERSION", &version.to_string());
        let secret =
            if world.is_sqlite() { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
        let secret =
            format!("INSERT INTO secrets (name, value) VALUES ('invented-keys', {secret});");
        let mut script = String::new();
        for (sqlite, postgres) in &MIGRATIONS[..version] {
            script += if world.is_sqlite() { sqlite } else { postgres };
        }
        let rows = if world.is_sqlite() { rows.replace("''", "x''") } else { rows };
        crate::world::execute(&url, &format!("{script}{rows}{secret}")).await;

        let store = Store::open_with(settings(&url, folder.path().into(), "new"), CHEAP).await;
        let store = store.unwrap_or_else(|error| panic!("from {version}: {error}"));
        let at = address("bob@wing.test");
        let bob = store.account_by_address(&at).await.unwrap().expect("still there");
        let inbox = store.mailbox_by_name(bob.id, "INBOX").await.unwrap().expect("still there");
        assert_eq!(inbox.uid_validity, 1000);
        assert_eq!(append(&store, inbox.id, &mail("new", "x")).await, Uid(7));
        let deposits = vec![deposit(&store, &bob, &mail("delivered", "x")).await];
        store.accept(Acceptance { deposits, ..acceptance() }).await.unwrap();
        store.set_password(&at, "secret").await.unwrap();
        store.login(&visitor(), "PLAIN", "bob@wing.test", "secret").await.unwrap();
        assert_eq!(columns(&url).await, columns(&world.url).await, "from {version}");
    }
}

async fn closing_finishes_what_was_asked(world: World) {
    let bob = world.account("bob@wing.test").await;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let deposits = vec![deposit(&world.store, &bob, &mail(&format!("{number}"), "x")).await];
        let store = world.store.clone();
        tasks.push(tokio::spawn(async move {
            store.accept(Acceptance { deposits, ..acceptance() }).await
        }));
    }
    world.store.clone().close().await;
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => accepted += 1,
            Err(AcceptError::Store(StoreError::Unavailable(_))) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM entries").await, accepted);
    world.check_invariants().await;
    let late = world.store.create_domain("late.test").await;
    assert!(matches!(late, Err(AccountError::Store(StoreError::Unavailable(_)))));
}

async fn refused(url: &str) -> OpenError {
    match Store::open(settings(url, "/tmp".into(), "n")).await {
        Err(error) => error,
        Ok(_) => panic!("{url} was opened"),
    }
}

#[tokio::test]
async fn wrong_urls_are_named() {
    for url in [
        "mysql://x",
        "",
        "/var/lib/mail.db",
        "postgres://h/db?sslmode=perhaps",
        "postgres://h:x/db",
    ] {
        assert!(matches!(refused(url).await, OpenError::Url { .. }), "{url}");
    }
    let missing = refused("sqlite:/nowhere/at/all.db").await;
    assert!(missing.to_string().contains("/nowhere/at/all.db"), "{missing}");
    let nobody = refused("postgres:///x?host=/nowhere&connect_timeout=1").await;
    assert!(matches!(nobody, OpenError::Store(StoreError::Unavailable(_))), "{nobody}");
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let error = refused(&format!("sqlite:{}", path.display())).await;
    assert!(matches!(error, OpenError::Store(StoreError::Damaged(_))), "{error}");
    let path = folder.path().join("text.db");
    std::fs::write(&path, "this is not a database, it is a letter to a friend".repeat(100))
        .unwrap();
    let error = refused(&format!("sqlite:{}", path.display())).await;
    assert!(matches!(error, OpenError::Store(StoreError::Damaged(_))), "{error}");
}

#[tokio::test]
async fn mail_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::sqlite().await;
    world.account("bob@wing.test").await;
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", file.path());
    }
}

/// Both schemas make the same tables with the same columns, in the same order, equally nullable.
#[tokio::test]
async fn the_schemas_are_in_step() {
    let (sqlite, postgres) = (World::sqlite().await, World::postgres().await);
    let (ours, theirs) = (columns(&sqlite.url).await, columns(&postgres.url).await);
    assert!(ours.len() > 80);
    assert_eq!(ours, theirs);
}

/// Table, column, and whether it may be NULL. The search index is each engine's own.
async fn columns(url: &str) -> Vec<(String, String, bool)> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let connection = rusqlite::Connection::open(path).unwrap();
        let mut statement = connection
            .prepare(
                "SELECT t.name, c.name, c.\"notnull\" = 0 FROM pragma_table_list() t \
                 JOIN pragma_table_info(t.name) c \
                 WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%' \
                 AND t.name NOT LIKE 'search%' ORDER BY t.name, c.cid",
            )
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        return rows.unwrap().collect::<Result<_, _>>().unwrap();
    }
    let rows = crate::server::connect(url)
        .await
        .query(
            "SELECT table_name::text, column_name::text, is_nullable = 'YES' \
             FROM information_schema.columns WHERE table_schema = 'public' \
             AND table_name <> 'search' ORDER BY table_name COLLATE \"C\", ordinal_position",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}
