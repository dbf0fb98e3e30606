//! The engine that touches the network: names, ports, services, pages, checks.
//!
//! Every socket is opened by [`socket::Dialer`]; decisions are taken in `model` and `checks`.

pub mod dialogue;
pub mod dns;
pub mod http;
pub mod ports;
pub mod socket;
pub mod tls;
