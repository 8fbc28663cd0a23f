//! Any octets as what a client sends after COMPRESS.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_imap::fuzzing::fuzz_inflate(data));
