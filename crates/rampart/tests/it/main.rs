//! The binary through its front door.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, tell what it saw, and be a hostile server or its client on loopback"
)]

mod asking;
mod command_line;
mod demo;
mod dependencies;
mod deployed;
mod emergency;
mod endings;
mod honesty;
mod hostile;
mod injection;
mod installation;
mod interrupt;
mod operations;
mod operators;
mod platform;
mod politeness;
mod real;
mod recovery;
mod reload;
mod remote;
mod replica;
mod run;
mod simulate;
mod telemetry;
mod tidy;
mod torture;
mod traces;
