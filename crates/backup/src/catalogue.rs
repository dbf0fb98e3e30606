//! What is in a place: which backups, from when to when anything can be had again, and what nobody needs any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::Listed;

use crate::{
    BackupError,
    drill::DrillReport,
    history::Way,
    seal::Sum,
    segment::{Lsn, Segment, SegmentSize, is_history},
};

/// Of which databases a backup is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct System(String);

impl System {
    /// What PostgreSQL calls "database system identifier".
    pub(crate) fn of_postgres(identifier: u64) -> System {
        System(identifier.to_string())
    }

    pub(crate) fn sqlite() -> System {
        System("sqlite".to_owned())
    }

    pub(crate) fn base(&self, id: &str, file: &str) -> String {
        format!("{self}/base/{id}/{file}")
    }

    pub(crate) fn wal(&self, file: &str) -> String {
        format!("{self}/wal/{file}")
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a backup is in what was written ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// Major version of the server: only the same reads the files.
    pub(crate) server: u32,
    pub(crate) timeline: u32,
    /// What is needed to make it whole: from here
    pub(crate) from: Lsn,
    /// to there. So much is in the backup itself.
    pub(crate) to: Lsn,
    pub(crate) segment_size: SegmentSize,
}

impl Extent {
    pub(crate) fn first(&self) -> Segment {
        self.from.segment(self.timeline, self.segment_size)
    }

    fn last(&self) -> Segment {
        self.to.segment(self.timeline, self.segment_size)
    }
}

/// An object of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name, beside that of the backup.
    pub name: String,
    /// As it is kept.
    pub bytes: u64,
    /// Before it was compressed and encrypted.
    pub plain_bytes: u64,
    /// Of what is kept, in hexadecimal digits.
    pub sha256: String,
}

impl Kept {
    pub(crate) fn new(name: String, plain_bytes: u64, sum: Sum) -> Kept {
        Kept { name, bytes: sum.bytes, plain_bytes, sha256: sum.sha256 }
    }
}

/// A copy of a whole database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// When it was begun, to the millisecond: no two of a database are begun in one.
    pub id: String,
    /// Of which databases.
    pub system: System,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it was done: it has everything that was committed before it was begun, and nothing that was committed after this.
    pub ended: Timestamp,
    /// The release that made it.
    pub release: String,
    /// Who can read it; nobody else can. Empty when it is not encrypted.
    pub recipients: Vec<String>,
    /// The database.
    pub base: Kept,
    /// Configuration and keys, if some were named.
    pub files: Option<Kept>,
    /// Of PostgreSQL.
    pub(crate) extent: Option<Extent>,
}

impl Backup {
    pub(crate) fn key(&self, file: &str) -> String {
        self.system.base(&self.id, file)
    }

    /// As they are kept.
    pub fn bytes(&self) -> u64 {
        self.base.bytes + self.files.as_ref().map_or(0, |files| files.bytes)
    }

    /// Major version of the PostgreSQL that reads it; none is needed for SQLite.
    pub fn server(&self) -> Option<u32> {
        self.extent.as_ref().map(|extent| extent.server)
    }
}

/// A file of WAL in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InPlace {
    pub(crate) key: String,
    /// As PostgreSQL calls it.
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// When it was put there: it has nothing that is later.
    pub(crate) at: Timestamp,
    /// It was still being written: a newer look takes its place, and the whole file that of all looks.
    pub(crate) is_look: bool,
}

/// What is written ahead of one system.
#[derive(Debug, Default)]
struct Wal {
    /// By the name of the file.
    whole: BTreeMap<String, InPlace>,
    /// Of what was being written the newest look.
    partial: BTreeMap<String, InPlace>,
    histories: BTreeMap<String, InPlace>,
    /// Looks that a newer one has replaced.
    replaced: Vec<String>,
}

