//! The check language from outside: real templates, whole runs, hostile input.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and say what they skip"
)]

mod builtin;
mod flow;
mod hostile;
mod http;
mod look_alikes;
mod network;
mod refusals;
mod samples;
mod server;
mod variables;
