//! Servers on loopback for tests: well-behaved ones, broken ones and hostile ones. Each listens on a port of its own and is gone
//! when its value is dropped.

pub mod dns;
pub mod http;
pub mod tcp;
pub mod tls;
