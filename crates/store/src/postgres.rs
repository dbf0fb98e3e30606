//! PostgreSQL: many processes, row-level security.
//!
//! A transaction runs on a task of its own and always to its end: a caller that goes away in the middle leaves no open transaction
//! behind. Everything that a transaction needs is set within it, so that it also goes through PgBouncer in transaction mode.

mod migrate;
mod replica;
mod rights;
mod tls;
mod way;

use std::{
    error::Error as _,
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use futures_util::future::join3;
use jiff::Timestamp;
use model::TenantId;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::oneshot,
};
use tokio_postgres::{
    Config, SimpleQueryMessage, SimpleQueryRow,
    error::SqlState,
    types::{IsNull, ToSql, Type, WrongType, private::BytesMut},
};

#[cfg(test)]
pub(crate) use self::migrate::STEPS;
pub(crate) use self::replica::Replica;
pub use self::{
    migrate::migrate,
    replica::{ReplicaLocation, ReplicaState},
    tls::is_on_this_machine,
};
use self::{
    tls::Server,
    way::{Along, Way},
};
use crate::{
    InSession, StoreError,
    session::{Dialect, Session},
    value::{Kind, Row, Value, places},
};

/// The first of January 4713 BC: somewhat later than the oldest time that PostgreSQL has.
const OLDEST: Timestamp = Timestamp::constant(-210_863_520_000, 0);
/// Connections to the database that a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// In all.
    pub open: usize,
    /// Of these nobody uses so many.
    pub idle: usize,
    /// So many wait for one.
    pub waiting: usize,
}

/// How long somebody waits for a new connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long somebody waits for one that others have: shorter than an answer may take, so that whoever asked is told what was lacking.
const WAIT: Duration = Duration::from_secs(20);
/// How often somebody tries whose password the server does not take any more, while others have connections from before.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// How long somebody waits for an answer: longer than the server gives a statement, so that only a dead line takes so long.
const ANSWER: Duration = Duration::from_secs(75);

/// Which rows a transaction may see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    Tenant(TenantId),
    Queue,
}

/// A pool of connections.
pub(crate) struct Database {
    pool: Pool,
    way: Arc<Way>,
    name: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Database {
    /// Connects, and refuses a database that is not prepared, or a user for whom row-level security would mean nothing.
    pub(crate) async fn open(url: &str, connections: usize) -> Result<Database, StoreError> {
        Database::pooled(url, connections)?.examined().await
    }

    /// Connections of its own, which nobody else holds up, by the same way: also when that changes.
    pub(crate) async fn apart(&self) -> Result<Database, StoreError> {
        let connections = self.pool.status().max_size;
        Database::by(Arc::clone(&self.way), self.name.clone(), connections)?.examined().await
    }

    async fn examined(self) -> Result<Database, StoreError> {
        let client = self.client().await?;
        migrate::require_current(&client).await?;
        migrate::require_powerless(&client).await?;
        drop(client);
        Ok(self)
    }

    /// From now on connections to the same database are made as the URL says, once that has been tried. Those that are there have their
    /// say, and are replaced.
    pub(crate) async fn turn_to(&self, url: &str) -> Result<(), StoreError> {
        let server = tls::server(url)?;
        if !self.way.leads_to(&server) {
            return Err(StoreError::Invalid(format!(
                "the URL leads to another database than {}: that needs a new start",
                self.name
            )));
        }
        Database::by(Way::new(server.clone()), self.name.clone(), 1)?.examined().await?;
        self.turn(server);
        Ok(())
    }

    fn turn(&self, server: Server) {
        self.way.turn_to(server);
        drop(self.pool.retain(|_, connection| self.way.still_holds(&connection)));
    }

    /// Connects to nothing yet.
    fn pooled(url: &str, connections: usize) -> Result<Database, StoreError> {
        let server = tls::server(url)?;
        let config = &server.config;
        let hosts: Vec<String> = config.get_hosts().iter().map(|host| format!("{host:?}")).collect();
        let name = format!("postgres:{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default());
        Database::by(Way::new(server), name, connections)
    }

    fn by(way: Arc<Way>, name: String, connections: usize) -> Result<Database, StoreError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        // The way knows better than what is said to the manager.
        let manager = Manager::from_connect(Config::new(), Along(Arc::clone(&way)), recycling);
        let pool = Pool::builder(manager)
            .pre_recycle(way.hook())
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(CONNECT))
            .wait_timeout(Some(WAIT))
            .build()
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        Ok(Database { pool, way, name })
    }

    pub(crate) fn connections(&self) -> Connections {
        let status = self.pool.status();
        Connections { open: status.size, idle: status.available, waiting: status.waiting }
    }

