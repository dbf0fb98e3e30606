//! Any bytes as robots.txt and as a sitemap.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scanner::fuzzing::robots_and_sitemap(data));
