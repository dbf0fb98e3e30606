//! Any text as a check template, refused or run.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::fuzzing::template(data));
