//! Any octets as header fields that THREAD makes threads of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_imap::fuzzing::fuzz_threads(data));
