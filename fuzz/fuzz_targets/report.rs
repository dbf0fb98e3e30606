//! Any text from a target in every field of every report. What must hold is what the report crate's tests assert.
#![no_main]
#![expect(dead_code, reason = "the tests in these modules are left out here")]
#![allow(unused_imports)]

#[path = "../../crates/report/tests/it/csv.rs"]
mod csv;
#[path = "../../crates/report/tests/it/estate.rs"]
mod estate;
#[path = "../../crates/report/tests/it/hostile.rs"]
mod hostile;
#[path = "../../crates/report/tests/it/html.rs"]
mod html;
#[path = "../../crates/report/tests/it/json.rs"]
mod json;
#[path = "../../crates/report/tests/it/markdown.rs"]
mod markdown;
#[path = "../../crates/report/tests/it/reports.rs"]
mod reports;
#[path = "../../crates/report/tests/it/sarif.rs"]
mod sarif;

libfuzzer_sys::fuzz_target!(|text: &str| hostile::harmless_everywhere(text));
