//! A copy of a whole database, while it goes on.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Backup, BackupError, Kept, Place, Recipients, Source, System,
    catalogue::Extent,
    postgres::Running,
    seal::{Counting, ending},
    segment::{Lsn, SegmentSize},
    sqlite,
};

/// How much of the list of a database's files is read: of a thousand tables it has a tenth of this.
const MOST_OF_MANIFEST: u64 = 256 << 20;
/// What of `global/pg_control` is read: it begins with the number of the system.
const CONTROL: u64 = 8;

/// What is backed up.
pub enum BaseBackup<'a> {
    /// A server's databases, all of them.
    Postgres(&'a Source),
    /// The file of an installation on one machine.
    Sqlite(&'a Path),
}

/// What the files of a server say of themselves.
#[derive(Default)]
struct Seen {
    system: Option<u64>,
    version: Option<u32>,
    segment_size: Option<u64>,
    manifest: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

/// Copies a database, and the files that are named beside it. The backup is there as a whole when this returns, or is none.
pub fn create(
    place: &Place,
    what: &BaseBackup<'_>,
    files: &[PathBuf],
    recipients: &Recipients,
) -> Result<Backup, BackupError> {
    let begun = Timestamp::now();
    let id = begun.strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
    // Which system it is is known only once everything has come by; where it goes is to be said before.
    let (system, base, extent) = match what {
        BaseBackup::Sqlite(file) => {
            let system = System::sqlite();
            let base = sqlite::copy(place, file, |name| system.base(&id, name), recipients)?;
            (system, base, None)
        }
        BaseBackup::Postgres(source) => {
            let system = System::of_postgres(source.identify()?);
            let (base, extent) = copy_server(place, source, &system, &id, recipients)?;
            (system, base, Some(extent))
        }
    };
    let files = match files {
        [] => None,
        files => Some(copy_files(place, files, |name| system.base(&id, name), recipients)?),
    };
    let backup = Backup {
        id,
        system,
        begun,
        ended: Timestamp::now(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        recipients: recipients.names(),
        base,
        files,
        extent,
    };
    let document = serde_json::to_vec_pretty(&backup)
        .map_err(|why| BackupError::Invalid(format!("the backup cannot be described: {why}")))?;
    place.put(&backup.key("backup.json"), document)?;
    Ok(backup)
}

fn copy_server(
    place: &Place,
    source: &Source,
    system: &System,
    id: &str,
    recipients: &Recipients,
) -> Result<(Kept, Extent), BackupError> {
    let mut command = source.ask("pg_basebackup")?;
    // Everything on standard output, and with it what is needed to make it whole: it can be had again without an archive.
    command.args([
        "--pgdata=-",
        "--format=tar",
        "--wal-method=fetch",
        "--checkpoint=fast",
        "--label=rampart",
    ]);
    let mut running =
        Running::start("pg_basebackup", command.stdout(Stdio::piped()), |line| tracing::debug!(line))?;
    let output =
        running.output().ok_or_else(|| BackupError::Invalid("pg_basebackup says nothing".to_owned()))?;
    let name = format!("base.tar{}", ending(recipients));
    let written = place.put_sealed(&system.base(id, &name), recipients, |sealing| {
        let copied = look_through(output, sealing);
        // Why it has not told everything is said by the program itself.
        running.finish()?;
        copied
    });
    let ((seen, plain_bytes), sum) = written?;
    if seen.system.map(System::of_postgres).as_ref() != Some(system) {
        return Err(BackupError::Damaged(format!(
            "the files are not of the system {system}, which the server says it is"
        )));
    }
    let extent =
        extent(&seen).map_err(|why| BackupError::Damaged(format!("what pg_basebackup tells: {why}")))?;
    Ok((Kept::new(name, plain_bytes, sum), extent))
}

/// Passes an archive on, and looks at what its files say.
fn look_through(from: impl Read, to: &mut impl Write) -> Result<(Seen, u64), BackupError> {
    let broken = |why: io::Error| BackupError::Damaged(format!("the copy broke off: {why}"));
    let mut seen = Seen::default();
    let mut passing = Passing { from, to, bytes: 0 };
    let mut archive = tar::Archive::new(&mut passing);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        match path.to_str().unwrap_or_default() {
            "global/pg_control" => {
                let mut first = Vec::new();
                entry.by_ref().take(CONTROL).read_to_end(&mut first).map_err(broken)?;
                // In the order of this machine's bytes, which is that of the server's: other machines cannot read it at all.
                seen.system = first.try_into().ok().map(u64::from_ne_bytes);
            }
            "PG_VERSION" => {
                let mut text = String::new();
                entry.by_ref().take(16).read_to_string(&mut text).map_err(broken)?;
                seen.version = text.trim().parse().ok();
            }
            "backup_manifest" => {
                entry.by_ref().take(MOST_OF_MANIFEST).read_to_end(&mut seen.manifest).map_err(broken)?;
            }
            name => {
                let is_wal = name.strip_prefix("pg_wal/").is_some_and(|file| file.len() == 24);
                if is_wal && entry.header().entry_type().is_file() {
                    seen.segment_size = Some(entry.size());
                }
            }
        }
    }
    // What follows the last file is part of the archive.
    io::copy(&mut passing, &mut io::sink()).map_err(broken)?;
    Ok((seen, passing.bytes))
}

fn extent(seen: &Seen) -> Result<Extent, String> {
    let manifest: Manifest =
        serde_json::from_slice(&seen.manifest).map_err(|why| format!("its manifest: {why}"))?;
    let [range] = &manifest.ranges[..] else {
        return Err("it was made while another server took over: make it again".to_owned());
    };
    Ok(Extent {
        server: seen.version.ok_or("it has no version")?,
        timeline: range.timeline,
        from: range.start.parse::<Lsn>()?,
        to: range.end.parse()?,
        segment_size: SegmentSize::try_from(seen.segment_size.ok_or("it has no WAL")?)?,
    })
}

/// What is read from one is written to the other.
struct Passing<R, W> {
    from: R,
    to: W,
    bytes: u64,
}

impl<R: Read, W: Write> Read for Passing<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.to.write_all(&buffer[..read])?;
        self.bytes += read as u64;
        Ok(read)
    }
}

