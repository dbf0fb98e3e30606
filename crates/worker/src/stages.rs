//! What is done in a task, by its kind.

use std::{sync::Arc, time::Duration};

use model::{
    Traffic, Work,
    limits::TaskCeilings,
    task::{Retry, TaskFailure},
};
use store::{Claimed, Ending, Objects, Store};
use tokio_util::sync::CancellationToken;

use crate::{
    deliver::Sender,
    engines::{Checks, Engines, sends},
    reports,
};

/// Beyond its deadline a task gets as long again to come to its own end, and at most so long.
const GRACE: Duration = Duration::from_secs(30);

/// Does tasks.
pub struct Stages {
    store: Store,
    pub(crate) engines: Engines,
    checks: Checks,
    reports: Objects,
    sender: Option<Arc<Sender>>,
}

impl Stages {
    /// Reports are kept there.
    pub fn new(store: Store, checks: Checks, reports: Objects) -> Stages {
        Stages { engines: Engines::new(store.clone(), checks.clone()), store, checks, reports, sender: None }
    }

    /// Messages to webhooks are sent by this one.
    #[must_use]
    pub fn sending(mut self, sender: Option<Arc<Sender>>) -> Stages {
        self.sender = sender;
        self
    }

    /// No task here uses more than that.
    #[must_use]
    pub fn within(mut self, ceilings: TaskCeilings) -> Stages {
        self.engines.ceilings = ceilings;
        self
    }

    /// Does one task; none when it was stopped in the middle.
    pub(crate) async fn perform(
        self: &Arc<Self>,
        task: &Claimed,
        stop: &CancellationToken,
    ) -> Option<Ending> {
        let within = task.deadline + task.deadline.min(GRACE);
        match tokio::time::timeout(within, self.work(task, stop)).await {
            Ok(ending) => ending,
            Err(_) => {
                let message = format!("it took longer than {within:?}");
                Some(Ending::Failed(TaskFailure { message, retry: Retry::Later }))
            }
        }
    }

    /// What was sent for a task, and for others of its scan that have not told yet.
    pub(crate) fn sent_for(&self, task: &Claimed) -> Traffic {
        let scan = task.lease.scan.filter(|_| sends(task.work.stage()));
        scan.map_or_else(Traffic::default, |scan| self.engines.take_traffic(task.lease.tenant, scan))
    }

    async fn work(self: &Arc<Self>, task: &Claimed, stop: &CancellationToken) -> Option<Ending> {
        let (tenant, scan) = (task.lease.tenant, task.lease.scan);
        match (&task.work, scan) {
            (Work::Exercise { hold }, _) => {
                tokio::time::sleep(*hold).await;
                Some(Ending::Completed)
            }
            (Work::Unit(unit), Some(scan)) => {
                let engine = match self.engines.of(tenant, scan).await {
                    Ok(engine) => engine,
                    Err(error) => return Some(failed(&error)),
                };
                if let Some(closed) = engine.closed(jiff::Timestamp::now()) {
                    return Some(closed);
                }
                let _presence = match self.engines.arrive(tenant, &engine).await {
                    Ok(presence) => presence,
                    Err(error) => return Some(failed(&error)),
                };
                let result = engine.perform(unit, task.deadline, stop).await?;
                Some(Ending::Unit(Box::new(result)))
            }
            (Work::Report, Some(scan)) => {
                match reports::write(&self.store, &self.checks, &self.reports, tenant, scan).await {
                    Ok(()) => Some(Ending::Completed),
                    Err(error) => {
                        let message = format!("the report cannot be written: {error}");
                        Some(Ending::Failed(TaskFailure { message, retry: Retry::Later }))
                    }
                }
            }
            (Work::Deliver(delivery), _) => match &self.sender {
                Some(sender) => sender.deliver(&self.store, &task.lease, delivery, stop).await,
                None => {
                    let message = "this worker sends nothing to webhooks: it has no --webhook-receivers";
                    Some(Ending::Failed(TaskFailure { message: message.to_owned(), retry: Retry::Later }))
                }
            },
            (Work::Package { .. }, _) => {
                let message = "no worker of this release analyses packages".to_owned();
                Some(Ending::Failed(TaskFailure { message, retry: Retry::Never }))
            }
            (Work::Unit(_) | Work::Report, None) => {
                let message = "it belongs to no scan".to_owned();
                Some(Ending::Failed(TaskFailure { message, retry: Retry::Never }))
            }
        }
    }
}

fn failed(error: &store::StoreError) -> Ending {
    let retry = if error.is_passing() { Retry::Later } else { Retry::Never };
    Ending::Failed(TaskFailure { message: error.to_string(), retry })
}
