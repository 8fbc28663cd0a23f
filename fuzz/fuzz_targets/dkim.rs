//! Any octets as a message with signatures, whole and in pieces, and as the value of a signature,
//! against any key record.
#![no_main]

#[path = "../keys.rs"]
mod keys;

use keys::{AnyKey, now, run};
use libfuzzer_sys::fuzz_target;
use waxwing_mailauth::dkim::{PublishedKey, Verifier, verify};

fuzz_target!(|octets: &[u8]| {
    // The first line is the key record, the rest the message.
    let end = octets.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (record, message) = octets.split_at(end);
    let key = AnyKey(record.to_vec());
    if let Ok(published) = PublishedKey::read(record) {
        assert!(published.bits > 0);
    }
    let value = [&b"DKIM-Signature:"[..], message, b"\r\nFrom: a@b.example\r\n\r\nHi\r\n"].concat();
    let signed = run(verify(&key, &value, now()));
    assert!(signed.dkim.iter().all(|one| !one.reason.is_empty()));
    let whole = run(verify(&key, message, now()));
    let mut verifier = Verifier::new();
    message.chunks(7).for_each(|piece| verifier.write(piece));
    let pieces = run(verifier.finish(&key, now()));
    assert_eq!(whole.dkim, pieces.dkim);
    assert_eq!(whole.arc, pieces.arc);
    for one in whole.dkim {
        let _ = (one.finding(), one.method_result());
    }
});
