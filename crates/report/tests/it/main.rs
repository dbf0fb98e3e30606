//! Whole reports, from values to bytes and back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod csv;
mod estate;
mod hostile;
mod html;
mod json;
mod markdown;
mod reports;
mod sarif;
mod simulation;
mod streaming;
mod terminal;
