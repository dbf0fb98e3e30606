//! Large documents beside the database: evidence and reports, in a directory or in object storage.

mod answer;
mod place;
mod upload;

use std::{
    fmt,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path as FilePath, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use model::{ScanId, TenantId};
use object_store::{Error, ObjectStore, ObjectStoreExt, path::Path};
use tokio::time::{Instant, timeout};

use self::place::Absent;
pub use self::upload::Upload;
use crate::{Lease, StoreError};

/// Where evidence lies.
const EVIDENCE: &str = "evidence";
/// Where reports lie.
const REPORTS: &str = "reports";
/// How long somebody waits for the next piece of a document.
const PIECE: Duration = Duration::from_secs(30);
/// How long a place is left alone where something could not be put, at least.
const REST: Duration = Duration::from_secs(5);
/// Who waited in vain leaves it alone so many times as long: of the time in which nothing is put there, little is waiting.
const REST_OF_WAIT: u32 = 10;
/// How long anybody waits to put there what can be kept elsewhere,
const PUT: Duration = Duration::from_secs(3);
/// longer the more it is, at as much as passes in a second at least,
const PUT_A_SECOND: u64 = 256 << 10;
/// and how long at most. Of many, none is begun later than so long after the first.
pub(crate) const LONGEST_PUT: Duration = Duration::from_secs(10);
/// Characters of an error that are told.
const MOST_TOLD: usize = 600;
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

/// An object among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: String,
    /// How long it is.
    pub bytes: u64,
    /// When it was written.
    pub at: Timestamp,
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

    /// A part of a backup, in a place that has nothing but backups: names between slashes, none of them empty or of dots alone.
    pub fn of_backups(path: &str) -> Result<ObjectKey, StoreError> {
        let is_name = |name: &str| {
            let known = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            name.chars().all(known) && !name.trim_matches('.').is_empty()
        };
        match path.split('/').all(is_name) {
            true => Ok(ObjectKey(path.to_owned())),
            false => Err(StoreError::Invalid(format!("`{path}` is no name of an object"))),
        }
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
    /// The place that a URL names, as `docs/operations.md` describes it. A directory has to be there; whether a bucket can be used is
    /// seen when it is: [`Objects::check`].
    pub fn open(url: &str) -> Result<Objects, StoreError> {
        place::open(url, Absent::Refused)
    }

    /// The same for those who write there first: a directory is made if there is none, for its owner alone, and that is said.
    pub fn open_or_make(url: &str) -> Result<Objects, StoreError> {
        place::open(url, Absent::Made)
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
        put.map(drop).map_err(|error| StoreError::Objects(format!("{self}: {}", brief(error))))
    }

    /// The same of what can be kept elsewhere: was it put there? Who asks waits for some seconds at most, and while the place is away
    /// one at a time, now and then. What comes to its turn only after `begin_by` finds the place too slow.
    pub(crate) async fn try_to_put(&self, key: &ObjectKey, body: Vec<u8>, begin_by: Instant) -> bool {
        let begun = Instant::now();
        let within = longest_put_of(body.len());
        {
            let mut rests = self.rests();
            match *rests {
                Some(until) if begun < until => return false,
                // The others need not wait to learn what this one learns.
                Some(_) => *rests = Some(begun + within),
                None => {}
            }
        }
        let put = if begun > begin_by {
            Err(StoreError::Objects(format!("{self}: what was to be put before took too long")))
        } else {
            let late = |_| Err(StoreError::Objects(format!("{self}: there was no answer within {within:?}")));
            timeout(within, self.put(key, body)).await.unwrap_or_else(late)
        };
        let rest = put.is_err().then(|| Instant::now() + REST.max(begun.elapsed() * REST_OF_WAIT));
        let before = std::mem::replace(&mut *self.rests(), rest);
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

    fn rests(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Everything that is there, in no particular order. What somebody has not finished is not there yet.
    pub async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let found = self.inner.list(None).try_collect::<Vec<_>>().await;
        let found = found.map_err(|error| StoreError::Objects(format!("{self}: {}", brief(error))))?;
        let listed = found.into_iter().map(|object| Listed {
            key: object.location.to_string(),
            bytes: object.size,
            at: Timestamp::from_millisecond(object.last_modified.timestamp_millis()).unwrap_or_default(),
        });
        Ok(listed.filter(|object| !is_unfinished(&object.key)).collect())
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
        self.begin_in_parts(key, upload::PART)
    }

    /// The same of what may have hundreds of gigabytes; it holds a hundred megabytes of it.
    pub fn begin_large(&self, key: &ObjectKey) -> Result<Upload, StoreError> {
        self.begin_in_parts(key, upload::LARGE_PART)
    }

    fn begin_in_parts(&self, key: &ObjectKey, part: usize) -> Result<Upload, StoreError> {
        self.make_room(key)?;
        let (above, _) = key.0.rsplit_once('/').unwrap_or_default();
        self.remove_unfinished(&[above])?;
        Ok(Upload::begin(self.clone(), key.clone(), part))
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
                Err(error) => Some(Err(StoreError::Objects(format!("{objects}: {}", brief(error))))),
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
            other => StoreError::Objects(format!("{self}: {}", brief(other))),
        }
    }
}

/// What went wrong, as far as people read it: these carry whatever a server said.
fn brief(error: impl fmt::Display) -> String {
    let text = error.to_string();
    let cut = text.char_indices().nth(MOST_TOLD);
    let told = cut.map_or(text.as_str(), |(end, _)| &text[..end]);
    let mut told = told.replace(char::is_control, " ");
    if cut.is_some() {
        told.push('…');
    }
    told
}

fn longest_put_of(bytes: usize) -> Duration {
    (PUT + Duration::from_secs(bytes as u64 / PUT_A_SECOND)).min(LONGEST_PUT)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock stands still while something is done, and moves when everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_place_that_says_nothing_is_waited_for_seconds_and_then_left_alone_for_ten_times_as_long() {
        // The kernel takes the connection; nobody ever reads from it.
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = silent.local_addr().unwrap();
        let objects = Objects::open(&format!("s3://key:secret@bucket?endpoint=http://{address}")).unwrap();
        let key = ObjectKey(format!("{EVIDENCE}/one.json"));
        let put = async |bytes: usize| {
            let begun = Instant::now();
            assert!(!objects.try_to_put(&key, vec![b'x'; bytes], begun + LONGEST_PUT).await);
            begun.elapsed().as_secs()
        };
        assert_eq!(put(1).await, 3);
        assert_eq!(put(1).await, 0, "it rests");
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(put(1).await, 0, "it still rests");
        tokio::time::advance(Duration::from_secs(2)).await;
        // One finds out, for all of them.
        let (first, second) = tokio::join!(put(1), put(1));
        assert_eq!((first, second), (3, 0));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(put(1 << 20).await, 3 + 4, "more may take longer");
        tokio::time::advance(Duration::from_secs(71)).await;
        assert_eq!(put(64 << 20).await, 10, "but not for ever");
    }

    #[test]
    fn of_what_went_wrong_some_hundred_characters_are_told() {
        assert_eq!(brief("403 Forbidden: <Error>\r\n\u{1b}[31m"), "403 Forbidden: <Error>   [31m");
        let told = brief("é".repeat(5_000));
        assert_eq!((told.chars().count(), told.ends_with("é…")), (601, true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_to_its_turn_too_late_is_not_begun() {
        let directory = tempfile::tempdir().unwrap();
        let objects = Objects::directory(directory.path()).unwrap();
        let key = ObjectKey(format!("{EVIDENCE}/one.json"));
        let begin_by = Instant::now();
        assert!(objects.try_to_put(&key, b"{}".to_vec(), begin_by).await);
        objects.delete(&key).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!objects.try_to_put(&key, b"{}".to_vec(), begin_by).await);
        assert!(matches!(objects.get(&key).await, Err(StoreError::Missing { .. })));
    }
}
