//! TLS: connections for other protocols to speak inside, and handshakes to learn what a server accepts and shows.

pub mod certificate;
mod connect;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handshake;
mod hello;
mod record;
mod suites;

pub(crate) use self::connect::io_failure;
pub use self::{
    connect::{Channel, Speaks, connect},
    handshake::handshake,
};
