//! The checkout that tests run in, and the programs that test.sh installs below its `target/tools`.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::{self, command};

/// Where those are that are called by their name alone.
const BY_NAME: &str = "kustomize/usr/bin";

/// The checkout's root.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate is in the checkout")
}

/// One of the programs, by its path there.
///
/// # Panics
/// When it is not installed.
#[track_caller]
pub fn program(path: &str) -> PathBuf {
    let program = installed(path);
    assert!(program.exists(), "{} is not there: test.sh installs it", program.display());
    program
}

/// A command that runs as the user of the servers when the tests run as root: some programs refuse to be that.
pub fn as_servers(program: &Path) -> Command {
    command(program)
}

/// A program of a Debian package, on PATH or where that package puts it.
///
/// # Panics
/// When it is not installed.
#[track_caller]
pub fn of_debian(package: &str, name: &str) -> PathBuf {
    process::program(package, name)
}

/// What `PATH` is for programs that call one of them, or the machine's own.
pub fn search_path() -> OsString {
    let others = env::var_os("PATH").unwrap_or_default();
    let directories = [installed(BY_NAME)].into_iter().chain(env::split_paths(&others));
    env::join_paths(directories).expect("no directory has a colon in its name")
}

fn installed(path: &str) -> PathBuf {
    root().join("target/tools").join(path)
}
