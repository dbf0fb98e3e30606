//! A database as it was, in a directory of its own: for PostgreSQL one that a server of the same version starts on, and that it
//! brings to the moment that was asked for by itself. Nothing that is there is overwritten.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use jiff::Timestamp;

use store::StoreError;

use crate::{
    Backup, BackupError, Catalogue, Chain, Keys, Place,
    catalogue::{Extent, InPlace, Kept},
};

/// How often what is being written may change while it is fetched.
const LOOKS: usize = 10;

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

/// Restores the database into a directory that is not there yet or empty, and leaves it so when it cannot.
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
        let bytes = as_a_whole(into, || restore_database(place, backup, keys, into))?;
        return Ok(Restored { backup: backup.clone(), wal_files: 0, gap: None, bytes });
    };
    let chain = catalogue.chain_of(backup, extent);
    if let Some(time) = time.filter(|time| *time > chain.until) {
        return Err(BackupError::Missing(format!(
            "what was written ahead is there until {}, and {time} is later: leave --until out to restore as much as there is",
            chain.until
        )));
    }
    as_a_whole(into, || {
        let mut bytes = restore_database(place, backup, keys, into)?;
        let chain = fetch_chain(place, backup, extent, chain, keys, &into.join("pg_wal"), &mut bytes)?;
        tell_server(into, until)?;
        Ok(Restored { backup: backup.clone(), wal_files: chain.files.len(), gap: chain.gap, bytes })
    })
}

/// Fetches what was written ahead. Of what is being written there may be a newer look by the time when it is asked for.
fn fetch_chain(
    place: &Place,
    backup: &Backup,
    extent: &Extent,
    mut chain: Chain,
    keys: &Keys,
    wal: &Path,
    bytes: &mut u64,
) -> Result<Chain, BackupError> {
    let mut looks_left = LOOKS;
    loop {
        let (looks, whole): (Vec<&InPlace>, _) = chain.files.iter().partition(|file| file.is_look);
        for file in whole {
            *bytes += fetch(place, file, keys, wal)?;
        }
        let mut fetched = Vec::new();
        let done = looks.into_iter().try_for_each(|file| {
            *bytes += fetch(place, file, keys, wal)?;
            fetched.push(wal.join(&file.name));
            Ok(())
        });
        match done {
            Ok(()) => return Ok(chain),
            Err(BackupError::Store(StoreError::Missing { .. })) if looks_left > 0 => {
                // Of what is whole by now the look is not enough.
                for file in fetched {
                    std::fs::remove_file(&file)
                        .map_err(|why| BackupError::file("cannot remove", &file, why))?;
                }
                looks_left -= 1;
                chain = place.catalogue()?.chain_of(backup, extent);
            }
            Err(error) => return Err(error),
        }
    }
}

/// What was begun in an empty directory and failed is taken away again: half a database looks like one.
fn as_a_whole<T>(into: &Path, fill: impl FnOnce() -> Result<T, BackupError>) -> Result<T, BackupError> {
    empty_directory(into)?;
    let filled = fill();
    if filled.is_err()
        && let Err(why) = empty(into)
    {
        tracing::warn!(directory = %into.display(), %why, "what was restored in part cannot be removed");
    }
    filled
}

/// Restores the configuration and keys that are beside a database into a directory that is not there yet or empty.
pub fn restore_files(place: &Place, backup: &Backup, keys: &Keys, into: &Path) -> Result<u64, BackupError> {
    let Some(files) = &backup.files else {
        return Err(BackupError::Missing(format!(
            "the backup `{}` has no files beside the database",
            backup.id
        )));
    };
    as_a_whole(into, || unpack(place, &backup.key(&files.name), files, keys, into))
}

fn empty_directory(directory: &Path) -> Result<(), BackupError> {
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

fn empty(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The database as the backup has it, into an empty directory.
pub(crate) fn restore_database(
    place: &Place,
    backup: &Backup,
    keys: &Keys,
    into: &Path,
) -> Result<u64, BackupError> {
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
