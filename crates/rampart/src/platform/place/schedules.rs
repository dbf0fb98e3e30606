//! Schedules, wherever they are.

use anyhow::Context;
use client::{Expected, Versioned};
use model::{
    ScheduleId,
    record::{NewSchedule, ScheduleChange, ScheduleRecord},
};
use store::StoreError;

use super::{Place, pages};
use crate::{
    library::Library,
    platform::{operator, with_way_out},
};

impl Place {
    pub(in crate::platform) async fn schedules(&self) -> anyhow::Result<Vec<ScheduleRecord>> {
        Ok(match self {
            Place::Here(desk) => desk.store.schedules(desk.tenant().await?).await?,
            Place::There(client) => {
                pages(usize::MAX, None, async |limit, after| client.schedules(limit, after).await).await?
            }
        })
    }

    /// They may be some seconds old.
    pub(in crate::platform) async fn stale_schedules(&self) -> anyhow::Result<Vec<ScheduleRecord>> {
        match self {
            Place::Here(desk) => Ok(desk.stale_reads().await?.schedules(desk.tenant().await?).await?),
            Place::There(_) => self.schedules().await,
        }
    }

    pub(in crate::platform) async fn create_schedule(
        &self,
        new: NewSchedule,
    ) -> anyhow::Result<ScheduleRecord> {
        let made = match self {
            Place::Here(desk) => {
                Library::require_built_in(&new.request.only)?;
                let tenant = desk.tenant().await?;
                // Here somebody is told; when its time comes, nobody is there.
                let made = match (new.request.budget.cost, desk.configuration.price_per_worker_hour) {
                    (Some(_), None) => Err(StoreError::NoPrice),
                    _ => desk.store.create_schedule(tenant, new, operator()).await,
                };
                made.map_err(with_way_out)
            }
            Place::There(client) => client.create_schedule(&new).await.map_err(Into::into),
        };
        made.context("the schedule was not made")
    }

    /// As it stands, and by what it is known later whether it still does.
    pub(in crate::platform) async fn seen_schedule(
        &self,
        id: ScheduleId,
    ) -> anyhow::Result<Versioned<ScheduleRecord>> {
        Ok(match self {
            Place::Here(desk) => {
                let document = desk.store.schedule(desk.tenant().await?, id).await?;
                Versioned { document, version: None }
            }
            Place::There(client) => client.schedule(id).await?,
        })
    }

    /// As it was seen, if somebody has.
    pub(in crate::platform) async fn change_schedule(
        &self,
        id: ScheduleId,
        change: ScheduleChange,
        seen: Option<Versioned<ScheduleRecord>>,
    ) -> anyhow::Result<ScheduleRecord> {
        let changed = match self {
            Place::Here(desk) => {
                if let Some(request) = &change.request {
                    Library::require_built_in(&request.only)?;
                }
                let (tenant, seen) = (desk.tenant().await?, seen.map(|seen| seen.document));
                desk.store.change_schedule(tenant, id, change, seen, operator()).await.map_err(with_way_out)
            }
            Place::There(client) => {
                let version = seen.and_then(|seen| seen.version);
                let expected = version.map_or(Expected::Whatever, Expected::Seen);
                client.change_schedule(id, &change, expected).await.map_err(Into::into)
            }
        };
        changed.context("the schedule was not changed")
    }

    pub(in crate::platform) async fn delete_schedule(&self, id: ScheduleId) -> anyhow::Result<()> {
        match self {
            Place::Here(desk) => {
                desk.store.delete_schedule(desk.tenant().await?, id, None, operator()).await?;
            }
            Place::There(client) => client.delete_schedule(id).await?,
        }
        Ok(())
    }
}
