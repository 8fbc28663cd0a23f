//! Any octets as a DMARC aggregate report, packed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_mailauth::report::fuzzing::fuzz_aggregate_report(data));
