//! Large documents beside the database: evidence and reports, in a directory or in object storage.

mod place;
mod upload;

use std::{
    fmt,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path as FilePath, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use model::{ScanId, TenantId};
use object_store::{Error, ObjectStore, ObjectStoreExt, path::Path};
use tokio::time::timeout;

pub use self::upload::Upload;
use crate::{Lease, StoreError};

/// Where evidence lies.
const EVIDENCE: &str = "evidence";
/// Where reports lie.
const REPORTS: &str = "reports";
/// How long somebody waits for the next piece of a document.
const PIECE: Duration = Duration::from_secs(30);
/// How long a place is left alone where something could not be put.
const REST: Duration = Duration::from_secs(5);
/// Who has not written to a file for so long will not go on.
const LEFT: Duration = Duration::from_secs(60 * 60);

/// A place for documents that are too large for the database. Cheap to share.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<dyn ObjectStore>,
    /// The URL without what is secret in it.
    shown: String,
    /// Of a directory.
    root: Option<PathBuf>,
    /// Until when nothing is put there that has another place.
    rests: Arc<Mutex<Option<Instant>>>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A document on its way here.
pub struct Download {
    shown: String,
    pieces: BoxStream<'static, Result<Vec<u8>, StoreError>>,
}

impl Download {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let silent = |_| StoreError::Objects(format!("{}: nothing came for {PIECE:?}", self.shown));
        timeout(PIECE, self.pieces.try_next()).await.map_err(silent)?
    }
}

