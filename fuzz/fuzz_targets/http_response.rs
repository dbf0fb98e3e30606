//! Any bytes as an HTTP response, whole and in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scanner::fuzzing::response(data));
