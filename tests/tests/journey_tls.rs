//! Certificates and the moment of STARTTLS: ACME against Pebble, a new certificate without a dropped
//! connection, and nothing that was said before TLS heard after it.

use std::process::Command;
use std::time::Duration;

use waxwing_journeys::imap::Imap;
use waxwing_journeys::mail;
use waxwing_journeys::process::{Daemon, Ran, run, tool};
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::smtp::Smtp;
use waxwing_journeys::waiting::{SOON, eventually, until};
use waxwing_journeys::wire::Wire;
use waxwing_journeys::world::Ground;

const ALICE: &str = "alice@wax.test";

fn server(ground: &Ground) -> Server {
    let server = Server::start(ground.setup("wax.test", 1));
    server.add_user("alice");
    server
}

// ---- ACME ----

/// Debian's Pebble, asking our DNS and connecting to port 2080.
struct Pebble {
    _daemon: Daemon,
    directory: String,
    management: String,
}

fn pebble(ground: &Ground) -> Pebble {
    let host = ground.net.host(5);
    let pair = ground.authority.issue("pebble.test", &[host]);
    let config = serde_json::json!({ "pebble": {
        "listenAddress": format!("{host}:14000"),
        "managementListenAddress": format!("{host}:15000"),
        "certificate": pair.certificate,
        "privateKey": pair.key,
        "httpPort": 2080,
        "tlsPort": 2443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
    }});
    let path = ground.folder.path().join("pebble.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let configure = |command: &mut Command| {
        command.arg("-config").arg(&path).arg("-dnsserver").arg(ground.names.address.to_string());
        // Otherwise it waits for up to 15 s before each look.
        command.env("PEBBLE_VA_NOSLEEP", "1");
    };
    let log = ground.folder.path().join("pebble.log");
    let daemon = Daemon::start("pebble", &tool("pebble", "pebble"), configure, &log, None, None);
    let pebble = Pebble {
        _daemon: daemon,
        directory: format!("https://{host}:14000/dir"),
        management: format!("https://{host}:15000"),
    };
    until(SOON, "Pebble to answer", || curl(ground, &pebble.directory, &[]).code == 0);
    pebble
}

fn curl(ground: &Ground, url: &str, more: &[&str]) -> Ran {
    let mut command = Command::new(tool("curl", "curl"));
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]);
    command.arg(&ground.authority.root).args(more).arg(url);
    run(command, b"", Duration::from_secs(60))
}

/// Logs in over IMAPS, trusting only `root`; whether it worked.
fn reads_with_root(server: &Server, root: &std::path::Path) -> bool {
    let at = server.at("imaps");
    let mut command = Command::new(tool("curl", "curl"));
    command.args(["--silent", "--max-time", "20", "--cacert"]).arg(root);
    command.arg("--resolve").arg(format!("mx.wax.test:{}:{}", at.port(), at.ip()));
    command.arg("--user").arg(format!("{ALICE}:{}", password("alice")));
    command.arg(format!("imaps://mx.wax.test:{}/INBOX", at.port()));
    run(command, b"", Duration::from_secs(60)).code == 0
}

/// A file with the root that Pebble's certificates lead to.
fn pebble_root(ground: &Ground, pebble: &Pebble) -> std::path::PathBuf {
    let root = ground.folder.path().join("pebble-root.pem");
    let fetched = curl(ground, &format!("{}/roots/0", pebble.management), &[]).ok();
    std::fs::write(&root, fetched.stdout).unwrap();
    root
}

