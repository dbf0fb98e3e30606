//! What happens, for whoever follows it: written in the transaction in which it happens, kept for an hour.
//!
//! Each tenant has a last number, which whoever writes holds until their transaction ends: numbers become visible in their order,
//! and whoever has read up to one has missed none before it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use model::{Happening, Place, TenantId};

use crate::{
    Store, StoreError,
    session::{QueueTx, Session, TenantTx},
    value::{Value, json},
};

/// For how long it can be told what happened.
pub const HAPPENINGS_KEPT: Duration = Duration::from_secs(60 * 60);
/// Rows that one transaction forgets.
const AT_ONCE: u64 = 5_000;

/// What happens in a transaction, to whom: to all without a tenant.
///
/// It is written when everything else is but for the audit: who holds a tenant's last number waits for nobody but the audit's end.
#[derive(Debug, Default)]
pub(crate) struct Happenings(Vec<(Option<TenantId>, Happening)>);

impl Happenings {
    pub(crate) async fn write(
        &mut self,
        session: &mut dyn Session,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // In the order of tenants: two transactions that wait for each other never end.
        let mut of_tenants: BTreeMap<TenantId, Vec<Value>> = BTreeMap::new();
        for (tenant, happening) in std::mem::take(&mut self.0) {
            let body = json(&happening)?;
            match tenant {
                Some(tenant) => of_tenants.entry(tenant).or_default().push(body),
                None => {
                    for row in session.query("SELECT tenant_id FROM tenants", &[]).await? {
                        of_tenants.entry(TenantId::new(row.id(0)?)).or_default().push(body.clone());
                    }
                }
            }
        }
        let mut rows = Vec::new();
        for (tenant, bodies) in of_tenants {
            let tenant = Value::from(tenant.as_uuid());
            let sql = "INSERT INTO happening_ends (tenant_id, position) VALUES ($1, $2) ON CONFLICT (tenant_id) \
                       DO UPDATE SET position = happening_ends.position + excluded.position RETURNING position";
            let count = bodies.len() as u64;
            let last = session.query(sql, &[tenant.clone(), count.into()]).await?;
            let last = last.first().ok_or_else(|| StoreError::Damaged("an end has no number".to_owned()))?;
            let first = last.count(0)? + 1 - count;
            let numbered = bodies.into_iter().zip(first..);
            rows.extend(numbered.map(|(body, number)| vec![tenant.clone(), number.into(), now.into(), body]));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let head = "INSERT INTO happenings (tenant_id, position, at, body)";
        session.insert(head, &rows, "").await.map(drop)
    }
}

impl TenantTx<'_> {
    /// Something happens to the tenant.
    pub(crate) fn tell(&mut self, happening: Happening) {
        self.happenings.0.push((Some(self.tenant), happening));
    }
}

impl QueueTx<'_> {
    /// Something happens to a tenant, or to all.
    pub(crate) fn tell(&mut self, tenant: Option<TenantId>, happening: Happening) {
        self.happenings.0.push((tenant, happening));
    }

    /// A part of what is too old to be told. Whether there may be more.
    pub(crate) async fn forget_happenings(&mut self) -> Result<bool, StoreError> {
        // A little longer than is promised: whoever is told that there is no gap must find everything.
        let before = self.now.saturating_sub(HAPPENINGS_KEPT + HAPPENINGS_KEPT / 4).unwrap_or(Timestamp::MIN);
        let sql = format!(
            "DELETE FROM happenings WHERE (tenant_id, position) IN (SELECT tenant_id, position FROM happenings WHERE at < $1 \
             LIMIT {AT_ONCE})"
        );
        Ok(self.session.execute(&sql, &[before.into()]).await? == AT_ONCE)
    }
}

impl Store {
    /// The place after everything that has happened so far.
    pub async fn latest_happening(&self, tenant: TenantId) -> Result<Place, StoreError> {
        self.read_tenant(tenant, |tx| {
            Box::pin(async move {
                let sql = "SELECT position FROM happening_ends WHERE tenant_id = $1";
                let rows = tx.query(sql, &[tx.tenant()]).await?;
                let position = rows.first().map_or(Ok(0), |row| row.count(0))?;
                Ok(Place { position, at: tx.now })
            })
        })
        .await
    }

    /// What happened to a tenant after a place, in its order. What this release does not know is nothing.
    pub async fn happenings(
        &self,
        tenant: TenantId,
        after: Place,
        at_most: usize,
    ) -> Result<Vec<(Place, Option<Happening>)>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT position, at, body FROM happenings WHERE tenant_id = $1 AND position > $2 ORDER BY position \
                     LIMIT {at_most}"
                );
                let rows = tx.query(&sql, &[tx.tenant(), after.position.into()]).await?;
                rows.iter()
                    .map(|row| {
                        let place = Place { position: row.count(0)?, at: row.time(1)? };
                        Ok((place, row.json(2).ok()))
                    })
                    .collect()
            })
        })
        .await
    }
}
