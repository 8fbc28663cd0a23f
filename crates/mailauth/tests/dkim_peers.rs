//! Signatures across implementations, both ways: dkimpy (RSA, Ed25519, ARC) and OpenDKIM (RSA).
//!
//! `scripts/python-peers` makes the Python that has dkimpy; `scripts/install unit` installs OpenDKIM.

mod peers;
mod world;

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waxwing_mailauth::arc::{ChainStatus, seal};
use waxwing_mailauth::dkim::{Canonicalization, DkimResult, Problem, Signer};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_mailauth::results::{AuthenticationResults, MethodResult, is_ours};
use waxwing_message::trace::edit;

use world::{Records, body_hash, letter, now, program, split, verify};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::RsaSha256, Algorithm::Ed25519Sha256];
const KINDS: [Canonicalization; 2] = [Canonicalization::Simple, Canonicalization::Relaxed];
const DOMAIN: &str = "example.com";

/// Has dkimpy do the jobs.
fn dkimpy(jobs: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/dkimpy.py");
    let input = serde_json::to_vec(jobs).expect("JSON");
    let (good, output) = program(Command::new(peers::python()).arg(script), &input);
    assert!(good, "dkimpy fails: {}", String::from_utf8_lossy(&output));
    serde_json::from_slice(&output).expect("JSON")
}

fn packed(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

fn unpacked(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().expect("text")).expect("Base64")
}

/// A key as dkimpy wants it: PEM, or the seed in Base64.
fn key_file(key: &SigningKey) -> Vec<u8> {
    match key.algorithm() {
        Algorithm::RsaSha256 => key.to_pem().as_bytes().to_vec(),
        // RFC 8410 §7: the seed is at the end of PKCS#8 version 1.
        Algorithm::Ed25519Sha256 => {
            let der = key.to_pkcs8_der();
            STANDARD.encode(&der[der.len() - 32..]).into_bytes()
        }
    }
}

fn as_json(records: &Records) -> Value {
    let texts = records.iter().map(|(name, texts)| (name.clone(), Value::from(texts[0].clone())));
    Value::Object(texts.collect())
}

fn published(signer: &Signer) -> Records {
    Records::new().with(&signer.key_name(), &signer.key.dns_record())
}

fn signed(signer: &Signer, message: &[u8]) -> Vec<u8> {
    let (header, body) = split(message);
    let field = signer.sign(header, &body_hash(signer.body, body), now(), None);
    [field, message.to_vec()].concat()
}

fn signers() -> Vec<Signer> {
    let mut signers = Vec::new();
    for algorithm in ALGORITHMS {
        let key = SigningKey::generate(algorithm).unwrap();
        for header in KINDS {
            for body in KINDS {
                let signer = Signer::new(DOMAIN, "sel", key.clone()).unwrap();
                signers.push(Signer { header, body, ..signer });
            }
        }
    }
    signers
}

#[test]
fn dkimpy_verifies_what_we_sign() {
    let message = letter(DOMAIN);
    let mut jobs = Vec::new();
    for signer in signers() {
        let records = as_json(&published(&signer));
        let good = signed(&signer, &message);
        let mut bad = good.clone();
        let at = bad.len() - 100;
        bad[at] ^= 1;
        for message in [good, bad] {
            jobs.push(json!({"do": "verify", "message": packed(&message), "records": records}));
        }
    }
    let answers = dkimpy(&jobs);
    let wanted: Vec<Value> = jobs.iter().enumerate().map(|(i, _)| (i % 2 == 0).into()).collect();
    assert_eq!(answers, wanted);
    assert_eq!(answers.len(), 16);
}

#[test]
fn we_verify_what_dkimpy_signs() {
    let message = letter(DOMAIN);
    let mut jobs = Vec::new();
    let signers = signers();
    for signer in &signers {
        for length in [false, true] {
            jobs.push(json!({
                "do": "sign",
                "message": packed(&message),
                "selector": signer.selector,
                "domain": signer.domain,
                "key": packed(&key_file(&signer.key)),
                "header": signer.header.as_str(),
                "body": signer.body.as_str(),
                "algorithm": signer.key.algorithm().as_str(),
                "length": length,
            }));
        }
    }
    // dkimpy signs with the clock, which may be ahead of the time of our tests.
    let at = jiff::Timestamp::MAX;
    for (i, field) in dkimpy(&jobs).iter().enumerate() {
        let signer = &signers[i / 2];
        let records = published(signer);
        let verify = |message: &[u8]| {
            let verified = world::run(waxwing_mailauth::dkim::verify(&records, message, at));
            verified.dkim.into_iter().next().expect("a signature")
        };
        let whole = [unpacked(field), message.clone()].concat();
        let found = verify(&whole);
        assert_eq!(found.result, DkimResult::Pass, "{}: {}", jobs[i], found.reason);
        assert_eq!(found.body_length.is_some(), i % 2 == 1);

        let more = [&whole[..], b"more\r\n"].concat();
        let found = verify(&more);
        match i % 2 {
            0 => assert_eq!(found.problem, Some(Problem::BodyHash { header_holds: true })),
            _ => assert!(found.result == DkimResult::Pass && found.body_unsigned_octets >= 6),
        }
    }
}

