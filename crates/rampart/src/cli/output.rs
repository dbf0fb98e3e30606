//! What commands write to standard output.

use std::io::{ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;

/// To standard output. That nobody reads any more (`| head`) is the reader's right: the command goes on to its usual end.
pub(crate) fn put(text: &str) -> anyhow::Result<()> {
    put_bytes(text.as_bytes())
}

/// The same of what may be cut in the middle of a letter.
pub(crate) fn put_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("cannot write to standard output"),
    }
}

/// One JSON document on standard output.
pub(crate) fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    put(&(serde_json::to_string_pretty(document)? + "\n"))
}
