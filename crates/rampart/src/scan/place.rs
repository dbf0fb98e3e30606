//! Where a scan's files go.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use report::Format;

use super::settings::Settings;
use crate::cli::ScanArguments;

/// The scan's directory, and what is written where.
pub(super) struct Place {
    directory: PathBuf,
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
                Ok(Place { directory, temporary: Some(temporary), files: Vec::new(), standard_output: Some(*one) })
            }
            (None, [_, _, ..]) => bail!("several formats need a directory: name one with --output DIR"),
            (output, chosen) => {
                let directory = output.clone().unwrap_or_else(|| {
                    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
                    let id = settings.scan.to_string();
                    PathBuf::from("rampart-reports").join(format!("{time}-{}", &id[..6]))
                });
                std::fs::create_dir_all(&directory)
                    .with_context(|| format!("cannot write to output directory `{}`", directory.display()))?;
                let files = if chosen.is_empty() { vec![Format::Html, Format::Json] } else { formats };
                Ok(Place { directory, temporary: None, files, standard_output: None })
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
}
