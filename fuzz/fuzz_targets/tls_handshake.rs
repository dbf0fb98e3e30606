//! Any bytes as a TLS server's first flight and as a certificate.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scanner::fuzzing::handshake(data));
