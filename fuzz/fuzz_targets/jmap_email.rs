//! Anything as an Email object that is to be created, and as header fields in every form. What is composed is a
//! message whose fields are those that were asked for.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwing_jmap::fuzzing::fuzz_email(data));
