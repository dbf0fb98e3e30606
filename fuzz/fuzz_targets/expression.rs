//! Any text as an expression and as a text with marks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::fuzzing::expression(data));
