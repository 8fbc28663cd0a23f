//! Logging in, with clients that are not ours: guessers and their victim, app passwords and sessions
//! that end with them, access tokens from the login page to IMAP, SMTP, POP3 and ManageSieve, and codes of an
//! authenticator (oathtool).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use waxwing_journeys::base64;
use waxwing_journeys::imap::Imap;
use waxwing_journeys::mail;
use waxwing_journeys::process::{Ran, run, tool};
use waxwing_journeys::server::{Server, binary, password};
use waxwing_journeys::waiting::eventually;
use waxwing_journeys::wire::Wire;
use waxwing_journeys::world::Ground;

const ALICE: &str = "alice@wax.test";
const PATIENCE: Duration = Duration::from_secs(90);
const HTTPS: u16 = 2443;

struct Stage {
    wax: Server,
    ground: Ground,
}

impl Stage {
    fn start() -> Stage {
        let ground = Ground::new();
        let mut setup = ground.setup("wax.test", 1);
        setup.listen.insert("https", HTTPS);
        setup.top.push("[oauth]".to_owned());
        setup.top.push(format!("issuer = \"https://{}\"", ground.net.at(1, HTTPS)));
        let wax = Server::start(setup);
        wax.add_user("alice");
        Stage { wax, ground }
    }

    fn python(&self, script: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(tool("python3", "python3"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script));
        command.args(arguments);
        run(command, b"", PATIENCE)
    }

    fn root(&self) -> &str {
        self.ground.authority.root.to_str().expect("a plain path")
    }

    /// Through the login page to tokens.
    fn tokens(&self) -> Value {
        let at = self.wax.at("https");
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let arguments = [&host, &port, self.root(), ALICE, &password("alice"), "mail sieve"];
        self.python("oauth.py", &arguments).ok().json()
    }

    /// curl with an access token.
    fn curl(&self, service: &str, scheme: &str, path: &str, token: &str, more: &[&str]) -> Ran {
        let at = self.wax.at(service);
        let mut command = Command::new(tool("curl", "curl"));
        command.args(["--silent", "--show-error", "--max-time", "30", "--cacert", self.root()]);
        command.args(["--user", &format!("{ALICE}:"), "--oauth2-bearer", token]);
        command.args(more).arg(format!("{scheme}://{at}{path}"));
        run(command, b"", PATIENCE)
    }
}

#[test]
fn guesses_from_one_address_do_not_shut_out_the_owner() {
    let stage = Stage::start();
    let at = stage.wax.at("imap");
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let guess = |from: &str, count: &str| {
        stage.python("guess.py", &[from, &host, &port, ALICE, count]).ok().text()
    };
    // More than are free; then nothing from there is looked at.
    let last = guess("127.9.9.9", "12");
    assert!(last.contains("NO [UNAVAILABLE]"), "{last}");
    // She comes from elsewhere, and so does another guesser.
    stage.wax.inbox("alice");
    let last = guess("127.9.9.10", "1");
    assert!(last.contains("NO [AUTHENTICATIONFAILED]"), "{last}");

    let noted = eventually(PATIENCE, "the guesses are noted", || {
        let noted = stage.wax.cli_json(&["user", "logins", ALICE]);
        let all = noted.as_array().expect("a list").clone();
        let guesser = all.iter().any(|note| note["address"] == "127.9.9.9");
        (guesser && all.iter().any(|note| note["outcome"] == "admitted")).then_some(all)
    });
    let guesser = noted.iter().find(|note| note["address"] == "127.9.9.9").unwrap();
    assert_eq!(
        (guesser["outcome"].as_str(), guesser["protocol"].as_str()),
        (Some("wrong"), Some("imap"))
    );
    assert!(guesser["count"].as_u64() >= Some(10), "{guesser}");
    // What was guessed is nowhere.
    assert!(!stage.wax.log().contains("guess 1"));
}

#[test]
fn a_session_ends_with_its_app_password() {
    let stage = Stage::start();
    let made =
        stage.wax.cli_json(&["user", "app-password", "add", ALICE, "phone", "--scope", "imap"]);
    let secret = made["password"].as_str().expect("shown once");
    let at = stage.wax.at("imap");
    let mut phone = Imap::inbox(at, ALICE, secret).unwrap();
    let mut laptop = stage.wax.inbox("alice");
    // Not for sending.
    let mut smtp = waxwing_journeys::smtp::Smtp::greeted(stage.wax.at("submission")).unwrap();
    smtp.login(ALICE, secret).unwrap().expect(534, "5.7.9");

    phone.wire.send("i IDLE\r\n").unwrap();
    assert!(phone.response().unwrap().line.starts_with("+ "));
    stage.wax.cli(&["user", "app-password", "revoke", ALICE, "phone"]).ok();
    let bye = phone.response().unwrap().line;
    assert!(bye.starts_with("* BYE "), "{bye}");
    assert!(Imap::inbox(at, ALICE, secret).is_err());
    laptop.ok("NOOP").unwrap();
    // A new main password ends the other.
    laptop.wire.send("i IDLE\r\n").unwrap();
    assert!(laptop.response().unwrap().line.starts_with("+ "));
    let new = b"a new secret of alice\n";
    stage.wax.cli_with(&["user", "password", ALICE, "--password-stdin"], new).ok();
    let bye = laptop.response().unwrap().line;
    assert!(bye.starts_with("* BYE "), "{bye}");
}

