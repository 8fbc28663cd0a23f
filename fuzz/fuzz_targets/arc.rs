//! Any octets as the sets of a chain; and what is sealed after them.
#![no_main]

#[path = "../keys.rs"]
mod keys;

use std::sync::LazyLock;

use keys::{AnyKey, now, run};
use libfuzzer_sys::fuzz_target;
use waxwing_mailauth::arc::{ChainStatus, seal};
use waxwing_mailauth::dkim::{BodyHasher, Canonicalization, verify};
use waxwing_mailauth::key::SigningKey;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_ed25519_seed(&[7; 32]).expect("a seed"));

fuzz_target!(|octets: &[u8]| {
    let key = AnyKey(KEY.dns_record().into_bytes());
    let message = [octets, b"\r\nFrom: a@b.example\r\n\r\n"].concat();
    let found = run(verify(&key, &message, now())).arc;
    let _ = (found.finding(), found.method_result());
    let hash = BodyHasher::new(Canonicalization::Relaxed, None).finish();
    let results = String::from_utf8_lossy(octets);
    let header = b"From: a@b.example\r\n\r\n";
    let none = Default::default();
    let set = seal(&*KEY, "b.example", "s", header, &hash, &results, &none, now());
    let sealed = [set.expect("the first set"), header.to_vec()].concat();
    assert_eq!(run(verify(&key, &sealed, now())).arc.status, ChainStatus::Pass);
});
