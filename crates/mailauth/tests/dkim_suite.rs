//! Messages that other implementations made or test with, and what they say of them.

mod world;

use jiff::Timestamp;
use waxwing_mailauth::dkim::{Canonicalization, DkimResult, Problem, Signer, Verification};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_suites as suites;

use world::{Records, message, read, run};

fn record(path: &str) -> String {
    String::from_utf8(read(&suites::path("dkim").join(path))).expect("UTF-8").trim().to_owned()
}

/// The key that a PEM file has, as a record.
fn pem_record(path: &str) -> String {
    let text = record(path);
    let key: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    format!("v=DKIM1; k=rsa; p={key}")
}

fn football() -> Records {
    Records::new().with("test._domainkey.football.example.com", &record("dkimpy/test.txt")).with(
        "brisbane._domainkey.football.example.com",
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    )
}

fn gmail() -> Records {
    Records::new().with("20120113._domainkey.gmail.com", &pem_record("mimekit/gmail.pub"))
}

/// All signatures of a message, at a time when none has expired.
fn verify(records: &Records, path: &str) -> Vec<Verification> {
    verify_message(records, &message(&suites::path("dkim").join(path)))
}

fn verify_message(records: &Records, message: &[u8]) -> Vec<Verification> {
    let now = Timestamp::from_second(1_600_000_000).unwrap();
    run(waxwing_mailauth::dkim::verify(records, message, now)).dkim
}

fn results(found: &[Verification]) -> Vec<DkimResult> {
    found.iter().map(|one| one.result).collect()
}

use DkimResult::{Fail, Pass, PermError};

#[test]
fn rfc_8463_appendix_a_3() {
    if !suites::has("dkim") {
        return;
    }
    let found = verify(&football(), "mimekit/rfc8463-example.msg");
    assert_eq!(results(&found), [Pass, Pass], "{found:#?}");
    assert_eq!((found[0].key_bits, found[1].key_bits), (256, 1024));
    assert_eq!(found[0].signature_b, "/gCrinpc");
}

#[test]
fn rfc_6376_example_signed_by_dkimpy() {
    if !suites::has("dkim") {
        return;
    }
    let found = verify(&football(), "dkimpy/rfc6376.signed.msg");
    assert_eq!(results(&found), [Pass, Pass], "{found:#?}");
    assert_eq!(results(&verify(&football(), "dkimpy/rfc6376.signed.rsa.msg")), [Pass]);
    // The signature field was edited: t= taken away and x= added.
    let found = verify(&football(), "dkimpy/rfc6376.signed.no_t.msg");
    assert_eq!(results(&found), [Fail]);
    assert_eq!(found[0].problem, Some(Problem::Signature));
}

#[test]
fn google_as_received() {
    if !suites::has("dkim") {
        return;
    }
    for path in [
        "mimekit/gmail.msg",
        "mimekit/multipart-no-end-boundary.msg",
        "mimekit/related.msg",
        "dkimpy/test2.message",
    ] {
        let found = verify(&gmail(), path);
        assert_eq!(results(&found), [Pass], "{path}: {found:#?}");
        assert_eq!(found[0].key_bits, 2048);
    }
}

#[test]
fn exim_with_ed25519() {
    if !suites::has("dkim") {
        return;
    }
    let records = Records::new().with("sed._domainkey.test.ex", &record("dkimpy/eximtest.dns"));
    let found = verify(&records, "dkimpy/ed25519test2.msg");
    assert_eq!(results(&found), [Pass], "{found:#?}");
}

#[test]
fn a_domain_that_is_none() {
    if !suites::has("dkim") {
        return;
    }
    let name = "test._domainkey.legitimate.com(.attacker.com";
    let records = Records::new().with(name, &record("dkimpy/test.txt"));
    let found = verify(&records, "dkimpy/test.message.baddomain");
    assert_eq!(results(&found), [PermError]);
    assert!(matches!(found[0].problem, Some(Problem::Syntax { .. })));
    assert!(found[0].lookups.is_empty());
}

#[test]
fn a_key_that_is_gone() {
    if !suites::has("dkim") {
        return;
    }
    let found = verify(&Records::new(), "dkimpy/message.mbox");
    let name = "2007-00._domainkey.kitterman.com".to_owned();
    assert_eq!(found[0].problem, Some(Problem::KeyMissing { name }));
    assert_eq!(found[0].lookups.len(), 1);
}

/// The same message with the records of dkimpy's tests that it refuses, and one that it takes.
#[test]
fn records_good_and_bad() {
    if !suites::has("dkim") {
        return;
    }
    let signed = message(&suites::path("dkim").join("dkimpy/rfc6376.signed.rsa.msg"));
    let with = |text: &str| {
        let records = Records::new().with("test._domainkey.football.example.com", text);
        verify_message(&records, &signed).remove(0)
    };
    assert_eq!(with(&record("dkimpy/test.txt")).result, Pass);
    // No k= means RSA.
    let implicit = record("dkimpy/test.txt").replace(" k=rsa;", "");
    assert_eq!(with(&implicit).result, Pass);
    for (path, what) in [
        ("dkimpy/badversion.txt", "malformed"),
        ("dkimpy/badk.txt", "not for this signature"),
        ("dkimpy/test_tlsrpt.txt", "not for mail"),
    ] {
        let found = with(&record(path));
        assert_eq!(found.result, PermError, "{path}");
        assert!(found.reason.contains(what), "{path}: {}", found.reason);
    }
    let other = with(&record("dkimpy/test2.txt"));
    let broken = with(&record("dkimpy/test_bad.txt"));
    for found in [other, broken] {
        assert_ne!(found.result, DkimResult::TempError);
    }
}

/// The bytes of a key in all forms in which other people keep it.
#[test]
fn keys_are_read_in_every_form() {
    if !suites::has("dkim") {
        return;
    }
    let pem = |path: &str| SigningKey::from_pem(&record(path)).expect(path);
    let pkcs1 = pem("dkimpy/2048_testkey.key");
    let pkcs8 = pem("dkimpy/2048_testkey_PKCS8.key");
    assert_eq!(pkcs1.algorithm(), Algorithm::RsaSha256);
    let public = |record: &str| {
        let key = record.rsplit("p=").next().unwrap();
        key.split_ascii_whitespace().collect::<String>()
    };
    let wanted = record("dkimpy/2048_testkey_wo_markers.pub.txt");
    assert_eq!(public(&pkcs1.dns_record()), public(&wanted));
    let wanted = record("dkimpy/2048_testkey_PKCS8.key.pub.txt");
    assert_eq!(public(&pkcs8.dns_record()), public(&wanted));
    // A record may also have the bare RSAPublicKey.
    let message = world::letter("example.com");
    let signer = Signer::new("example.com", "s", pkcs1).unwrap();
    let (header, body) = world::split(&message);
    let hash = world::body_hash(Canonicalization::Relaxed, body);
    let now = Timestamp::from_second(1_600_000_000).unwrap();
    let signed = [signer.sign(header, &hash, now, None), message.clone()].concat();
    for path in
        ["dkimpy/2048_testkey_wo_markers.pub.rsa.txt", "dkimpy/2048_testkey_wo_markers.pub.txt"]
    {
        let records = Records::new().with("s._domainkey.example.com", &record(path));
        let found = verify_message(&records, &signed).remove(0);
        assert_eq!((found.result, found.key_bits), (Pass, 2048), "{path}: {}", found.reason);
    }
    // Too weak to sign with today.
    assert!(SigningKey::from_pem(&record("dkimpy/1024_testkey.key")).is_err());
    assert!(SigningKey::from_pem(&record("mimekit/example.pem")).is_err());
}
