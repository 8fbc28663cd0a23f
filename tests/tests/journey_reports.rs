//! The daily reports between two whole servers: what one saw under the other's name is sent, read and
//! shown at the other side.

use serde_json::Value;
use waxwing_journeys::mail;
use waxwing_journeys::server::Server;
use waxwing_journeys::waiting::eventually;
use waxwing_journeys::world::{ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

/// The TXT records of a domain's signing keys, as lines of its zone.
fn keys(server: &Server) -> String {
    let domain = &server.setup.domain;
    let keys = server.cli_json(&["domain", "keys", domain]);
    let line = |key: &Value| {
        let name = key["record_name"].as_str().unwrap().strip_suffix(&format!(".{domain}"));
        let record = key["record"].as_str().unwrap().as_bytes();
        let strings =
            record.chunks(200).map(|part| format!("\"{}\"", str::from_utf8(part).unwrap()));
        format!("{} TXT {}\n", name.unwrap(), strings.collect::<Vec<_>>().join(" "))
    };
    keys.as_array().unwrap().iter().map(line).collect()
}

/// Puts a domain's zone in place, with its keys and where it wants reports.
fn publish(world: &World, server: &Server) {
    let (domain, ip) = (&server.setup.domain, server.setup.ip);
    let text = format!(
        "$TTL 1\n@ MX 10 mx\nmx A {ip}\n@ TXT \"v=spf1 mx -all\"\n\
         _dmarc TXT \"v=DMARC1; p=none; rua=mailto:dmarc@{domain}\"\n\
         _smtp._tls TXT \"v=TLSRPTv1; rua=mailto:tls@{domain}\"\n{}",
        keys(server)
    );
    world.ground.names.zone(domain, &text);
}

fn sent(told: &Value, kind: &str, domain: &str) -> Option<Value> {
    let told = told.as_array().unwrap().iter();
    let mut of = told.filter(|told| told["kind"] == kind && told["domain"] == domain);
    of.find(|told| told["how"] == "sent").cloned()
}

/// Waits until a report of a kind has been read; gives it as the list shows it.
#[track_caller]
fn wait_for_report(server: &Server, kind: &str) -> Value {
    eventually(ON_THE_ROAD, &format!("a {kind} report"), || {
        let list = server.cli_json(&["report", "list", &server.setup.domain]);
        list.as_array().unwrap().iter().find(|report| report["kind"] == kind).cloned()
    })
}

#[test]
fn what_one_server_saw_is_shown_at_the_other() {
    let world = World::start();
    for server in [&world.wax, &world.wing] {
        publish(&world, server);
    }
    for name in ["dmarc@wax.test", "tls@wax.test"] {
        world.wax.cli(&["alias", "add", name, ALICE]).ok();
    }
    assert_eq!(world.wax.cli_json(&["report", "list"]), Value::Array(Vec::new()));
    for subject in ["one", "two"] {
        let message = mail::plain(ALICE, BOB, subject);
        let mut smtp = world.wax.submission("alice");
        smtp.send(ALICE, &[BOB], &message).unwrap().expect(250, "2.0.0");
    }
    eventually(ON_THE_ROAD, "both messages at wing.test", || {
        let seen = world.wing.cli_json(&["journey"]);
        (seen.to_string().matches("alice@wax.test").count() >= 2).then_some(())
    });

    // Today has not ended, so that nothing is due; asked for, it is reported as far as it has come.
    assert_eq!(world.wing.cli_json(&["report", "send", "--now"]), Value::Array(Vec::new()));
    let told = world.wing.cli_json(&["report", "send", "--now", "--today"]);
    let dmarc = sent(&told, "DMARC", "wax.test").unwrap_or_else(|| panic!("{told}"));
    assert_eq!(dmarc["counted"], 2);
    assert_eq!(dmarc["sent"][0]["to"], "dmarc@wax.test");
    let again = world.wing.cli_json(&["report", "send", "--now", "--today"]);
    assert!(sent(&again, "DMARC", "wax.test").is_none(), "{again}");

    let report = wait_for_report(&world.wax, "DMARC");
    assert_eq!(report["organization"], "wing.test");
    assert_eq!((&report["passed"], &report["failed"]), (&2.into(), &0.into()));
    let id = report["id"].to_string();
    let shown = world.wax.cli(&["report", "show", &id]).ok().out();
    assert!(shown.contains("2 messages said to be from wax.test: 2 proved to be"), "{shown}");
    let whole = world.wax.cli_json(&["report", "show", &id]);
    assert_eq!(whole["report"]["policy"]["domain"], "wax.test");
    let listed = world.wax.cli(&["report", "list"]).ok().out();
    assert!(listed.contains("wing.test"), "{listed}");

    // The report itself went over TLS, which wing.test has seen and reports in its turn.
    let told = eventually(ON_THE_ROAD, "how TLS went", || {
        let told = world.wing.cli_json(&["report", "send", "--now", "--today"]);
        sent(&told, "TLS", "wax.test")
    });
    assert_eq!(told["sent"][0]["to"], "tls@wax.test");
    let report = wait_for_report(&world.wax, "TLS");
    assert!(report["passed"].as_u64().unwrap() >= 1, "{report}");
    let shown = world.wax.cli(&["report", "show", &report["id"].to_string()]).ok().out();
    assert!(shown.contains("to the servers of wax.test went well"), "{shown}");
    let journey = told["sent"][0]["journey"].as_str().unwrap();
    world.wing.wait_for_step(journey, "attempted", ON_THE_ROAD);
}
