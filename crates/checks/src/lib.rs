//! The public check-template language: parse, validate, plan requests, match, extract.
//!
//! Pure and synchronous. A [`exchange::Request`] goes out, a [`exchange::Response`] comes in, a verdict falls; whoever owns the
//! sockets performs the exchange. Nothing here opens a file or a socket, reads a clock or draws randomness of its own.

pub mod exchange;
pub mod expression;
