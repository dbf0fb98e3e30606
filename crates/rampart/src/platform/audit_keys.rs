//! `rampart audit key`: the key that the audit is signed with.

use std::path::Path;

use anyhow::bail;
use model::audit::{AuditKey, AuditPublicKey};

use super::put;
use crate::{
    cli::{AuditKeyCommand, say},
    configuration::{Configuration, Whereabouts, public_key},
    key_file,
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

fn create(file: &Path) -> anyhow::Result<AuditPublicKey> {
    let key = AuditKey::from_random(rand::random());
    key_file::write(file, &key.to_pem())?;
    Ok(key.public())
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
