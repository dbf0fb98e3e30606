//! Schedules, wherever they are.

use anyhow::Context;
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

    pub(in crate::platform) async fn change_schedule(
        &self,
        id: ScheduleId,
        change: ScheduleChange,
    ) -> anyhow::Result<ScheduleRecord> {
        let changed = match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                desk.store.change_schedule(tenant, id, change, None, operator()).await.map_err(with_way_out)
            }
            Place::There(client) => client.change_schedule(id, &change).await.map_err(Into::into),
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