    async fn client(&self) -> Result<Object, StoreError> {
        let begun = Instant::now();
        loop {
            match self.pool.get().await {
                Ok(client) => return Ok(client),
                // The password was changed there and not yet here: whoever has a connection goes on, and gives it back.
                Err(PoolError::Backend(reason))
                    if is_refused(&reason) && self.pool.status().size > 0 && begun.elapsed() < WAIT =>
                {
                    tracing::debug!(error = %error(reason), "a connection that is there is waited for");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                // Nothing was asked for yet: whatever is wrong is the server's.
                Err(PoolError::Backend(reason)) => {
                    return Err(match error(reason) {
                        StoreError::Statement(text) => StoreError::Unavailable(text),
                        other => other,
                    });
                }
                Err(other) => return Err(StoreError::Unavailable(format!("no connection: {other}"))),
            }
        }
    }

    /// Runs the job in a transaction, to its end, whatever becomes of the caller.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        whose: Whose,
        job: impl InSession<T>,
    ) -> Result<T, StoreError> {
        let client = self.client().await?;
        let running = tokio::spawn(async move {
            let mut lent = Lent::new(client);
            let now = lent.begin(whose).await?;
            match job(&mut lent, now).await {
                Ok(value) => lent.commit().await.map(|()| value),
                Err(reason) => {
                    lent.roll_back().await;
                    Err(reason)
                }
            }
        });
        running.await.map_err(broke)?
    }

    /// The same for what changes nothing: whoever asked has the answer before the transaction has ended, since nothing follows from how
    /// it ends.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        whose: Whose,
        job: impl InSession<T>,
    ) -> Result<T, StoreError> {
        let client = self.client().await?;
        let (sender, answer) = oneshot::channel();
        let running = tokio::spawn(async move {
            let mut lent = Lent::new(client);
            let read = match lent.begin(whose).await {
                Ok(now) => job(&mut lent, now).await,
                Err(reason) => Err(reason),
            };
            // Who is gone wants it no more.
            let _ = sender.send(read);
            lent.roll_back().await;
        });
        match answer.await {
            Ok(read) => {
                // The runtime of a command ends with its answer, and would break off what is left of this.
                if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
                    running.await.map_err(broke)?;
                }
                read
            }
            Err(_) => running.await.map_err(broke).and_then(|()| {
                Err(StoreError::Statement("a transaction ended without an answer".to_owned()))
            }),
        }
    }

    /// One question, in a transaction of its own that changes nothing: its beginning, the question and its end go out together, and cost
    /// one round trip.
    pub(crate) async fn rows(
        &self,
        whose: Whose,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let running = tokio::spawn(async move { Lent::new(client).answer(whose, &sql, &values).await });
        running.await.map_err(broke)?
    }

    /// For tests of what takes time: needs the right to change the schema.
    pub(crate) async fn advance_clock(&self, owner: &str, by: Duration) -> Result<(), StoreError> {
        migrate::advance_clock(owner, by).await
    }
}

/// A connection with an open transaction. One that is not ended in order is closed, and not lent again.
struct Lent {
    client: Option<Object>,
    health: Health,
}

