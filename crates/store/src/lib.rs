//! Everything that must outlive a process, in SQLite or PostgreSQL: the only room that knows SQL.
//!
//! The database is the truth. Tasks, leases, results and what follows from them change in one transaction, and every decision in
//! it is made by [`model`]: both databases hold the same rows and run the same statements.

mod error;
mod postgres;
mod session;
mod sessions;
mod sqlite;
mod steps;
mod value;

mod assets;
mod audit;
mod checkpoints;
mod claims;
mod comments;
mod conversations;
mod difference;
mod evidence;
mod findings;
mod happenings;
mod identities;
mod keys;
mod leaders;
mod list;
mod looks;
mod objects;
mod once;
mod packages;
mod packets;
mod planning;
mod results;
mod retention;
mod roles;
mod scans;
mod schedules;
mod second_factor;
mod settings;
mod settling;
mod stale;
mod stops;
mod sweeps;
mod tasks;
mod tenants;
mod tending;
mod usage;
mod users;
mod visits;
mod webhooks;
mod workers;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use model::TenantId;
use tokio::sync::OnceCell;

pub use self::{
    assets::AssetFilter,
    audit::AuditFilter,
    claims::{Beat, ClaimRequest, Claimed, Lease, Reclaimed, Watch, Workload},
    conversations::{ConversationFilter, MentionFilter},
    error::StoreError,
    findings::FindingFilter,
    happenings::HAPPENINGS_KEPT,
    identities::Vouched,
    keys::KeyFilter,
    leaders::Office,
    objects::{Download, Listed, ObjectKey, Objects, Upload},
    once::Made,
    packages::{AskedAnalysis, NewAnalysis, PackageResult},
    postgres::{Connections, ReplicaLocation, ReplicaState, is_on_this_machine, migrate},
    results::{Remarks, UnitRecord},
    retention::Retention,
    roles::{Known, MOST_ROLES},
    scans::{NewScan, ScanFilter, Submission},
    schedules::{Followed, ScheduleFilter, Terms},
    second_factor::{Credentials, SecondFactor, Shown},
    sessions::{IDLE, LONGEST, SessionRecord},
    settling::{Ending, Settled, Settlement},
    stale::StaleReads,
    sweeps::{LeftDead, Redriven},
    tasks::{Enqueued, TaskCounts, TaskFilter},
    tenants::NewTenant,
    users::{Account, Expected, FirstPassword, INVITED_FOR, UserFilter},
    webhooks::{MOST_WEBHOOKS, Told},
    workers::Introduction,
};
use self::{
    audit::Acts,
    happenings::Happenings,
    postgres::Whose,
    session::{QueueTx, Session, TenantTx},
};
/// What is stored, as the API tells it too.
pub use model::{
    comment::{CommentEdit, CommentRecord, ConversationRecord, MentionRecord, NewComment, Reading},
    record::{
        KeyRecord, KnownAsset, KnownFinding, NewKey, NewRole, NewSchedule, NewUser, RefusedRun, RoleRecord,
        ScanRecord, ScheduleChange, ScheduleRecord, TaskRecord, TenantChange, TenantRecord, UserRecord,
    },
};

/// An open database. Cheap to share; closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    database: Arc<Database>,
    /// Connected to when somebody wants to read there.
    replica: Arc<OnceCell<postgres::Replica>>,
    /// As it is by now; shared by all who go there.
    location: Arc<ArcSwap<Location>>,
    /// Where evidence goes; into the database without any.
    evidence: Option<Objects>,
}

#[derive(Debug)]
enum Database {
    Sqlite(sqlite::Database),
    Postgres(postgres::Database),
}

/// Where a store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file; made if there is none.
    Sqlite(PathBuf),
    /// A server.
    Postgres {
        /// `postgres://user:password@host:port/database`, with `?sslmode=` and `&sslrootcert=` where the way there is to be safe:
        /// a server on another machine is only talked to encrypted, unless it says `sslmode=disable`.
        url: String,
        /// Connections at once, at most.
        connections: usize,
        /// A replica of it, for what [`Store::stale_reads`] reads.
        replica: Option<ReplicaLocation>,
    },
}

impl fmt::Debug for Location {
    /// Without the URL: there is a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Location::Postgres { connections, .. } => {
                f.debug_struct("Postgres").field("connections", connections).finish_non_exhaustive()
            }
        }
    }
}

impl Store {
    /// Opens the database. A file is made and brought up to date; a server must have been prepared by [`migrate`].
    pub async fn open(location: &Location) -> Result<Store, StoreError> {
        let database = match location {
            Location::Sqlite(path) => {
                let path = path.clone();
                let opened = tokio::task::spawn_blocking(move || sqlite::Database::open(&path)).await;
                Database::Sqlite(opened.map_err(|error| StoreError::Unavailable(error.to_string()))??)
            }
            Location::Postgres { url, connections, .. } => {
                Database::Postgres(postgres::Database::open(url, *connections).await?)
            }
        };
        let (database, replica) = (Arc::new(database), Arc::default());
        let location = Arc::new(ArcSwap::from_pointee(location.clone()));
        Ok(Store { database, replica, location, evidence: None })
    }

    /// From now on evidence goes there, and the database only names it. What is in the database already stays.
    pub fn with_evidence_in(self, objects: Objects) -> Store {
        Store { evidence: Some(objects), ..self }
    }

