//! Any octets as IMAP commands.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_imap::fuzzing::fuzz_parse(data));
