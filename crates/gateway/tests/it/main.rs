//! The gateway through its front door: a real listener, a real store, bytes on a socket.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and asks the gateway that it started on loopback; Clippy does not see that helpers of tests \
              are tests"
)]

mod another_tenant;
mod browser;
mod checks;
mod comments;
mod document;
mod encryption;
mod faults;
mod findings;
mod ground;
mod identity;
mod keys;
mod limits;
mod lists;
mod live;
mod once;
mod operations;
mod packages;
mod postgres;
mod requests;
mod roles;
mod routes;
mod scans;
mod second_factor;
mod sessions;
mod smuggling;
mod tenants;
mod undocumented;
mod versions;
mod webhooks;
