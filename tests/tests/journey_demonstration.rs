//! `waxwing try`: the whole demonstration, as the README promises it.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use waxwing_journeys::process::run;
use waxwing_journeys::server::{binary, steps};

const PATIENCE: Duration = Duration::from_secs(90);

fn try_once(arguments: &[&str]) -> waxwing_journeys::process::Ran {
    let mut command = Command::new(binary());
    command.arg("try").args(arguments);
    run(command, b"", PATIENCE).ok()
}

fn names(journey: &Value) -> Vec<String> {
    steps(journey).iter().map(|event| event["step"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn once_as_json_shows_both_journeys_and_exits_0() {
    let json = try_once(&["--once", "--json"]).json();
    assert_eq!(json["ok"], true);
    let messages = json["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "in both directions: {json:#}");
    for (message, [from, to]) in messages
        .iter()
        .zip([["alice@wax.test", "bob@wing.test"], ["bob@wing.test", "alice@wax.test"]])
    {
        assert_eq!((&message["from"], &message["to"]), (&Value::from(from), &Value::from(to)));
        assert_eq!(message["intact"], true);
        let (sent, received) = (&message["journey_at_sender"], &message["journey_at_recipient"]);
        assert_eq!(names(sent), ["accepted", "queued", "routed", "attempted"], "{sent:#}");
        assert_eq!(
            names(received),
            ["accepted", "examined", "judged", "deposited"],
            "{received:#}"
        );
        let sent = steps(sent);
        assert_eq!(sent[0]["source"]["login"], from, "by real submission");
        assert!(sent[0]["protocol"].as_str().unwrap().starts_with("ESMTPSA"), "{}", sent[0]);
        assert_eq!(sent[2]["by"], "MX", "by real MX lookup");
        assert!(sent[3]["tls"]["version"].is_string(), "with STARTTLS: {}", sent[3]);
        assert_eq!(sent[3]["recipients"][0]["outcome"], "delivered");
        assert_eq!(received["message_id"], message["message_id"]);
    }
}

#[test]
fn forgeries_end_where_they_should_and_a_forwarded_message_arrives() {
    let json = try_once(&["--once", "--json"]).json();
    let scenes = json["scenes"].as_array().unwrap();
    let shown: Vec<_> = scenes
        .iter()
        .map(|scene| (scene["scene"].as_str().unwrap(), scene["as_expected"].as_bool().unwrap()))
        .collect();
    assert_eq!(shown, [("forged", true), ("altered in transit", true), ("forwarded", true)]);
    for refused in &scenes[..2] {
        let journey = &refused["journey"];
        assert_eq!(names(journey), ["examined", "judged", "refused"], "{journey:#}");
        let told = steps(journey)[2]["text"].as_str().unwrap().to_owned();
        assert!(told.contains(journey["id"].as_str().unwrap()), "the sender can ask: {told}");
    }
    let forwarded = &scenes[2]["journey"];
    assert_eq!(names(forwarded), ["accepted", "examined", "judged", "deposited"]);
    assert!(forwarded["reverse_path"].as_str().unwrap().starts_with("SRS0="));
    let findings = steps(forwarded)[1]["findings"].as_array().unwrap().clone();
    let result = |check: &str| {
        let found = findings.iter().find(|one| one["check"] == check);
        found.map(|one| one["result"].as_str().unwrap().to_owned())
    };
    assert_eq!(result("arc").as_deref(), Some("pass"));
    assert_eq!(result("dmarc").as_deref(), Some("pass"));
}

#[test]
fn once_in_words_tells_the_story() {
    let ran = try_once(&["--once"]);
    let text = ran.out();
    for word in [
        "alice@wax.test",
        "bob@wing.test",
        "MX",
        "TLSv1.3",
        "INBOX",
        "as it was sent",
        "DKIM pass",
        "5.7.26",
    ] {
        assert!(text.contains(word), "{word} is missing: {ran}");
    }
}

#[test]
fn two_worlds_fit_on_one_machine() {
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| try_once(&["--once", "--json"]).json()));
        for world in both {
            assert_eq!(world.join().unwrap()["ok"], true);
        }
    });
}
