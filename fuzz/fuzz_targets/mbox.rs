//! Any octets as an mbox file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_migrate::fuzzing::fuzz_mbox(data));
