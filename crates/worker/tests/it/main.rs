//! Workers with real stores and brokers.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking and tell what it measured; Clippy does not see that helpers of tests are tests"
)]

mod broker;
mod doorbell;
mod notary;
mod patience;
mod pool;
