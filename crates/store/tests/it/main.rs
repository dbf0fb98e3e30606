//! One contract, kept by both databases.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests, which Clippy does not see"
)]

mod ground;

mod findings;
mod isolation;
mod scans;
mod tasks;
