//! Any octets as the value of Authentication-Results; what is read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_mailauth::results::{AuthenticationResults, is_ours};

fuzz_target!(|value: &[u8]| {
    is_ours(value, &["mx.example.org"]);
    let Ok(read) = AuthenticationResults::parse(value) else { return };
    let written = read.to_payload();
    let lines_fold = written.split("\r\n").skip(1).all(|line| line.starts_with('\t'));
    assert!(lines_fold && !written.replace("\r\n", "").contains(['\r', '\n']));
    let again = AuthenticationResults::parse(written.as_bytes()).expect("our own form");
    assert_eq!(again.results.len(), read.results.len());
});