#[test]
fn sessions_of_every_protocol_end_with_their_password() {
    let stage = Stage::start();
    let mut submission = stage.wax.submission("alice");
    let mut sieve = Wire::connect(stage.wax.at("sieve")).unwrap();
    until_ok(&mut sieve);
    let secret = base64(format!("\0{ALICE}\0{}", password("alice")).as_bytes());
    sieve.send(format!("AUTHENTICATE \"PLAIN\" \"{secret}\"\r\n")).unwrap();
    until_ok(&mut sieve);
    let mut pop3 = Wire::connect(stage.wax.at("pop3")).unwrap();
    pop3.line().unwrap();
    for command in [format!("USER {ALICE}"), format!("PASS {}", password("alice"))] {
        pop3.send(format!("{command}\r\n")).unwrap();
        let answer = pop3.line().unwrap();
        assert!(answer.starts_with(b"+OK"), "{}", answer.escape_ascii());
    }
    let new = b"a new secret of alice\n";
    stage.wax.cli_with(&["user", "password", ALICE, "--password-stdin"], new).ok();
    // Each says why, where its protocol has words for it, and closes.
    submission.reply().unwrap().expect(421, "4.7.0 what you logged in with is no longer valid");
    assert_eq!(submission.wire.rest().unwrap(), b"");
    let bye = String::from_utf8(sieve.rest().unwrap()).unwrap();
    assert!(bye.starts_with("BYE ") && bye.contains("no longer valid"), "{bye}");
    pop3.rest().unwrap();
}

/// Reads the answer to a command of ManageSieve.
fn until_ok(sieve: &mut Wire) {
    loop {
        let line = sieve.line().unwrap();
        assert!(!line.starts_with(b"NO") && !line.starts_with(b"BYE"), "{}", line.escape_ascii());
        if line.starts_with(b"OK") {
            return;
        }
    }
}

