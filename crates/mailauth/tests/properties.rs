//! What must hold of any octets at all, and of any message that is signed here.

mod world;

use std::sync::LazyLock;

use proptest::prelude::*;
use waxwing_mailauth::arc::{ChainStatus, seal};
use waxwing_mailauth::dkim::{
    BodyHasher, Canonicalization, DkimResult, KeyCache, Signer, Verified, Verifier,
};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_mailauth::results::{AuthenticationResults, MethodResult, Property, is_ours};

use world::{Records, body_hash, now, run, split, verify};

static RSA: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::RsaSha256).unwrap());
static ED25519: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::Ed25519Sha256).unwrap());

static CACHE: LazyLock<KeyCache> = LazyLock::new(KeyCache::new);

fn records() -> Records {
    Records::new()
        .with("rsa._domainkey.example.org", &RSA.dns_record())
        .with("ed._domainkey.example.org", &ED25519.dns_record())
}

fn signers(header: Canonicalization, body: Canonicalization) -> [Signer; 2] {
    [("rsa", &RSA), ("ed", &ED25519)].map(|(selector, key)| {
        let signer = Signer::new("example.org", selector, (*key).clone()).unwrap();
        Signer { header, body, ..signer }
    })
}

fn kind() -> impl Strategy<Value = Canonicalization> {
    prop_oneof![Just(Canonicalization::Simple), Just(Canonicalization::Relaxed)]
}

/// A message with an odd header and any body.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("From"),
        Just("from"),
        Just("To"),
        Just("Subject"),
        Just("SUBJECT"),
        Just("X-Y"),
        Just("Content-Type"),
        Just("Date"),
        Just("Received"),
        Just("List-Id"),
        Just("Cc"),
    ];
    let value = "([ -9;-~]|\u{e9}|\t|\r\n ){0,60}";
    let field = (name, value).prop_map(|(name, value)| format!("{name}: {value}x\r\n"));
    let fields = prop::collection::vec(field, 0..12);
    (fields, any_body()).prop_map(|(fields, body)| {
        let header = format!("From: a@example.org\r\n{}\r\n", fields.concat());
        [header.into_bytes(), body].concat()
    })
}

/// Much of what canonicalization looks at.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\t ".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
        Just(b"word word".to_vec()),
    ];
    let odd = prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat());
    // Long runs in which little or nothing is to be changed.
    let plain = prop_oneof![
        40 => "[a-z.]{1,9}".prop_map(String::into_bytes),
        20 => " [a-z.]{1,9}".prop_map(String::into_bytes),
        5 => "\r\n ?[a-z.]{1,9}".prop_map(String::into_bytes),
        2 => Just(b"\r\n".to_vec()),
        2 => Just(b"\n".to_vec()),
        1 => Just(b" ".to_vec()),
        1 => Just(b"\t".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b" \r\n".to_vec()),
        1 => Just(b" \t".to_vec()),
    ];
    let plain = prop::collection::vec(plain, 0..120).prop_map(|parts| parts.concat());
    prop_oneof![odd, plain]
}

fn sign(signer: &Signer, message: &[u8]) -> Vec<u8> {
    let (header, body) = split(message);
    let field = signer.sign(header, &body_hash(signer.body, body), now(), None);
    [field, message.to_vec()].concat()
}

fn results(verified: &Verified) -> Vec<DkimResult> {
    verified.dkim.iter().map(|one| one.result).collect()
}

