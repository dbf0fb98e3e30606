//! One contract, kept by both databases.

mod ground;

mod findings;
mod isolation;
mod scans;
mod tasks;
