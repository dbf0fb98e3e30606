//! Any answers to checks that look at everything.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::fuzzing::run(data));
