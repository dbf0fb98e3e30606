//! Tasks, wherever they are.

use std::{collections::BTreeMap, time::Duration};

use client::{CancelledTasks, Client, ClientError, PurgedTasks, TaskChoice, TaskQuery};
use jiff::SignedDuration;
use model::{ScanId, TaskId, list::TimeOrder, record::TaskRecord, scan::ScanEnd};
use store::{TaskCounts, TaskFilter};

use super::{Place, known, pages};
use crate::platform::operator;

/// What came of bringing dead tasks back.
#[derive(Debug, Default)]
pub(in crate::platform) struct Redriven {
    /// So many wait to be tried again.
    pub(in crate::platform) tasks: u64,
    /// So many stay dead, of scans that give up what is planned, and why those do, if that is known.
    pub(in crate::platform) left: BTreeMap<ScanId, (u64, Option<ScanEnd>)>,
}

impl Redriven {
    pub(in crate::platform) fn add(&mut self, other: Redriven) {
        self.tasks += other.tasks;
        for (scan, (tasks, why)) in other.left {
            self.left.entry(scan).or_insert((0, why)).0 += tasks;
        }
    }
}

impl From<store::Redriven> for Redriven {
    fn from(redriven: store::Redriven) -> Redriven {
        let left = redriven.left.into_iter().map(|(scan, left)| (scan, (left.tasks, Some(left.why))));
        Redriven { tasks: redriven.tasks, left: left.collect() }
    }
}

impl Place {
    /// In the order in which they were asked for.
    pub(in crate::platform) async fn tasks(
        &self,
        filter: TaskFilter,
        after: Option<TaskId>,
        at_most: usize,
    ) -> anyhow::Result<Vec<TaskRecord>> {
        match self {
            Place::Here(desk) => Ok(desk.store.tasks(desk.tenant().await?, filter, after, at_most).await?),
            Place::There(client) => there(client, filter, after, at_most).await,
        }
    }

    /// The same; they may be some seconds old.
    pub(in crate::platform) async fn stale_tasks(
        &self,
        filter: TaskFilter,
        after: Option<TaskId>,
        at_most: usize,
    ) -> anyhow::Result<Vec<TaskRecord>> {
        match self {
            Place::Here(desk) => {
                Ok(desk.stale_reads().await?.tasks(desk.tenant().await?, filter, after, at_most).await?)
            }
            Place::There(client) => there(client, filter, after, at_most).await,
        }
    }

    /// How many the tenant has; they may be some seconds old.
    pub(in crate::platform) async fn stale_task_counts(&self) -> anyhow::Result<TaskCounts> {
        Ok(match self {
            Place::Here(desk) => desk.stale_reads().await?.task_counts(desk.tenant().await?).await?,
            Place::There(client) => {
                let totals = client.task_totals().await?.into_iter();
                let states = totals.flat_map(|(stage, states)| {
                    states.into_iter().map(move |(state, count)| ((stage, state), count))
                });
                states.collect()
            }
        })
    }

    /// It may be some seconds old.
    pub(in crate::platform) async fn stale_task(&self, id: TaskId) -> anyhow::Result<TaskRecord> {
        Ok(match self {
            Place::Here(desk) => desk.stale_reads().await?.task(desk.tenant().await?, id).await?,
            Place::There(client) => client.task(id).await?,
        })
    }

    /// How many were reached: those that waited have ended, those at work end when their workers hear of it.
    pub(in crate::platform) async fn cancel_tasks(&self, filter: TaskFilter) -> anyhow::Result<u64> {
        match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                Ok(desk.store.cancel_tasks(tenant, filter, u64::MAX, operator()).await?)
            }
            Place::There(client) => {
                let which = choice(filter);
                until_no_more(async || {
                    let CancelledTasks { reached, more } = client.cancel_tasks(&which).await?;
                    Ok((reached, more))
                })
                .await
            }
        }
    }

    pub(in crate::platform) async fn redrive_tasks(&self, filter: TaskFilter) -> anyhow::Result<Redriven> {
        match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                Ok(desk.store.redrive_tasks(tenant, filter, u64::MAX, operator()).await?.into())
            }
            Place::There(client) => {
                let totals = client.task_totals().await?;
                // What dies again meanwhile is not brought back for ever.
                let dead: u64 = totals.values().filter_map(|states| states.get("dead")).sum();
                let (which, mut total) = (choice(filter), Redriven::default());
                loop {
                    let redriven = client.redrive_tasks(&which).await?;
                    total.tasks += redriven.redriven;
                    // Those that stay are told each time, as far as it came.
                    total.left = redriven.left.into_iter().map(|(scan, left)| (scan, (left, None))).collect();
                    if !redriven.more || total.tasks >= dead {
                        return Ok(total);
                    }
                }
            }
        }
    }

    /// How many are forgotten.
    pub(in crate::platform) async fn purge_tasks(
        &self,
        filter: TaskFilter,
        older_than: Duration,
    ) -> anyhow::Result<u64> {
        match self {
            Place::Here(desk) => {
                // By the clock that says when they ended.
                let now = desk.store.clock().await?;
                let before = now.saturating_sub(SignedDuration::try_from(older_than)?)?;
                let tenant = desk.tenant().await?;
                Ok(desk.store.purge_tasks(tenant, filter, before, u64::MAX, operator()).await?)
            }
            Place::There(client) => {
                let which = choice(filter);
                until_no_more(async || {
                    let PurgedTasks { purged, more } = client.purge_tasks(&which, older_than).await?;
                    Ok((purged, more))
                })
                .await
            }
        }
    }
}

/// A server does so many at once, and says whether there may be more. How many that were in all.
async fn until_no_more(ask: impl AsyncFn() -> Result<(u64, bool), ClientError>) -> anyhow::Result<u64> {
    let mut all = 0;
    loop {
        let (some, more) = ask().await?;
        all += some;
        if !more {
            return Ok(all);
        }
    }
}

fn choice(filter: TaskFilter) -> TaskChoice {
    let all = filter == TaskFilter::default();
    let TaskFilter { ids: tasks, scan, stage, failure, .. } = filter;
    TaskChoice { tasks, scan, stage, failure, all }
}

async fn there(
    client: &Client,
    filter: TaskFilter,
    after: Option<TaskId>,
    at_most: usize,
) -> anyhow::Result<Vec<TaskRecord>> {
    if filter.ids.is_empty() {
        let TaskFilter { scan, stage, state, failure, .. } = filter;
        let order = TimeOrder::OldestFirst;
        let query = TaskQuery { scan, stage, state, failure, order, ..TaskQuery::default() };
        let ask = async |limit, after| {
            client.tasks(&TaskQuery { limit: Some(limit), after, ..query.clone() }).await
        };
        return pages(at_most, after, ask).await;
    }
    // A list is not asked for by ids: these are few.
    let mut ids = filter.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids.into_iter().filter(|id| after.is_none_or(|after| *id > after)) {
        if found.len() == at_most {
            break;
        }
        let task = known(client.task(id).await.map_err(Into::into))?;
        found.extend(task.filter(|task| is_meant(&filter, task)));
    }
    Ok(found)
}

fn is_meant(filter: &TaskFilter, task: &TaskRecord) -> bool {
    let failure = task.task.last_failure.as_deref().unwrap_or_default();
    filter.scan.is_none_or(|scan| task.scan == Some(scan))
        && filter.stage.is_none_or(|stage| task.work.stage() == stage)
        && filter.state.is_none_or(|state| task.task.life.word() == state)
        && filter.failure.as_ref().is_none_or(|text| failure.contains(text))
}
