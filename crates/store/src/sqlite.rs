//! SQLite: one file, one thread that writes, group commit.
//!
//! Whatever waits when the writer comes round is done in one transaction, each job in a savepoint of its own, and one
//! synchronisation with the disk makes all of it durable. Answers are given after that and not before.

mod migrate;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, types::ValueRef};
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use self::migrate::STEPS;
use crate::{
    StoreError,
    session::{Dialect, Session},
    value::{Kind, Row, Value, rows_of_places},
};

/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(10);
/// Values in one statement: it looks through the names of all for each that it reads, and a statement that it has read before costs
/// nothing.
const VALUES_AT_ONCE: usize = 400;
/// Jobs in one transaction: more make the first of them wait.
const GROUP: usize = 256;

/// Gives an answer, once it is known whether it is on disk.
type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What somebody wants to be done in a transaction.
trait Job: Send {
    /// Runs within a savepoint, or a transaction of its own: what is an error is undone.
    fn run(self: Box<Self>, local: &mut Local<'_>) -> Result<Done, Done>;
    /// There is no transaction.
    fn refuse(self: Box<Self>, error: StoreError);
    /// Does anybody still wait for it?
    fn is_wanted(&self) -> bool;
}

struct Asked<T, F> {
    job: F,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>> + Send,
{
    fn run(self: Box<Self>, local: &mut Local<'_>) -> Result<Done, Done> {
        let now = local.now;
        // Nothing in it ever waits: SQLite answers at once.
        let result = (self.job)(local, now)
            .now_or_never()
            .unwrap_or_else(|| Err(StoreError::Statement("a job waited for something".to_owned())));
        let failed = result.is_err();
        let answer = self.answer;
        let done: Done = Box::new(move |committed| {
            // Nobody may be waiting any more.
            let _ = answer.send(committed.and(result));
        });
        if failed { Err(done) } else { Ok(done) }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        // As above.
        let _ = self.answer.send(Err(error));
    }

    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }
}

/// An open database file.
pub(crate) struct Database {
    writer: Desk,
    /// Whoever only reads need not wait for those who write.
    reader: Desk,
    /// Nor do those who look all the time whether they may go on wait for those who read much.
    watcher: Desk,
    path: PathBuf,
    clock: Clock,
}

/// A thread with a connection, that does what it is asked one after the other.
struct Desk {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// What a desk does with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    Write,
    Read,
}

impl Duty {
    fn begin(self) -> &'static str {
        match self {
            Duty::Write => "BEGIN IMMEDIATE",
            Duty::Read => "BEGIN",
        }
    }
}

