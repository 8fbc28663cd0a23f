//! JMAP over HTTPS, with clients that are not ours: from the host name to a message that another reads, and
//! two accounts that know nothing of each other.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use waxwing_journeys::mail;
use waxwing_journeys::process::{Ran, run, tool};
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::world::Ground;

const PATIENCE: Duration = Duration::from_secs(30);
const HOST: &str = "mx.wax.test";

/// wax.test, speaking JMAP.
fn server(ground: &Ground) -> Server {
    let mut setup = ground.setup("wax.test", 1);
    setup.listen.insert("https", 2443);
    setup.dns.push("[jmap]".to_owned());
    Server::start(setup)
}

fn client(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script)
}

/// The Python that has the libraries of others, made when it is not there.
fn peers() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Command::new(root.join("scripts/python-peers")).output();
    assert!(
        made.as_ref().is_ok_and(|made| made.status.success()),
        "scripts/python-peers: {made:?}"
    );
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root.join("target")).join("peers/bin/python")
}

fn ask(ground: &Ground, server: &Server, python: &Path, script: &str, more: &[&str]) -> Ran {
    let at = server.at("https");
    let mut command = Command::new(python);
    command.arg(client(script)).arg(HOST).arg(at.ip().to_string()).arg(at.port().to_string());
    command.arg(&ground.authority.root).args(more);
    run(command, b"", Duration::from_secs(120)).ok()
}

#[test]
fn from_the_host_name_to_a_message_that_another_reads() {
    let ground = Ground::new();
    let server = server(&ground);
    let (alice, bob) = (server.add_user("alice"), server.add_user("bob"));
    let secret = password("alice");
    let told = ask(&ground, &server, &peers(), "jmap_jmapc.py", &[&alice, &secret, &bob]).json();
    let expected = json!({
        "username": alice,
        "identity": alice,
        "drafts": ["Drafts", "drafts"],
        "created": ["draft"],
        "undo": "final",
        "subject": "Grüße by jmapc",
        "text": "Sent with a client of others: ✓\n",
        "keywords": ["$seen"],
        "thread": true,
    });
    assert_eq!(told, expected);
    let read = server.wait_for_mail("bob", 1, PATIENCE);
    let text = String::from_utf8_lossy(&read[0].octets).into_owned();
    assert!(text.contains("From: =?") && text.contains(&format!("<{alice}>")), "{text}");
    assert!(text.contains("\r\nReceived: ") && text.contains(" with JMAP "), "{text}");
}

#[test]
fn requests_uploads_and_downloads() {
    let ground = Ground::new();
    let server = server(&ground);
    let alice = server.add_user("alice");
    let python = tool("python3", "python3");
    let asked = ["everything", &alice, &password("alice")];
    let mut told = ask(&ground, &server, &python, "jmap.py", &asked).json();
    let id = told["emailId"].take();
    let thread = told["threadId"].take();
    let expected = json!({
        "stranger": [401, "Basic", 401],
        "preflight": [204, "*"],
        "api": "https://mx.wax.test:2443/jmap",
        "wrong": [
            [400, "notJSON", null],
            [400, "notRequest", null],
            [400, "unknownCapability", null],
            [400, "notJSON", null],
            [400, "limit", "maxCallsInRequest"],
        ],
        "methods": [405, 405, 404],
        "upload": [201, true, "message/rfc822", true],
        "whole": [200, true, "message/rfc822", "attachment; filename*=UTF-8''all%20of%20it.eml"],
        "part": [200, true, "application/x-odd", true],
        "lost": [404, 404, 404],
        "emailId": null,
        "threadId": null,
    });
    assert_eq!(told, expected);

    // RFC 9698: the same ids by IMAP, which says where JMAP is.
    let mut imap = server.inbox("alice");
    let (untagged, _) = imap.command("GETJMAPACCESS").unwrap();
    assert_eq!(untagged[0].line, "* JMAPACCESS \"https://mx.wax.test/.well-known/jmap\"");
    let (untagged, _) = imap.command("FETCH 1 (EMAILID THREADID)").unwrap();
    let ids = format!("EMAILID ({}) THREADID ({})", id.as_str().unwrap(), thread.as_str().unwrap());
    assert!(untagged[0].line.contains(&ids), "{}", untagged[0].line);
}

#[test]
fn who_waits_is_told_and_nobody_else() {
    let ground = Ground::new();
    let server = server(&ground);
    let (alice, bob) = (server.add_user("alice"), server.add_user("bob"));
    let python = tool("python3", "python3");
    let asked = ["waiting", &alice, &password("alice"), &bob, &password("bob")];
    let told = ask(&ground, &server, &python, "jmap.py", &asked).json();
    assert_eq!(told["again"], json!(["state", true]));
    let types = told["alice"][2].as_array().unwrap();
    assert_eq!((&told["alice"][0], types.contains(&json!("Mailbox"))), (&json!("state"), true));
    assert_eq!(told["bob"], Value::Null, "nothing happened to bob");
}

#[test]
fn a_stream_of_events_ends_with_the_password() {
    let ground = Ground::new();
    let server = server(&ground);
    let alice = server.add_user("alice");
    let at = server.at("https");
    let mut command = Command::new(tool("python3", "python3"));
    command.arg(client("jmap.py")).arg(HOST).arg(at.ip().to_string()).arg(at.port().to_string());
    command.arg(&ground.authority.root).args(["ended", &alice, &password("alice")]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "open");
    server.cli_with(&["user", "password", &alice, "--password-stdin"], b"another secret").ok();
    let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(told, json!({"after": 401}));
    assert!(child.wait().unwrap().success());
}

#[test]
fn two_accounts_know_nothing_of_each_other() {
    let ground = Ground::new();
    let server = server(&ground);
    let (alice, bob) = (server.add_user("alice"), server.add_user("bob"));
    let message = mail::plain("x@client.test", &alice, "for alice alone");
    server.smtp().send("x@client.test", &[&alice], &message).unwrap().expect(250, "2.0.0");
    server.wait_for_mail("alice", 1, PATIENCE);
    let python = tool("python3", "python3");
    let asked = ["apart", &alice, &password("alice"), &bob, &password("bob")];
    let told = ask(&ground, &server, &python, "jmap.py", &asked).json();
    let expected = json!({
        "accounts": true,
        "errors": ["accountNotFound"],
        "own": [0, 0, null, null, null, null],
        "downloads": [404, 404, 404, 404, 404, 404],
        "uploads": 404,
        "still": true,
    });
    assert_eq!(told, expected);
}
