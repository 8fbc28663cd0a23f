//! The command line beside a running server, and without one: what it changes is seen at once, what
//! it prints with `--json` can be read by a program, and what is wrong is said clearly.

use std::process::Command;
use std::time::Duration;

use waxwing_journeys::mail;
use waxwing_journeys::net::Subnet;
use waxwing_journeys::process::{Ran, run};
use waxwing_journeys::server::{Server, Setup, binary, password, steps};
use waxwing_journeys::smtp::Smtp;
use waxwing_journeys::world::{Ground, ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

#[test]
fn accounts_live_through_all_their_commands() {
    let ground = Ground::new();
    let server = Server::start(ground.setup("wax.test", 1));
    let logs_in = |secret: &str| {
        let mut smtp = Smtp::greeted(server.at("submission")).unwrap();
        smtp.login(ALICE, secret).unwrap().code == 235
    };
    // Without a password given, one is made and shown once.
    let made = server.cli_json(&["user", "add", ALICE, "--name", "Alice", "--quota", "1 GB"]);
    let secret = made["password"].as_str().unwrap().to_owned();
    assert!(logs_in(&secret));
    assert!(!logs_in("a guess that is wrong"));

    let list = server.cli_json(&["user", "list"]);
    assert_eq!(list[0]["address"], ALICE);
    assert_eq!(list[0]["name"], "Alice");
    assert_eq!(list[0]["disabled"], false);
    let shown = server.cli_json(&["user", "show", ALICE]);
    let mailboxes: Vec<_> =
        shown["mailboxes"].as_array().unwrap().iter().map(|m| m["name"].clone()).collect();
    assert!(mailboxes.contains(&"INBOX".into()), "{shown}");
    server.cli(&["user", "add", ALICE]).fails();

    server.cli_with(&["user", "password", ALICE, "--password-stdin"], b"another secret\n").ok();
    assert!(logs_in("another secret"));
    assert!(!logs_in(&secret), "the old one is gone");

    server.cli(&["user", "disable", ALICE]).ok();
    assert!(!logs_in("another secret"));
    server.cli(&["user", "enable", ALICE]).ok();
    assert!(logs_in("another secret"));

    server.cli(&["user", "quota", ALICE, "none"]).ok();
    assert!(server.cli_json(&["user", "show", ALICE])["quota_octets"].is_null());

    // Mail is not deleted by accident.
    let message = mail::plain("x@client.test", ALICE, "precious");
    server.smtp().send("x@client.test", &[ALICE], &message).unwrap().expect(250, "2.0.0");
    let refused = server.cli(&["user", "remove", ALICE]).fails();
    assert!(refused.text().contains("--with-all-mail"), "{refused}");
    server.cli(&["user", "remove", ALICE, "--with-all-mail"]).ok();
    assert_eq!(server.cli_json(&["user", "list"]), serde_json::json!([]));
    let mut smtp = server.smtp();
    smtp.command("MAIL FROM:<x@client.test>").unwrap();
    smtp.command(&format!("RCPT TO:<{ALICE}>")).unwrap().expect(550, "5.1.1");
}

#[test]
fn domains_are_taken_in_and_let_go_while_the_server_runs() {
    let ground = Ground::new();
    let server = Server::start(ground.setup("wax.test", 1));
    let rcpt = |address: &str| {
        let mut smtp = server.smtp();
        smtp.command("MAIL FROM:<x@client.test>").unwrap();
        smtp.command(&format!("RCPT TO:<{address}>")).unwrap()
    };
    rcpt("me@new.test").expect(550, "5.7.1");
    server.cli(&["domain", "add", "new.test"]).ok();
    rcpt("me@new.test").expect(550, "5.1.1");
    server.cli_with(&["user", "add", "me@new.test", "--password-stdin"], b"a long secret").ok();
    rcpt("me@new.test").expect(250, "2.1.5");
    let refused = server.cli(&["domain", "remove", "new.test"]).fails();
    assert!(refused.text().contains("new.test"), "{refused}");
    server.cli(&["user", "remove", "me@new.test"]).ok();
    server.cli(&["domain", "remove", "new.test"]).ok();
    rcpt("me@new.test").expect(550, "5.7.1");
    let list = server.cli_json(&["domain", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    server.cli(&["domain", "add", "not a domain"]).fails();
    server.cli(&["domain", "add", "wax.test"]).fails();
}

#[test]
fn send_journey_and_message_tell_one_story() {
    let world = World::start();
    let folder = world.ground.folder.path();
    let attachment = folder.join("noise.bin");
    std::fs::write(&attachment, mail::noise(5_000)).unwrap();
    let html = folder.join("body.html");
    std::fs::write(&html, "<p>Grüße &amp; mehr</p>").unwrap();
    let sent = world.wax.cli_with(
        &[
            "send",
            "--json",
            "--from",
            ALICE,
            "--to",
            BOB,
            "--cc",
            "amy@wax.test",
            "--subject",
            "Grüße, mit Anhang",
            "--body",
            "-",
            "--html",
            html.to_str().unwrap(),
            "--attach",
            attachment.to_str().unwrap(),
        ],
        "Der Text.\n".as_bytes(),
    );
    let journey = sent.ok().json()["journey"].as_str().unwrap().to_owned();
    world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    world.wax.wait_for_mail("amy", 1, ON_THE_ROAD);

    let list = world.wing.cli_json(&["message", "list", BOB]);
    assert_eq!(list[0]["subject"], "Grüße, mit Anhang");
    assert_eq!(list[0]["from"], ALICE);
    let uid = list[0]["uid"].to_string();
    let raw = world.wing.cli(&["message", "show", BOB, &uid, "--raw"]).ok().stdout;
    let by_imap = world.wing.inbox("bob").fetch_all().unwrap();
    assert!(raw == by_imap[0].octets, "the same octets as over IMAP");
    let shown = world.wing.cli_json(&["message", "show", BOB, &uid]);
    assert_eq!(shown["has_attachment"], true, "{shown}");
    assert!(shown["preview"].as_str().unwrap().contains("Der Text"), "{shown}");
    let encoded: String = String::from_utf8_lossy(&raw).lines().collect();
    assert!(encoded.contains(&waxwing_journeys::base64(&mail::noise(5_000))));

    let told = world.wax.journey(&journey);
    let names: Vec<String> =
        steps(&told).iter().map(|step| step["step"].as_str().unwrap().to_owned()).collect();
    for name in ["accepted", "deposited", "queued", "routed", "attempted"] {
        assert!(names.iter().any(|found| found == name), "{name} is missing: {names:?}");
    }
    assert_eq!(told["pending"], 0);
    // By Message-ID at the other end; and the list shows it.
    let id = told["message_id"].as_str().unwrap();
    let there = world.wing.journey(&format!("<{id}>"))[0].clone();
    assert_eq!(steps(&there)[0]["reverse_path"], ALICE);
    let words = world.wax.cli(&["journey", &journey]).ok().out();
    assert!(words.contains("mx.wing.test") && words.contains("250"), "{words}");
    let latest = world.wax.cli(&["journey"]).ok().out();
    assert!(latest.contains(&journey), "{latest}");
    world.wax.cli(&["journey", "00000000000000000000000000000000"]).fails();

    // Submitted over the network it is the same.
    let secret = folder.join("secret");
    std::fs::write(&secret, password("alice")).unwrap();
    let server = world.wax.at("submission").to_string();
    let root = world.ground.authority.root.to_str().unwrap();
    let sent = world.wax.cli(&[
        "send",
        "--json",
        "--from",
        ALICE,
        "--to",
        BOB,
        "--subject",
        "by submission",
        "--body",
        "x",
        "--server",
        &server,
        "--password-file",
        secret.to_str().unwrap(),
        "--roots",
        root,
    ]);
    assert_eq!(sent.ok().json()["journey"].as_str().unwrap().len(), 32);
    world.wing.wait_for_mail("bob", 2, ON_THE_ROAD);
}

#[test]
fn what_cannot_be_done_is_said_and_exits_1() {
    let ground = Ground::new();
    let server = Server::prepare(ground.setup("wax.test", 1));
    for (arguments, word) in [
        (&["user", "add", "me@other.test"][..], "other.test"),
        (&["user", "show", "nobody@wax.test"], "nobody@wax.test"),
        (&["alias", "remove", "nobody@wax.test"], "nobody@wax.test"),
        (&["queue", "show", "17"], "17"),
        (&["queue", "cancel", "17"], "17"),
        (&["message", "list", "nobody@wax.test"], "nobody@wax.test"),
        (&["send", "--from", "x@other.test", "--to", ALICE, "--body", "x"], "other.test"),
        (
            &["send", "--from", "x@wax.test", "--to", "nobody@wax.test", "--body", "x"],
            "nobody@wax.test",
        ),
        (&["journey", "no-such-message@id"], "no-such-message@id"),
    ] {
        let ran = server.cli(arguments).fails();
        assert!(ran.text().contains(word), "{ran}");
        let mut with_json = arguments.to_vec();
        with_json.push("--json");
        let json = server.cli(&with_json).fails().json();
        assert!(json["error"].as_str().unwrap().contains(word), "{json}");
    }
    let short = server.cli_with(&["user", "add", "me@wax.test", "--password-stdin"], b"short\n");
    assert!(short.fails().text().contains("too short"));
}

fn waxwing(arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(binary());
    command.args(arguments);
    run(command, input, Duration::from_secs(60))
}

#[test]
fn setup_makes_a_server_that_serves() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("etc/waxwing.toml");
    let data = folder.path().join("data");
    let line = [
        "setup",
        "example.test",
        "--hostname",
        "mx.example.test",
        "--data",
        data.to_str().unwrap(),
        "--account",
        "me",
        "--ip",
        "192.0.2.7",
        "--password-stdin",
        "--config",
        config.to_str().unwrap(),
        "--json",
    ];
    let made = waxwing(&line, b"a long secret\n").ok().json();
    assert_eq!(made["account"], "me@example.test");
    let records = made["records"].as_array().unwrap();
    let has = |name: &str, kind: &str, value: &str| {
        records.iter().any(|r| r["name"] == name && r["type"] == kind && r["value"] == value)
    };
    assert!(has("mx.example.test", "A", "192.0.2.7"), "{made:#}");
    assert!(has("example.test", "MX", "10 mx.example.test."), "{made:#}");
    assert!(records.iter().any(|r| r["value"].as_str().unwrap().contains("v=spf1")), "{made:#}");

    // Again: nothing is overwritten.
    let written = std::fs::read_to_string(&config).unwrap();
    waxwing(&line, b"something else\n").ok();
    assert_eq!(std::fs::read_to_string(&config).unwrap(), written);

    // What it wrote is a configuration; with ports that we may bind it serves.
    let net = Subnet::claim();
    let mut setup = Setup::new("example.test", net.host(1), &data);
    setup.tls = vec!["self-signed = true".into(), "allow-plaintext-login = true".into()];
    let mut server = Server::second_node(setup);
    server.run();
    let mut smtp = Smtp::greeted(server.at("submission")).unwrap();
    smtp.login("me@example.test", "a long secret").unwrap().expect(235, "2.7.0");
    // The addresses that everybody must have (RFC 2142).
    let mut smtp = server.smtp();
    smtp.command("MAIL FROM:<x@client.test>").unwrap();
    for role in ["postmaster", "abuse"] {
        smtp.command(&format!("RCPT TO:<{role}@example.test>")).unwrap().expect(250, "2.1.5");
    }
    smtp.command("RCPT TO:<Postmaster>").unwrap().expect(250, "2.1.5");
}

#[test]
fn errors_in_the_configuration_point_at_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waxwing.toml");
    for (text, line, word) in [
        ("hostname = \"a.test\"\n[tls]\nself-signd = true\n", ":3", "self-signd"),
        ("hostname = \"a.test\"\n[listen]\nsmtp = [\"here\"]\n", ":3", "here"),
        (
            "hostname = \"a.test\"\n[tls]\nself-signed = true\n[limits]\nmessage-size = \"big\"\n",
            ":5",
            "big",
        ),
        ("hostname = \"a.test\n", ":1", "waxwing.toml"),
        ("data = \"/x\"\n", "", "hostname"),
        ("hostname = \"a.test\"\n[tls]\ncertificate = \"/x\"\n", ":2", "key"),
    ] {
        std::fs::write(&path, text).unwrap();
        let ran = waxwing(&["serve", "--config", path.to_str().unwrap()], b"").fails();
        let said = ran.text();
        assert!(said.contains(&format!("waxwing.toml{line}")), "{text}\n{said}");
        assert!(said.contains(word), "{text}\n{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let ran = waxwing(&["serve", "--config", "/nowhere/waxwing.toml"], b"").fails();
    assert!(ran.text().contains("/nowhere/waxwing.toml"), "{ran}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let ground = Ground::new();
    let mut setup = ground.setup("wax.test", 1);
    let (one, other) =
        (ground.authority.issue("one.test", &[]), ground.authority.issue("two.test", &[]));
    setup.tls =
        vec![format!("certificate = {:?}", one.certificate), format!("key = {:?}", other.key)];
    let mut server = Server::prepare(setup);
    let log = server.try_run().unwrap_err();
    assert!(log.contains("one.test.pem") && log.contains("does not belong"), "{log}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let ground = Ground::new();
    let setup = ground.setup("wax.test", 1);
    let taken = std::net::TcpListener::bind((setup.ip, 2143)).unwrap();
    let mut server = Server::prepare(setup);
    let log = server.try_run().unwrap_err();
    assert!(log.contains(&taken.local_addr().unwrap().to_string()), "{log}");
}

#[test]
fn port_0_takes_free_ports_and_tells_them() {
    let ground = Ground::new();
    let mut setup = ground.setup("wax.test", 1);
    for port in setup.listen.values_mut() {
        *port = 0;
    }
    let server = Server::start(setup);
    let listening = server.listening().as_object().unwrap();
    for service in ["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "lmtp"] {
        let at = server.at(service);
        assert_ne!(at.port(), 0, "{listening:?}");
        std::net::TcpStream::connect(at).unwrap();
    }
}

#[test]
fn sigterm_ends_it_within_seconds_even_with_clients_connected() {
    let world = World::start();
    let mut world = world;
    let mut idler = world.wing.inbox("bob");
    idler.idle().unwrap();
    let mut smtp = world.wing.smtp();
    smtp.command("MAIL FROM:<x@client.test>").unwrap();
    let began = std::time::Instant::now();
    world.wing.stop();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // Each client was told (RFC 3501 §7.1.5, RFC 5321 §3.8).
    let bye = idler.response().map(|response| response.line).unwrap_or_default();
    assert!(bye.starts_with("* BYE"), "{bye:?}");
    let closing = smtp.reply().map(|reply| reply.code).unwrap_or_default();
    assert_eq!(closing, 421);
}

#[test]
fn help_names_every_command() {
    let help = waxwing(&["--help"], b"").ok().out();
    for command in [
        "serve", "try", "setup", "check", "verify", "domain", "user", "alias", "queue", "send",
        "journey", "message",
    ] {
        assert!(help.contains(command), "{command}: {help}");
        waxwing(&[command, "--help"], b"").ok();
    }
}
