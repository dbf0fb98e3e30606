//! Any bytes as what a service says first, or answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scanner::fuzzing::answer(data));
