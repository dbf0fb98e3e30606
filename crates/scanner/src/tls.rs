//! TLS: connections for other protocols to speak inside, and handshakes to learn what a server accepts and shows.

pub mod certificate;
mod connect;
mod handshake;
mod hello;
mod record;
mod suites;

pub(crate) use self::connect::io_failure;
pub use self::{
    connect::{Channel, Speaks, connect},
    handshake::handshake,
};
