//! Any bytes as a chunked and as a compressed body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scanner::fuzzing::coding(data));