/// The name of an object: what it is, whose it is, which it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// What one try of a task took. Said twice by the same try it is the same; another try has another.
    pub(crate) fn evidence(lease: &Lease) -> ObjectKey {
        ObjectKey(format!("{EVIDENCE}/{}/{}-{}.json", lease.tenant, lease.task, lease.number))
    }

    /// A report of a scan.
    pub fn report(tenant: TenantId, scan: ScanId, file_name: &str) -> ObjectKey {
        ObjectKey(format!("{}/{file_name}", ObjectKey::reports(tenant, scan)))
    }

    /// How the keys of a scan's reports begin.
    pub fn reports(tenant: TenantId, scan: ScanId) -> String {
        format!("{REPORTS}/{tenant}/{scan}")
    }

    /// Whose evidence it is, if it is any.
    pub(crate) fn tenant_of_evidence(&self) -> Option<TenantId> {
        let (tenant, _) = self.0.strip_prefix(EVIDENCE)?.strip_prefix('/')?.split_once('/')?;
        tenant.parse().ok()
    }

    /// As a row names it. That it is the tenant's own holds beside row-level security.
    pub(crate) fn of_tenants_evidence(tenant: TenantId, text: &str) -> Result<ObjectKey, StoreError> {
        match text.strip_prefix(&format!("{EVIDENCE}/{tenant}/")) {
            Some(rest) if !rest.is_empty() && !rest.contains('/') => Ok(ObjectKey(text.to_owned())),
            _ => Err(StoreError::Damaged(format!("`{text}` is no evidence of tenant {tenant}"))),
        }
    }

    /// As a row names it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn path(&self) -> Path {
        Path::from(self.0.as_str())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Objects {
    /// The place that a URL names, as `docs/operations.md` describes it. A directory is made, for its owner alone; whether a bucket
    /// can be used is seen when it is: [`Objects::check`].
    pub fn open(url: &str) -> Result<Objects, StoreError> {
        place::open(url)
    }

    /// A directory; it is made if there is none.
    pub fn directory(root: &FilePath) -> Result<Objects, StoreError> {
        place::directory(root)
    }

    /// Writes it as a whole or not at all, in the place of what had the key.
    pub async fn put(&self, key: &ObjectKey, body: Vec<u8>) -> Result<(), StoreError> {
        if self.root.is_some() {
            let (objects, key) = (self.clone(), key.clone());
            let made = tokio::task::spawn_blocking(move || objects.make_room(&key)).await;
            made.map_err(|error| StoreError::Objects(error.to_string()))??;
        }
        // That something is missing can only be the bucket.
        let put = self.inner.put(&key.path(), body.into()).await;
        put.map(drop).map_err(|error| StoreError::Objects(format!("{self}: {error}")))
    }

    /// The same of what can be kept elsewhere: while the place is away, nobody waits for it again and again. Was it put there?
    pub(crate) async fn try_to_put(&self, key: &ObjectKey, body: Vec<u8>) -> bool {
        let rests = || self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        if rests().is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let put = self.put(key, body).await;
        let rest = put.is_err().then(|| Instant::now() + REST);
        let before = std::mem::replace(&mut *rests(), rest);
        match put {
            Err(error) if before.is_none() => tracing::warn!(%error, "evidence goes into the database"),
            Err(error) => tracing::debug!(%error, "evidence still goes into the database"),
            Ok(()) if before.is_some() => {
                tracing::info!(objects = %self, "evidence goes to the object storage again")
            }
            Ok(()) => return true,
        }
        rest.is_none()
    }

    /// All of it.
    pub async fn get(&self, key: &ObjectKey) -> Result<Vec<u8>, StoreError> {
        let mut download = self.download(key).await?;
        let mut body = Vec::new();
        while let Some(piece) = download.next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Piece by piece, as it comes.
    pub async fn download(&self, key: &ObjectKey) -> Result<Download, StoreError> {
        let found = self.inner.get(&key.path()).await.map_err(|error| self.trouble(key, &error))?;
        let (objects, key) = (self.clone(), key.clone());
        let pieces = found.into_stream().map_ok(Vec::from);
        let pieces = pieces.map_err(move |error| objects.trouble(&key, &error)).boxed();
        Ok(Download { shown: self.shown.clone(), pieces })
    }

    /// That it is gone already is as good.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        match self.inner.delete(&key.path()).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.trouble(key, &error)),
        }
    }

    /// Everything that was written of a scan's reports. That there is nothing is as good.
    pub(crate) async fn delete_reports(&self, tenant: TenantId, scan: ScanId) -> Result<(), StoreError> {
        let beginning = ObjectKey::reports(tenant, scan);
        if let Some(root) = &self.root {
            // With the directory itself, and with what somebody did not finish in it.
            let directory = root.join(beginning);
            let removed = tokio::task::spawn_blocking(move || {
                unless_gone(std::fs::remove_dir_all(&directory)).map_err(|why| {
                    let directory = directory.display();
                    StoreError::Objects(format!("cannot remove the directory `{directory}`: {why}"))
                })
            });
            return removed.await.map_err(|error| StoreError::Objects(error.to_string()))?.map(drop);
        }
        let found = self.inner.list(Some(&Path::from(beginning)));
        let found: Vec<_> =
            found.try_collect().await.map_err(|error| StoreError::Objects(format!("{self}: {error}")))?;
        for object in found {
            self.delete(&ObjectKey(object.location.to_string())).await?;
        }
        Ok(())
    }

    /// A document that is written piece by piece, on a thread that may wait, within a runtime.
    pub fn begin(&self, key: &ObjectKey) -> Result<Upload, StoreError> {
        self.make_room(key)?;
        let (above, _) = key.0.rsplit_once('/').unwrap_or_default();
        self.remove_unfinished(&[above])?;
        Ok(Upload::begin(self.clone(), key.clone()))
    }

    /// What is in a directory is nobody else's, whoever may look into the one above.
    fn make_room(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let Some(root) = &self.root else { return Ok(()) };
        let (above, _) = key.0.rsplit_once('/').unwrap_or_default();
        let directory = root.join(above);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|why| {
            StoreError::Objects(format!("cannot make the directory `{}`: {why}", directory.display()))
        })
    }

    /// Where people find all reports.
    pub fn describe_reports(&self) -> String {
        self.describe(REPORTS)
    }

    /// Where people find everything whose key begins so.
    pub fn describe(&self, beginning: &str) -> String {
        match &self.root {
            Some(root) => root.join(beginning).display().to_string(),
            None => format!("{self}/{beginning}"),
        }
    }

    /// Can something be written, read and deleted?
    pub async fn check(&self) -> Result<(), StoreError> {
        let key = ObjectKey(format!("doctor-{:032x}", rand::random::<u128>()));
        let body = b"rampart doctor".to_vec();
        self.put(&key, body.clone()).await?;
        let read = self.get(&key).await;
        self.delete(&key).await?;
        if read? != body {
            return Err(StoreError::Objects(format!("{self}: `{key}` is not what was written")));
        }
        Ok(())
    }

    /// All evidence that was written before a time, in no particular order.
    pub(crate) fn evidence_before(
        &self,
        before: Timestamp,
    ) -> impl Stream<Item = Result<ObjectKey, StoreError>> + use<> {
        let objects = self.clone();
        self.inner.list(Some(&Path::from(EVIDENCE))).filter_map(move |entry| {
            let found = match entry {
                Ok(entry) if entry.last_modified.timestamp() < before.as_second() => {
                    Some(Ok(ObjectKey(entry.location.to_string())))
                }
                Ok(_) => None,
                Err(error) => Some(Err(StoreError::Objects(format!("{objects}: {error}")))),
            };
            std::future::ready(found)
        })
    }

    /// Removes what somebody left who was killed in the middle of writing to a directory. In object storage nobody sees what is
    /// not finished; there a rule of the bucket removes it.
    fn remove_unfinished(&self, below: &[&str]) -> Result<(), StoreError> {
        let Some(root) = &self.root else { return Ok(()) };
        let mut directories: Vec<PathBuf> = below.iter().map(|below| root.join(below)).collect();
        while let Some(directory) = directories.pop() {
            let failed =
                |why: std::io::Error| StoreError::Objects(format!("`{}`: {why}", directory.display()));
            for entry in unless_gone(std::fs::read_dir(&directory)).map_err(failed)?.into_iter().flatten() {
                let entry = entry.map_err(failed)?;
                let kind = unless_gone(entry.file_type()).map_err(failed)?;
                if kind.is_some_and(|kind| kind.is_dir()) {
                    directories.push(entry.path());
                } else if is_unfinished(&entry.file_name().to_string_lossy()) && is_left(&entry) {
                    unless_gone(std::fs::remove_file(entry.path())).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// The same everywhere.
    pub(crate) async fn remove_all_unfinished(&self) -> Result<(), StoreError> {
        let objects = self.clone();
        let removed =
            tokio::task::spawn_blocking(move || objects.remove_unfinished(&[EVIDENCE, REPORTS])).await;
        removed.map_err(|error| StoreError::Objects(error.to_string()))?
    }

    fn trouble(&self, key: &ObjectKey, error: &Error) -> StoreError {
        match error {
            Error::NotFound { .. } => StoreError::Missing { kind: "object", name: key.to_string() },
            other => StoreError::Objects(format!("{self}: {other}")),
        }
    }
}

/// `object_store` writes to `NAME#NUMBER` and renames it at the end.
fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Others write, rename and remove at the same time.
fn unless_gone<T>(done: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match done {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

fn is_left(entry: &std::fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    // What is gone in the meantime is nobody's concern.
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|since| since > LEFT))
}
