//! Any octets as a request: read, its references resolved, its patches and filters read.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_jmap::wire::fuzz_request(data));
