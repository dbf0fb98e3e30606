//! What goes wrong with backups.

use std::{fmt::Display, path::Path};

use store::StoreError;

/// Why something was not backed up, or not had again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The place of the backups, or a restored database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program that PostgreSQL brings is not here.
    #[error(
        "there is no {program} on PATH or below /usr/lib/postgresql: install PostgreSQL's {package} of the database's version"
    )]
    NoProgram {
        /// Which.
        program: &'static str,
        /// What brings it.
        package: &'static str,
    },
    /// It ended badly.
    #[error("{program} ended with {status}: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// How.
        status: String,
        /// The end of what it printed.
        said: String,
    },
    /// A file or a directory of this machine.
    #[error("{what} `{path}`: {why}")]
    File {
        /// What was to be done.
        what: &'static str,
        /// With which.
        path: String,
        /// What the system says.
        why: String,
    },
    /// What is in the place is not what was put there, or not all of it.
    #[error("damaged: {0}")]
    Damaged(String),
    /// It cannot be decrypted with what was given.
    #[error("{0}")]
    Locked(String),
    /// There is no such backup, or none that fits.
    #[error("{0}")]
    Missing(String),
    /// Somebody wanted it to end.
    #[error("interrupted")]
    Interrupted,
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl BackupError {
    pub(crate) fn file(what: &'static str, path: &Path, why: impl Display) -> BackupError {
        BackupError::File { what, path: path.display().to_string(), why: why.to_string() }
    }
}
