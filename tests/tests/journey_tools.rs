//! `waxwing check` and `waxwing verify` as people and scripts run them: the built program, names over
//! the wire or from zone files, exit codes, and JSON.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use waxwing_journeys::mail;
use waxwing_journeys::process::{Ran, run};
use waxwing_journeys::server::{Server, binary};
use waxwing_journeys::world::Ground;
use waxwing_suites as suites;

/// A domain with everything in place but a policy about TLS, which it takes a web server to have.
const SOUND: &str = "$TTL 1\n\
    @ MX 10 mail\n\
    mail A 192.0.2.7\n\
    @ TXT \"v=spf1 mx -all\"\n\
    _dmarc TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@sound.test\"\n\
    good._domainkey TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n\
    _smtp._tls TXT \"v=TLSRPTv1; rua=mailto:tls@sound.test\"\n\
    _imaps._tcp SRV 0 1 993 mail\n";
const SOUND_REVERSE: &str = "7 PTR mail.sound.test.\n";

/// The names of a test, with a top-level domain above them: who looks up the tree asks that too.
fn world() -> Ground {
    let ground = Ground::new();
    ground.names.zone("test", "$TTL 1\n");
    ground.names.zone("sound.test", SOUND);
    ground.names.zone("2.0.192.in-addr.arpa", SOUND_REVERSE);
    ground.names.zone("100.51.198.in-addr.arpa", "$TTL 1\n");
    ground
}

/// What was printed, as one line of words: prose is wrapped where it ends.
fn words(ran: &Ran) -> String {
    ran.out().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn waxwing(arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("WAXWING_CONFIG");
    run(command, input, Duration::from_secs(60))
}

fn finding<'j>(json: &'j Value, subject: &str, what: &str) -> &'j Value {
    let sections = json["sections"].as_array().unwrap();
    let section = sections.iter().find(|section| section["subject"] == subject);
    let section = section.unwrap_or_else(|| panic!("no {subject}: {json:#}"));
    let mut findings = section["findings"].as_array().unwrap().iter();
    findings.find(|one| one["what"] == what).unwrap_or_else(|| panic!("no {what}: {section:#}"))
}

#[test]
fn a_strangers_domain_is_checked_over_the_wire_without_a_configuration() {
    let ground = world();
    let dns = ground.names.address.to_string();
    let check = ["check", "sound.test", "--dns", &dns, "--selector", "good"];
    let words = waxwing(&check, b"").ok().out();
    assert!(words.contains("✓ 10 mail.sound.test → 192.0.2.7"), "{words}");
    assert!(words.contains("(no MTA-STS)"), "{words}");
    assert!(words.ends_with("Nothing must be mended; 1 thing (!) could be better.\n"), "{words}");
    assert!(!words.contains('\u{1b}'), "no colours off a terminal");

    let json = waxwing(&[&check[..], &["--json"]].concat(), b"").ok().json();
    assert_eq!(json["domain"], "sound.test");
    assert_eq!((&json["ok"], &json["ours"]), (&true.into(), &false.into()));
    assert_eq!((&json["faults"], &json["warnings"]), (&0.into(), &1.into()));
    let subjects: Vec<_> =
        json["sections"].as_array().unwrap().iter().map(|s| s["subject"].clone()).collect();
    assert_eq!(
        subjects,
        [
            "mx",
            "spf",
            "dkim",
            "dmarc",
            "transport",
            "dane",
            "reverse_dns",
            "blocklists",
            "services"
        ]
    );
    let mx = finding(&json, "mx", "mx-host");
    assert_eq!((&mx["level"], &mx["remedy"]), (&"good".into(), &Value::Null));
    assert_eq!(json["sections"][0]["data"]["hosts"][0]["addresses"][0], "192.0.2.7");
    assert_eq!(json["sections"][1]["data"]["dns_terms"], 1);
}