/// What was written ahead since a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub(crate) files: Vec<InPlace>,
    /// The first file that is missing although there are later ones: nothing after it can be had again from this backup.
    pub gap: Option<String>,
    /// Until when at least everything is there.
    pub until: Timestamp,
    /// Bytes as they are kept.
    pub bytes: u64,
}

impl Chain {
    fn nothing_since(backup: &Backup) -> Chain {
        Chain { files: Vec::new(), gap: None, until: backup.ended, bytes: 0 }
    }
}

/// What is in a place.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Oldest first.
    pub backups: Vec<Backup>,
    /// Oldest first.
    pub drills: Vec<DrillReport>,
    wal: BTreeMap<System, Wal>,
    /// Objects of backups, with when they were put there; also of those that were never finished.
    parts: Vec<(System, String, Listed)>,
    /// What is here and belongs to nothing that is known.
    pub strangers: Vec<String>,
}

impl Catalogue {
    pub(crate) fn read(
        listing: Vec<Listed>,
        mut document: impl FnMut(&str) -> Result<Vec<u8>, BackupError>,
    ) -> Result<Catalogue, BackupError> {
        let mut found = Catalogue::default();
        for object in listing {
            let parts: Vec<&str> = object.key.split('/').collect();
            match parts[..] {
                ["drills", _] => found.drills.push(read(&object.key, &document(&object.key)?)?),
                [system, "base", id, file] => {
                    if file == "backup.json" {
                        let backup: Backup = read(&object.key, &document(&object.key)?)?;
                        if backup.id != id || backup.system.0 != system {
                            return Err(BackupError::Damaged(format!(
                                "`{}` speaks of another backup",
                                object.key
                            )));
                        }
                        found.backups.push(backup);
                    }
                    found.parts.push((System(system.to_owned()), id.to_owned(), object));
                }
                [system, "wal", file] => {
                    let file = file.to_owned();
                    let wal = found.wal.entry(System(system.to_owned())).or_default();
                    if !wal.take(&file, &object) {
                        found.strangers.push(object.key);
                    }
                }
                _ => found.strangers.push(object.key),
            }
        }
        found.backups.sort_by(|one, other| (one.begun, &one.id).cmp(&(other.begun, &other.id)));
        found.drills.sort_by_key(|drill| drill.begun);
        Ok(found)
    }

    /// Backups that were done by then, or the one that is named, newest first: at least one.
    pub(crate) fn candidates(
        &self,
        id: Option<&str>,
        until: Option<Timestamp>,
    ) -> Result<Vec<&Backup>, BackupError> {
        let fits = |backup: &&Backup| {
            id.is_none_or(|id| backup.id == id) && until.is_none_or(|until| backup.ended <= until)
        };
        let found: Vec<&Backup> = self.backups.iter().rev().filter(fits).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        Err(BackupError::Missing(match (id, until) {
            (Some(id), _) if !self.backups.iter().any(|backup| backup.id == id) => {
                format!("there is no backup `{id}`: `rampart backup list` shows those that are there")
            }
            (_, Some(until)) => format!(
                "no backup was done by {until}: only what came after one can be had again, and `rampart backup list` shows them"
            ),
            _ => "there is no backup in this place".to_owned(),
        }))
    }

    /// What was written since a backup. None for databases that write nothing ahead.
    pub fn chain(&self, backup: &Backup) -> Option<Chain> {
        backup.extent.as_ref().map(|extent| self.chain_of(backup, extent))
    }

    pub(crate) fn chain_of(&self, backup: &Backup, extent: &Extent) -> Chain {
        let Some(wal) = self.wal.get(&backup.system) else { return Chain::nothing_since(backup) };
        let mut files = wal.since(extent.first(), extent.segment_size);
        files.retain(|segment, _| segment.timeline >= extent.timeline);
        // It is whole by itself up to here.
        let mut next = extent.last().number;
        let gap = files.keys().find_map(|segment| {
            let gap = Segment { number: next, timeline: segment.timeline };
            let is_missing = segment.number > next;
            next = segment.number + 1;
            is_missing.then_some(gap)
        });
        wal.chain(backup, extent, files, gap)
    }

