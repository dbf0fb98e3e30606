//! Passwords that stand in files of their own, beside the URLs that they belong to: an orchestrator of containers writes them there, and
//! other ones some day.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use model::SecretUrl;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PasswordsArguments {
    /// File with the password for --database and --replica, whose URLs name a user and no password [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "RAMPART_DATABASE_PASSWORD_FILE",
        help_heading = "Platform",
        global = true
    )]
    pub(super) database_password_file: Option<PathBuf>,

    /// File with the password for --doorbell, whose URL has none [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "RAMPART_DOORBELL_PASSWORD_FILE",
        help_heading = "Platform",
        global = true
    )]
    pub(super) doorbell_password_file: Option<PathBuf>,

    /// File with the secret for --objects, whose URL has the key alone: `s3://KEY@BUCKET` [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "RAMPART_OBJECTS_PASSWORD_FILE",
        help_heading = "Platform",
        global = true
    )]
    pub(super) objects_password_file: Option<PathBuf>,
}

/// What a file says, and which.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordFile {
    path: PathBuf,
    password: String,
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PasswordFile").field(&self.path).finish()
    }
}

impl PasswordFile {
    /// For a URL that has room for it.
    pub(super) fn read(
        setting: &str,
        path: Option<PathBuf>,
        urls: &[Option<&SecretUrl>],
    ) -> anyhow::Result<Option<PasswordFile>> {
        let Some(path) = path else { return Ok(None) };
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("{setting}: cannot read `{}`", path.display()))?;
        let password = text.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() {
            bail!("{setting}: there is no password in `{}`", path.display());
        }
        let mut urls = urls.iter().flatten().peekable();
        if urls.peek().is_none() {
            bail!("{setting}: there is no URL that the password in `{}` belongs to", path.display());
        }
        if let Some(url) = urls.find(|url| url.with_password(&password).is_none()) {
            bail!(
                "{setting}: {url} has a password already, or names nobody whose it is; write it as SCHEME://USER@HOST"
            );
        }
        Ok(Some(PasswordFile { path, password }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The URL with its password.
pub(super) fn complete(url: &SecretUrl, password: Option<&PasswordFile>) -> SecretUrl {
    let with = |file: &PasswordFile| url.with_password(&file.password);
    password.and_then(with).unwrap_or_else(|| url.clone())
}
