//! The engine against servers on loopback.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which Clippy does not see")]

mod allowance;
mod crawl;
mod dialogue;
mod discover;
mod dns;
mod http;
mod loss;
mod namespace;
mod pages;
mod ports;
mod scope;
mod services;
mod tls;
