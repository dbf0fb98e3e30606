//! Doing the work that the store holds.

pub mod doorbell;