impl Desk {
    fn open(name: &str, duty: Duty, connection: Connection, clock: &Clock) -> Result<Desk, StoreError> {
        let (jobs, asked) = mpsc::channel::<Box<dyn Job>>();
        let clock = clock.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(connection, duty, &asked, &clock))
            .map_err(|error| StoreError::Unavailable(format!("no thread can be started: {error}")))?;
        Ok(Desk { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs the job in a transaction; its answer comes once it is on disk. A caller that goes away changes nothing: the job is done
    /// as a whole or not at all.
    async fn run<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable("the database's thread has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        self.jobs.as_ref().ok_or_else(gone)?.send(Box::new(Asked { job, answer })).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // What was asked for is still done.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing to say any more.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

/// The time of this machine, moved on as far as somebody wishes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<std::sync::Mutex<SignedDuration>>);

impl Clock {
    fn now(&self) -> Timestamp {
        let ahead = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX);
        // In microseconds, as it is stored.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut ahead = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *ahead = ahead.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX));
    }
}

impl Database {
    /// Opens the file, makes it if there is none, and brings its schema up to date.
    pub(crate) fn open(path: &Path) -> Result<Database, StoreError> {
        let writer = connect(path)?;
        migrate::migrate(&writer)?;
        let clock = Clock::default();
        let reading = |name| {
            let connection = connect(path)?;
            connection.pragma_update(None, "query_only", true).map_err(error)?;
            Desk::open(name, Duty::Read, connection, &clock)
        };
        Ok(Database {
            writer: Desk::open("sqlite-writer", Duty::Write, writer, &clock)?,
            reader: reading("sqlite-reader")?,
            watcher: reading("sqlite-watcher")?,
            path: path.to_owned(),
            clock,
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// In a transaction that may write.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        self.writer.run(job).await
    }

    /// In a transaction that only reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        self.reader.run(job).await
    }

    /// The same, for those who must not wait.
    pub(crate) async fn watch<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        self.watcher.run(job).await
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(error)?;
    prepare(&connection).map_err(error)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With less a loss of power loses what was acknowledged.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(())
}

/// The thread's life: takes what waits, does it, makes it durable, answers.
fn work(mut connection: Connection, duty: Duty, jobs: &mpsc::Receiver<Box<dyn Job>>, clock: &Clock) {
    let begin = duty.begin();
    while let Ok(first) = jobs.recv() {
        let mut group: Vec<_> = std::iter::once(first).chain(jobs.try_iter().take(GROUP - 1)).collect();
        // What nobody waits for any more need not be read; what is to be written is written, as in the other database.
        group.retain(|job| duty == Duty::Write || job.is_wanted());
        if group.is_empty() {
            continue;
        }
        // Within a savepoint each statement costs as much as all that its job has changed so far.
        if group.len() == 1 {
            for job in group {
                work_alone(&mut connection, begin, job, clock);
            }
            continue;
        }
        let mut failed = connection.execute_batch(begin).map_err(error).err();
        let mut done = Vec::new();
        for job in group {
            match &failed {
                Some(reason) => job.refuse(copied(reason)),
                None => match within_savepoint(&mut connection, job, clock) {
                    Ok(answer) => done.push(answer),
                    Err(reason) => failed = Some(reason),
                },
            }
        }
        if failed.is_none() {
            failed = connection.execute_batch("COMMIT").map_err(error).err();
        }
        if failed.is_some() && !connection.is_autocommit() {
            // It is gone at the latest when the connection is.
            let _ = connection.execute_batch("ROLLBACK");
        }
        for answer in done {
            answer(failed.as_ref().map_or(Ok(()), |reason| Err(copied(reason))));
        }
    }
}

/// A transaction of one job.
fn work_alone(connection: &mut Connection, begin: &str, job: Box<dyn Job>, clock: &Clock) {
    if let Err(reason) = connection.execute_batch(begin).map_err(error) {
        return job.refuse(reason);
    }
    let now = clock.now();
    let ended = job.run(&mut Local { connection: &mut *connection, now });
    let undo = ended.is_err();
    let (Ok(answer) | Err(answer)) = ended;
    let end = if undo { "ROLLBACK" } else { "COMMIT" };
    let done = connection.execute_batch(end).map_err(error);
    if !connection.is_autocommit() {
        // It is gone at the latest when the connection is.
        let _ = connection.execute_batch("ROLLBACK");
    }
    // What was undone tells its own reason.
    answer(if undo { Ok(()) } else { done });
}

fn within_savepoint(
    connection: &mut Connection,
    job: Box<dyn Job>,
    clock: &Clock,
) -> Result<Done, StoreError> {
    connection.execute_batch("SAVEPOINT job").map_err(error)?;
    let now = clock.now();
    let ended = job.run(&mut Local { connection: &mut *connection, now });
    let undo = ended.is_err();
    let (Ok(answer) | Err(answer)) = ended;
    let end = if undo { "ROLLBACK TO job; RELEASE job" } else { "RELEASE job" };
    match connection.execute_batch(end) {
        Ok(()) => Ok(answer),
        Err(reason) => {
            let reason = error(reason);
            answer(Err(copied(&reason)));
            Err(reason)
        }
    }
}

/// For each of those who wait for one transaction.
fn copied(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full(why) => StoreError::Full(why.clone()),
        StoreError::Busy(why) => StoreError::Busy(why.clone()),
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        other => StoreError::Statement(other.to_string()),
    }
}

/// A transaction as the writer's thread sees it.
struct Local<'c> {
    /// Exclusively: a shared one could not be sent between threads, and futures that hold it are.
    connection: &'c mut Connection,
    now: Timestamp,
}

#[async_trait]
impl Session for Local<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let describe = |reason| statement(reason, sql);
        let mut prepared = self.connection.prepare_cached(sql).map_err(describe)?;
        bind(&mut prepared, values).map_err(describe)?;
        let columns = prepared.column_count();
        let mut rows = prepared.raw_query();
        let mut read = Vec::new();
        while let Some(row) = rows.next().map_err(describe)? {
            let values: Result<Vec<Value>, rusqlite::Error> =
                (0..columns).map(|column| row.get_ref(column).map(value)).collect();
            read.push(Row(values.map_err(describe)?));
        }
        Ok(read)
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let describe = |reason| statement(reason, sql);
        let mut prepared = self.connection.prepare_cached(sql).map_err(describe)?;
        bind(&mut prepared, values).map_err(describe)?;
        prepared.raw_execute().map(|changed| changed as u64).map_err(describe)
    }