/// What can still be done with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// A statement failed: the server answers a commit of it with a rollback, and no error.
    Failed,
    /// Nobody knows what the server knows.
    Broken,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl Lent {
    fn new(client: Object) -> Lent {
        Lent { client: Some(client), health: Health::Good }
    }

    /// Asks the server, and remembers what a failure means for the transaction.
    async fn ask<'l, T, F>(&'l mut self, question: impl FnOnce(&'l Object) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>> + Send,
    {
        let Lent { client, health } = self;
        let client =
            client.as_ref().ok_or_else(|| StoreError::Statement("the transaction has ended".to_owned()))?;
        match tokio::time::timeout(ANSWER, question(client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(reason)) => {
                *health = if reason.as_db_error().is_some() { Health::Failed } else { Health::Broken };
                Err(error(reason))
            }
            Err(_) => {
                *health = Health::Broken;
                Err(StoreError::Unavailable(format!("no answer in {ANSWER:?}")))
            }
        }
    }

    async fn begin(&mut self, whose: Whose) -> Result<Timestamp, StoreError> {
        self.begin_asking(whose, None).await.map(|(now, _)| now)
    }

    /// The same, and asks for further columns: they come after the first of the row.
    async fn begin_asking(
        &mut self,
        whose: Whose,
        columns: Option<&str>,
    ) -> Result<(Timestamp, SimpleQueryRow), StoreError> {
        let also = columns.map(|columns| format!(", {columns}")).unwrap_or_default();
        let begin = begin(whose);
        let sql =
            format!("{begin}; SELECT (extract(epoch FROM rampart.store_time()) * 1000000)::bigint{also}");
        let row = self.last_row(&sql).await?;
        let microseconds = row.get(0).and_then(|text| text.parse().ok());
        let now = microseconds.and_then(|microseconds| Timestamp::from_microsecond(microseconds).ok());
        let now = now.ok_or_else(|| StoreError::Damaged("the database does not tell the time".to_owned()))?;
        Ok((now, row))
    }

    /// Begins, asks and rolls back, without waiting for an answer in between. Where it cannot begin, the question has nobody's rights.
    async fn answer(mut self, whose: Whose, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let (begin, typed) = (begin(whose), typed(values));
        let (begun, rows) = self
            .ask(|client| async move {
                let (begun, rows, ended) = join3(
                    client.simple_query(&begin),
                    client.query_typed(sql, &typed),
                    client.simple_query("ROLLBACK"),
                )
                .await;
                ended.map(|_| (begun, rows))
            })
            .await?;
        self.give_back();
        begun.map_err(error)?;
        let rows = rows.map_err(|reason| within(error(reason), sql))?;
        rows.iter().map(|row| read(row).map_err(|reason| within(error(reason), sql))).collect()
    }

    /// The last row that any of the statements gives.
    async fn last_row(&mut self, sql: &str) -> Result<SimpleQueryRow, StoreError> {
        let answers = self.ask(|client| client.simple_query(sql)).await?;
        let rows = answers.into_iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.ok_or_else(|| StoreError::Damaged("the database does not answer what it was asked".to_owned()))
    }

    /// Ends a transaction that only read, with a last question in it.
    async fn commit_asking(mut self, question: &str) -> Result<SimpleQueryRow, StoreError> {
        let row = self.last_row(&format!("{question}; COMMIT")).await?;
        self.give_back();
        Ok(row)
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        if self.health != Health::Good {
            let why = "a statement of the transaction failed before it was to be committed".to_owned();
            self.roll_back().await;
            return Err(StoreError::Statement(why));
        }
        self.ask(|client| client.simple_query("COMMIT")).await?;
        self.give_back();
        Ok(())
    }

    /// However it goes, nothing was committed.
    async fn roll_back(mut self) {
        if self.health != Health::Broken && self.ask(|client| client.simple_query("ROLLBACK")).await.is_ok() {
            self.give_back();
        }
    }

    /// To the pool, which is what dropping it means.
    fn give_back(mut self) {
        drop(self.client.take());
    }
}

#[async_trait]
impl Session for Lent {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let typed = typed(values);
        let rows = self.ask(|client| client.query_typed(sql, &typed)).await;
        let rows = rows.map_err(|reason| within(reason, sql))?;
        rows.iter().map(|row| read(row).map_err(|reason| within(error(reason), sql))).collect()
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let typed = typed(values);
        let changed = self.ask(|client| client.execute_typed(sql, &typed)).await;
        changed.map_err(|reason| within(reason, sql))
    }

    /// A list for each column: thousands of rows are one short statement, which costs the server little to read.
    async fn insert(&mut self, head: &str, rows: &[Vec<Value>], tail: &str) -> Result<u64, StoreError> {
        let Some(first) = rows.first() else { return Ok(0) };
        let kinds: Vec<Type> = first.iter().map(|value| list_of(value.kind())).collect();
        let column = |at: usize| -> Vec<&Value> { rows.iter().map(|row| &row[at]).collect() };
        let columns: Vec<Vec<&Value>> = (0..kinds.len()).map(column).collect();
        let columns: Vec<(&(dyn ToSql + Sync), Type)> =
            columns.iter().zip(kinds).map(|(column, kind)| (column as &(dyn ToSql + Sync), kind)).collect();
        let sql = format!("{head} SELECT * FROM unnest({}) {tail}", places(1, columns.len()));
        let changed = self.ask(|client| client.execute_typed(&sql, &columns)).await;
        changed.map_err(|reason| within(reason, &sql))
    }
}

/// Begins a transaction: one message, few statements, since each costs the server more than what it sets. Nothing in it comes from
/// outside: a tenant is a UUID. The path names pg_temp, which would come first if it were left out.
fn begin(whose: Whose) -> String {
    let (role, tenant) = match whose {
        Whose::Tenant(tenant) => ("rampart_tenant", tenant.to_string()),
        Whose::Queue => ("rampart_queue", String::new()),
    };
    format!(
        "BEGIN; SET LOCAL ROLE {role}; SELECT pg_catalog.set_config('search_path', 'rampart, pg_temp', true), \
         pg_catalog.set_config('statement_timeout', '60s', true), \
         pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', true), \
         pg_catalog.set_config('lock_timeout', '20s', true), pg_catalog.set_config('rampart.tenant', '{tenant}', true)"
    )
}