/// RFC 6376 §3.4 word by word, on a whole body: what the streaming form must equal.
fn plain_canonical(kind: Canonicalization, body: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut line = Vec::new();
    let mut at = 0;
    while at < body.len() {
        if body[at..].starts_with(b"\r\n") {
            lines.push(std::mem::take(&mut line));
            at += 2;
        } else {
            line.push(body[at]);
            at += 1;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if kind == Canonicalization::Relaxed {
        for line in &mut lines {
            let mut out: Vec<u8> = Vec::new();
            for octet in line.iter().map(|b| if *b == b'\t' { b' ' } else { *b }) {
                if octet != b' ' || out.last() != Some(&b' ') {
                    out.push(octet);
                }
            }
            if out.last() == Some(&b' ') {
                out.pop();
            }
            *line = out;
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    if lines.is_empty() && kind == Canonicalization::Simple {
        lines.push(Vec::new());
    }
    lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect()
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref().try_into().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_streaming_body_is_the_plain_one(
        body in any_body(), kind in kind(), limit in prop::option::of(0u64..400), cuts in prop::collection::vec(0usize..200, 0..6),
    ) {
        let mut plain = plain_canonical(kind, &body);
        plain.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
        let mut hasher = BodyHasher::new(kind, limit);
        let mut rest = &body[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            hasher.write(piece);
            rest = after;
        }
        hasher.write(rest);
        prop_assert_eq!(hasher.finish(), sha256(&plain));
    }

    #[test]
    fn what_is_signed_verifies(message in any_message(), header in kind(), body in kind()) {
        let mut signed = message.clone();
        for signer in signers(header, body) {
            signed = sign(&signer, &signed);
        }
        let found = verify(&records(), &signed);
        prop_assert_eq!(results(&found), [DkimResult::Pass; 2], "{:#?}", found.dkim);
    }

    /// In simple form any octet counts, except line ends at the end of the body.
    #[test]
    fn any_change_is_seen(message in any_message(), at in any::<prop::sample::Index>(), change in 1u8..) {
        let [_, signer] = signers(Canonicalization::Simple, Canonicalization::Simple);
        let mut changed = sign(&signer, &message);
        let before = verify(&records(), &changed).dkim.remove(0);
        prop_assert_eq!(before.result, DkimResult::Pass);
        let (header, body) = split(&message);
        // A field that is signed, or the body without its last lines.
        let mut spots: Vec<usize> = Vec::new();
        let own = changed.len() - message.len();
        for field in waxwing_message::parse::field::fields(header) {
            if !field.is("Received") && !field.is("X-Y") {
                spots.extend(field.range);
            }
        }
        let mut kept = body;
        while let Some(rest) = kept.strip_suffix(b"\r\n") {
            kept = rest;
        }
        spots.extend(header.len()..header.len() + kept.len());
        let spot = own + spots[at.index(spots.len())];
        changed[spot] ^= change;
        let after = verify(&records(), &changed);
        prop_assert!(after.dkim.iter().all(|one| one.result != DkimResult::Pass), "octet {} of {:?}", spot, String::from_utf8_lossy(&changed));
    }

    /// In relaxed form any octet but white space counts.
    #[test]
    fn any_letter_is_seen(message in any_message(), at in any::<prop::sample::Index>()) {
        let [_, signer] = signers(Canonicalization::Relaxed, Canonicalization::Relaxed);
        let mut changed = sign(&signer, &message);
        let own = changed.len() - message.len();
        let (header, body) = split(&message);
        let mut spots: Vec<usize> = Vec::new();
        for field in waxwing_message::parse::field::fields(header) {
            let value = field.range.end - 2 - field.value.len()..field.range.end - 2;
            if !field.is("Received") && !field.is("X-Y") {
                spots.extend(value.filter(|i| message[*i].is_ascii_graphic()));
            }
        }
        spots.extend((header.len()..header.len() + body.len()).filter(|i| message[*i].is_ascii_graphic()));
        let spot = own + spots[at.index(spots.len())];
        changed[spot] = if changed[spot] == b'q' { b'z' } else { b'q' };
        let after = verify(&records(), &changed);
        prop_assert!(after.dkim.iter().all(|one| one.result != DkimResult::Pass));
    }

    #[test]
    fn pieces_make_no_difference(message in any_message(), header in kind(), body in kind(), cuts in prop::collection::vec(0usize..300, 0..8)) {
        let mut signed = message;
        for signer in signers(header, body) {
            signed = sign(&signer, &signed);
        }
        let mut verifier = Verifier::new();
        let mut rest = &signed[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            verifier.write(piece);
            rest = after;
        }
        verifier.write(rest);
        // Nor does a cache of keys.
        let pieces = run(verifier.finish_with(&records(), &CACHE, now()));
        let whole = verify(&records(), &signed);
        prop_assert_eq!(pieces.dkim, whole.dkim);
        prop_assert_eq!(pieces.arc, whole.arc);
    }

    #[test]
    fn what_is_sealed_is_a_chain(message in any_message(), results in "[ -~\r\n]{0,80}") {
        let mut message = message;
        for instance in 1..=3 {
            let found = verify(&records(), &message).arc;
            let (header, body) = split(&message);
            let hash = body_hash(Canonicalization::Relaxed, body);
            let set = seal(&*ED25519, "example.org", "ed", header, &hash, &results, &found, now()).unwrap();
            message = [set, message].concat();
            let found = verify(&records(), &message).arc;
            prop_assert_eq!(found.status, ChainStatus::Pass, "{}", found.reason);
            prop_assert_eq!(found.instances, instance);
        }
    }

    #[test]
    fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..400), fields in "(DKIM-Signature|ARC-Seal|ARC-Message-Signature|ARC-Authentication-Results): (i=[0-9]{1,2}; |[vacdstxlqhb]{1,2}=[ -~]{0,9};){0,12}\r\n") {
        verify(&records(), &octets);
        let message = [fields.as_bytes(), b"From: a@b\r\n\r\n", &octets].concat();
        verify(&records(), &message);
        let _ = AuthenticationResults::parse(&octets);
        is_ours(&octets, &["mx.example.org"]);
        let text = String::from_utf8_lossy(&octets);
        verify(&Records::new().with("rsa._domainkey.example.org", &text), &sign(&signers(Canonicalization::Relaxed, Canonicalization::Relaxed)[0], b"From: a@example.org\r\n\r\n"));
    }

    #[test]
    fn results_survive_being_written(
        id in "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}",
        results in prop::collection::vec(any_result(), 0..5),
    ) {
        let written = AuthenticationResults { authserv_id: id, results };
        let read = AuthenticationResults::parse(written.to_payload().as_bytes()).unwrap();
        prop_assert_eq!(read, written);
    }
}

fn any_result() -> impl Strategy<Value = MethodResult> {
    let word = "[a-z][a-z0-9-]{0,8}";
    let property = (word, word, "[ -~é]{0,20}");
    let properties = prop::collection::vec(property, 0..4);
    (word, word, prop::option::of("[ -~é]{0,20}"), properties).prop_map(
        |(method, result, reason, properties)| MethodResult {
            method: format!("m{method}"),
            result,
            comment: None,
            reason,
            properties: properties
                .into_iter()
                .map(|(ptype, property, value)| Property { ptype, property, value })
                .collect(),
        },
    )
}