    async fn insert(&mut self, head: &str, rows: &[Vec<Value>], tail: &str) -> Result<u64, StoreError> {
        let mut changed = 0;
        let at_once = VALUES_AT_ONCE / rows.first().map_or(1, |row| row.len().max(1));
        for chunk in rows.chunks(at_once.max(1)) {
            let places = rows_of_places(chunk.len(), chunk[0].len());
            changed += self.execute(&format!("{head} VALUES {places} {tail}"), &chunk.concat()).await?;
        }
        Ok(changed)
    }
}

/// `$3` is the third value, wherever it stands.
fn bind(prepared: &mut rusqlite::CachedStatement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for index in 1..=prepared.parameter_count() {
        let number = prepared
            .parameter_name(index)
            .and_then(|name| name.strip_prefix('$'))
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| values.get(number.wrapping_sub(1)));
        let Some(value) = number else {
            return Err(rusqlite::Error::InvalidParameterCount(index, values.len()));
        };
        prepared.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value as Owned};
        Ok(match self {
            Value::Null(_) => ToSqlOutput::Owned(Owned::Null),
            Value::Int(value) => ToSqlOutput::Owned(Owned::Integer(*value)),
            Value::Bool(value) => ToSqlOutput::Owned(Owned::Integer(i64::from(*value))),
            Value::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Value::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Value::Id(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value.as_bytes())),
            Value::Time(value) => ToSqlOutput::Owned(Owned::Integer(value.as_microsecond())),
        })
    }
}

fn value(raw: ValueRef<'_>) -> Value {
    match raw {
        ValueRef::Null => Value::Null(Kind::Text),
        ValueRef::Integer(value) => Value::Int(value),
        // No column holds any.
        ValueRef::Real(value) => Value::Text(value.to_string()),
        ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Value::Bytes(value.to_vec()),
    }
}

fn statement(reason: rusqlite::Error, sql: &str) -> StoreError {
    match error(reason) {
        StoreError::Statement(why) => {
            let beginning: String = sql.chars().take(120).collect();
            StoreError::Statement(format!("{why}, in `{beginning}`"))
        }
        other => other,
    }
}

fn error(reason: rusqlite::Error) -> StoreError {
    let text = reason.to_string();
    match reason.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(text),
        Some(ErrorCode::DiskFull) => StoreError::Full(text),
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly,
        ) => StoreError::Unavailable(text),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(text),
        _ => StoreError::Statement(text),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_reads_much_holds_up_nobody_who_watches_and_reads_nothing_for_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("rampart.db")).unwrap();
        let (go_on, held) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let long = database.read(move |_, _| {
            // The other end is there as long as the test.
            let _ = begun.send(());
            let _ = held.recv();
            Box::pin(async { Ok(1) })
        });
        let was_read = Arc::new(AtomicBool::new(false));
        let meanwhile = async {
            has_begun.await.unwrap();
            let watched = database.watch(|_, _| Box::pin(async { Ok(2) })).await;
            let seen = Arc::clone(&was_read);
            let unwanted = database.read(move |_, _| {
                seen.store(true, Ordering::Relaxed);
                Box::pin(async { Ok(3) })
            });
            // They go away at once.
            tokio::select! {
                biased;
                _ = unwanted => panic!("it reads for somebody else"),
                () = std::future::ready(()) => {}
            }
            go_on.send(()).unwrap();
            watched.unwrap()
        };
        let (long, watched) = tokio::join!(long, meanwhile);
        assert_eq!((long.unwrap(), watched), (1, 2));
        assert_eq!(database.read(|_, _| Box::pin(async { Ok(4) })).await.unwrap(), 4);
        assert!(!was_read.load(Ordering::Relaxed), "nobody waited for it any more");
    }
}