#[test]
fn faults_exit_1_and_the_records_given_mend_them() {
    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("bare.test.zone");
    let mut text = "@ MX 10 mail\nmail A 192.0.2.7\n".to_owned();
    let check = |text: &str| {
        std::fs::write(&zone, text).unwrap();
        waxwing(&["check", "bare.test", "--zone", zone.to_str().unwrap(), "--json"], b"")
    };
    let json = check(&text).fails().json();
    assert_eq!((&json["ok"], &json["faults"]), (&false.into(), &2.into()), "{json:#}");
    for (subject, what) in [("spf", "spf-missing"), ("dmarc", "dmarc-missing")] {
        let fault = finding(&json, subject, what);
        assert_eq!(fault["level"], "fault");
        let record = &fault["remedy"]["records"][0];
        assert_eq!(record["type"], "TXT");
        text += record["line"].as_str().unwrap();
        text.push('\n');
    }
    let json = check(&text).ok().json();
    assert_eq!(json["faults"], 0, "{json:#}");

    // In words, with the record to paste on a line of its own.
    std::fs::write(&zone, "@ MX 10 mail\nmail A 192.0.2.7\n").unwrap();
    let words =
        waxwing(&["check", "bare.test", "--zone", zone.to_str().unwrap()], b"").fails().out();
    assert!(words.contains("\n        bare.test. IN TXT \"v=spf1 mx -all\"\n"), "{words}");
    assert!(words.contains("2 things (✗) must be mended"), "{words}");
}

#[test]
fn a_domain_of_ours_is_held_against_this_server() {
    let ground = world();
    let setup = ground.setup("wax.test", 1);
    let ip = setup.ip.to_string();
    let server = Server::prepare(setup);
    // The world of the tests names this server as it should be named.
    let json = server.cli(&["check", "wax.test", "--ip", &ip, "--json"]).json();
    assert_eq!(json["ours"], true, "{json:#}");
    assert_eq!(finding(&json, "spf", "spf-ours")["level"], "good");
    assert!(json["note"].is_null(), "{json:#}");
    // Somebody moves the domain away.
    ground
        .names
        .zone("wax.test", "$TTL 1\n@ MX 10 other\nother A 192.0.2.9\n@ TXT \"v=spf1 mx -all\"\n");
    let json = server.cli(&["check", "wax.test", "--ip", &ip, "--json"]).fails().json();
    let fault = finding(&json, "mx", "mx-not-ours");
    assert_eq!(fault["remedy"]["records"][0]["line"], "wax.test. IN MX 10 mx.wax.test.");
    let fault = finding(&json, "spf", "spf-not-ours");
    assert_eq!(fault["remedy"]["records"][0]["value"], format!("\"v=spf1 mx ip4:{ip} -all\""));
    // Another domain is not ours.
    let json = server.cli(&["check", "sound.test", "--json"]).json();
    assert_eq!(json["ours"], false);
}