/// A chain of four, sealed by us and by dkimpy in turn, is validated by both after each step.
#[test]
fn arc_chains_with_dkimpy() {
    for we_begin in [true, false] {
        let key = SigningKey::generate(Algorithm::RsaSha256).unwrap();
        let records = Records::new().with("sel._domainkey.example.com", &key.dns_record());
        let mut message = letter(DOMAIN);
        for instance in 1..=4 {
            let at = jiff::Timestamp::MAX;
            let found = world::run(waxwing_mailauth::dkim::verify(&records, &message, at)).arc;
            let mut results = AuthenticationResults::new("mx.example.com");
            results.results.push(MethodResult::new("arc", found.status.as_str()));
            results.results.push(MethodResult::new("spf", "pass").with(
                "smtp",
                "mailfrom",
                "joe@example.com",
            ));
            // RFC 8601 §5: what claims to be ours goes.
            message = edit(&message, &results.to_field(), |field| {
                field.is("Authentication-Results") && is_ours(field.value, &["mx.example.com"])
            })
            .concat(&message);
            let (header, body) = split(&message);
            let fields = if (instance % 2 == 1) == we_begin {
                let hash = body_hash(Canonicalization::Relaxed, body);
                let payload = results.to_payload();
                seal(&key, DOMAIN, "sel", header, &hash, &payload, &found, now()).unwrap()
            } else {
                unpacked(
                    &dkimpy(&[json!({
                        "do": "arc_sign",
                        "message": packed(&message),
                        "selector": "sel",
                        "domain": DOMAIN,
                        "key": packed(&key_file(&key)),
                        "server": "mx.example.com",
                    })])[0],
                )
            };
            message = [fields, message].concat();
            let found = world::run(waxwing_mailauth::dkim::verify(&records, &message, at)).arc;
            assert_eq!(found.status, ChainStatus::Pass, "{instance}: {}", found.reason);
            assert_eq!(found.instances, instance);
            let last = found.results_of_last.expect("results");
            assert_eq!(last.method("spf").map(|spf| spf.result.as_str()), Some("pass"));
            let theirs = dkimpy(&[json!({
                "do": "arc_verify", "message": packed(&message), "records": as_json(&records),
            })]);
            assert_eq!(theirs[0][0], "pass", "{instance}: {}", theirs[0][1]);
        }
        // Both see that a sealed field was changed.
        let text = String::from_utf8(message).unwrap().replacen("spf=pass", "spf=fail", 1);
        let found = verify(&records, text.as_bytes()).arc;
        assert_eq!(found.status, ChainStatus::Fail);
    }
}

/// Runs OpenDKIM's filter on one message; what it says, and whether it is content.
fn opendkim(settings: &str, files: &[(&str, &[u8])], message: &[u8]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    for (name, content) in files.iter().chain(&[("message", message)]) {
        std::fs::write(path(name), content).expect("a writable folder");
    }
    let settings = settings.replace("FOLDER", folder.path().to_str().expect("UTF-8"));
    std::fs::write(path("conf"), settings).expect("a writable folder");
    let mut opendkim = Command::new("/usr/sbin/opendkim");
    opendkim.arg("-x").arg(path("conf")).arg("-vv").arg("-t").arg(path("message"));
    let (good, said) = program(&mut opendkim, b"");
    (good, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn opendkim_verifies_what_we_sign() {
    let message = letter(DOMAIN);
    let mut count = 0;
    for signer in signers().iter().filter(|s| s.key.algorithm() == Algorithm::RsaSha256) {
        let keys = format!("{} {}\n", signer.key_name(), signer.key.dns_record());
        let verify = |message: &[u8]| {
            let settings = "Mode v\nTestPublicKeys FOLDER/keys\nSyslog no\n";
            opendkim(settings, &[("keys", keys.as_bytes())], message)
        };
        let good = signed(signer, &message);
        let (content, said) = verify(&good);
        assert!(content && said.contains("succeeded"), "{said}");
        let mut bad = good.clone();
        let at = bad.len() - 100;
        bad[at] ^= 1;
        let (_, said) = verify(&bad);
        assert!(said.contains("failed") && !said.contains("succeeded"), "{said}");
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn we_verify_what_opendkim_signs() {
    let message = letter(DOMAIN);
    let key = SigningKey::generate(Algorithm::RsaSha256).unwrap();
    let records = Records::new().with("sel._domainkey.example.com", &key.dns_record());
    for header in KINDS {
        for body in KINDS {
            let settings = format!(
                "Mode s\nDomain {DOMAIN}\nSelector sel\nKeyFile FOLDER/key.pem\nSyslog no\n\
                 RequireSafeKeys no\nCanonicalization {}/{}\n",
                header.as_str(),
                body.as_str()
            );
            let files = [("key.pem", key.to_pem().as_bytes().to_vec())];
            let files = files.each_ref().map(|(name, content)| (*name, &content[..]));
            let (good, said) = opendkim(&settings, &files, &message);
            assert!(good, "{said}");
            // hname='DKIM-Signature' hvalue='v=1; ...'
            let (_, value) = said.split_once("hvalue='").unwrap_or_else(|| panic!("{said}"));
            let value = value.split_once('\'').expect("the end of the value").0;
            let value = value.replace("\r\n", "\n").replace('\n', "\r\n");
            let field = format!("DKIM-Signature: {value}\r\n");
            let signed = [field.as_bytes(), &message].concat();
            let at = jiff::Timestamp::MAX;
            let found = world::run(waxwing_mailauth::dkim::verify(&records, &signed, at));
            assert_eq!(found.dkim[0].result, DkimResult::Pass, "{field}: {}", found.dkim[0].reason);
            assert!(found.dkim[0].algorithm == "rsa-sha256");
        }
    }
}
