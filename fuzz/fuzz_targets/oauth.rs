//! Any octets as what is sent to the authorisation server: forms, requests, registrations, typed codes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_oauth::fuzzing::fuzz_request(data));
