//! The published suite of ARC: 171 chains to validate and 17 sets to make.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use waxwing_suites as suites;

use jiff::Timestamp;
use serde::Deserialize;
use serde_yaml_ng::{Deserializer, Value};
use waxwing_mailauth::arc::{ChainStatus, SealError, Validation, seal_over};
use waxwing_mailauth::dkim::{Canonicalization, as_sent};
use waxwing_mailauth::key::{Algorithm, Sign};
use waxwing_mailauth::results::authserv_id;
use waxwing_message::parse::field::fields;

use world::{Records, body_hash, program, read, run, split};

/// One document of a file.
#[derive(Deserialize)]
struct Scenario {
    tests: Cases,
    #[serde(default, rename = "txt-records")]
    records: BTreeMap<String, Option<String>>,
    #[serde(default)]
    domain: String,
    #[serde(default, rename = "sel")]
    selector: String,
    #[serde(default, rename = "privatekey")]
    key: String,
}

/// Names and cases, in order. The suite has one name twice, which is no map.
struct Cases(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Cases {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cases, D::Error> {
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = Cases;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("cases by name")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Cases, A::Error> {
                let mut cases = Vec::new();
                while let Some(case) = map.next_entry()? {
                    cases.push(case);
                }
                Ok(Cases(cases))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The scenarios of a file.
fn scenarios(file: &str) -> Vec<Scenario> {
    let text = String::from_utf8(read(&suites::path("arc").join(file))).expect("UTF-8");
    let documents = Deserializer::from_str(&text);
    let scenarios = documents.map(|one| Option::<Scenario>::deserialize(one).expect("YAML"));
    scenarios.flatten().collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}

fn records(scenario: &Scenario) -> Records {
    let with = |records: Records, (name, text): (&String, &Option<String>)| {
        records.with(name, &text.as_deref().unwrap_or("").replace('\n', ""))
    };
    scenario.records.iter().fold(Records::new(), with)
}

/// `None` stands for a chain that a sealer has ended.
fn expected(case: &Value) -> Option<ChainStatus> {
    match text(case, "cv").trim() {
        "None" => Some(ChainStatus::None),
        "Pass" => Some(ChainStatus::Pass),
        "Fail" => Some(ChainStatus::Fail),
        "" => None,
        other => panic!("an unknown cv: {other}"),
    }
}

fn validate(records: &Records, message: &[u8]) -> Validation {
    let now = Timestamp::from_second(1_500_000_000).unwrap();
    run(waxwing_mailauth::dkim::verify(records, message, now)).arc
}

#[test]
fn chains_are_validated() {
    if !suites::has("arc") {
        return;
    }
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for scenario in scenarios("arc-draft-validation-tests.yml") {
        let records = records(&scenario);
        for (name, case) in &scenario.tests.0 {
            names.insert(name.clone());
            let message = as_sent(text(case, "message").as_bytes());
            let found = validate(&records, &message);
            let fits = match expected(case) {
                Some(status) => found.status == status && !found.ended,
                // RFC 8617 §5.2, step 2: such a chain fails.
                None => found.status == ChainStatus::Fail && found.ended,
            };
            if !fits {
                wrong.push(format!(
                    "{name} ({}): {} because {}",
                    text(case, "description"),
                    found.status,
                    found.reason
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(names.len(), 171);
}

/// The suite's key has 1024 bits, with which nothing here signs: OpenSSL does.
struct OpenSsl {
    key: std::path::PathBuf,
}

impl Sign for OpenSsl {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RsaSha256
    }

    fn sign(&self, hash: &[u8; 32]) -> Vec<u8> {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-sign", "-pkeyopt", "digest:sha256", "-inkey"]).arg(&self.key);
        let (good, signature) = program(&mut openssl, hash);
        assert!(good, "{}", String::from_utf8_lossy(&signature));
        signature
    }
}

/// What a server found, merged as RFC 8617 §4.1.1 has it: all results of its own fields.
fn payload(message: &[u8], server: &str) -> String {
    let mut results = vec![server.to_owned()];
    for field in fields(message).filter(|field| field.is("Authentication-Results")) {
        if authserv_id(field.value).is_ok_and(|id| id == server) {
            let value = String::from_utf8(field.unfolded().into_owned()).expect("UTF-8");
            results.push(value.split_once(';').expect("results").1.trim().to_owned());
        }
    }
    results.join("; ")
}

/// The value of each field without any white space.
fn packed(message: &[u8]) -> BTreeMap<String, String> {
    let value =
        |value: &[u8]| String::from_utf8_lossy(value).split_ascii_whitespace().collect::<String>();
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    fields(message).map(|field| (name(field.name), value(field.value))).collect()
}

#[test]
fn sets_are_made() {
    if !suites::has("arc") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut count = 0;
    for scenario in scenarios("arc-draft-sign-tests.yml") {
        let records = records(&scenario);
        let key = OpenSsl { key: folder.path().join("key.pem") };
        std::fs::write(&key.key, &scenario.key).expect("a writable folder");
        for (name, case) in &scenario.tests.0 {
            count += 1;
            let message = as_sent(text(case, "message").as_bytes()).into_owned();
            let (header, body) = split(&message);
            let mut validation = validate(&records, &message);
            let payload = payload(&message, text(case, "srv-id"));
            if payload.contains("arc=fail") {
                // The suite says what the chain was worth in the results.
                assert_eq!(validation.status, ChainStatus::Fail, "{name}");
            }
            validation.results_of_last = None;
            let names: Vec<&str> = text(case, "sig-headers").split(':').collect();
            let made = seal_over(
                &names,
                &key,
                &scenario.domain,
                &scenario.selector,
                header,
                &body_hash(Canonicalization::Relaxed, body),
                &payload,
                &validation,
                Timestamp::from_second(case["t"].as_i64().expect("a time")).unwrap(),
            );
            if text(case, "AS").trim().is_empty() {
                assert_eq!(made, Err(SealError::Ended), "{name}");
                continue;
            }
            let made = packed(&made.expect(name));
            for (short, long) in [
                ("AAR", "ARC-Authentication-Results"),
                ("AMS", "ARC-Message-Signature"),
                ("AS", "ARC-Seal"),
            ] {
                let wanted: String = text(case, short).split_ascii_whitespace().collect();
                assert_eq!(made[long], wanted, "{name}: {long}");
            }
        }
    }
    assert_eq!(count, 17);
}
