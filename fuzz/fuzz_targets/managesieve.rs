//! Any octets as what a ManageSieve client sends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| waxwing_managesieve::fuzzing::fuzz_session(data));