    /// The same on the way to a timeline, where it is known which file of which timeline is needed.
    pub(crate) fn chain_on(&self, backup: &Backup, extent: &Extent, way: &Way) -> Chain {
        let Some(wal) = self.wal.get(&backup.system) else { return Chain::nothing_since(backup) };
        let mut files = wal.since(extent.first(), extent.segment_size);
        files.retain(|segment, _| way.has(segment.timeline));
        let whole = extent.last().number;
        let of_end =
            files.keys().filter(|segment| segment.timeline == way.end()).map(|segment| segment.number);
        let there = |timeline, number| files.contains_key(&Segment { number, timeline });
        let gap = way.gap(whole, &there, of_end.max().unwrap_or(whole));
        let gap = gap.map(|(timeline, number)| Segment { number, timeline });
        wal.chain(backup, extent, files, gap)
    }

    /// Where it is said which timelines lead to a later one, of those that had begun by then.
    pub(crate) fn histories(&self, system: &System, by: Option<Timestamp>) -> Vec<(u32, &InPlace)> {
        let timeline = |name: &str| u32::from_str_radix(name.strip_suffix(".history")?, 16).ok();
        let found = self.wal.get(system).into_iter().flat_map(|wal| wal.histories.values());
        let found = found.filter(|file| by.is_none_or(|by| file.at <= by));
        found.filter_map(|file| Some((timeline(&file.name)?, file))).collect()
    }

    /// The newest file of a system that is whole.
    pub(crate) fn newest_whole(&self, system: &System) -> Option<&InPlace> {
        self.wal.get(system)?.whole.values().max_by_key(|file| &file.name)
    }

    pub(crate) fn has_whole(&self, system: &System, name: &str) -> bool {
        let wal = self.wal.get(system);
        wal.is_some_and(|wal| wal.whole.contains_key(name) || wal.histories.contains_key(name))
    }

    /// Looks at what is written that a newer look, or the whole, has made superfluous.
    pub(crate) fn replaced(&self) -> Vec<String> {
        let of = |wal: &Wal| {
            let whole = wal.partial.values().filter(|file| wal.whole.contains_key(&file.name));
            wal.replaced.iter().cloned().chain(whole.map(|file| file.key.clone())).collect::<Vec<_>>()
        };
        self.wal.values().flat_map(of).collect()
    }

    /// What nobody needs who keeps backups for so long: older backups but the newest of each system, what was written before the
    /// oldest one that stays, what is left of those that were never finished, and what older drills have shown, but the newest and
    /// the newest that showed nothing bad.
    pub(crate) fn outdated(&self, keep: Duration, now: Timestamp) -> Vec<String> {
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        let since = now.saturating_sub(keep).unwrap_or(Timestamp::MIN);
        let mut gone: Vec<String> = Vec::new();
        let mut stay: BTreeMap<&System, Vec<&Backup>> = BTreeMap::new();
        for backup in self.backups.iter().rev() {
            let of = stay.entry(&backup.system).or_default();
            if of.is_empty() || backup.ended >= since {
                of.push(backup);
            }
        }
        let stays: BTreeSet<(&System, &str)> =
            stay.values().flatten().map(|backup| (&backup.system, backup.id.as_str())).collect();
        let finished: BTreeSet<(&System, &str)> =
            self.backups.iter().map(|backup| (&backup.system, backup.id.as_str())).collect();
        for (system, id, object) in &self.parts {
            let key = (system, id.as_str());
            // Somebody may still be at it.
            let is_left =
                !finished.contains(&key) && object.at < now.saturating_sub(UNFINISHED).unwrap_or(now);
            if is_left || (finished.contains(&key) && !stays.contains(&key)) {
                gone.push(object.key.clone());
            }
        }
        for (system, wal) in &self.wal {
            let oldest = stay.get(system).and_then(|of| of.last()).and_then(|backup| backup.extent.as_ref());
            let Some(extent) = oldest else { continue };
            let is_before = |file: &&InPlace| {
                let segment = Segment::read(&file.name, extent.segment_size);
                segment.is_some_and(|segment| segment.number < extent.first().number)
            };
            let before = wal.whole.values().chain(wal.partial.values()).filter(is_before);
            gone.extend(before.map(|file| file.key.clone()));
        }
        gone.extend(self.replaced());
        let passed = self.drills.iter().rfind(|drill| drill.troubles.is_empty());
        let newest = self.drills.last().into_iter().chain(passed).map(|drill| drill.begun);
        let newest: BTreeSet<Timestamp> = newest.collect();
        let is_old = |drill: &&DrillReport| drill.ended < since && !newest.contains(&drill.begun);
        gone.extend(self.drills.iter().filter(is_old).map(DrillReport::key));
        // What says that a backup is whole goes before what it consists of.
        gone.sort_by_key(|key| !key.ends_with("/backup.json"));
        gone.dedup();
        gone
    }
}

