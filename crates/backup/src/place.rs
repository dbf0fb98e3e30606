//! Where backups are: a directory or object storage, as for reports and evidence.

use std::{
    fmt,
    io::{self, Read, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use store::{Download, Listed, ObjectKey, Objects, Upload};
use tokio::runtime::Handle;

use crate::{
    BackupError, Catalogue, Keys, Recipients,
    seal::{Counting, Sealing, Sum, unseal},
};

/// A place for backups. Cheap to share.
#[derive(Debug, Clone)]
pub struct Place {
    objects: Objects,
    runtime: Handle,
    given_up: Arc<AtomicBool>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

impl Place {
    /// The place that a URL names, as `docs/operations.md` describes it for objects, within a runtime.
    pub fn open(url: &str) -> Result<Place, BackupError> {
        Ok(Place::of(Objects::open(url)?))
    }

    /// The same for who writes there first: a directory is made.
    pub fn open_or_make(url: &str) -> Result<Place, BackupError> {
        Ok(Place::of(Objects::open_or_make(url)?))
    }

    fn of(objects: Objects) -> Place {
        Place { objects, runtime: Handle::current(), given_up: Arc::default() }
    }

    /// Whatever is on its way from or to it ends soon, with an error, and leaves nothing behind.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(crate) fn go_on(&self) -> Result<(), BackupError> {
        match self.given_up.load(Ordering::Relaxed) {
            true => Err(BackupError::Interrupted),
            false => Ok(()),
        }
    }

    /// What is there.
    pub fn catalogue(&self) -> Result<Catalogue, BackupError> {
        Catalogue::read(self.list()?, |key| self.get(key))
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn list(&self) -> Result<Vec<Listed>, BackupError> {
        Ok(self.runtime.block_on(self.objects.list())?)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Vec<u8>, BackupError> {
        Ok(self.runtime.block_on(self.objects.get(&ObjectKey::of_backups(key)?))?)
    }

    pub(crate) fn put(&self, key: &str, body: Vec<u8>) -> Result<(), BackupError> {
        Ok(self.runtime.block_on(self.objects.put(&ObjectKey::of_backups(key)?, body))?)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), BackupError> {
        Ok(self.runtime.block_on(self.objects.delete(&ObjectKey::of_backups(key)?))?)
    }

    /// Seals what `write` writes, whatever its length. It is there as a whole when this returns, or not at all.
    pub(crate) fn put_sealed<T>(
        &self,
        key: &str,
        recipients: &Recipients,
        write: impl FnOnce(&mut Sealing<OnItsWay>) -> Result<T, BackupError>,
    ) -> Result<(T, Sum), BackupError> {
        let upload = {
            let _within = self.runtime.enter();
            self.objects.begin_large(&ObjectKey::of_backups(key)?)?
        };
        let mut sealing = Sealing::new(OnItsWay { upload, place: self.clone() }, recipients)?;
        let written = write(&mut sealing);
        // Whatever was said meanwhile, this is why.
        self.go_on()?;
        let written = written?;
        let (way, sum) = sealing.finish().map_err(|why| self.broken(key, &why))?;
        way.upload.finish()?;
        Ok((written, sum))
    }

    /// Hands what is in an object to `read`, decrypted and decompressed, and then says what the object is.
    pub(crate) fn get_sealed<T>(
        &self,
        key: &str,
        keys: &Keys,
        read: impl FnOnce(&mut dyn Read) -> Result<T, BackupError>,
    ) -> Result<(T, Sum), BackupError> {
        let mut counting = self.reading(key)?;
        let done = {
            let mut unsealed = unseal(&mut counting, key, keys)?;
            let done = read(&mut unsealed);
            self.go_on()?;
            let done = done?;
            // To its end: what is missing or changed there is seen only then.
            io::copy(&mut unsealed, &mut io::sink()).map_err(|why| self.broken(key, &why))?;
            done
        };
        io::copy(&mut counting, &mut io::sink()).map_err(|why| self.broken(key, &why))?;
        Ok((done, counting.finish().1))
    }

    /// What the object is, without a look into it.
    pub(crate) fn sum(&self, key: &str) -> Result<Sum, BackupError> {
        let mut counting = self.reading(key)?;
        io::copy(&mut counting, &mut io::sink()).map_err(|why| self.broken(key, &why))?;
        Ok(counting.finish().1)
    }

    fn reading(&self, key: &str) -> Result<Counting<Reading>, BackupError> {
        let download = self.runtime.block_on(self.objects.download(&ObjectKey::of_backups(key)?))?;
        Ok(Counting::new(Reading { download, place: self.clone(), piece: Vec::new(), at: 0 }))
    }

    pub(crate) fn broken(&self, key: &str, why: &io::Error) -> BackupError {
        // Whatever breaks off then, this is why.
        if let Err(interrupted) = self.go_on() {
            return interrupted;
        }
        BackupError::Damaged(format!("`{key}` in {self}: {why}"))
    }

    /// How people find an object.
    pub(crate) fn describe(&self, key: &str) -> String {
        self.objects.describe(key)
    }
}

/// An object on its way here, for who waits for it.
struct Reading {
    download: Download,
    place: Place,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Reading {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            self.place.go_on().map_err(io::Error::other)?;
            match self.place.runtime.block_on(self.download.next()).map_err(io::Error::other)? {
                Some(piece) => (self.piece, self.at) = (piece, 0),
                None => return Ok(0),
            }
        }
        let written = buffer.write(&self.piece[self.at..])?;
        self.at += written;
        Ok(written)
    }
}

/// An object on its way there.
pub(crate) struct OnItsWay {
    upload: Upload,
    place: Place,
}

impl Write for OnItsWay {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.place.go_on().map_err(io::Error::other)?;
        self.upload.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}

/// A directory of its own for what is on its way, which goes with the value.
pub(crate) fn scratch(within: Option<&PathBuf>) -> Result<tempfile::TempDir, BackupError> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("rampart-backup-");
    let within = within.cloned().unwrap_or_else(std::env::temp_dir);
    builder.tempdir_in(&within).map_err(|why| BackupError::file("no directory can be made in", &within, why))
}
