//! Tasks that many ask for at the same time, read in one transaction of their tenant: beginning and ending one costs more than a row.
//!
//! Nobody waits for others to come: what arrives while a reading goes on is the next one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use model::{TaskId, TenantId};
use store::{Store, StoreError, TaskFilter, TaskRecord};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::problem::{Kind, Problem};

/// Readings at once. With more of them there is less in each.
const LANES: usize = 2;
/// Tasks of one reading, at most.
const MOST: usize = 256;

type Answer = Result<TaskRecord, Problem>;

/// Somebody who waits for a task.
#[derive(Debug)]
struct Wanted {
    ticket: u64,
    id: TaskId,
    sender: oneshot::Sender<Answer>,
}

/// Who waits for which task, and how much is read.
#[derive(Debug)]
pub(crate) struct Together {
    waiting: Mutex<HashMap<TenantId, Vec<Wanted>>>,
    tickets: AtomicU64,
    lanes: Arc<Semaphore>,
}

impl Default for Together {
    fn default() -> Together {
        Together {
            waiting: Mutex::default(),
            tickets: AtomicU64::default(),
            lanes: Arc::new(Semaphore::new(LANES)),
        }
    }
}

impl Together {
    /// One task of a tenant, as it is after it was asked for.
    pub(crate) async fn task(&self, store: &Store, tenant: TenantId, id: TaskId) -> Answer {
        let (sender, mut answer) = oneshot::channel();
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.waiting().entry(tenant).or_default().push(Wanted { ticket, id, sender });
        loop {
            let lane = tokio::select! {
                biased;
                told = &mut answer => return told.unwrap_or_else(|_| Err(lost())),
                lane = Arc::clone(&self.lanes).acquire_owned() => lane.map_err(|_| lost())?,
            };
            let Some(wanted) = self.take(tenant) else { break };
            let is_among = wanted.iter().any(|wanted| wanted.ticket == ticket);
            // By itself: whoever asked may go away, and the others still want theirs.
            tokio::spawn(read(store.clone(), tenant, wanted, lane));
            // Otherwise so many are before it that it needs another reading, or it is in one already.
            if is_among {
                break;
            }
        }
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    fn take(&self, tenant: TenantId) -> Option<Vec<Wanted>> {
        let mut waiting = self.waiting();
        let all = waiting.get_mut(&tenant)?;
        let wanted = all.drain(..all.len().min(MOST)).collect();
        if all.is_empty() {
            waiting.remove(&tenant);
        }
        Some(wanted)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TenantId, Vec<Wanted>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(store: Store, tenant: TenantId, wanted: Vec<Wanted>, lane: OwnedSemaphorePermit) {
    let ids: Vec<TaskId> = wanted.iter().map(|wanted| wanted.id).collect();
    let at_most = ids.len();
    let found = store.tasks(tenant, TaskFilter { ids, ..TaskFilter::default() }, None, at_most).await;
    drop(lane);
    let found = found
        .map_err(Problem::from)
        .map(|tasks| tasks.into_iter().map(|task| (task.id, task)).collect::<HashMap<TaskId, TaskRecord>>());
    for Wanted { id, sender, .. } in wanted {
        let missing = || StoreError::Missing { kind: "task", name: id.to_string() }.into();
        let answer = match &found {
            Ok(found) => found.get(&id).cloned().ok_or_else(missing),
            Err(problem) => Err(problem.clone()),
        };
        // Who is gone wants it no more.
        let _ = sender.send(answer);
    }
}

fn lost() -> Problem {
    Problem::new(Kind::Unavailable, "the reading was broken off")
}
