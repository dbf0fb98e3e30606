//! The engine that touches the network: names, ports, services, pages, checks.
//!
//! Every socket is opened by [`socket::Dialer`]; decisions are taken in `model` and `checks`.

pub mod socket;