#[test]
fn acme_brings_a_certificate_that_clients_trust() {
    let ground = Ground::new();
    let pebble = pebble(&ground);
    let root = pebble_root(&ground, &pebble);

    let mut setup = ground.setup("wax.test", 1);
    // The challenge is looked for at the host's own name.
    let ip = setup.ip;
    ground.names.zone("wax.test", &format!("@ MX 10 mx\nmx A {ip}\n"));
    setup.listen.insert("http", 2080);
    setup.tls = vec![
        format!(
            "acme = {{ email = \"postmaster@wax.test\", directory = \"{}\", root = {:?} }}",
            pebble.directory, ground.authority.root
        ),
        "allow-plaintext-login = true".to_owned(),
    ];
    let mut server = Server::start(setup);
    server.add_user("alice");
    until(Duration::from_secs(60), "a certificate from Pebble", || reads_with_root(&server, &root));

    // It is kept: after a restart it is there at once, without Pebble.
    drop(pebble);
    server.stop();
    server.run();
    assert!(reads_with_root(&server, &root), "{}", server.log());

    // The challenge port says nothing else.
    let answer = curl(&ground, &format!("http://{ip}:2080/"), &["--include"]).ok().out();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn acme_certifies_the_names_under_which_mail_programs_ask() {
    let ground = Ground::new();
    let pebble = pebble(&ground);
    let root = pebble_root(&ground, &pebble);
    let mut setup = ground.setup("wax.test", 1);
    let ip = setup.ip;
    // One of the names leads nowhere yet: the others have their certificate all the same.
    let zone = format!("@ MX 10 mx\nmx A {ip}\nautoconfig CNAME mx\nautodiscover CNAME mx\n");
    ground.names.zone("wax.test", &zone);
    setup.listen.insert("http", 2080);
    setup.listen.insert("https", 2443);
    setup.dns.push("[autoconfig]".to_owned());
    setup.tls = vec![format!(
        "acme = {{ email = \"postmaster@wax.test\", directory = \"{}\", root = {:?} }}",
        pebble.directory, ground.authority.root
    )];
    let server = Server::start(setup);
    let ask = |host: &str| {
        let mut command = Command::new(tool("curl", "curl"));
        command.args(["--silent", "--max-time", "20", "--cacert"]).arg(&root);
        command.args(["--resolve", &format!("{host}:2443:{ip}")]);
        command.arg(format!("https://{host}:2443/mail/config-v1.1.xml?emailaddress={ALICE}"));
        run(command, b"", Duration::from_secs(60))
    };
    for host in ["autoconfig.wax.test", "autodiscover.wax.test", "mx.wax.test"] {
        until(Duration::from_secs(60), host, || ask(host).out().contains("<clientConfig"));
    }
    assert_ne!(ask("ua-auto-config.wax.test").code, 0, "{}", server.log());
}

#[test]
fn without_its_authority_the_server_still_serves_and_says_why() {
    let ground = Ground::new();
    let mut setup = ground.setup("wax.test", 1);
    setup.listen.insert("http", 2080);
    let nobody = format!("https://{}:14000/dir", ground.net.host(5));
    setup.tls = vec![
        format!("acme = {{ email = \"postmaster@wax.test\", directory = \"{nobody}\" }}"),
        "allow-plaintext-login = true".to_owned(),
    ];
    let server = Server::start(setup);
    server.add_user("alice");
    let message = mail::plain("x@client.test", ALICE, "without a certificate");
    server.smtp().send("x@client.test", &[ALICE], &message).unwrap().expect(250, "2.0.0");
    until(SOON, "a warning", || server.log().contains(&nobody));
}

// ---- reload ----

#[test]
fn sighup_brings_the_new_certificate_and_drops_nobody() {
    let ground = Ground::new();
    let mut server = server(&ground);
    let client = ground.authority.client();
    let at = server.at("imaps");
    let mut connected =
        Imap { wire: Wire::connect_tls(at, &client, "mx.wax.test").unwrap(), tag: 0 };
    connected.response().unwrap();
    connected.ok(&format!("LOGIN {ALICE} \"{}\"", password("alice"))).unwrap();
    let old = connected.wire.peer_certificate().unwrap();

    ground.authority.issue("mx.wax.test", &[server.setup.ip]);
    server.daemon().signal("HUP");
    let new = eventually(SOON, "the new certificate", || {
        let wire = Wire::connect_tls(at, &client, "mx.wax.test").unwrap();
        wire.peer_certificate().filter(|shown| *shown != old)
    });
    assert_ne!(new, old);
    connected.ok("SELECT INBOX").unwrap();

    // A broken file changes nothing, and is complained of.
    std::fs::write(ground.folder.path().join("mx.wax.test.pem"), "not a certificate").unwrap();
    server.daemon().signal("HUP");
    until(SOON, "a complaint", || server.log().contains("mx.wax.test.pem"));
    let wire = Wire::connect_tls(at, &client, "mx.wax.test").unwrap();
    assert_eq!(wire.peer_certificate().unwrap(), new);
    connected.ok("NOOP").unwrap();
    // Every protocol shows the same.
    let mut smtp = Smtp::greeted(server.at("smtp")).unwrap();
    smtp.command("STARTTLS").unwrap().expect(220, "2.0.0");
    smtp.wire.start_tls(&client, "mx.wax.test").unwrap();
    assert_eq!(smtp.wire.peer_certificate().unwrap(), new);
}

// ---- STARTTLS ----

/// Sends the command together with plain text that would be obeyed after TLS, and gives what the
/// server says over TLS until `question` is answered. `None`: it hung up, which is as good.
fn injected(
    ground: &Ground,
    server: &Server,
    service: &str,
    greeting_lines: usize,
    plain: &str,
    question: &str,
) -> Option<String> {
    let mut wire = Wire::connect(server.at(service)).unwrap();
    wire.line().unwrap();
    if service == "smtp" || service == "submission" {
        wire.send("EHLO client.test\r\n").unwrap();
        while wire.line().unwrap().get(3) == Some(&b'-') {}
    }
    wire.send(plain).unwrap();
    for _ in 0..greeting_lines {
        let line = wire.line().ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(
            ["220", "+OK", "a1 OK", "5", "-ERR", "a1 BAD"]
                .iter()
                .any(|start| line.starts_with(start)),
            "{service}: {line}"
        );
        if !["220", "+OK", "a1 OK"].iter().any(|start| line.starts_with(start)) {
            return None;
        }
    }
    wire.start_tls(&ground.authority.client(), "mx.wax.test").ok()?;
    wire.set_patience(Duration::from_secs(5)).unwrap();
    wire.send(question).unwrap();
    wire.line().ok().map(|line| String::from_utf8_lossy(&line).into_owned())
}

#[test]
fn what_comes_with_starttls_is_never_obeyed() {
    let ground = Ground::new();
    let server = server(&ground);
    for service in ["smtp", "submission"] {
        // The injected RSET would be answered first, with 250 2.0.0.
        let plain = "STARTTLS\r\nRSET\r\nVRFY injected\r\n";
        let first = injected(&ground, &server, service, 1, plain, "EHLO secure.test\r\n");
        if let Some(first) = first {
            assert!(first.starts_with("250-mx.wax.test"), "{service}: {first}");
        }
    }
    let first =
        injected(&ground, &server, "imap", 1, "a1 STARTTLS\r\na2 NOOP\r\n", "a3 CAPABILITY\r\n");
    if let Some(first) = first {
        assert!(first.starts_with("* CAPABILITY"), "imap: {first}");
    }
    let first = injected(&ground, &server, "pop3", 1, "STLS\r\nUSER injected\r\n", "CAPA\r\n");
    if let Some(first) = first {
        assert!(first.starts_with("+OK"), "pop3: {first}");
    }
}

#[test]
fn what_was_said_before_starttls_is_forgotten() {
    let ground = Ground::new();
    let server = server(&ground);
    let mut smtp = Smtp::greeted(server.at("smtp")).unwrap();
    smtp.command("MAIL FROM:<x@client.test>").unwrap().expect(250, "2.1.0");
    smtp.command("STARTTLS").unwrap();
    smtp.wire.start_tls(&ground.authority.client(), "mx.wax.test").unwrap();
    // RFC 3207 §4.2: as if the connection had just been made.
    let reply = smtp.command(&format!("RCPT TO:<{ALICE}>")).unwrap();
    assert_eq!(reply.code, 503, "{reply:?}");
    let ehlo = smtp.command("EHLO secure.test").unwrap().text;
    assert!(!ehlo.contains("STARTTLS"), "{ehlo}");
}

#[test]
fn without_tls_no_password_is_taken_unless_allowed() {
    let ground = Ground::new();
    let mut setup = ground.setup("wax.test", 1);
    setup.tls.retain(|line| !line.starts_with("allow-plaintext-login"));
    let server = Server::start(setup);
    server.add_user("alice");
    let mut smtp = Smtp::connect(server.at("submission")).unwrap();
    let ehlo = smtp.command("EHLO client.test").unwrap().text;
    assert!(!ehlo.contains("AUTH") && ehlo.contains("STARTTLS"), "{ehlo}");
    let refused = smtp.login(ALICE, &password("alice")).unwrap();
    assert!([530, 538, 503, 502, 504].contains(&refused.code), "{refused:?}");
    let refused = Imap::inbox(server.at("imap"), ALICE, &password("alice")).unwrap_err();
    assert!(refused.to_string().contains("NO"), "{refused}");
    let mut pop3 = Wire::connect(server.at("pop3")).unwrap();
    pop3.line().unwrap();
    pop3.send(format!("USER {ALICE}\r\n")).unwrap();
    let answer = pop3.line().unwrap();
    assert!(answer.starts_with(b"-ERR"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn old_tls_is_refused_and_new_is_agreed() {
    let ground = Ground::new();
    let server = server(&ground);
    let at = server.at("imaps").to_string();
    let handshake = |version: &str| {
        let mut command = Command::new(tool("openssl", "openssl"));
        command.args(["s_client", "-connect", &at, version, "-cipher", "ALL@SECLEVEL=0", "-brief"]);
        run(command, b"", Duration::from_secs(30))
    };
    for version in ["-tls1", "-tls1_1"] {
        assert_ne!(handshake(version).code, 0, "{version}");
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let agreed = handshake(version).ok();
        assert!(agreed.text().contains("CONNECTION ESTABLISHED"), "{agreed}");
    }
}
