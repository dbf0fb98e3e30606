//! Any response as a page: links, forms, scripts, styles, technologies.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scanner::fuzzing::page(data));