    /// For tests of what takes time: the store's clock goes ahead. `owner` is the URL of a server's owner, who alone can do that.
    pub async fn advance_clock(&self, owner: &str, by: Duration) -> Result<(), StoreError> {
        match &*self.database {
            Database::Sqlite(database) => {
                database.clock().advance(by);
                Ok(())
            }
            Database::Postgres(database) => database.advance_clock(owner, by).await,
        }
    }

    /// For a thread with a runtime of its own: it shares nothing that another runtime could hold up.
    pub async fn apart(&self) -> Result<Store, StoreError> {
        match &*self.database {
            // Its threads serve every runtime alike.
            Database::Sqlite(_) => Ok(self.clone()),
            Database::Postgres(database) => {
                let database = Arc::new(Database::Postgres(database.apart().await?));
                Ok(Store { database, replica: Arc::default(), ..self.clone() })
            }
        }
    }

    /// Goes on with another name or password for the same database and its replica: new connections are made so from now on, those that
    /// are there end with what they are at and are replaced. Refused is what the database does not take; of a replica it is seen when
    /// somebody reads there. A file has neither.
    pub async fn turn_to(&self, location: &Location) -> Result<(), StoreError> {
        let (Database::Postgres(database), Location::Postgres { url, replica, .. }) =
            (&*self.database, location)
        else {
            return Ok(());
        };
        let before = self.location.load_full();
        let Location::Postgres { url: known, replica: known_replica, .. } = &*before else { return Ok(()) };
        if url != known {
            database.turn_to(url).await?;
        }
        if let (Some(replica), Some(open)) = (replica, self.replica.get())
            && known_replica.as_ref().is_none_or(|known| known.url != replica.url)
        {
            open.turn_to(&replica.url)?;
        }
        self.location.store(Arc::new(location.clone()));
        Ok(())
    }

    /// In a transaction that sees one tenant.
    pub(crate) async fn of_tenant<T: Send + 'static>(
        &self,
        tenant: TenantId,
        job: impl for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(Whose::Tenant(tenant), Access::Write, of_tenant(tenant, job)).await
    }

    /// The same, and nothing is changed in it.
    pub(crate) async fn read_tenant<T: Send + 'static>(
        &self,
        tenant: TenantId,
        job: impl for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(Whose::Tenant(tenant), Access::Read, of_tenant(tenant, job)).await
    }

    /// One question about a tenant, which names it.
    pub(crate) async fn rows_of_tenant(
        &self,
        tenant: TenantId,
        sql: String,
        values: Vec<value::Value>,
    ) -> Result<Vec<value::Row>, StoreError> {
        match &*self.database {
            Database::Sqlite(database) => {
                database
                    .read(move |session, _| Box::pin(async move { session.query(&sql, &values).await }))
                    .await
            }
            Database::Postgres(database) => database.rows(Whose::Tenant(tenant), sql, values).await,
        }
    }

    /// In a transaction that sees the queue of all tenants.
    pub(crate) async fn of_queue<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut QueueTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(Whose::Queue, Access::Write, of_queue(job)).await
    }

    /// The same, and nothing is changed in it.
    pub(crate) async fn read_queue<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut QueueTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(Whose::Queue, Access::Read, of_queue(job)).await
    }

    /// The same, for those who look all the time whether they may go on.
    pub(crate) async fn watch_queue<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut QueueTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(Whose::Queue, Access::Watch, of_queue(job)).await
    }

    /// The connections of this process to PostgreSQL; an embedded database has none.
    pub fn connections(&self) -> Option<Connections> {
        match &*self.database {
            Database::Sqlite(_) => None,
            Database::Postgres(database) => Some(database.connections()),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        whose: Whose,
        access: Access,
        job: impl InSession<T>,
    ) -> Result<T, StoreError> {
        match (&*self.database, access) {
            (Database::Sqlite(database), Access::Write) => database.run(job).await,
            (Database::Sqlite(database), Access::Read) => database.read(job).await,
            (Database::Sqlite(database), Access::Watch) => database.watch(job).await,
            (Database::Postgres(database), Access::Write) => database.run(whose, job).await,
            (Database::Postgres(database), Access::Read | Access::Watch) => database.read(whose, job).await,
        }
    }
}

/// What a transaction is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Watch,
    Write,
}

/// What runs in a session that somebody has opened.
trait InSession<T>:
    for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static
{
}

impl<T, F> InSession<T> for F where
    F: for<'t> FnOnce(&'t mut dyn Session, Timestamp) -> BoxFuture<'t, Result<T, StoreError>>
        + Send
        + 'static
{
}

fn of_tenant<T: Send + 'static>(
    tenant: TenantId,
    job: impl for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
) -> impl InSession<T> {
    move |session: &mut dyn Session, now| -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let mut tx =
                TenantTx { session, tenant, now, acts: Acts::default(), happenings: Happenings::default() };
            let done = job(&mut tx).await?;
            tx.happenings.write(tx.session, now).await?;
            tx.acts.write(tx.session, now).await?;
            Ok(done)
        })
    }
}

fn of_queue<T: Send + 'static>(
    job: impl for<'t> FnOnce(&'t mut QueueTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
) -> impl InSession<T> {
    move |session: &mut dyn Session, now| -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let mut tx = QueueTx { session, now, acts: Acts::default(), happenings: Happenings::default() };
            let done = job(&mut tx).await?;
            tx.happenings.write(tx.session, now).await?;
            tx.acts.write(tx.session, now).await?;
            Ok(done)
        })
    }
}
