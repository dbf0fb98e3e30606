//! One contract, kept by both databases.

mod ground;

mod findings;
mod scans;
mod tasks;
