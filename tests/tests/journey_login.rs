//! Logging in, with clients that are not ours: guessers and their victim, app passwords and sessions
//! that end with them, and access tokens from the login page to IMAP, SMTP and POP3.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use waxwing_journeys::imap::Imap;
use waxwing_journeys::mail;
use waxwing_journeys::process::{Ran, run, tool};
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::waiting::eventually;
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
        let arguments = [&host, &port, self.root(), ALICE, &password("alice")];
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
    let arguments = [&host, &imaps, &submissions, stage.root(), ALICE, access];
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
