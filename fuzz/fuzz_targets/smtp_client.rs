//! A server that answers any octets to the SMTP client session.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_smtp::fuzzing::fuzz_client(data));
