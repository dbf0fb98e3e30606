//! Is what is in the place still what was put there, and is everything there that is needed?

use std::{collections::BTreeSet, io, path::PathBuf};

use store::StoreError;

use crate::{
    Backup, BackupError, Catalogue, Keys, Place,
    catalogue::{InPlace, Kept},
    place::scratch,
    postgres::{run, tool},
    restore::{restore_database, unpack},
};

/// What was seen of one backup.
#[derive(Debug)]
pub struct Checked {
    /// Which.
    pub backup: Backup,
    /// Objects whose every byte was read: of the backup itself, and of what was written ahead since.
    pub objects: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Was it decrypted and looked through as well?
    pub opened: bool,
    /// What is wrong.
    pub troubles: Vec<String>,
}

/// Reads every byte of the backups, or of the one that is named, and of what was written ahead since. With keys it opens them too,
/// and lets `pg_verifybackup` compare each file of the database with what the server said of it when it was copied.
pub fn verify(
    place: &Place,
    catalogue: &Catalogue,
    id: Option<&str>,
    keys: &Keys,
    within: Option<&PathBuf>,
) -> Result<Vec<Checked>, BackupError> {
    let asked: Vec<&Backup> = match id {
        Some(_) => catalogue.candidates(id, None)?,
        None => catalogue.backups.iter().collect(),
    };
    // What follows one backup follows those before it as well.
    let mut read = BTreeSet::new();
    let mut found = Vec::new();
    for backup in asked {
        let opens = !keys.is_none() || backup.recipients.is_empty();
        let mut checked =
            Checked { backup: backup.clone(), objects: 0, bytes: 0, opened: opens, troubles: Vec::new() };
        for kept in [Some(&backup.base), backup.files.as_ref()].into_iter().flatten() {
            let as_it_was = || compare(place, &backup.key(&kept.name), &kept.sha256, kept.bytes);
            let done = match opens.then(|| open(place, backup, kept, keys, within)) {
                // It is for another key, and may be whole all the same.
                None | Some(Err(BackupError::Locked(_))) => {
                    checked.opened = false;
                    as_it_was()
                }
                Some(done) => done,
            };
            checked.count(done, kept.bytes);
        }
        let chain = catalogue.chain(backup);
        for file in chain.iter().flat_map(|chain| &chain.files) {
            if read.insert(file.key.clone()) {
                let opens = !keys.is_none() || !file.key.ends_with(".age");
                let done = match opens.then(|| open_file(place, file, keys)) {
                    None | Some(Err(BackupError::Locked(_))) => {
                        compare(place, &file.key, &file.sha256, file.bytes)
                    }
                    Some(done) => done,
                };
                if file.is_look && matches!(done, Err(BackupError::Store(StoreError::Missing { .. }))) {
                    // Somebody has looked anew meanwhile.
                    continue;
                }
                checked.count(done, file.bytes);
            }
        }
        if let Some(gap) = chain.and_then(|chain| chain.gap) {
            checked.troubles.push(format!(
                "`{gap}` is missing of what was written ahead: from this backup nothing after it can be had again"
            ));
        }
        found.push(checked);
    }
    Ok(found)
}

impl Checked {
    fn count(&mut self, done: Result<(), BackupError>, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
        if let Err(error) = done {
            self.troubles.push(error.to_string());
        }
    }
}

fn compare(place: &Place, key: &str, sha256: &str, bytes: u64) -> Result<(), BackupError> {
    let sum = place.sum(key)?;
    if sum.sha256 == sha256 && sum.bytes == bytes {
        return Ok(());
    }
    Err(BackupError::Damaged(format!("`{key}` is not what was put there: `{}`", place.describe(key))))
}

fn open_file(place: &Place, file: &InPlace, keys: &Keys) -> Result<(), BackupError> {
    let discard = |read: &mut dyn io::Read| {
        io::copy(read, &mut io::sink()).map_err(|why| place.broken(&file.key, &why))
    };
    let (_, sum) = place.get_sealed(&file.key, keys, discard)?;
    match sum.sha256 == file.sha256 {
        true => Ok(()),
        false => Err(BackupError::Damaged(format!("`{}` is not what was put there", file.key))),
    }
}

fn open(
    place: &Place,
    backup: &Backup,
    kept: &Kept,
    keys: &Keys,
    within: Option<&PathBuf>,
) -> Result<(), BackupError> {
    let directory = scratch(within)?;
    let into = directory.path().join("opened");
    std::fs::create_dir(&into).map_err(|why| BackupError::file("cannot make", &into, why))?;
    if *kept != backup.base {
        return unpack(place, &backup.key(&kept.name), kept, keys, &into).map(drop);
    }
    restore_database(place, backup, keys, &into)?;
    let Some(version) = backup.server() else { return crate::sqlite::check(&into.join("rampart.db")) };
    let mut command = tool("pg_verifybackup", version)?;
    run("pg_verifybackup", command.args(["--exit-on-error", "--quiet"]).arg(&into))
}