#[test]
fn our_mta_sts_policy_is_fetched_as_senders_fetch_it() {
    let ground = world();
    let mut setup = ground.setup("wax.test", 1);
    let ip = setup.ip;
    setup.certificate(&ground.authority.issue("mta-sts.wax.test", &[ip]));
    setup.listen.insert("https", 2443);
    setup.outbound.push("mta-sts-port = 2443".to_owned());
    setup.top.push("mta-sts = { mode = \"enforce\" }".to_owned());
    let mut server = Server::start(setup);
    let dns = |more: &str| {
        let zone = format!("$TTL 1\n@ MX 10 mx\nmx A {ip}\nmta-sts A {ip}\n{more}\n");
        ground.names.zone("wax.test", &zone);
        server.cli(&["check", "wax.test", "--json"]).json()
    };
    // The record is given, and mends it.
    let json = dns("");
    let missing = finding(&json, "transport", "mta-sts-missing");
    let record = missing["remedy"]["records"][0]["line"].as_str().unwrap();
    let json = dns(record);
    assert_eq!(finding(&json, "transport", "mta-sts")["level"], "good", "{json:#}");
    let lines = &json["sections"][4]["data"]["mta_sts_policy"];
    assert_eq!(lines[1], "mode: enforce");
    assert_eq!(lines[2], "mx: mx.wax.test");
    // Mail goes to another host now, which the policy does not name.
    let zone = format!("{record}\n@ MX 20 other\nother A {ip}");
    let json = dns(&zone);
    let fault = finding(&json, "transport", "mta-sts-mx");
    assert_eq!(fault["level"], "fault");
    assert!(fault["text"].as_str().unwrap().contains("mx: other.wax.test"), "{fault}");
    // And the policy's host shows a certificate for another name.
    let pair = ground.authority.issue("mx.wax.test", &[ip]);
    for (from, to) in
        [(pair.certificate, "mta-sts.wax.test.pem"), (pair.key, "mta-sts.wax.test.key")]
    {
        std::fs::copy(from, ground.folder.path().join(to)).unwrap();
    }
    server.daemon().signal("HUP");
    waxwing_journeys::waiting::until(Duration::from_secs(20), "the other certificate", || {
        let json = server.cli(&["check", "wax.test", "--json"]).json();
        let findings = json["sections"][4]["findings"].clone();
        findings.as_array().unwrap().iter().any(|one| one["what"] == "mta-sts-certificate")
    });
}

#[test]
fn what_cannot_be_checked_is_said() {
    for (arguments, word) in [
        (&["check", "not a domain"][..], "not a domain"),
        (&["check", "a.test", "--dns", "ns.example"], "ns.example"),
        (&["check", "a.test", "--zone", "/nowhere/a.test.zone"], "/nowhere/a.test.zone"),
        (&["check", "a.test", "--config", "/nowhere/waxwing.toml"], "/nowhere/waxwing.toml"),
        (&["verify", "/nowhere/message.eml"], "/nowhere/message.eml"),
        (&["verify", "x.eml", "--helo", "a.test"], "--ip"),
        (&["verify", "x.eml", "--ip", "192.0.2.1", "--from", "nobody"], "nobody"),
    ] {
        let ran = waxwing(arguments, b"").fails();
        assert!(ran.text().contains(word), "{ran}");
        assert!(!ran.text().contains("panicked"), "{ran}");
    }
    assert!(waxwing(&["verify", "-"], b"").fails().text().contains("standard input"));
}

/// RFC 8463 appendix A: the keys, the message, and what the RFC says of it.
#[test]
fn the_message_of_rfc_8463_verifies() {
    if !suites::has("dkim") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("football.example.com.zone");
    let rsa = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b";
    let rest = "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
    let ed25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let text = format!(
        "brisbane._domainkey TXT \"{ed25519}\"\ntest._domainkey TXT \"{rsa}\" \"{rest}\"\n"
    );
    std::fs::write(&zone, text).unwrap();
    let zone = zone.to_str().unwrap();
    let file = suites::path("dkim/mimekit/rfc8463-example.msg");
    let file = file.to_str().unwrap();

    let json = waxwing(&["verify", file, "--zone", zone, "--json"], b"").ok().json();
    let dkim: Vec<&Value> =
        json["findings"].as_array().unwrap().iter().filter(|f| f["check"] == "dkim").collect();
    assert_eq!(dkim.len(), 2, "{json:#}");
    for (found, selector) in dkim.iter().zip(["brisbane", "test"]) {
        assert_eq!(found["result"], "pass", "{json:#}");
        assert_eq!(found["about"], format!("d=football.example.com s={selector}"));
        let name = format!("{selector}._domainkey.football.example.com");
        assert_eq!(found["lookups"][0]["name"], name);
    }
    assert_eq!(json["client"], Value::Null, "no Received field");
    assert_eq!(json["verdict"]["kind"], "accept");
    assert_eq!(json["mime"]["parts"][0]["type"], "text/plain");

    // From standard input, in an mbox; with what was asked.
    let mut mbox = b"From joe@football.example.com Mon Nov  2 10:00:00 2026\n".to_vec();
    mbox.extend(std::fs::read(file).unwrap().into_iter().filter(|octet| *octet != b'\r'));
    let words = words(&waxwing(&["verify", "-", "-v", "--zone", zone], &mbox).ok());
    assert!(words.contains("✓ DKIM pass d=football.example.com s=brisbane"), "{words}");
    assert!(words.contains("? TXT brisbane._domainkey.football.example.com → v=DKIM1"), "{words}");
    assert!(words.contains("mbox") && words.contains("given CRLF"), "{words}");

    // One word changed: the body hash tells.
    let changed = String::from_utf8(mbox).unwrap().replace("We lost the game", "We won the game");
    let told = waxwing(&["verify", "-", "--zone", zone], changed.as_bytes()).out();
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("✗ DKIM fail") && words.contains("the body was changed"), "{words}");
}

