//! Reads that may be some seconds old: what people look at.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::future::BoxFuture;
use model::{ScanId, Scope, TaskId, TenantId, list::TimeOrder, scan::Difference};

use crate::{
    Database, Location, ReplicaState, ScanFilter, ScanRecord, ScheduleRecord, Store, StoreError, TaskCounts,
    TaskFilter, TaskRecord, of_tenant,
    postgres::{Replica, Whose},
    session::TenantTx,
};

/// Who asks has seen what the primary says: only there nothing is older.
const AS_THE_PRIMARY: u64 = u64::MAX;

/// One look at what is stored, from a replica where there is one. It may be as old as [`crate::ReplicaLocation::most_behind`], so
/// nothing that changes something is decided upon it: there is no way from here to change anything.
///
/// What is read by one of these is never older than what was read by it before: whoever sees that a scan has ended sees all that it
/// found. What the replica does not know, the primary is asked for, and then everything after it.
#[derive(Debug)]
pub struct StaleReads {
    store: Store,
    /// How far in the primary's history what was read goes.
    seen: Arc<AtomicU64>,
}

impl Store {
    /// For one look. Refuses a replica that is none; one that is away is no reason to fail.
    pub async fn stale_reads(&self) -> Result<StaleReads, StoreError> {
        self.replica().await?;
        Ok(StaleReads { store: self.clone(), seen: Arc::default() })
    }

    /// How the replica stands; none when there is none.
    pub async fn replica_state(&self) -> Result<Option<ReplicaState>, StoreError> {
        match (self.replica().await?, &*self.database) {
            (Some(replica), Database::Postgres(primary)) => replica.state(primary).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn replica(&self) -> Result<Option<&Replica>, StoreError> {
        let location = self.location.load_full();
        match (&*self.database, &*location) {
            (Database::Postgres(primary), Location::Postgres { connections, replica: Some(at), .. }) => {
                self.replica.get_or_try_init(|| Replica::open(at, *connections, primary)).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl StaleReads {
    /// The only way from here to rows: from the replica, or else from the primary.
    async fn read<T: Send + 'static>(
        &self,
        tenant: TenantId,
        job: impl for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, StoreError>>
        + Clone
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let seen = self.seen.load(Ordering::Acquire);
        if seen != AS_THE_PRIMARY
            && let Some(replica) = self.store.replica().await?
            && let Some((answer, position)) =
                replica.read(Whose::Tenant(tenant), seen, of_tenant(tenant, job.clone())).await
        {
            self.seen.fetch_max(position, Ordering::AcqRel);
            return Ok(answer);
        }
        // Before it is asked: what others read here in the meantime may not be older either.
        self.seen.store(AS_THE_PRIMARY, Ordering::Release);
        self.store.read_tenant(tenant, job).await
    }

    /// As [`Store::scan`].
    pub async fn scan(&self, tenant: TenantId, id: ScanId) -> Result<ScanRecord, StoreError> {
        self.read(tenant, move |tx| Box::pin(async move { tx.one_scan(id).await })).await
    }

    /// As [`Store::scans`].
    pub async fn scans(
        &self,
        tenant: TenantId,
        filter: ScanFilter,
        at_most: usize,
    ) -> Result<Vec<ScanRecord>, StoreError> {
        self.read(tenant, move |tx| Box::pin(async move { tx.latest_scans(&filter, at_most).await })).await
    }

    /// As [`Store::difference`].
    pub async fn difference(
        &self,
        tenant: TenantId,
        scan: ScanId,
        baseline: ScanId,
    ) -> Result<Difference, StoreError> {
        self.read(tenant, move |tx| Box::pin(async move { tx.difference(scan, baseline).await })).await
    }

    /// As [`Store::task`].
    pub async fn task(&self, tenant: TenantId, id: TaskId) -> Result<TaskRecord, StoreError> {
        self.read(tenant, move |tx| Box::pin(async move { tx.one_task(id).await })).await
    }

    /// As [`Store::tasks`].
    pub async fn tasks(
        &self,
        tenant: TenantId,
        filter: TaskFilter,
        after: Option<TaskId>,
        at_most: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        self.read(tenant, move |tx| {
            Box::pin(async move { tx.read_tasks(&filter, TimeOrder::OldestFirst, after, at_most).await })
        })
        .await
    }

    /// As [`Store::task_counts`].
    pub async fn task_counts(&self, tenant: TenantId) -> Result<TaskCounts, StoreError> {
        self.read(tenant, |tx| Box::pin(async move { tx.task_counts().await })).await
    }

    /// As [`Store::schedules`].
    pub async fn schedules(&self, tenant: TenantId) -> Result<Vec<ScheduleRecord>, StoreError> {
        self.read(tenant, |tx| Box::pin(async move { tx.schedules().await })).await
    }

    /// As [`Store::scopes`].
    pub async fn scopes(&self, tenant: TenantId) -> Result<Vec<(String, Scope)>, StoreError> {
        self.read(tenant, |tx| Box::pin(async move { tx.scopes().await })).await
    }
}
