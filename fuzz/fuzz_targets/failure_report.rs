//! Any octets as a failure report, and as a message that may carry any report.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_mailauth::report::fuzzing::fuzz_failure_report(data));
