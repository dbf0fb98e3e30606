//! Offices that one process holds at a time, and another takes over when it is silent.

use std::time::Duration;

use jiff::Timestamp;
use model::{LeaseNumber, WorkerId};
use uuid::Uuid;

use crate::{Store, StoreError};

/// An office that was won or kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Office {
    /// Grows with each holder: what comes with an older number is out of date.
    pub number: LeaseNumber,
    /// Until when without asking again.
    pub until: Timestamp,
}

impl Store {
    /// Takes the office, or keeps it: none when somebody else has it.
    pub async fn lead(
        &self,
        office: &'static str,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<Option<Office>, StoreError> {
        self.of_queue(move |tx| {
            Box::pin(async move {
                let until = tx.now.saturating_add(lease).unwrap_or(Timestamp::MAX);
                let worker = Uuid::from_u128(worker.bits());
                let values = [office.into(), worker.into(), until.into(), tx.now.into()];
                let sql = "INSERT INTO leaders (office, worker, lease_number, lease_until) VALUES ($1, $2, 1, $3) \
                           ON CONFLICT (office) DO UPDATE SET worker = excluded.worker, lease_until = excluded.lease_until, \
                           lease_number = leaders.lease_number + CASE WHEN leaders.worker = excluded.worker THEN 0 ELSE 1 END \
                           WHERE leaders.worker = excluded.worker OR leaders.lease_until <= $4 \
                           RETURNING lease_number";
                let rows = tx.session.query(sql, &values).await?;
                rows.first()
                    .map(|row| Ok(Office { number: LeaseNumber::from_stored(row.count(0)?), until }))
                    .transpose()
            })
        })
        .await
    }

    /// Gives the office back, so that somebody else need not wait.
    pub async fn resign(&self, office: &'static str, worker: WorkerId) -> Result<(), StoreError> {
        self.of_queue(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE leaders SET lease_until = $3 WHERE office = $1 AND worker = $2";
                let values = [office.into(), Uuid::from_u128(worker.bits()).into(), tx.now.into()];
                tx.session.execute(sql, &values).await.map(drop)
            })
        })
        .await
    }
}
