//! PostgreSQL: many processes, row-level security.
//!
//! A transaction runs on a task of its own and always to its end: a caller that goes away in the middle leaves no open transaction
//! behind. Everything that a transaction needs is set within it, so that it also goes through PgBouncer in transaction mode.

mod migrate;

use std::{error::Error as _, fmt, time::Duration};

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use model::TenantId;
use tokio_postgres::{
    NoTls, SimpleQueryMessage,
    error::SqlState,
    types::{IsNull, ToSql, Type, private::BytesMut},
};

pub use self::migrate::migrate;
use crate::{
    StoreError,
    session::{Dialect, Session},
    value::{Kind, Row, Value},
};

/// How long somebody waits for a connection, in the pool or from the server.
const CONNECT: Duration = Duration::from_secs(5);

/// Which rows a transaction may see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    Tenant(TenantId),
    Queue,
}

/// A pool of connections.
pub(crate) struct Database {
    pool: Pool,
    name: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn configuration(url: &str) -> Result<tokio_postgres::Config, StoreError> {
    let mut config: tokio_postgres::Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The text holds a password.
        let why = error.source().map(ToString::to_string).unwrap_or_default();
        StoreError::Invalid(format!("the URL of the database cannot be read: {error} {why}"))
    })?;
    config.connect_timeout(CONNECT);
    if config.get_application_name().is_none() {
        config.application_name("rampart");
    }
    Ok(config)
}

impl Database {
    /// Connects, and refuses a database that is not prepared, or a user for whom row-level security would mean nothing.
    pub(crate) async fn open(url: &str, connections: usize) -> Result<Database, StoreError> {
        let config = configuration(url)?;
        let hosts: Vec<String> = config.get_hosts().iter().map(|host| format!("{host:?}")).collect();
        let name = format!("postgres:{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default());
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(CONNECT))
            .wait_timeout(Some(Duration::from_secs(30)))
            .build()
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        let database = Database { pool, name };
        let client = database.client().await?;
        migrate::require_current(&client).await?;
        let sql = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = session_user";
        let row = client.query_typed_one(sql, &[]).await.map_err(error)?;
        if row.get::<_, bool>(0) {
            return Err(StoreError::Schema(
                "the database user is a superuser or bypasses row-level security: connect as one that only has the roles \
                 rampart_tenant and rampart_queue (`rampart migrate --grant-to USER`)"
                    .to_owned(),
            ));
        }
        Ok(database)
    }

    async fn client(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|reason| match reason {
            deadpool_postgres::PoolError::Backend(reason) => error(reason),
            other => StoreError::Unavailable(format!("no connection: {other}")),
        })
    }

    /// Runs the job in a transaction, to its end, whatever becomes of the caller.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        whose: Whose,
        job: impl for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let client = self.client().await?;
        let running = tokio::spawn(async move {
            let mut lent = Lent(Some(client));
            let now = lent.begin(whose).await?;
            let result = job(&mut lent, now).await;
            lent.end(result.is_ok()).await?;
            result
        });
        running.await.map_err(|reason| StoreError::Statement(format!("a transaction broke: {reason}")))?
    }

    /// For tests of what takes time: needs the right to change the schema.
    pub(crate) async fn advance_clock(&self, owner: &str, by: Duration) -> Result<(), StoreError> {
        migrate::advance_clock(owner, by).await
    }
}

/// A connection with an open transaction. One that is not ended in order is closed, and not lent again.
struct Lent(Option<Object>);

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

impl Lent {
    fn client(&self) -> Result<&Object, StoreError> {
        self.0.as_ref().ok_or_else(|| StoreError::Statement("the transaction has ended".to_owned()))
    }

    async fn begin(&self, whose: Whose) -> Result<Timestamp, StoreError> {
        let (role, tenant) = match whose {
            Whose::Tenant(tenant) => ("rampart_tenant", tenant.to_string()),
            Whose::Queue => ("rampart_queue", String::new()),
        };
        // One message, one round trip. Nothing in it comes from outside: a tenant is a UUID.
        let sql = format!(
            "BEGIN; SET LOCAL ROLE {role}; SET LOCAL search_path = rampart; SET LOCAL statement_timeout = '60s'; \
             SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '20s'; \
             SELECT set_config('rampart.tenant', '{tenant}', true); \
             SELECT (extract(epoch FROM rampart.store_time()) * 1000000)::bigint"
        );
        let answers = self.client()?.simple_query(&sql).await.map_err(error)?;
        let last = answers.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        last.and_then(|text| text.parse().ok())
            .and_then(|microseconds| Timestamp::from_microsecond(microseconds).ok())
            .ok_or_else(|| StoreError::Damaged("the database does not tell the time".to_owned()))
    }

    async fn end(&mut self, commit: bool) -> Result<(), StoreError> {
        let sql = if commit { "COMMIT" } else { "ROLLBACK" };
        let answers = self.client()?.simple_query(sql).await;
        if answers.is_ok() {
            // Back to the pool, which is what dropping it means.
            drop(self.0.take());
        }
        answers.map(drop).map_err(error)
    }
}

#[async_trait]
impl Session for Lent {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let typed = typed(values);
        let rows = self.client()?.query_typed(sql, &typed).await.map_err(|reason| statement(reason, sql))?;
        rows.iter().map(|row| read(row).map_err(|reason| statement(reason, sql))).collect()
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let typed = typed(values);
        self.client()?.execute_typed(sql, &typed).await.map_err(|reason| statement(reason, sql))
    }
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
            Value::Time(value) => value.to_sql(kind, out),
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

fn statement(reason: tokio_postgres::Error, sql: &str) -> StoreError {
    match error(reason) {
        StoreError::Statement(why) => {
            let beginning: String = sql.chars().take(160).collect();
            StoreError::Statement(format!("{why}, in `{beginning}`"))
        }
        other => other,
    }
}

fn error(reason: tokio_postgres::Error) -> StoreError {
    let Some(told) = reason.as_db_error() else {
        let why = reason.source().map(|source| format!(": {source}")).unwrap_or_default();
        return StoreError::Unavailable(format!("{reason}{why}"));
    };
    let text = format!("{} ({})", told.message(), told.code().code());
    let code = told.code();
    if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE]
        .contains(code)
    {
        StoreError::Busy(text)
    } else if *code == SqlState::DISK_FULL {
        StoreError::Full(text)
    } else if code.code().starts_with("08")
        || code.code().starts_with("57P")
        || code.code().starts_with("53")
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
    {
        StoreError::Unavailable(text)
    } else {
        StoreError::Statement(text)
    }
}
