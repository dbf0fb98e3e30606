//! Keeps what a server writes ahead, while it is written: with it anything can be had again as it was at any moment since a backup.
//!
//! `pg_receivewal` follows the server into a directory, the spool. What is whole there goes to the place for backups, and of what is
//! being written a look at every interval: so much is lost, at most, when the server is. A slot keeps at the server what has not come
//! here yet, for as long as it takes.

use std::{
    collections::BTreeSet,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use crate::{
    BackupError, Place, Recipients, Source, System,
    following::{Followed, Following},
    seal::{ending, seal},
    segment::{Segment, SegmentSize, is_history},
};
use jiff::Timestamp;

/// How often the spool is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Backups and drills of others are counted so often: everything there is read for it.
const COUNT: Duration = Duration::from_secs(5 * 60);

/// What is kept of which server, where, and how.
pub struct Archive<'a> {
    /// Where it goes.
    pub place: &'a Place,
    /// Whose it is.
    pub source: &'a Source,
    /// Who can read it.
    pub recipients: &'a Recipients,
    /// Where it waits. What is in there was written by nobody else, and is lost to nobody: it is on a disk of its own.
    pub spool: &'a Path,
    /// By which name the server knows that somebody follows.
    pub slot: &'a str,
    /// How often what is being written is kept.
    pub every: Duration,
}

/// What has come to the place.
#[derive(Debug, Clone, Default)]
pub struct Shipped {
    /// When everything that had come from the server was in the place, the last time.
    pub current_at: Option<Timestamp>,
    /// Files that were put there.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Files that wait in the spool, that are whole.
    pub waiting: u64,
    /// Is something missing between what is in the place and what comes now? A new backup mends it.
    pub gap: bool,
    /// When the newest backup in the place was done.
    pub backup_at: Option<Timestamp>,
    /// What the newest drill has shown.
    pub drill: Option<crate::DrillReport>,
    /// When the newest drill that showed nothing bad was done.
    pub drill_passed_at: Option<Timestamp>,
}

/// What whoever watches sees of it.
#[derive(Debug, Default)]
pub struct ArchiveFigures(Mutex<Shipped>);

impl ArchiveFigures {
    /// As it is now.
    pub fn now(&self) -> Shipped {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Shipped)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What is known of what is in the spool and in the place.
struct At {
    /// The directory of this system.
    spool: PathBuf,
    system: System,
    /// Whole files that are there.
    whole: BTreeSet<String>,
    /// The newest of them, to see what is missing.
    newest: Option<Segment>,
    size: Option<SegmentSize>,
    /// The last look at what is being written: of which file, what it was, and under which name it is there.
    look: Option<Look>,
}

impl At {
    /// The names of what is whole, in order.
    fn whole_files(&self) -> Result<Vec<String>, BackupError> {
        let mut names = self.files()?;
        names.retain(|name| !name.contains(".partial"));
        Ok(names)
    }

