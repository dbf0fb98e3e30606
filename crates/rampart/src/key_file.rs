//! Files with keys that are made here.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

/// Writes a file with a key, for its owner alone. One that is there stays: what was signed or encrypted with it would be lost.
pub(crate) fn write(file: &Path, key: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot make `{}`", file.display());
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    // Under its name it is there as a whole or not at all.
    let mut made = NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).with_context(cannot)?;
    made.write_all(key.as_bytes()).with_context(cannot)?;
    made.as_file().sync_all().with_context(cannot)?;
    match made.persist_noclobber(file) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            bail!("`{}` is there already, and a key is never overwritten: name another file", file.display())
        }
        Err(error) => Err(error.error).with_context(cannot),
    }
}
