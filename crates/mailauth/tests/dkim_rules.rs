//! What the RFCs say of keys and signatures, one rule each.

mod world;

use jiff::{SignedDuration, Timestamp};
use waxwing_mailauth::arc::{ChainStatus, Validation, seal, seal_over};
use waxwing_mailauth::dkim::{
    Canonicalization, DkimResult, HEADER_OCTETS_MAX, Problem, Signer, Verification, Verifier,
};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_message::journey::Check;

use world::{Records, body_hash, letter, now, run, split, verify};

const NAME: &str = "sel._domainkey.example.org";

fn signer() -> Signer {
    let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
    Signer::new("example.org", "sel", key).unwrap()
}

fn published(signer: &Signer) -> Records {
    Records::new().with(NAME, &signer.key.dns_record())
}

fn sign(signer: &Signer, message: &[u8], expires: Option<Timestamp>) -> Vec<u8> {
    let (header, body) = split(message);
    let field = signer.sign(header, &body_hash(signer.body, body), now(), expires);
    [field, message.to_vec()].concat()
}

fn first(records: &Records, message: &[u8]) -> Verification {
    verify(records, message).dkim.remove(0)
}

fn replaced(message: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    assert!(text.contains(from), "{from:?} is not there");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn what_holds_is_said() {
    let signer = signer();
    let message = sign(&signer, &letter("example.org"), None);
    let found = first(&published(&signer), &message);
    assert_eq!((found.result, found.problem.clone()), (DkimResult::Pass, None));
    assert_eq!(found.reason, "the signature by example.org holds");
    assert_eq!(found.identity, "@example.org");
    assert_eq!(found.key_bits, 256);
    assert_eq!(found.lookups.len(), 1);
    let finding = found.finding();
    assert_eq!((finding.check, finding.result.as_str()), (Check::Dkim, "pass"));
    assert_eq!(finding.about, "d=example.org s=sel");
    let result = found.method_result();
    assert_eq!(result.property("header", "d"), Some("example.org"));
    assert_eq!(result.property("header", "b").map(str::len), Some(8));
}

/// What differs is said: the body, or the header, or both.
#[test]
fn what_differs_is_said() {
    let signer = signer();
    let records = published(&signer);
    let message = sign(&signer, &letter("example.org"), None);
    let problem = |message: &[u8]| first(&records, message).problem;

    let body = replaced(&message, "Line 7", "Line 8");
    assert_eq!(problem(&body), Some(Problem::BodyHash { header_holds: true }));
    let header = replaced(&message, "Lunch", "Dinner");
    assert_eq!(problem(&header), Some(Problem::Signature));
    assert!(first(&records, &header).reason.starts_with("the body is unchanged"));
    let both = replaced(&body, "Lunch", "Dinner");
    assert_eq!(problem(&both), Some(Problem::BodyHash { header_holds: false }));
}

/// RFC 6376 §8.15: fields that are named once more than they occur cannot be added.
#[test]
fn nothing_is_added_to_what_readers_see() {
    let signer = signer();
    let records = published(&signer);
    let message = sign(&signer, &letter("example.org"), None);
    for added in ["From: evil@x", "Subject: free", "Content-Type: text/html", "Reply-To: evil@x"] {
        for at in [0, split(&message).0.len() - 2] {
            let (before, after) = message.split_at(at);
            let added = [before, format!("{added}\r\n").as_bytes(), after].concat();
            assert_eq!(first(&records, &added).result, DkimResult::Fail);
        }
    }
    let listed = [b"List-Id: <a.b>\r\nReceived: x\r\n", &message[..]].concat();
    assert_eq!(first(&records, &listed).result, DkimResult::Pass);
}

#[test]
fn keys_that_do_not_serve() {
    let signer = signer();
    let message = sign(&signer, &letter("example.org"), None);
    let record = signer.key.dns_record();
    let with = |text: &str| first(&Records::new().with(NAME, text), &message);

    let missing = first(&Records::new(), &message);
    assert_eq!(missing.problem, Some(Problem::KeyMissing { name: NAME.to_owned() }));
    assert_eq!(missing.result, DkimResult::PermError);
    assert_eq!(with("v=DKIM1; p=").problem, Some(Problem::KeyRevoked));
    assert!(matches!(with("hello").problem, Some(Problem::KeySyntax { .. })));
    let other_hash = with(&record.replace("k=ed25519", "h=sha1; k=ed25519"));
    assert!(matches!(other_hash.problem, Some(Problem::KeyUnfit { .. })));
    let rsa = SigningKey::generate(Algorithm::RsaSha256).unwrap().dns_record();
    assert!(matches!(with(&rsa).problem, Some(Problem::KeyUnfit { .. })));
    let testing = with(&record.replace("k=ed25519", "t=y; k=ed25519"));
    assert!(testing.testing && testing.result == DkimResult::Pass);

    let down = first(&Records::new().failing(NAME), &message);
    assert_eq!(down.result, DkimResult::TempError);
    assert!(matches!(down.problem, Some(Problem::Dns { .. })));
    assert_eq!(down.lookups[0].name, NAME);
}

/// RFC 8301 §3.2. The key is the suite's of ARC with 512 bits.
#[test]
fn a_weak_key_does_not_count() {
    let weak = "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANmBe10IgY+u7h3enWTukkqtUD5PR52Tb/mPfjC0QJTocVBq6Za/PlzfV+Py92VaCak19F4WrbVTK5Gg5tW220MCAwEAAQ==";
    let message = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=sel; h=from; b=AAAA;\r\n \
        bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\nFrom: a@example.org\r\n\r\n";
    let found = first(&Records::new().with(NAME, weak), message);
    assert_eq!(found.problem, Some(Problem::KeyTooSmall { bits: 512 }));
    assert_eq!(found.result, DkimResult::PermError);
    let sha1 = replaced(message, "rsa-sha256", "rsa-sha1");
    let found = first(&Records::new().with(NAME, weak), &sha1);
    assert!(matches!(found.problem, Some(Problem::WeakAlgorithm { .. })));
    assert!(found.lookups.is_empty());
}

/// RFC 6376 §6.1.2: several records are several chances.
#[test]
fn one_of_several_records_is_enough() {
    let signer = signer();
    let message = sign(&signer, &letter("example.org"), None);
    let other = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap().dns_record();
    let record = signer.key.dns_record();
    let records = Records::new().with(NAME, "v=spf1 -all").with(NAME, &other).with(NAME, &record);
    assert_eq!(first(&records, &message).result, DkimResult::Pass);
    let records = Records::new().with(NAME, "v=spf1 -all").with(NAME, &other);
    assert_eq!(first(&records, &message).problem, Some(Problem::Signature));
}

#[test]
fn times() {
    let signer = signer();
    let records = published(&signer);
    let expires = now() + SignedDuration::from_hours(1);
    let message = sign(&signer, &letter("example.org"), Some(expires));
    let at =
        |at: Timestamp| run(waxwing_mailauth::dkim::verify(&records, &message, at)).dkim.remove(0);
    assert_eq!(at(now()).result, DkimResult::Pass);
    assert_eq!(at(expires).result, DkimResult::Pass);
    let late = at(expires + SignedDuration::from_secs(1));
    assert_eq!(late.problem, Some(Problem::Expired { at: expires }));
    let early = at(now() - SignedDuration::from_hours(1));
    assert_eq!(early.problem, Some(Problem::Future { at: now() }));
}

/// A message with many signatures costs no more than ten.
#[test]
fn many_signatures_are_not_all_verified() {
    let signer = signer();
    let message = letter("example.org");
    let field = sign(&signer, &message, None)[..].strip_suffix(&message[..]).unwrap().to_vec();
    let message = [field.repeat(12), message].concat();
    let found = verify(&published(&signer), &message).dkim;
    assert_eq!(found.len(), 11);
    assert!(found[..10].iter().all(|one| one.result == DkimResult::Pass));
    assert_eq!(found[10].problem, Some(Problem::TooMany { verified: 10, total: 12 }));
    // The key was asked for once.
    assert_eq!(found.iter().map(|one| one.lookups.len()).sum::<usize>(), 1);
}

#[test]
fn a_header_without_end_is_given_up() {
    let signer = signer();
    let message = sign(&signer, &letter("example.org"), None);
    let (header, body) = split(&message);
    let header = &header[..header.len() - 2];
    let flood = b"X-Flood: a\r\n".repeat(HEADER_OCTETS_MAX / 12);
    let message = [header, &flood, b"\r\n", body].concat();
    let found = first(&published(&signer), &message);
    assert_eq!((found.result, found.problem), (DkimResult::Neutral, Some(Problem::HeaderTooLong)));
}

/// RFC 8616: a domain may be written in U-labels.
#[test]
fn internationalised_domains() {
    let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
    let signer = Signer::new("grå.example", "sel", key.clone()).unwrap();
    let name = "sel._domainkey.xn--gr-zia.example";
    assert_eq!(signer.key_name(), name);
    let records = Records::new().with(name, &key.dns_record());
    let message = sign(&signer, &letter("grå.example"), None);
    assert_eq!(first(&records, &message).result, DkimResult::Pass);
    let written = replaced(&message, "d=xn--gr-zia.example", "d=grå.example");
    let found = first(&records, &written);
    assert_eq!(found.domain, "xn--gr-zia.example");
    assert_eq!(found.lookups[0].name, name);
}

#[test]
fn a_message_without_signatures_has_none() {
    for message in [&b""[..], b"From: a@b\r\n\r\nbody", b"no header at all"] {
        let found = verify(&Records::new(), message);
        assert!(found.dkim.is_empty());
        assert_eq!(found.arc.status, ChainStatus::None);
    }
}

/// Adds a set by `key`, over the message as it is.
fn seal_on(key: &SigningKey, found: &Validation, message: &[u8]) -> Vec<u8> {
    let (header, body) = split(message);
    let hash = body_hash(Canonicalization::Relaxed, body);
    let results = "mx.example.org; none";
    let set = seal(key, "example.org", "sel", header, &hash, results, found, now());
    [set.unwrap(), message.to_vec()].concat()
}

/// RFC 8617 §5.2, step 5: who changed the message last. Found out when a signature was broken.
#[test]
fn a_chain_of_an_altered_message_tells_how_far_back_it_holds() {
    let signer = signer();
    let records = published(&signer);
    let mut message = sign(&signer, &letter("example.org"), None);
    for instance in 1..=3 {
        let found = verify(&records, &message).arc;
        if instance == 2 {
            // The second sealer is a mailing list.
            message.extend_from_slice(b"-- \r\nA mailing list\r\n");
        }
        message = seal_on(&signer.key, &found, &message);
        let found = verify(&records, &message).arc;
        let wanted = if instance == 1 { None } else { Some(2) };
        assert_eq!(
            (found.status, found.oldest_pass),
            (ChainStatus::Pass, wanted),
            "{}",
            found.reason
        );
        assert_eq!(found.reason.contains("was changed before sealer 2"), wanted.is_some());
        let results = found.method_result();
        assert_eq!(results.property("header", "oldest-pass"), wanted.map(|_| "2"));
        assert_eq!(found.finding().result, "pass");
        // The author's signature asked for the one key before.
        assert!(found.lookups.is_empty());
    }
    message.extend_from_slice(b"more");
    let found = verify(&records, &message).arc;
    assert_eq!((found.status, found.oldest_pass), (ChainStatus::Fail, None));
    assert!(found.reason.starts_with("ARC-Message-Signature 3: the body was changed"));
    // A chain that failed is sealed as such, and then it has ended.
    message = seal_on(&signer.key, &found, &message);
    let found = verify(&records, &message).arc;
    assert!(found.ended && found.status == ChainStatus::Fail);
}

/// The same where the body stays: only the older message signatures can tell.
#[test]
fn a_changed_subject_shows_between_the_sealers_who_signed_it() {
    let signer = signer();
    let records = published(&signer);
    let letter = sign(&signer, &letter("example.org"), None);
    for (changed_before, wanted) in [(1, Some(0)), (2, Some(2)), (3, Some(3)), (4, None)] {
        let mut message = letter.clone();
        for instance in 1..=3 {
            let found = verify(&records, &message).arc;
            if instance == changed_before {
                message = replaced(&message, "Subject: ", "Subject: [list] ");
            }
            message = seal_on(&signer.key, &found, &message);
        }
        let found = verify(&records, &message).arc;
        assert_eq!((found.status, found.oldest_pass), (ChainStatus::Pass, wanted));
    }
}

/// RFC 8617 §5.2, steps 4 and 5: an older message signature that can never be verified only tells
/// how far back the chain holds.
#[test]
fn an_older_message_signature_may_be_as_wrong_as_it_likes() {
    let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
    let records = Records::new().with(NAME, &key.dns_record());
    let signed = sign(
        &Signer::new("example.org", "sel", key.clone()).unwrap(),
        &letter("example.org"),
        None,
    );
    let message = replaced(&signed, "Subject: ", "Subject: [list] ");
    let (header, body) = split(&message);
    let hash = body_hash(Canonicalization::Relaxed, body);
    let results = "mx.example.org; none";
    // A message signature must not cover a seal (§4.1.2).
    let names = ["From", "ARC-Seal"];
    let none = Validation::default();
    let first = seal_over(&names, &key, "example.org", "sel", header, &hash, results, &none, now());
    let message = [first.unwrap(), message].concat();
    let found = verify(&records, &message).arc;
    assert_eq!(found.status, ChainStatus::Fail);
    assert!(found.reason.starts_with("ARC-Message-Signature 1: "), "{}", found.reason);
    let believed = Validation { status: ChainStatus::Pass, instances: 1, ..none };
    let header = split(&message).0;
    let second = seal(&key, "example.org", "sel", header, &hash, results, &believed, now());
    let message = [second.unwrap(), message].concat();
    let found = verify(&records, &message).arc;
    assert_eq!((found.status, found.oldest_pass), (ChainStatus::Pass, Some(2)), "{}", found.reason);
}

/// The longest chain that may be.
#[test]
fn fifty_sets_and_no_more() {
    let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
    let records = Records::new().with(NAME, &key.dns_record());
    let mut message = letter("example.org");
    for instance in 1..=51 {
        let found = verify(&records, &message).arc;
        assert_eq!(found.instances, instance - 1);
        let (header, body) = split(&message);
        let hash = body_hash(Canonicalization::Relaxed, body);
        let set =
            seal(&key, "example.org", "sel", header, &hash, "mx.example.org; none", &found, now());
        match set {
            Ok(set) => message = [set, message].concat(),
            Err(error) => assert!(instance == 51, "{instance}: {error}"),
        }
    }
    let found = verify(&records, &message).arc;
    assert_eq!((found.status, found.instances), (ChainStatus::Pass, 50));
    let one_more = replaced(&message, "ARC-Seal: ", "ARC-Seal: i=51; a=b\r\nARC-Seal: ");
    assert_eq!(verify(&records, &one_more).arc.status, ChainStatus::Fail);
}

/// The body is never kept: a large one in small pieces needs no more than its header.
#[test]
fn a_large_body_streams() {
    let signer = signer();
    let header = b"From: a@example.org\r\nSubject: large\r\n\r\n";
    let line = b"One line of many in this body, all of them the same.\r\n";
    let mut hasher = waxwing_mailauth::dkim::BodyHasher::new(Canonicalization::Relaxed, None);
    let mut verifier = Verifier::new();
    (0..100_000).for_each(|_| hasher.write(line));
    verifier.write(&signer.sign(header, &hasher.finish(), now(), None));
    verifier.write(header);
    (0..100_000).for_each(|_| verifier.write(line));
    let found = run(verifier.finish(&published(&signer), now())).dkim.remove(0);
    assert_eq!(found.result, DkimResult::Pass, "{}", found.reason);
}

/// Verifying may be part of any task.
#[test]
fn verifying_goes_between_threads() {
    fn in_a_task(future: impl Future<Output = ()> + Send + 'static) {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime")
            .block_on(async { tokio::spawn(future).await.expect("no panic") });
    }
    let signer = signer();
    let records = published(&signer);
    let message = sign(&signer, &letter("example.org"), None);
    in_a_task(async move {
        let mut verifier = Verifier::new();
        verifier.write(&message);
        let found = verifier.finish(&records, now()).await;
        assert_eq!(found.dkim[0].result, DkimResult::Pass);
    });
}