#[test]
fn with_a_second_step_the_password_alone_opens_nothing() {
    let stage = Stage::start();
    let mut laptop = stage.wax.inbox("alice");
    laptop.wire.send("i IDLE\r\n").unwrap();
    assert!(laptop.response().unwrap().line.starts_with("+ "));
    let (program, config) = (binary(), stage.wax.config().to_owned());
    let arguments = [program.to_str().unwrap(), config.to_str().unwrap(), ALICE];
    let made = stage.python("totp.py", &arguments).ok().json();
    let secret = made["secret"].as_str().unwrap();
    let recovery: Vec<&str> =
        made["recovery"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(recovery.len(), 10);
    let bye = laptop.response().unwrap().line;
    assert!(bye.starts_with("* BYE "), "{bye}");

    // Said in words, by password and by proof of it, to those who know it.
    let words = "give the program an app password";
    let refused = Imap::inbox(stage.wax.at("imap"), ALICE, &password("alice")).unwrap_err();
    assert!(refused.to_string().contains(words), "{refused}");
    let mut smtp = waxwing_journeys::smtp::Smtp::greeted(stage.wax.at("submission")).unwrap();
    let refused = smtp.login(ALICE, &password("alice")).unwrap().expect(534, "5.7.9");
    assert!(refused.text.contains(words), "{refused:?}");
    smtp.login(ALICE, "wrong").unwrap().expect(535, "5.7.8");
    for (protocol, service) in
        [("imap", "imap"), ("pop3", "pop3"), ("smtp", "submission"), ("sieve", "sieve")]
    {
        let at = stage.wax.at(service);
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let proof = |secret: &str| {
            stage.python("scram.py", &[protocol, &host, &port, ALICE, secret]).ok().text()
        };
        let refused = proof(&password("alice"));
        assert!(refused.contains(words), "{protocol}: {refused}");
        let refused = proof("wrong");
        assert!(
            !refused.contains(words) && refused.to_lowercase().contains("wrong"),
            "{protocol}: {refused}"
        );
    }
    let phone = stage.wax.cli_json(&["user", "app-password", "add", ALICE, "phone"]);
    let phone = phone["password"].as_str().unwrap();
    Imap::inbox(stage.wax.at("imap"), ALICE, phone).unwrap();
    // By proof too, by whatever mail is read and sent; rules were not asked for.
    for (protocol, service, not_here) in [
        ("imap", "imap", false),
        ("pop3", "pop3", false),
        ("smtp", "submission", false),
        ("sieve", "sieve", true),
    ] {
        let at = stage.wax.at(service);
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let arguments = [protocol, &host, &port, ALICE, phone];
        let answered = stage.python("scram.py", &arguments).ok().text();
        let refused = answered.contains("not for this protocol");
        assert_eq!(refused, not_here, "{protocol}: {answered}");
        // Its own proof begins with `v=`, in base64.
        let proof = answered.contains("dj0") || answered.contains("dj1");
        assert_eq!(proof, !not_here, "{protocol}: {answered}");
    }

    // At the page with a code; without a browser, with a recovery code.
    let at = stage.wax.at("https");
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let by_page = [&host, &port, stage.root(), ALICE, &password("alice")];
    let tokens = stage.python("oauth.py", &[&by_page[..], &["mail", secret]].concat()).ok().json();
    let access = tokens["access_token"].as_str().unwrap();
    stage.curl("imaps", "imaps", "/INBOX", access, &["--request", "NOOP"]).ok();
    stage.python("device.py", &[&by_page[..], &[recovery[0]]].concat()).ok();
    stage.python("device.py", &[&by_page[..], &[recovery[0]]].concat()).fails();
    let shown = stage.wax.cli_json(&["user", "show", ALICE]);
    assert_eq!(shown["totp"]["recovery_codes"], 9, "{shown}");

    let outcomes = ["password-alone", "code-asked", "wrong-code", "wrong", "admitted"];
    eventually(PATIENCE, "all of it is noted", || {
        let noted = stage.wax.cli_json(&["user", "logins", ALICE]);
        let notes = noted.as_array().expect("a list");
        let noted = |outcome: &&str| notes.iter().any(|note| note["outcome"] == **outcome);
        outcomes.iter().all(noted).then_some(())
    });
    let log = stage.wax.log();
    assert!(!log.contains(secret) && !recovery.iter().any(|code| log.contains(code)));
    assert!(!log.contains(&password("alice")) && !log.contains(access));

    stage.wax.cli(&["user", "totp", "enable", ALICE]).fails();
    stage.wax.cli(&["user", "totp", "disable", ALICE]).ok();
    stage.wax.inbox("alice");
    let at = stage.wax.at("submission");
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let arguments = ["smtp", &host, &port, ALICE, &password("alice")];
    let answered = stage.python("scram.py", &arguments).ok().text();
    assert!(answered.starts_with("334 "), "our own proof comes with it: {answered}");
}

#[test]
fn a_program_without_a_browser_is_given_a_token() {
    let stage = Stage::start();
    let at = stage.wax.at("https");
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let arguments = [&host, &port, stage.root(), ALICE, &password("alice")];
    let tokens = stage.python("device.py", &arguments).ok().json();
    let access = tokens["access_token"].as_str().unwrap();
    stage.curl("imaps", "imaps", "/INBOX", access, &["--request", "NOOP"]).ok();
    let programs = stage.wax.cli_json(&["user", "sessions", ALICE]);
    assert_eq!(programs[0]["client"], "A <i>television</i>");
    assert_eq!(programs[0]["scopes"], serde_json::json!(["imap"]));
    assert!(!stage.wax.log().contains(access));
}

#[test]
fn an_access_token_opens_mail_until_its_consent_ends() {
    let stage = Stage::start();
    let tokens = stage.tokens();
    let access = tokens["access_token"].as_str().unwrap();
    let sent = mail::plain(ALICE, ALICE, "with a token");
    let file = stage.ground.folder.path().join("message.eml");
    std::fs::write(&file, &sent).unwrap();
    let upload = file.to_str().unwrap();
    let envelope = ["--mail-from", ALICE, "--mail-rcpt", ALICE, "--upload-file", upload];
    stage.curl("submissions", "smtps", "", access, &envelope).ok();
    stage.wax.wait_for_mail("alice", 1, PATIENCE);
    let fetched = stage.curl("imaps", "imaps", "/INBOX;MAILINDEX=1", access, &[]).ok().text();
    assert!(fetched.contains("Subject: with a token"), "{fetched}");
    let fetched = stage.curl("pop3s", "pop3s", "/1", access, &[]).ok().text();
    assert!(fetched.contains("Subject: with a token"), "{fetched}");

    let at = stage.wax.at("imaps");
    let (host, imaps) = (at.ip().to_string(), at.port().to_string());
    let submissions = stage.wax.at("submissions").port().to_string();
    let sieve = stage.wax.at("sieve").port().to_string();
    let arguments = [&host, &imaps, &submissions, &sieve, stage.root(), ALICE, access];
    stage.python("bearer.py", &arguments).ok();

    // Nothing of it is offered without TLS.
    let mut plain = Imap::connect(stage.wax.at("imap")).unwrap();
    let capabilities = plain.ok("CAPABILITY").unwrap();
    assert!(!capabilities[0].line.contains("OAUTH"), "{capabilities:?}");

    let programs = stage.wax.cli_json(&["user", "sessions", ALICE]);
    let number = programs[0]["number"].to_string();
    assert_eq!(programs[0]["client"], "A <b>test</b>");
    stage.wax.cli(&["user", "sessions", ALICE, "--revoke", &number]).ok();
    stage.curl("imaps", "imaps", "/INBOX", access, &[]).fails();
    assert!(!stage.wax.log().contains(access));
}