fn copy_files(
    place: &Place,
    files: &[PathBuf],
    key: impl FnOnce(&str) -> String,
    recipients: &Recipients,
) -> Result<Kept, BackupError> {
    let name = format!("files.tar{}", ending(recipients));
    let write = |sealing: &mut dyn Write| {
        let mut archive = tar::Builder::new(Counting::new(sealing));
        archive.follow_symlinks(true);
        for file in files {
            let failed = |why: io::Error| BackupError::file("cannot back up", file, why);
            let whole = std::path::absolute(file).map_err(failed)?;
            // Where it was is told by its name in the archive, which never begins at the root.
            let named = whole.strip_prefix("/").unwrap_or(&whole);
            let added = match whole.is_dir() {
                true => archive.append_dir_all(named, &whole),
                false => archive.append_path_with_name(&whole, named),
            };
            added.map_err(failed)?;
        }
        let finished = archive.into_inner();
        let finished =
            finished.map_err(|why| BackupError::Invalid(format!("the files cannot be written: {why}")))?;
        Ok(finished.finish().1.bytes)
    };
    let (plain_bytes, sum) = place.put_sealed(&key(&name), recipients, |sealing| write(sealing))?;
    Ok(Kept::new(name, plain_bytes, sum))
}

/// Removes what nobody needs who keeps backups for so long, and says which backups that were. The newest of each system stays.
pub fn remove_outdated(place: &Place, keep: Duration) -> Result<Vec<String>, BackupError> {
    let catalogue = place.catalogue()?;
    let mut gone = Vec::new();
    for key in catalogue.outdated(keep, Timestamp::now()) {
        place.delete(&key)?;
        if let Some(backup) = key.strip_suffix("/backup.json") {
            gone.push(backup.rsplit('/').next().unwrap_or(backup).to_owned());
        }
    }
    Ok(gone)
}