fn broke(reason: tokio::task::JoinError) -> StoreError {
    StoreError::Statement(format!("a transaction broke: {reason}"))
}

/// With their types, so that nothing needs to be prepared: one round trip, and PgBouncer has nothing to remember.
fn typed(values: &[Value]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values
        .iter()
        .map(|value| {
            let kind = match value.kind() {
                Kind::Int => Type::INT8,
                Kind::Bool => Type::BOOL,
                Kind::Text => Type::TEXT,
                Kind::Bytes => Type::BYTEA,
                Kind::Id => Type::UUID,
                Kind::Time => Type::TIMESTAMPTZ,
            };
            (value as &(dyn ToSql + Sync), kind)
        })
        .collect()
}

fn list_of(kind: Kind) -> Type {
    match kind {
        Kind::Int => Type::INT8_ARRAY,
        Kind::Bool => Type::BOOL_ARRAY,
        Kind::Text => Type::TEXT_ARRAY,
        Kind::Bytes => Type::BYTEA_ARRAY,
        Kind::Id => Type::UUID_ARRAY,
        Kind::Time => Type::TIMESTAMPTZ_ARRAY,
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null(_) => Ok(IsNull::Yes),
            Value::Int(value) => value.to_sql(kind, out),
            Value::Bool(value) => value.to_sql(kind, out),
            Value::Text(value) => value.to_sql(kind, out),
            Value::Bytes(value) => value.to_sql(kind, out),
            Value::Id(value) => value.to_sql(kind, out),
            // Nothing is older than the first day that PostgreSQL knows.
            Value::Time(value) => (*value).max(OLDEST).to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::BOOL, Type::TEXT, Type::BYTEA, Type::UUID, Type::TIMESTAMPTZ].contains(kind)
    }

    tokio_postgres::types::to_sql_checked!();
}

fn read(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let column = |(index, column): (usize, &tokio_postgres::Column)| -> Result<Value, tokio_postgres::Error> {
        Ok(match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(index)?.into(),
            Type::INT4 => row.try_get::<_, Option<i32>>(index)?.map(i64::from).into(),
            Type::BOOL => row.try_get::<_, Option<bool>>(index)?.into(),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index)?.into(),
            Type::UUID => row.try_get::<_, Option<uuid::Uuid>>(index)?.into(),
            Type::TIMESTAMPTZ => row.try_get::<_, Option<Timestamp>>(index)?.into(),
            _ => row.try_get::<_, Option<String>>(index)?.into(),
        })
    };
    row.columns().iter().enumerate().map(column).collect::<Result<Vec<Value>, _>>().map(Row)
}

fn within(reason: StoreError, sql: &str) -> StoreError {
    match reason {
        StoreError::Statement(why) => {
            let beginning: String = sql.chars().take(160).collect();
            StoreError::Statement(format!("{why}, in `{beginning}`"))
        }
        other => other,
    }
}

/// Whoever connects is not let in.
fn is_refused(reason: &tokio_postgres::Error) -> bool {
    reason.code().is_some_and(|code| code.code().starts_with("28"))
}

fn error(reason: tokio_postgres::Error) -> StoreError {
    let Some(told) = reason.as_db_error() else {
        if let Some(distrust) = tls::distrust(&reason) {
            return distrust;
        }
        let source = reason.source();
        let text = format!("{reason}{}", source.map(|source| format!(": {source}")).unwrap_or_default());
        // What this side could not write or read will not go better when it is asked again.
        let ours = source.is_some_and(|source| match source.downcast_ref::<io::Error>() {
            Some(error) => matches!(error.kind(), io::ErrorKind::InvalidInput),
            None => source.is::<WrongType>() || reason.to_string().starts_with("error serializing"),
        });
        return if ours { StoreError::Statement(text) } else { StoreError::Unavailable(text) };
    };
    // The message alone: the detail holds values of rows.
    let text = format!("{} ({})", told.message(), told.code().code());
    let code = told.code();
    let busy = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
    ];
    if busy.contains(code) {
        StoreError::Busy(text)
    } else if *code == SqlState::DISK_FULL {
        StoreError::Full(text)
    } else if code.code().starts_with("08")
        // Not let in, which a person mends while everything waits.
        || code.code().starts_with("28")
        || code.code().starts_with("57P")
        // Of its own disk and system.
        || code.code().starts_with("58")
        || code.code().starts_with("53")
        || [SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, SqlState::READ_ONLY_SQL_TRANSACTION].contains(code)
    {
        StoreError::Unavailable(text)
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE && told.message().contains("set role") {
        StoreError::Schema(format!(
            "{text}: `rampart migrate --grant-to USER` gives a user the roles it needs"
        ))
    } else {
        StoreError::Statement(text)
    }
}
