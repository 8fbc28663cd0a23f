//! One mailbox for two people, across processes: shared by the command line, read and marked over
//! IMAP, and taken back.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use waxwing_journeys::mail;
use waxwing_journeys::process::{run, tool};
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::world::Ground;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn shared_by_the_operator_and_taken_back() {
    let ground = Ground::new();
    let server = Server::start(ground.setup("wax.test", 1));
    let (alice, bob) = (server.add_user("alice"), server.add_user("bob"));
    let message = mail::plain("x@client.test", &alice, "for both");
    server.smtp().send("x@client.test", &[&alice], &message).unwrap().expect(250, "2.0.0");
    server.wait_for_mail("alice", 1, PATIENCE);
    assert_eq!(server.cli_json(&["acl", "list", &alice]), json!([]));
    server.cli(&["acl", "set", &alice, "INBOX", &bob, "lrs"]).ok();
    server.cli(&["acl", "set", &alice, "INBOX", "anyone", "t", "--deny"]).ok();
    let listed = server.cli_json(&["acl", "list", &alice]);
    let granted = json!({ "mailbox": "INBOX", "who": bob, "denied": false, "rights": "lrs" });
    let denied = json!({ "mailbox": "INBOX", "who": "anyone", "denied": true, "rights": "t" });
    assert_eq!(listed, json!([granted, denied]));
    assert!(server.cli(&["acl", "list", &alice]).ok().text().contains("-anyone"));

    let mut imap = server.inbox("bob");
    imap.ok("SELECT \"Other Users/alice@wax.test/INBOX\"").unwrap();
    let all = imap.fetch_all().unwrap();
    assert!(all.len() == 1 && String::from_utf8_lossy(&all[0].octets).contains("for both"));
    imap.ok("STORE 1 +FLAGS (\\Seen)").unwrap();
    let hers = server.inbox("alice").fetch_all().unwrap();
    assert_eq!(hers[0].flags, ["\\Seen"]);

    // What the other process takes back is missed at once.
    server.cli(&["acl", "remove", &alice, "INBOX", &bob]).ok();
    let (untagged, end) = imap.command("FETCH 1 FLAGS").unwrap();
    assert!(untagged[0].line.starts_with("* BYE ") && end.starts_with("NO [NOPERM]"), "{end}");
    server.cli(&["acl", "remove", &alice, "INBOX", "anyone", "--deny"]).ok();
    assert_eq!(server.cli_json(&["acl", "list", &alice, "INBOX"]), json!([]));
    let wrong = server.cli(&["acl", "set", &alice, "INBOX", "nobody@wax.test", "lr"]).fails();
    assert!(wrong.text().contains("nobody@wax.test"), "{wrong}");
    let wrong = server.cli(&["acl", "set", &alice, "INBOX", &bob, "lrQ"]).fails();
    assert!(wrong.text().contains("lrswipkxtea"), "{wrong}");
}

/// With a client that is not ours.
#[test]
fn two_people_share_with_imaplib() {
    let ground = Ground::new();
    let server = Server::start(ground.setup("wax.test", 1));
    let (alice, bob) = (server.add_user("alice"), server.add_user("bob"));
    let message = mail::plain("x@client.test", &alice, "for the team");
    server.smtp().send("x@client.test", &[&alice], &message).unwrap().expect(250, "2.0.0");
    server.wait_for_mail("alice", 1, PATIENCE);
    let at = server.at("imap");
    let mut command = Command::new(tool("python3", "python3"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/shared.py"));
    command.arg(at.ip().to_string()).arg(at.port().to_string()).arg(&ground.authority.root);
    command.args([&alice, &password("alice"), &bob, &password("bob")]);
    run(command, b"", PATIENCE).ok();
}
