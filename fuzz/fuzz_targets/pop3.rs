//! Any octets as POP3 commands.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_pop3::fuzzing::fuzz_command(data));
