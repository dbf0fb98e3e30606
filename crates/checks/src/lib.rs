//! The public check-template language: parse, validate, plan requests, match, extract.
//!
//! Pure and synchronous. A [`exchange::Request`] goes out, a [`exchange::Response`] comes in, a verdict falls; whoever owns the
//! sockets performs the exchange. Nothing here opens a file or a socket, reads a clock or draws randomness of its own.
//!
//! [`template::parse`] turns a file into a [`template::Template`] or into [`diagnostic::Diagnostic`]s that name the exact line;
//! a [`run::Run`] takes one template through one target.

pub mod diagnostic;
pub mod examples;
pub mod exchange;
pub mod expression;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod operators;
pub mod pattern;
pub mod run;
pub mod template;
pub mod yaml;

pub use diagnostic::{Diagnostic, DiagnosticCode};
pub use run::{Match, Run, RunOptions, RunTarget, Step, Verdict, request_key};
pub use template::Template;