/// Nobody takes so long for a backup.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(7 * 24);

fn read<T: for<'a> Deserialize<'a>>(key: &str, document: &[u8]) -> Result<T, BackupError> {
    serde_json::from_slice(document).map_err(|why| BackupError::Damaged(format!("`{key}`: {why}")))
}

impl Wal {
    /// What these files are to a backup: what comes before the first that is missing can be had again.
    fn chain(
        &self,
        backup: &Backup,
        extent: &Extent,
        files: BTreeMap<Segment, InPlace>,
        gap: Option<Segment>,
    ) -> Chain {
        let mut chain = Chain::nothing_since(backup);
        for (segment, file) in files {
            if gap.is_none_or(|gap| segment.number < gap.number) {
                chain.until = chain.until.max(file.at);
            }
            chain.bytes += file.bytes;
            chain.files.push(file);
        }
        chain.gap = gap.map(|gap| gap.name(extent.segment_size));
        chain.files.extend(self.histories.values().cloned());
        chain
    }

    /// Everything from a file on, the newest look where there is no whole one.
    fn since(&self, first: Segment, size: SegmentSize) -> BTreeMap<Segment, InPlace> {
        let mut files = BTreeMap::new();
        for (name, file) in self.whole.iter().chain(&self.partial) {
            if let Some(segment) = Segment::read(name, size).filter(|segment| segment.number >= first.number)
            {
                files.entry(segment).or_insert_with(|| file.clone());
            }
        }
        files
    }

    /// Is it a name that this program gives?
    fn take(&mut self, file: &str, object: &Listed) -> bool {
        let unsealed = file.strip_suffix(".age").unwrap_or(file);
        let Some((named, sha256)) = unsealed.strip_suffix(".zst").and_then(|name| name.rsplit_once('.'))
        else {
            return false;
        };
        if sha256.len() != 64 {
            return false;
        }
        let (name, look) = match named.split_once(".partial-") {
            None => (named, None),
            Some((name, look)) => (name, Some(look)),
        };
        let found = InPlace {
            key: object.key.clone(),
            name: name.to_owned(),
            sha256: sha256.to_owned(),
            bytes: object.bytes,
            at: object.at,
            is_look: look.is_some(),
        };
        match look {
            None if is_history(name) => drop(self.histories.insert(name.to_owned(), found)),
            None => drop(self.whole.insert(name.to_owned(), found)),
            Some(_) => {
                // Milliseconds since 1970, of as many digits for centuries: the later name is of the later look.
                let newest = self.partial.entry(name.to_owned()).or_insert_with(|| found.clone());
                if newest.key != found.key {
                    let older = if newest.key < found.key { std::mem::replace(newest, found) } else { found };
                    self.replaced.push(older.key);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
