//! An address and a password are enough: what mail programs are told, read by parsers that are not ours;
//! and Thunderbird, which sets itself up.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use waxwing_journeys::mail;
use waxwing_journeys::namespace::Namespace;
use waxwing_journeys::process::{run, tool};
use waxwing_journeys::server::{Server, Setup, password};
use waxwing_journeys::world::Ground;

const ALICE: &str = "alice@wax.test";
/// Under which programs ask.
const NAMES: [&str; 4] =
    ["wax.test", "autoconfig.wax.test", "autodiscover.wax.test", "ua-auto-config.wax.test"];

fn client(script: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script)
}

/// wax.test on its own address, with pages; not started yet.
fn setup(ground: &Ground) -> Setup {
    let mut setup = ground.setup("wax.test", 1);
    setup.certificate(&ground.authority.issue_with("mx.wax.test", &NAMES));
    setup.listen.insert("https", 2443);
    setup.dns.push("[autoconfig]\nname = \"Wax & Sons\"".to_owned());
    setup
}

#[test]
fn what_programs_are_told_is_read_by_parsers_of_others() {
    let ground = Ground::new();
    let mut server = Server::prepare(setup(&ground));
    server.add_user("alice");
    server.run();
    let at = server.at("https");
    let mut command = Command::new(tool("python3", "python3"));
    command.arg(client("settings.py")).arg(at.ip().to_string()).arg(at.port().to_string());
    command.arg(&ground.authority.root).args(["wax.test", ALICE]);
    let found = run(command, b"", Duration::from_secs(60)).ok().json();
    let host = "mx.wax.test";
    assert_eq!(
        found["mozilla"],
        json!([
            ["incomingServer", "imap", host, 2993, "SSL"],
            ["incomingServer", "imap", host, 2143, "STARTTLS"],
            ["incomingServer", "pop3", host, 2995, "SSL"],
            ["incomingServer", "pop3", host, 2110, "STARTTLS"],
            ["outgoingServer", "smtp", host, 2465, "SSL"],
            ["outgoingServer", "smtp", host, 2587, "STARTTLS"],
        ])
    );
    assert_eq!(
        found["outlook"],
        json!([
            ["IMAP", host, 2993, ALICE],
            ["POP3", host, 2995, ALICE],
            ["SMTP", host, 2465, ALICE]
        ])
    );
    assert_eq!(found["apple"], json!([["EmailTypeIMAP", host, 2993, true], [host, 2465, true]]));
    assert_eq!(found["pacc"]["info"]["provider"]["name"], "Wax & Sons");
    // No service but ManageSieve is on its usual port here.
    assert_eq!(found["pacc"]["protocols"], json!({ "managesieve": { "host": host } }));
}

#[test]
fn thunderbird_sets_itself_up_from_the_address_and_shows_the_message() {
    let ground = Ground::new();
    let folder = ground.folder.path().join("thunderbird");
    std::fs::create_dir_all(&folder).unwrap();
    let names = [&NAMES[..], &["mx.wax.test"]].concat();
    let network = Namespace::new(&names);
    let mut setup = setup(&ground);
    setup.ip = "127.0.0.1".parse().unwrap();
    setup.within = network.prefix();
    setup.listen =
        [("https", 443), ("imaps", 993), ("imap", 143), ("submissions", 465), ("submission", 587)]
            .into_iter()
            .collect();
    let mut server = Server::prepare(setup);
    server.add_user("alice");
    let message = mail::plain("bob@wing.test", ALICE, "Seen in Thunderbird");
    let file = ground.folder.path().join("inbox.mbox");
    let text = String::from_utf8(message).unwrap().replace("\r\n", "\n");
    std::fs::write(&file, format!("From bob Thu Nov 26 20:30:47 2026\n{text}\n")).unwrap();
    let path = file.to_str().unwrap();
    server.cli(&["import", ALICE, "mbox", path, "--mailbox", "INBOX"]).ok();
    server.run();

    tool("thunderbird", "thunderbird");
    tool("Xvfb", "xvfb");
    let mut command = network.command("python3", "python3");
    command.arg(client("thunderbird.py")).arg(&folder).arg(&ground.authority.root);
    command.args([ALICE, &password("alice"), "Seen in Thunderbird"]);
    let ran = run(command, b"", Duration::from_secs(240));
    if let Some(kept) = std::env::var_os("WAXWING_PICTURES") {
        keep_pictures(&folder, Path::new(&kept));
    }
    let told: Value = ran.ok().json();
    let settings = &told["settings"];
    assert_eq!(settings["type"], "imap", "{told:#}");
    assert_eq!((&settings["host"], &settings["port"]), (&json!("mx.wax.test"), &json!(993)));
    // Ci.nsMsgSocketType.SSL
    assert_eq!((&settings["socket"], &settings["outgoingSocket"]), (&json!(3), &json!(3)));
    assert_eq!(settings["login"], ALICE);
    assert!(settings["outgoing"].as_str().unwrap().contains("mx.wax.test:465"), "{told:#}");
    let body = told["body"].as_str().unwrap();
    assert!(body.ends_with("\nHello."), "{body}");
}

/// For people who want to look: the pictures and the log of Thunderbird.
fn keep_pictures(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}
