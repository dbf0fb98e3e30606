//! The manifests of `deploy/kubernetes`, as they are applied: every overlay, every pair of components that exclude each other, and
//! every component.
#![allow(
    clippy::unwrap_used,
    reason = "a test may fail by panicking; Clippy does not see that helpers of tests are tests"
)]

mod conformance;
mod edges;
mod found;
mod lists;
mod promotion;
mod renders;
mod rotation;
mod schemas;
mod sizes;
