//! Where a scan's files go.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use report::Format;

use super::settings::Settings;
use crate::cli::ScanArguments;

/// Where scans go that were not told where.
const REPORTS: &str = "rampart-reports";

/// The scan's directory, and what is written where.
pub(super) struct Place {
    directory: PathBuf,
    /// This run made the directory.
    made: bool,
    /// Gone with the scan: only standard output was asked for.
    temporary: Option<tempfile::TempDir>,
    /// Reports to write as files.
    pub(super) files: Vec<Format>,
    /// The one report for standard output.
    pub(super) standard_output: Option<Format>,
}

impl Place {
    pub(super) fn choose(arguments: &ScanArguments, settings: &Settings) -> anyhow::Result<Place> {
        let mut formats = arguments.format.clone();
        formats.dedup();
        match (&arguments.output, formats.as_slice()) {
            (None, [one]) => {
                let temporary = tempfile::Builder::new()
                    .prefix("rampart-scan-")
                    .tempdir()
                    .context("cannot make a temporary directory for the scan's journal")?;
                let directory = temporary.path().to_owned();
                Ok(Place {
                    directory,
                    made: true,
                    temporary: Some(temporary),
                    files: Vec::new(),
                    standard_output: Some(*one),
                })
            }
            (None, [_, _, ..]) => bail!("several formats need a directory: name one with --output DIR"),
            (output, chosen) => {
                let directory = output.clone().unwrap_or_else(|| {
                    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
                    let id = settings.scan.to_string();
                    PathBuf::from(REPORTS).join(format!("{time}-{}", &id[..6]))
                });
                let made = !directory.exists();
                // Evidence and the values of --var are nobody else's.
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&directory)
                    .with_context(|| format!("cannot write to output directory `{}`", directory.display()))?;
                let files = if chosen.is_empty() { vec![Format::Html, Format::Json] } else { formats };
                Ok(Place { directory, made, temporary: None, files, standard_output: None })
            }
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Can the scan be resumed from here?
    pub(super) fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    pub(super) fn report(&self, format: Format) -> PathBuf {
        self.directory.join(format.file_name())
    }

    pub(super) fn target_list(&self) -> PathBuf {
        self.directory.join("targets.txt")
    }

    /// For a scan that was refused before it began: nothing of it is left behind. What cannot be removed stays; the reason for
    /// the refusal is what the user has to hear.
    pub(super) fn leave_nothing(&self) {
        for file in [self.target_list(), journal_in(&self.directory)] {
            let _ = fs::remove_file(file);
        }
        if self.made
            && fs::remove_dir(&self.directory).is_ok()
            && let Some(parent) = self.directory.parent().filter(|parent| parent.ends_with(REPORTS))
        {
            // Only when it is empty.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// The scan's journal.
pub(super) fn journal_in(directory: &Path) -> PathBuf {
    directory.join("journal.jsonl")
}

/// A new file that its owner alone may read. What was there under that name is removed first, so that a link which somebody
/// planted in the directory is replaced and not followed.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    new_private_file(path)
}

/// The same, where nothing may stand there yet.
pub(super) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path)
}
