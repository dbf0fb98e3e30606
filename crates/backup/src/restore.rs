//! A database as it was, in a directory of its own: for PostgreSQL one that a server of the same version starts on, and that it
//! brings to the moment that was asked for by itself. Nothing that is there is overwritten.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    history::{History, Way},
    seal::Sum,
    segment::is_history,
};

/// How often what is being written may change while it is fetched.
const LOOKS: usize = 10;
/// What is decrypted and written at once.
const PIECE: usize = 64 << 10;

/// As it was when?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// As late as there is anything.
    Newest,
    /// With everything that was committed by then, and nothing that was later.
    Time(Timestamp),
}

/// What is to be had again.
#[derive(Debug, Clone)]
pub struct Moment {
    /// From which backup; the newest that leads there without it.
    pub backup: Option<String>,
    /// As it was when.
    pub until: Until,
    /// Where a database was restored before and has gone on from there, each time a timeline has begun: which of them. Without it the one
    /// that was followed by then.
    pub timeline: Option<u32>,
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
    moment: &Moment,
    keys: &Keys,
    into: &Path,
) -> Result<Restored, BackupError> {
    let time = match moment.until {
        Until::Newest => None,
        Until::Time(time) => Some(time),
    };
    let candidates = catalogue.candidates(moment.backup.as_deref(), time)?;
    let newest = candidates[0];
    if newest.extent.is_none() {
        // Of SQLite there are no moments between backups: the newest by then is as near as it gets.
        let bytes = as_a_whole(into, || restore_database(place, newest, keys, into))?;
        return Ok(Restored { backup: newest.clone(), wal_files: 0, gap: None, bytes });
    }
    let Goal { backup, extent, way } = goal(place, catalogue, &candidates, time, moment.timeline, keys)?;
    let chain = catalogue.chain_on(backup, extent, &way);
    if let Some(time) = time.filter(|time| *time > chain.until) {
        return Err(BackupError::Missing(format!(
            "what was written ahead is there until {}, and {time} is later: leave --until out to restore as much as there is",
            chain.until
        )));
    }
    as_a_whole(into, || {
        let mut bytes = restore_database(place, backup, keys, into)?;
        let again = || Ok(place.catalogue()?.chain_on(backup, extent, &way));
        let fetched = fetch_chain(place, chain, &again, time, keys, &into.join("pg_wal"), &mut bytes)?;
        tell_server(into, moment.until, way.end())?;
        Ok(Restored { backup: backup.clone(), wal_files: fetched.files.len(), gap: fetched.gap, bytes })
    })
}

/// From where to where.
struct Goal<'a> {
    backup: &'a Backup,
    extent: &'a Extent,
    way: Way,
}

/// The newest backup that leads to the latest timeline that had begun by then. A backup of what was left since leads there only where
/// nothing else does, or where it is named.
fn goal<'a>(
    place: &Place,
    catalogue: &'a Catalogue,
    candidates: &[&'a Backup],
    by: Option<Timestamp>,
    timeline: Option<u32>,
    keys: &Keys,
) -> Result<Goal<'a>, BackupError> {
    let system = &candidates[0].system;
    let candidates: Vec<(&Backup, &Extent)> = candidates
        .iter()
        .filter(|backup| backup.system == *system)
        .filter_map(|backup| Some((*backup, backup.extent.as_ref()?)))
        .collect();
    let mut histories = BTreeMap::new();
    let begun = if timeline.is_some() { None } else { by };
    for (number, file) in catalogue.histories(system, begun) {
        let (text, _) = place.get_sealed(&file.key, keys, |read| {
            let mut text = String::new();
            read.read_to_string(&mut text).map(|_| text).map_err(|why| place.broken(&file.key, &why))
        })?;
        let history = History::read(&text);
        let history = history.map_err(|why| BackupError::Damaged(format!("`{}`: {why}", file.key)))?;
        histories.insert(number, history);
    }
    let own = candidates.iter().map(|(_, extent)| extent.timeline);
    let goals: BTreeSet<u32> = match timeline {
        Some(timeline) => [timeline].into(),
        None => own.chain(histories.keys().copied()).collect(),
    };
    for goal in goals.into_iter().rev() {
        for (backup, extent) in &candidates {
            if let Some(way) = Way::of(extent, goal, histories.get(&goal)) {
                return Ok(Goal { backup, extent, way });
            }
        }
    }
    Err(BackupError::Missing(match timeline {
        Some(timeline) => format!("no backup leads to timeline {timeline}"),
        None => "no backup leads anywhere".to_owned(),
    }))
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

