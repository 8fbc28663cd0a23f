//! Any octets as names in a Maildir, and as labels.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_migrate::fuzzing::fuzz_names(data));
