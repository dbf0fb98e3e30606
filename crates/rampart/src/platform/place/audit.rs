//! The audit, wherever it is.

use std::cmp::Reverse;

use client::AuditQuery;
use model::{AuditEntry, audit::Checkpoint, list::TimeOrder};
use store::AuditFilter;

use super::{Place, pages};

impl Place {
    /// What was done to the tenant; with `all` also what was done to all tenants at once.
    pub(in crate::platform) async fn audit(
        &self,
        filter: AuditFilter,
        all: bool,
        at_most: usize,
    ) -> anyhow::Result<Vec<AuditEntry>> {
        let order = filter.order;
        let mut found = self.audit_of(false, filter.clone(), at_most).await?;
        if all {
            found.extend(self.audit_of(true, filter, at_most).await?);
            match order {
                TimeOrder::NewestFirst => found.sort_unstable_by_key(|entry| Reverse(entry.id)),
                TimeOrder::OldestFirst => found.sort_unstable_by_key(|entry| entry.id),
            }
            found.truncate(at_most);
        }
        Ok(found)
    }

    async fn audit_of(
        &self,
        installation: bool,
        filter: AuditFilter,
        at_most: usize,
    ) -> anyhow::Result<Vec<AuditEntry>> {
        match self {
            Place::Here(desk) if installation => Ok(desk.store.audit_of_nobody(filter, at_most).await?),
            Place::Here(desk) => Ok(desk.store.audit(desk.tenant().await?, filter, at_most).await?),
            Place::There(client) => {
                let AuditFilter { action, by, since, until, request, refused, before, after, order } = filter;
                let query = AuditQuery {
                    action,
                    by,
                    since,
                    until,
                    request,
                    refused,
                    order,
                    limit: None,
                    before,
                    after,
                    installation,
                };
                let ask = async |limit, next: Option<u64>| {
                    let mut query = AuditQuery { limit: Some(limit), ..query.clone() };
                    match order {
                        TimeOrder::NewestFirst => query.before = next.or(before),
                        TimeOrder::OldestFirst => query.after = next.or(after),
                    }
                    client.audit(&query).await
                };
                pages(at_most, None, ask).await
            }
        }
    }

    /// Checkpoints of the tenant's chain, or of that of what was done to all, the newest first.
    pub(in crate::platform) async fn audit_checkpoints(
        &self,
        installation: bool,
        before: Option<u64>,
        at_most: usize,
    ) -> anyhow::Result<Vec<Checkpoint>> {
        match self {
            Place::Here(desk) => {
                let tenant = if installation { None } else { Some(desk.tenant().await?) };
                Ok(desk.store.audit_checkpoints(tenant, before, at_most).await?)
            }
            Place::There(client) => {
                pages(at_most, before, async |limit, before| {
                    client.audit_checkpoints(installation, Some(limit), before).await
                })
                .await
            }
        }
    }
}
