//! The engine that touches the network: names, ports, services, pages, checks.
//!
//! Every socket is opened by [`socket::Dialer`]; decisions are taken in `model` and `checks`.

pub mod check;
pub mod crawl;
pub mod dialogue;
pub mod discover;
pub mod dns;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod pipeline;
pub mod ports;
pub mod services;
pub mod socket;
pub mod tls;
