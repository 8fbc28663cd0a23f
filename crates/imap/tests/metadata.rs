//! METADATA (RFC 5464): what the server says of itself.

mod support;

use support::World;
use waxwing_imap::Settings;

async fn world(comment: Option<&str>, admin: Option<&str>) -> World {
    let mut settings = Settings::new("imap.example.test");
    settings.plaintext_login = true;
    settings.comment = comment.map(str::to_owned);
    settings.admin = admin.map(str::to_owned);
    World::with(settings).await
}

/// RFC 5464 §6.2.1: a comment for everybody, and whom to turn to, as a URI; nobody can set either.
#[tokio::test]
async fn the_servers_shared_entries_are_its_operators() {
    let world = world(Some("Down on Sunday"), Some("https://help.example.test/")).await;
    world.account("bob@example.test").await;
    for login in ["alice@example.test", "bob@example.test"] {
        let mut client = world.client_of(login).await;
        let entries = "* METADATA \"\" (\"/shared/admin\" \"https://help.example.test/\" \
            \"/shared/comment\" \"Down on Sunday\")";
        let asked = "GETMETADATA \"\" (/shared/admin /shared/comment)";
        assert_eq!(client.ok(asked).await[0], entries);
        assert_eq!(client.ok("GETMETADATA (DEPTH 1) \"\" /shared").await[0], entries);
        for entry in ["/shared/comment", "/shared/admin", "/shared/vendor/waxwing/x"] {
            let refused = client.refused(&format!("SETMETADATA \"\" ({entry} \"mine\")")).await;
            assert!(refused.starts_with("NO [NOPERM]"), "{refused}");
            let refused = client.refused(&format!("SETMETADATA \"\" ({entry} NIL)")).await;
            assert!(refused.starts_with("NO [NOPERM]"), "{refused}");
        }
        assert_eq!(client.ok(asked).await[0], entries);
    }
}

#[tokio::test]
async fn a_server_whose_operator_says_nothing_has_a_postmaster() {
    let mut client = world(None, None).await.client().await;
    let lines = client.ok("GETMETADATA \"\" (/shared/admin /shared/comment)").await;
    let entries = "* METADATA \"\" (\"/shared/admin\" \"mailto:postmaster@example.test\" \
        \"/shared/comment\" NIL)";
    assert_eq!(lines[0], entries);
}
