//! A client that sends any octets to the SMTP server session.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_smtp::fuzzing::fuzz_server(data));
