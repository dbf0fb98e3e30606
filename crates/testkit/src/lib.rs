//! Servers on loopback for tests: well-behaved ones, broken ones, hostile ones, and real ones from Debian's packages as child
//! processes. Each listens on a port of its own and is gone when its value is dropped.
//!
//! [`tools`] says where the programs are that tests run.

pub mod browser;
pub mod dns;
pub mod haproxy;
pub mod http;
pub mod identity_provider;
pub mod objects;
pub mod pgbouncer;
pub mod postgres;
mod process;
pub mod proxy;
pub mod rabbitmq;
pub mod redis;
pub mod tcp;
pub mod tls;
pub mod tools;
