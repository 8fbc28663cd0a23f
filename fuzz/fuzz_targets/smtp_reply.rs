//! Any octets as SMTP replies.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_smtp::fuzzing::fuzz_reply(data));
