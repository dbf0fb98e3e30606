//! Which workers there are: each says from time to time that it is there, so that whoever waits can be told when nobody is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{
    Stage, WorkerId,
    attendance::{Attendance, Presence, SILENT_AFTER},
};
use uuid::Uuid;

use crate::{Store, StoreError, session::QueueTx};

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Which.
    pub worker: WorkerId,
    /// For which stages it works.
    pub stages: Vec<Stage>,
    /// Which release it is of.
    pub version: &'static str,
    /// Tasks at once.
    pub concurrency: usize,
    /// The name of its machine, or of its pod, if it has one.
    pub machine: Option<String>,
}

impl QueueTx<'_> {
    async fn presences(&mut self) -> Result<Vec<Presence>, StoreError> {
        let rows = self.session.query("SELECT stages, last_heard FROM workers", &[]).await?;
        rows.iter().map(|row| Ok(Presence { stages: row.json(0)?, last_heard: row.time(1)? })).collect()
    }

    /// Those who ended without a word. How many that were.
    pub(crate) async fn forget_workers(&mut self, silent_since: Timestamp) -> Result<u64, StoreError> {
        self.session.execute("DELETE FROM workers WHERE last_heard < $1", &[silent_since.into()]).await
    }
}

impl Store {
    /// A worker says that it is there.
    pub async fn worker_is_there(&self, who: Introduction) -> Result<(), StoreError> {
        self.of_queue(move |tx| {
            Box::pin(async move {
                let values = [
                    Uuid::from_u128(who.worker.bits()).into(),
                    crate::value::json(&who.stages)?,
                    who.version.into(),
                    who.concurrency.into(),
                    who.machine.into(),
                    tx.now.into(),
                ];
                let sql = "INSERT INTO workers (worker, stages, version, concurrency, machine, started_at, last_heard) \
                           VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (worker) DO UPDATE SET last_heard = excluded.last_heard";
                tx.session.execute(sql, &values).await.map(drop)
            })
        })
        .await
    }

    /// A worker has ended.
    pub async fn worker_left(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.of_queue(move |tx| {
            Box::pin(async move {
                let values = [Uuid::from_u128(worker.bits()).into()];
                tx.session.execute("DELETE FROM workers WHERE worker = $1", &values).await.map(drop)
            })
        })
        .await
    }

    /// On which machines, or in which pods, workers are that were heard of lately, and how many tasks each has at work.
    pub async fn machines_at_work(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.read_queue(|tx| {
            Box::pin(async move {
                let since = tx.now.saturating_sub(SILENT_AFTER).map_err(|error| StoreError::Invalid(error.to_string()))?;
                let sql = "SELECT workers.machine, count(tasks.task_id) FROM workers \
                           LEFT JOIN tasks ON tasks.worker = workers.worker AND tasks.state = 'running' \
                           WHERE workers.machine IS NOT NULL AND workers.last_heard > $1 GROUP BY workers.machine";
                let rows = tx.session.query(sql, &[since.into()]).await?;
                rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.count(1)?))).collect()
            })
        })
        .await
    }

    /// Who is at work.
    pub async fn attendance(&self) -> Result<Attendance, StoreError> {
        self.read_queue(|tx| {
            Box::pin(async move {
                let presences = tx.presences().await?;
                let sql = "SELECT lease_until FROM leaders WHERE office = 'orchestrator'";
                let office = tx.session.query(sql, &[]).await?;
                let led_until = office.first().map(|row| row.time(0)).transpose()?;
                Ok(Attendance::of(&presences, led_until, tx.now))
            })
        })
        .await
    }
}