#[test]
fn a_forgery_is_refused_and_every_reason_is_told() {
    let ground = world();
    let dns = ground.names.address.to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("forged.eml");
    let message = mail::plain("ceo@sound.test", "bob@wing.test", "Pay at once");
    std::fs::write(&file, message).unwrap();
    let file = file.to_str().unwrap();
    let line = [
        "verify",
        file,
        "--dns",
        &dns,
        "--ip",
        "198.51.100.66",
        "--helo",
        "evil.test",
        "--from",
        "ceo@sound.test",
    ];
    let words = words(&waxwing(&line, b"").fails());
    for said in ["✗ SPF fail ceo@sound.test", "✗ DMARC fail sound.test", "✗ refused: 5.7.26"]
    {
        assert!(words.contains(said), "{said}: {words}");
    }
    let json = waxwing(&[&line[..], &["--json"]].concat(), b"").fails().json();
    assert_eq!(json["verdict"]["kind"], "refuse");
    assert_eq!(json["client"]["ip"], "198.51.100.66");
    assert_eq!(json["client"]["received_field"], Value::Null);
    assert!(json["reasons"][0]["weight"].as_i64().unwrap() > 0, "{json:#}");
    let results = json["authentication_results"].as_str().unwrap();
    assert!(results.contains("spf=fail") && results.contains("dmarc=fail"), "{results}");
}

#[test]
fn the_received_field_tells_where_a_message_came_from() {
    let ground = world();
    let dns = ground.names.address.to_string();
    let mut message = b"Return-Path: <alice@sound.test>\r\n\
        Received: from mx.wing.test (mx.wing.test [10.0.0.2]) by store.wing.test; Mon, 2 Nov 2026 10:00:01 +0000\r\n\
        Received: from mail.sound.test (mail.sound.test [192.0.2.7]) by mx.wing.test; Mon, 2 Nov 2026 10:00:00 +0000\r\n"
        .to_vec();
    message.extend(mail::plain("alice@sound.test", "bob@wing.test", "hello"));
    let json = waxwing(&["verify", "-", "--dns", &dns, "--json"], &message).ok().json();
    assert_eq!(json["client"]["ip"], "192.0.2.7");
    assert_eq!(
        (&json["client"]["received_field"], &json["client"]["by"]),
        (&2.into(), &"mx.wing.test".into())
    );
    let of = |check: &str| {
        let all = json["findings"].as_array().unwrap();
        all.iter()
            .find(|f| f["check"] == check)
            .unwrap_or_else(|| panic!("{check}: {json:#}"))
            .clone()
    };
    for check in ["spf", "dmarc", "helo", "reverse_dns"] {
        assert_eq!(of(check)["result"], "pass", "{json:#}");
    }
    let words = words(&waxwing(&["verify", "-", "--dns", &dns], &message).ok());
    assert!(words.contains("Received field 2 from the top, by mx.wing.test"), "{words}");
}
