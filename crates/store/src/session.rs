//! One open transaction, in either database.

use async_trait::async_trait;
use jiff::Timestamp;
use model::TenantId;

use crate::{
    StoreError,
    audit::Acts,
    happenings::Happenings,
    value::{Row, Value},
};

/// What tells the two databases' languages apart, where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Holds the rows until the transaction ends. SQLite has one writer at a time anyway.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    /// Keeps the rows from being deleted until the transaction ends: what refers to them stays right.
    pub(crate) fn for_key_share(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR KEY SHARE",
        }
    }

    /// Takes the rows that nobody else holds.
    pub(crate) fn for_update_skip_locked(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }
}

/// An open transaction. Whoever opened it ends it.
#[async_trait]
pub(crate) trait Session: Send {
    fn dialect(&self) -> Dialect;

    async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError>;

    /// How many rows it changed.
    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError>;

    /// `INSERT INTO tasks (a, b)`, many rows in their order, `ON CONFLICT …`. How many rows it changed.
    async fn insert(&mut self, head: &str, rows: &[Vec<Value>], tail: &str) -> Result<u64, StoreError>;
}

/// The only way to a tenant's rows. Every statement names the tenant; in PostgreSQL row-level security holds beside it, when a
/// statement is wrong.
pub(crate) struct TenantTx<'s> {
    pub(crate) session: &'s mut dyn Session,
    pub(crate) tenant: TenantId,
    /// The store's clock, when the transaction began.
    pub(crate) now: Timestamp,
    /// What is done in it.
    pub(crate) acts: Acts,
    /// What whoever follows is told of it.
    pub(crate) happenings: Happenings,
}

impl TenantTx<'_> {
    pub(crate) fn tenant(&self) -> Value {
        self.tenant.as_uuid().into()
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.session.dialect()
    }

    pub(crate) async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.session.query(sql, values).await
    }

    /// The one row that must be there.
    pub(crate) async fn one(
        &mut self,
        sql: &str,
        values: &[Value],
        missing: (&'static str, impl ToString),
    ) -> Result<Row, StoreError> {
        let (kind, name) = missing;
        let row = self.session.query(sql, values).await?.into_iter().next();
        row.ok_or_else(|| StoreError::Missing { kind, name: name.to_string() })
    }

    pub(crate) async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        self.session.execute(sql, values).await
    }
}

/// What belongs to no tenant, or to all: who is next, which leases have run out, what is stopped. In PostgreSQL a role of its own
/// that sees tasks and nothing of what was found.
pub(crate) struct QueueTx<'s> {
    pub(crate) session: &'s mut dyn Session,
    /// The store's clock, when the transaction began.
    pub(crate) now: Timestamp,
    /// What is done in it.
    pub(crate) acts: Acts,
    /// What whoever follows is told of it.
    pub(crate) happenings: Happenings,
}
