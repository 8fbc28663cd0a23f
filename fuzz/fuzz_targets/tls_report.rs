//! Any octets as a TLS report, packed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_mailauth::report::fuzzing::fuzz_tls_report(data));
