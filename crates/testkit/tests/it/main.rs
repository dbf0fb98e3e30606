//! The real servers that tests use, as far as other crates' tests do not show it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, tell another process of it what to do, and be a client on loopback"
)]

mod leftovers;
mod postgres;
