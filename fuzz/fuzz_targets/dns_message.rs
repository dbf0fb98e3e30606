//! Any bytes as the answer of a name server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scanner::fuzzing::message(data));