/// Fetches what was written ahead. Of what is being written there may be a newer look by the time when it is asked for: then it is
/// looked `again`. What is damaged ends it like what is missing, where a moment is asked for: the server says whether it was before
/// that.
fn fetch_chain(
    place: &Place,
    mut chain: Chain,
    again: &dyn Fn() -> Result<Chain, BackupError>,
    time: Option<Timestamp>,
    keys: &Keys,
    wal: &Path,
    bytes: &mut u64,
) -> Result<Chain, BackupError> {
    let mut looks_left = LOOKS;
    loop {
        let (looks, whole): (Vec<&InPlace>, _) = chain.files.iter().partition(|file| file.is_look);
        // First what says which timelines there are.
        let (histories, whole): (Vec<&InPlace>, _) =
            whole.into_iter().partition(|file| is_history(&file.name));
        for file in histories {
            *bytes += fetch(place, file, keys, wal)?;
        }
        for file in whole {
            match fetch(place, file, keys, wal) {
                Ok(fetched) => *bytes += fetched,
                Err(BackupError::Damaged(why)) if time.is_some() => {
                    tracing::warn!(why, "what was written after it is left out");
                    chain.gap = Some(file.name.clone());
                    return Ok(chain);
                }
                Err(BackupError::Damaged(why)) => {
                    return Err(BackupError::Damaged(format!(
                        "{why}; with --until and a moment before {} what was written before it can be had",
                        file.at
                    )));
                }
                Err(error) => return Err(error),
            }
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
                chain = again()?;
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
    let unpacked = place.get_sealed(key, keys, |read| {
        let mut archive = tar::Archive::new(read);
        archive.set_preserve_permissions(true);
        archive.unpack(into).map_err(|why| BackupError::Damaged(format!("`{}`: {}", key, told(&why))))
    });
    as_it_was(place, key, &kept.sha256, unpacked)
}

/// Is it what was put there? Then so many bytes.
fn as_it_was(
    place: &Place,
    key: &str,
    sha256: &str,
    read: Result<((), Sum), BackupError>,
) -> Result<u64, BackupError> {
    let damaged = || BackupError::Damaged(format!("`{key}` is not what was put there"));
    match read {
        Ok((_, sum)) if sum.sha256 == sha256 => Ok(sum.bytes),
        Ok(_) => Err(damaged()),
        // Damaged where it says for whom it is, it is for nobody.
        Err(BackupError::Locked(_)) if place.sum(key)?.sha256 != sha256 => Err(damaged()),
        Err(error) => Err(error),
    }
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
    let into = into.join("rampart.db");
    let written = place.get_sealed(&key, keys, |read| write_new(place, &key, read, &into));
    as_it_was(place, &key, &backup.base.sha256, written)
}

/// Fetches a file of WAL. What came with the backup itself is the same, and is there already.
fn fetch(place: &Place, file: &InPlace, keys: &Keys, wal: &Path) -> Result<u64, BackupError> {
    let into = wal.join(&file.name);
    if into.exists() {
        return Ok(0);
    }
    let fetched = place.get_sealed(&file.key, keys, |read| write_new(place, &file.key, read, &into));
    let fetched = as_it_was(place, &file.key, &file.sha256, fetched);
    if fetched.is_err() && into.exists() {
        std::fs::remove_file(&into).map_err(|why| BackupError::file("cannot remove", &into, why))?;
    }
    fetched
}

fn write_new(place: &Place, key: &str, read: &mut dyn Read, into: &Path) -> Result<(), BackupError> {
    let failed = |why: io::Error| BackupError::file("cannot write", into, why);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(into).map_err(failed)?;
    let mut piece = vec![0; PIECE];
    loop {
        // Which of the two went wrong is something else for who looks for it.
        match read.read(&mut piece).map_err(|why| place.broken(key, &why))? {
            0 => return file.flush().map_err(failed),
            count => file.write_all(&piece[..count]).map_err(failed)?,
        }
    }
}

/// Says to a server that starts here how far to go: <https://www.postgresql.org/docs/current/runtime-config-wal.html>.
fn tell_server(data: &Path, until: Until, timeline: u32) -> Result<(), BackupError> {
    let target = match until {
        Until::Newest => String::new(),
        Until::Time(time) => time.strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string(),
    };
    let settings = format!(
        "\n# Of the restored backup. What was written ahead is in pg_wal: nothing has to be fetched.\nrestore_command = 'false'\n\
         recovery_target = ''\nrecovery_target_name = ''\nrecovery_target_lsn = ''\nrecovery_target_xid = ''\n\
         recovery_target_time = '{target}'\nrecovery_target_timeline = '{timeline}'\nrecovery_target_action = 'promote'\n"
    );
    let file = data.join("postgresql.auto.conf");
    let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&file);
    let written = open.and_then(|mut open| open.write_all(settings.as_bytes()));
    written.map_err(|why| BackupError::file("cannot write", &file, why))?;
    let signal = data.join("recovery.signal");
    File::create(&signal).map(drop).map_err(|why| BackupError::file("cannot write", &signal, why))
}
