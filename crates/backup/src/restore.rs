//! A database as it was, in a directory of its own: for PostgreSQL one that a server of the same version starts on, and that it
//! brings to the moment that was asked for by itself. Nothing that is there is overwritten.

use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use jiff::Timestamp;

use crate::{
    Backup, BackupError, Catalogue, Keys, Place,
    catalogue::{Extent, InPlace, Kept},
    segment::{Segment, is_history},
};

/// As it was when?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// As late as there is anything.
    Newest,
    /// With everything that was committed by then, and nothing that was later.
    Time(Timestamp),
}

/// What is in the directory.
#[derive(Debug)]
pub struct Restored {
    /// From which backup.
    pub backup: Backup,
    /// Files of what was written ahead since.
    pub wal_files: usize,
    /// What is missing after them, if something is.
    pub gap: Option<String>,
    /// Bytes that came from the place.
    pub bytes: u64,
}

/// Restores the database into a directory that is not there yet or empty.
pub fn restore(
    place: &Place,
    catalogue: &Catalogue,
    id: Option<&str>,
    until: Until,
    keys: &Keys,
    into: &Path,
) -> Result<Restored, BackupError> {
    let time = match until {
        Until::Newest => None,
        Until::Time(time) => Some(time),
    };
    let backup = catalogue.choose(id, time)?;
    let Some(extent) = &backup.extent else {
        // Of SQLite there are no moments between backups: the newest by then is as near as it gets.
        let bytes = restore_database(place, backup, keys, into)?;
        return Ok(Restored { backup: backup.clone(), wal_files: 0, gap: None, bytes });
    };
    let chain = catalogue.chain_of(backup, extent);
    if let Some(time) = time.filter(|time| *time > chain.until) {
        return Err(BackupError::Missing(format!(
            "what was written ahead is there until {}, and {time} is later: leave --until out to restore as much as there is",
            chain.until
        )));
    }
    let mut bytes = restore_database(place, backup, keys, into)?;
    let wal = into.join("pg_wal");
    let files = fitting(&chain.files, extent);
    for file in &files {
        bytes += fetch(place, file, keys, &wal)?;
    }
    tell_server(into, until)?;
    Ok(Restored { backup: backup.clone(), wal_files: files.len(), gap: chain.gap, bytes })
}

/// Restores the configuration and keys that are beside a database into a directory that is not there yet or empty.
pub fn restore_files(place: &Place, backup: &Backup, keys: &Keys, into: &Path) -> Result<u64, BackupError> {
    let Some(files) = &backup.files else {
        return Err(BackupError::Missing(format!(
            "the backup `{}` has no files beside the database",
            backup.id
        )));
    };
    empty_directory(into)?;
    unpack(place, &backup.key(&files.name), files, keys, into)
}

/// Only what was looked at last of a file that never became whole, and no file that another timeline goes on with.
fn fitting<'a>(files: &'a [InPlace], extent: &Extent) -> Vec<&'a InPlace> {
    let mut seen = BTreeSet::new();
    let fits = |file: &&InPlace| {
        let is_wal = Segment::read(&file.name, extent.segment_size).is_some() || is_history(&file.name);
        is_wal && seen.insert(file.name.clone())
    };
    files.iter().filter(fits).collect()
}

pub(crate) fn empty_directory(directory: &Path) -> Result<(), BackupError> {
    let failed = |why: io::Error| BackupError::file("cannot use the directory", directory, why);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    match std::fs::read_dir(directory).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(BackupError::file("nothing is overwritten", directory, "there is something in it")),
    }
}

/// Unpacks an archive, and sees that it is the one that was put there.
pub(crate) fn unpack(
    place: &Place,
    key: &str,
    kept: &Kept,
    keys: &Keys,
    into: &Path,
) -> Result<u64, BackupError> {
    let (_, sum) = place.get_sealed(key, keys, |read| {
        let mut archive = tar::Archive::new(read);
        archive.set_preserve_permissions(true);
        archive.unpack(into).map_err(|why| BackupError::Damaged(format!("`{}`: {}", key, told(&why))))
    })?;
    if sum.sha256 != kept.sha256 {
        return Err(BackupError::Damaged(format!("`{key}` is not what was put there")));
    }
    Ok(sum.bytes)
}

/// An error of `tar`, which says why only beneath.
fn told(why: &io::Error) -> String {
    let mut said = why.to_string();
    let mut beneath = std::error::Error::source(why);
    while let Some(error) = beneath {
        said = format!("{said}: {error}");
        beneath = error.source();
    }
    said
}

/// The database as the backup has it, into a directory that is not there yet or empty.
pub(crate) fn restore_database(
    place: &Place,
    backup: &Backup,
    keys: &Keys,
    into: &Path,
) -> Result<u64, BackupError> {
    empty_directory(into)?;
    let key = backup.key(&backup.base.name);
    if backup.extent.is_some() {
        return unpack(place, &key, &backup.base, keys, into);
    }
    let (_, sum) = place.get_sealed(&key, keys, |read| write_new(read, &into.join("rampart.db")))?;
    if sum.sha256 != backup.base.sha256 {
        return Err(BackupError::Damaged(format!("`{key}` is not what was put there")));
    }
    Ok(sum.bytes)
}

/// Fetches a file of WAL. What came with the backup itself is the same, and is there already.
fn fetch(place: &Place, file: &InPlace, keys: &Keys, wal: &Path) -> Result<u64, BackupError> {
    let into = wal.join(&file.name);
    if into.exists() {
        return Ok(0);
    }
    let (_, sum) = place.get_sealed(&file.key, keys, |read| write_new(read, &into))?;
    if sum.sha256 != file.sha256 {
        return Err(BackupError::Damaged(format!("`{}` is not what was put there", file.key)));
    }
    Ok(sum.bytes)
}

fn write_new(read: &mut dyn Read, into: &Path) -> Result<(), BackupError> {
    let failed = |why: io::Error| BackupError::file("cannot write", into, why);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(into).map_err(failed)?;
    io::copy(read, &mut file).and_then(|_| file.flush()).map_err(failed)
}

/// Says to a server that starts here how far to go: <https://www.postgresql.org/docs/current/runtime-config-wal.html>.
fn tell_server(data: &Path, until: Until) -> Result<(), BackupError> {
    let target = match until {
        Until::Newest => String::new(),
        Until::Time(time) => time.strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string(),
    };
    let settings = format!(
        "\n# Of the restored backup. What was written ahead is in pg_wal: nothing has to be fetched.\nrestore_command = 'false'\n\
         recovery_target = ''\nrecovery_target_name = ''\nrecovery_target_lsn = ''\nrecovery_target_xid = ''\n\
         recovery_target_time = '{target}'\nrecovery_target_timeline = 'latest'\nrecovery_target_action = 'promote'\n"
    );
    let file = data.join("postgresql.auto.conf");
    let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&file);
    let written = open.and_then(|mut open| open.write_all(settings.as_bytes()));
    written.map_err(|why| BackupError::file("cannot write", &file, why))?;
    let signal = data.join("recovery.signal");
    File::create(&signal).map(drop).map_err(|why| BackupError::file("cannot write", &signal, why))
}
