//! Readers' own rules across processes: put by ManageSieve with a client that is not ours, obeyed by
//! the server that runs, shown by the journey; and the same by the command line.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use waxwing_journeys::imap::Imap;
use waxwing_journeys::mail;
use waxwing_journeys::process::{run, tool};
use waxwing_journeys::server::{password, steps};
use waxwing_journeys::waiting::eventually;
use waxwing_journeys::world::{ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";
const PATIENCE: Duration = Duration::from_secs(60);

const RULES: &str = "require [\"fileinto\", \"mailbox\", \"vacation\"];\r\n\
    if header :contains \"Subject\" \"rust\" {\r\n\
    \x20 fileinto :create \"Lists/Rust\";\r\n\
    \x20 stop;\r\n\
    }\r\n\
    vacation :days 7 \"I am at sea.\";\r\n";

/// Puts a script as Alice's active one, without anything of ours.
fn put_by_managesieve(world: &World, script: &str) {
    let file = world.ground.folder.path().join("main.sieve");
    std::fs::write(&file, script).unwrap();
    let at = world.wax.at("sieve");
    let mut command = Command::new(tool("python3", "python3"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/sieve.py"));
    command.arg(at.ip().to_string()).arg(at.port().to_string());
    command.arg(&world.ground.authority.root).arg(ALICE).arg(password("alice")).arg(file);
    run(command, b"", PATIENCE).ok();
}

/// Bob writes to Alice; gives the message and its journey at wax.test.
fn bob_writes(world: &World, subject: &str) -> String {
    let sent = mail::plain(BOB, ALICE, subject);
    world.wing.submission("bob").send(BOB, &[ALICE], &sent).unwrap().expect(250, "2.0.0");
    let id = mail::field(&sent, "Message-ID").unwrap();
    eventually(ON_THE_ROAD, "the message at wax.test", || {
        let ran = world.wax.cli(&["journey", &id, "--json"]);
        ran.text().contains("\"sorted\"").then(|| id.clone())
    })
}

fn mailbox(world: &World, name: &str) -> Vec<Vec<u8>> {
    let mut imap = Imap::inbox(world.wax.at("imap"), ALICE, &password("alice")).unwrap();
    imap.ok(&format!("SELECT \"{name}\"")).unwrap();
    imap.fetch_all().unwrap().into_iter().map(|fetched| fetched.octets).collect()
}

#[test]
fn rules_put_by_managesieve_take_effect_and_the_journey_shows_which() {
    let world = World::with(|wax, _| {
        wax.tls.retain(|line| !line.starts_with("allow-plaintext-login"));
        wax.tls.push("allow-plaintext-login = false".to_owned());
    });
    put_by_managesieve(&world, RULES);
    let filed = bob_writes(&world, "about rust");
    assert!(world.wing.inbox("bob").fetch_all().unwrap().is_empty(), "no answer to the list");
    let drawn = world.wax.cli(&["journey", &filed]).ok().out();
    assert!(drawn.contains("script \"main\""), "{drawn}");
    assert!(drawn.contains("rule 1 (line 3): fileinto \"Lists/Rust\""), "{drawn}");

    // Answered once, and not again.
    bob_writes(&world, "are you there");
    let answers = world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    let answer = String::from_utf8_lossy(&answers[0].octets).into_owned();
    assert!(answer.starts_with("Return-Path: <>"), "{answer}");
    assert!(answer.contains("I am at sea.") && answer.contains("Auto-Submitted: auto-replied"));
    let again = bob_writes(&world, "are you there again");
    let journey = world.wax.cli_json(&["journey", &again]);
    let sorted = steps(&journey[0]).into_iter().find(|step| step["step"] == "sorted").unwrap();
    assert!(sorted["caused"].is_null(), "{sorted}");
    assert!(world.wax.queue().is_empty());
    assert_eq!(world.wing.inbox("bob").fetch_all().unwrap().len(), 1);
}

#[test]
fn the_command_line_keeps_checks_and_shows_rules() {
    let world = World::start();
    let put = |name: &str, script: &str, more: &[&str]| {
        let mut all = vec!["sieve", "put", ALICE, name];
        all.extend(more);
        world.wax.cli_with(&all, script.as_bytes())
    };
    put("main", RULES, &["--activate"]).ok();
    put("other", "keep;\n", &[]).ok();
    let list = world.wax.cli_json(&["sieve", "list", ALICE]);
    let names: Vec<_> =
        list.as_array().unwrap().iter().map(|s| (s["name"].clone(), s["active"].clone())).collect();
    assert_eq!(names, [("main".into(), true.into()), ("other".into(), false.into())]);
    assert_eq!(world.wax.cli(&["sieve", "show", ALICE]).ok().out(), RULES);
    // What is wrong is pointed at, and nothing is kept.
    let refused = put("main", "keep;\nif true { filinto \"x\"; }\n", &[]).fails();
    assert!(refused.text().contains("standard input:2:"), "{refused}");
    assert!(refused.text().contains('^'), "{refused}");
    let checked = world.wax.cli_with(&["sieve", "check", ALICE, "--json"], b"keep;\nnothing");
    assert_eq!(checked.fails().json()["faults"][0]["line"], 2);
    world.wax.cli_with(&["sieve", "check", ALICE], b"keep;").ok();
    assert_eq!(world.wax.cli(&["sieve", "show", ALICE]).ok().out(), RULES);
    // It runs in the server that was running all the time.
    bob_writes(&world, "about rust");
    assert_eq!(mailbox(&world, "Lists/Rust").len(), 1);
    world.wax.cli(&["sieve", "remove", ALICE, "main"]).fails();
    world.wax.cli(&["sieve", "activate", ALICE, "--none"]).ok();
    world.wax.cli(&["sieve", "remove", ALICE, "main"]).ok();
    world.wax.cli(&["sieve", "list", "nobody@wax.test"]).fails();
}

#[test]
fn sieve_connect_uploads_activates_and_reads_back() {
    let world = World::start();
    let folder = world.ground.folder.path();
    let (file, back) = (folder.join("rules.sieve"), folder.join("back.sieve"));
    std::fs::write(&file, RULES).unwrap();
    let at = world.wax.at("sieve");
    let sieve_connect = |more: &[&str]| {
        let mut command = Command::new(tool("sieve-connect", "sieve-connect"));
        command.arg("--server").arg(at.ip().to_string()).arg("--port").arg(at.port().to_string());
        command.arg("--tlscafile").arg(&world.ground.authority.root);
        command.args(["--tlshostname", "mx.wax.test", "--user", ALICE, "--passwordfd", "0"]);
        command.args(more).current_dir(folder);
        run(command, format!("{}\n", password("alice")).as_bytes(), PATIENCE).ok()
    };
    let local = file.to_str().unwrap();
    sieve_connect(&["--localsieve", local, "--remotesieve", "rules", "--upload"]);
    sieve_connect(&["--remotesieve", "rules", "--activate"]);
    assert!(sieve_connect(&["--list"]).text().contains("rules"));
    let read = back.to_str().unwrap();
    sieve_connect(&["--localsieve", read, "--remotesieve", "rules", "--download"]);
    assert_eq!(std::fs::read_to_string(&back).unwrap().trim_end(), RULES.trim_end());
    let list = world.wax.cli_json(&["sieve", "list", ALICE]);
    assert_eq!((&list[0]["name"], &list[0]["active"]), (&"rules".into(), &true.into()));
}
