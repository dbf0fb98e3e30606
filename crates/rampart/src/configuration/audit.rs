//! With what the audit is signed, and how long it is kept.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use model::audit::{AuditKey, AuditPublicKey};
use worker::notary::Notary;

use super::Configuration;

/// In the data directory.
const FILE: &str = "audit.key";
/// Of what is purged each time an entry and a checkpoint tell: so often, and no more often.
const LEAST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn kept_for(time: Option<Duration>) -> anyhow::Result<Option<Duration>> {
    if let Some(time) = time.filter(|time| *time < LEAST) {
        bail!("keep_audit: {time:?} is less than a day, and an audit is kept for at least that");
    }
    Ok(time)
}

impl Configuration {
    /// Where the key is, or would be.
    pub(crate) fn audit_key_file(&self) -> PathBuf {
        self.audit_key.clone().unwrap_or_else(|| self.data.join(FILE))
    }

    /// None when nobody has named one, and none is in the data directory.
    fn audit_key_text(&self) -> anyhow::Result<Option<String>> {
        let file = self.audit_key_file();
        if self.audit_key.is_none() && !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).with_context(|| {
            format!(
                "cannot read the audit's key `{0}`; `rampart audit key create {0}` makes one",
                file.display()
            )
        })?;
        Ok(Some(text))
    }

    /// Who signs the audit, if there is a key.
    pub(super) fn notary(&self) -> anyhow::Result<Option<Notary>> {
        match self.audit_key_text()? {
            Some(text) => {
                let key = AuditKey::from_pem(&text);
                let key =
                    key.with_context(|| format!("the audit's key `{}`", self.audit_key_file().display()))?;
                Ok(Some(Notary::new(key, self.keep_audit)))
            }
            None if self.keep_audit.is_some() => bail!(
                "keep_audit purges what was signed, and there is no key to sign with: `rampart audit key create FILE` makes one, \
                 --audit-key or RAMPART_AUDIT_KEY names it"
            ),
            None => Ok(None),
        }
    }

    /// The keys whose signatures count: those of these files, or else the one that this installation signs with.
    pub(crate) fn audit_public_keys(&self, files: &[PathBuf]) -> anyhow::Result<Vec<AuditPublicKey>> {
        if files.is_empty() {
            let own = self.audit_key_text()?.map(|text| read(&text, &self.audit_key_file())).transpose()?;
            return Ok(own.into_iter().collect());
        }
        files.iter().map(|file| public_key(file)).collect()
    }
}

/// The public half of the key in a file, whichever half that is.
pub(crate) fn public_key(file: &Path) -> anyhow::Result<AuditPublicKey> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    read(&text, file)
}

fn read(text: &str, file: &Path) -> anyhow::Result<AuditPublicKey> {
    AuditPublicKey::from_pem(text).with_context(|| format!("`{}`", file.display()))
}
