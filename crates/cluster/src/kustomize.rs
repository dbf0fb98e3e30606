//! Manifests of an overlay, by whichever program for it is there: `kustomize`, or `kubectl`, which has it within.

use std::{
    env,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::manifests::{ManifestError, Manifests};

/// Why there are no manifests.
#[derive(Debug, thiserror::Error)]
pub enum KustomizeError {
    /// Neither program is there.
    #[error("neither kustomize nor kubectl can be run: install one of them, or put it on the PATH")]
    NoProgram,
    /// The program cannot be run.
    #[error("cannot run {0}: {1}")]
    Run(&'static str, io::Error),
    /// It ended with an error.
    #[error("`{}` cannot be built: {}", .0.display(), .1)]
    Build(PathBuf, String),
    /// What it wrote is of no use.
    #[error("`{}`: {}", .0.display(), .1)]
    Manifests(PathBuf, ManifestError),
}

/// What is applied of a directory with a `kustomization.yaml`, as text.
pub fn build(directory: &Path) -> Result<String, KustomizeError> {
    build_with(directory, &env::var_os("PATH").unwrap_or_default())
}

/// The same, with programs from these directories.
pub fn build_with(directory: &Path, path: &OsStr) -> Result<String, KustomizeError> {
    for (program, word) in [("kustomize", "build"), ("kubectl", "kustomize")] {
        let Some(found) = env::split_paths(path).map(|place| place.join(program)).find(|file| file.is_file())
        else {
            continue;
        };
        let ended = Command::new(found).args([OsStr::new(word), directory.as_os_str()]).output();
        let output = match ended {
            Err(error) => return Err(KustomizeError::Run(program, error)),
            Ok(output) => output,
        };
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(KustomizeError::Build(directory.to_owned(), why));
        }
        return String::from_utf8(output.stdout)
            .map_err(|error| KustomizeError::Build(directory.to_owned(), error.to_string()));
    }
    Err(KustomizeError::NoProgram)
}

/// The same, read.
pub fn read(directory: &Path) -> Result<Manifests, KustomizeError> {
    let text = build(directory)?;
    Manifests::parse(&text).map_err(|error| KustomizeError::Manifests(directory.to_owned(), error))
}
