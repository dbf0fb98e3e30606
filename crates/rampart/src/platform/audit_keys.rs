//! `rampart audit key`: the key that the audit is signed with.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, bail};
use model::audit::{AuditKey, AuditPublicKey};
use tempfile::NamedTempFile;

use super::put;
use crate::{
    cli::{AuditKeyCommand, say},
    configuration::{Configuration, Whereabouts, public_key},
};

pub(super) fn audit_key(whereabouts: &Whereabouts, command: &AuditKeyCommand) -> anyhow::Result<()> {
    let Whereabouts::Here(configuration) = whereabouts else {
        bail!("a key is made and read on this machine: leave --server out, and RAMPART_SERVER unset")
    };
    match command {
        AuditKeyCommand::Create { file } => {
            let public = create(file)?;
            say(&format!(
                "`{}` is made: give it to the orchestrators, and keep what is printed here where whoever runs the database cannot \
                 write to\n",
                file.display()
            ));
            show(&public)
        }
        AuditKeyCommand::Show { file } => {
            let file = file.clone().unwrap_or_else(|| configuration.audit_key_file());
            show(&public_key(&file)?)
        }
    }
}

fn show(public: &AuditPublicKey) -> anyhow::Result<()> {
    say(&format!("key {}\n", public.id()));
    put(&public.to_pem())
}

/// Makes a file with a key, for its owner alone. One that is there stays: what was signed with it could not be checked any more.
fn create(file: &Path) -> anyhow::Result<AuditPublicKey> {
    let key = AuditKey::from_random(rand::random());
    let cannot = || format!("cannot make `{}`", file.display());
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    // Under its name it is there as a whole or not at all.
    let mut made = NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).with_context(cannot)?;
    made.write_all(key.to_pem().as_bytes()).with_context(cannot)?;
    made.as_file().sync_all().with_context(cannot)?;
    match made.persist_noclobber(file) {
        Ok(_) => Ok(key.public()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            bail!("`{}` is there already, and a key is never overwritten: name another file", file.display())
        }
        Err(error) => Err(error.error).with_context(cannot),
    }
}

/// Makes the key of the data directory, if none is there and none is named elsewhere. What to tell of it.
pub(super) fn make_missing(configuration: &Configuration) -> anyhow::Result<Option<String>> {
    let file = configuration.audit_key_file();
    if configuration.audit_key.is_some() || file.exists() {
        return Ok(None);
    }
    let public = create(&file)?;
    Ok(Some(format!(
        "  audit key     {}\n                its public half: `rampart audit key show {0}`; keep that elsewhere (key {})\n",
        file.display(),
        public.id()
    )))
}
