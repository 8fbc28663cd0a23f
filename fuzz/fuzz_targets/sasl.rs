//! Any octets as SASL challenges and responses.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_sasl::fuzzing::fuzz_command(data));
