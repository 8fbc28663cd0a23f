//! Any octets as an IMAP server's responses.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_migrate::fuzzing::fuzz_imap(data));