    fn files(&self) -> Result<Vec<String>, BackupError> {
        let failed = |why| BackupError::file("cannot read the spool", &self.spool, why);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.spool).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            names.extend(entry.file_name().to_str().filter(|_| is_file).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Forgets where it was to go on. Everything that was there is in the place.
    fn begin_anew(&mut self) -> Result<(), BackupError> {
        for name in self.files()? {
            let file = self.spool.join(name);
            std::fs::remove_file(&file).map_err(|why| BackupError::file("cannot remove", &file, why))?;
        }
        self.whole.clear();
        self.look = None;
        Ok(())
    }
}

struct Look {
    file: String,
    key: String,
    /// What was there.
    seen: Vec<u8>,
}

impl Archive<'_> {
    /// Goes on until `stop` says so or is gone, and then keeps what has come by then. A server that is away is waited for; it ends by
    /// itself when another one answers.
    pub fn run(&self, figures: &ArchiveFigures, stop: &Receiver<()>) -> Result<(), BackupError> {
        let system = System::of_postgres(self.source.identify()?);
        // Of each system its own: what is there says where to go on.
        let spool = std::path::absolute(self.spool.join(system.to_string()));
        let failed = |why| BackupError::file("cannot make the spool", self.spool, why);
        let spool = spool.map_err(failed)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&spool).map_err(failed)?;
        let catalogue = self.place.catalogue()?;
        let newest = catalogue.newest_whole(&system).map(|file| file.name.clone());
        let mut at = At {
            spool,
            whole: BTreeSet::new(),
            newest: None,
            size: None,
            look: None,
            system: system.clone(),
        };
        for name in at.whole_files()? {
            if catalogue.has_whole(&system, &name) {
                at.whole.insert(name);
            }
        }
        let directory = at.spool.clone();
        let mut following = Following::start(self.source, &system, &directory, self.slot)?;
        tracing::info!(%system, place = %self.place, spool = %directory.display(), every = ?self.every, "what is written ahead is kept");
        let (mut looked, mut counted, mut in_trouble) = (None, None, false);
        loop {
            let wants_end = !matches!(stop.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout));
            let followed = match wants_end {
                true => {
                    following.end();
                    Followed::Not
                }
                false => following.look()?,
            };
            let look = wants_end || looked.is_none_or(|at: Instant| at.elapsed() >= self.every);
            let look = look || followed == Followed::Never;
            match self.ship(&mut at, newest.as_deref(), look, followed == Followed::Well, figures) {
                Ok(()) => {
                    if look {
                        looked = Some(Instant::now());
                    }
                    if followed == Followed::Never {
                        tracing::warn!(
                            "what comes next is not to be had any more: it goes on from now, and a new backup is needed"
                        );
                        following.forget_slot();
                        at.begin_anew()?;
                        figures.change(|shipped| shipped.gap = true);
                    }
                    if std::mem::take(&mut in_trouble) {
                        tracing::info!("what is written ahead is kept again");
                    }
                }
                Err(error) => {
                    figures.change(|shipped| shipped.failures += 1);
                    if wants_end {
                        return Err(error);
                    }
                    if !std::mem::replace(&mut in_trouble, true) {
                        tracing::warn!(%error, "what is written ahead waits in the spool");
                    }
                }
            }
            if wants_end {
                return Ok(());
            }
            if counted.is_none_or(|at: Instant| at.elapsed() >= COUNT) {
                counted = Some(Instant::now());
                self.count(&system, figures);
            }
        }
    }

    /// Counts what others have put there.
    fn count(&self, system: &System, figures: &ArchiveFigures) {
        match self.place.catalogue() {
            Ok(catalogue) => figures.change(|shipped| {
                let newest = catalogue.backups.iter().rfind(|backup| backup.system == *system);
                shipped.backup_at = newest.map(|backup| backup.ended);
                shipped.gap = newest
                    .and_then(|backup| catalogue.chain(backup))
                    .is_some_and(|chain| chain.gap.is_some());
                let passed = catalogue.drills.iter().rfind(|drill| drill.troubles.is_empty());
                shipped.drill_passed_at = passed.map(|drill| drill.ended);
                shipped.drill = catalogue.drills.into_iter().next_back();
            }),
            Err(error) => tracing::warn!(%error, "it is unknown which backups and drills there are"),
        }
    }

    /// Puts there what is whole, and, if it is time for that, what is being written.
    fn ship(
        &self,
        at: &mut At,
        newest: Option<&str>,
        look: bool,
        is_followed: bool,
        figures: &ArchiveFigures,
    ) -> Result<(), BackupError> {
        let begun = Timestamp::now();
        let spooled = at.whole_files()?;
        let waiting = spooled.iter().filter(|name| !at.whole.contains(*name)).count();
        figures.change(|shipped| shipped.waiting = waiting as u64);
        for name in &spooled {
            if at.whole.contains(name) {
                continue;
            }
            let file = at.spool.join(name);
            let bytes = read(&file)?;
            if let Some(segment) = segment_in(name, bytes.len(), at) {
                let before = at.newest.or_else(|| newest.and_then(|name| Segment::read(name, at.size?)));
                if before.is_some_and(|before| segment.number > before.number + 1) {
                    tracing::warn!(
                        file = name,
                        "between what is in the place and what comes now something is missing: make a new backup"
                    );
                    figures.change(|shipped| shipped.gap = true);
                }
                at.newest = Some(segment);
            } else if !is_history(name) {
                // Nothing of the server's: `pg_receivewal` says which files it makes.
                continue;
            }
            self.put(&at.system, name, &bytes, figures)?;
            at.whole.insert(name.clone());
            if let Some(old) = at.look.take_if(|look| look.file == *name) {
                self.place.delete(&old.key)?;
            }
        }
        // From the newest `pg_receivewal` sees where to go on.
        let keep = spooled.iter().rfind(|name| !is_history(name));
        for name in spooled.iter().filter(|name| !is_history(name) && Some(*name) != keep) {
            if at.whole.contains(name) {
                let file = at.spool.join(name);
                std::fs::remove_file(&file).map_err(|why| BackupError::file("cannot remove", &file, why))?;
                at.whole.remove(name);
            }
        }
        if look {
            let unfinished = at.files()?;
            let unfinished = unfinished.iter().filter_map(|name| name.strip_suffix(".partial"));
            if let Some(name) = unfinished.max() {
                self.look(at, name, figures)?;
            }
            if is_followed {
                figures.change(|shipped| shipped.current_at = Some(begun));
            }
        }
        Ok(())
    }

    fn look(&self, at: &mut At, name: &str, figures: &ArchiveFigures) -> Result<(), BackupError> {
        let file = at.spool.join(format!("{name}.partial"));
        let Some(bytes) = read_if_there(&file)? else { return Ok(()) };
        if at.look.as_ref().is_some_and(|look| look.file == name && look.seen == bytes) {
            return Ok(());
        }
        let named = format!("{name}.partial-{:013}", Timestamp::now().as_millisecond());
        let key = self.put(&at.system, &named, &bytes, figures)?;
        if let Some(old) = at.look.replace(Look { file: name.to_owned(), key, seen: bytes }) {
            self.place.delete(&old.key)?;
        }
        Ok(())
    }

    fn put(
        &self,
        system: &System,
        name: &str,
        bytes: &[u8],
        figures: &ArchiveFigures,
    ) -> Result<String, BackupError> {
        let (sealed, sum) = seal(bytes, self.recipients)?;
        let key = system.wal(&format!("{name}.{}{}", sum.sha256, ending(self.recipients)));
        self.place.put(&key, sealed)?;
        figures.change(|shipped| {
            shipped.files += 1;
            shipped.bytes += sum.bytes;
        });
        Ok(key)
    }
}

fn segment_in(name: &str, bytes: usize, at: &mut At) -> Option<Segment> {
    let size = SegmentSize::try_from(bytes as u64).ok()?;
    let segment = Segment::read(name, size)?;
    at.size = Some(size);
    Some(segment)
}

fn read(file: &PathBuf) -> Result<Vec<u8>, BackupError> {
    std::fs::read(file).map_err(|why| BackupError::file("cannot read", file, why))
}

/// What is being written is renamed when it is whole.
fn read_if_there(file: &PathBuf) -> Result<Option<Vec<u8>>, BackupError> {
    match std::fs::read(file) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|why| BackupError::file("cannot read", file, why)),
    }
}
