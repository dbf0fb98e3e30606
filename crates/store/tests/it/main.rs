//! One contract, kept by both databases.
#![allow(
    clippy::unwrap_used,
    reason = "a test may fail by panicking; Clippy does not see that helpers of tests are tests"
)]

mod ground;

mod assets;
mod audit;
mod batches;
mod checkpoints;
mod comments;
mod difference;
mod findings;
mod happenings;
mod identities;
mod isolation;
mod keys;
mod later;
mod looks;
mod machine;
mod objects;
mod once;
mod packages;
mod replica;
mod retention;
mod roles;
mod scans;
mod stored;
mod tasks;
mod tending;
mod usage;
mod users;
mod workers;
