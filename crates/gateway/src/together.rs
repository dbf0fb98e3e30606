//! Tasks that many ask for at the same time, read in one transaction of their tenant: beginning and ending one costs more than a row.
//!
//! Nobody waits for others to come: what arrives while a reading goes on is the next one. Each tenant has one reading at a time, and none
//! waits for another's.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{TaskId, TenantId};
use store::{Store, StoreError, TaskFilter, TaskRecord};
use tokio::sync::oneshot;

use crate::problem::{Kind, Problem};

/// Tasks of one reading, at most. For many more, PostgreSQL looks at every task of a tenant whose tasks it has not counted yet
/// (`ANALYZE`), and that takes as long as a thousand single ones.
const MOST: usize = 64;

type Answer = Result<TaskRecord, Problem>;

/// Somebody who waits for a task.
#[derive(Debug)]
struct Wanted {
    id: TaskId,
    sender: oneshot::Sender<Answer>,
}

/// Who waits for which task. For a tenant that stands here somebody reads, and goes on until nobody waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Together(Arc<Mutex<HashMap<TenantId, Vec<Wanted>>>>);

impl Together {
    /// One task of a tenant, as it is after it was asked for.
    pub(crate) async fn task(&self, store: &Store, tenant: TenantId, id: TaskId) -> Answer {
        let (sender, answer) = oneshot::channel();
        let wanted = Wanted { id, sender };
        let is_first = match self.waiting().entry(tenant) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(wanted);
                false
            }
            Entry::Vacant(nobody) => {
                nobody.insert(vec![wanted]);
                true
            }
        };
        if is_first {
            // By itself: whoever asked may go away, and the others still want theirs.
            let reading = Reading { together: self.clone(), tenant, is_over: false };
            tokio::spawn(reading.go_on(store.clone()));
        }
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TenantId, Vec<Wanted>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads for a tenant.
struct Reading {
    together: Together,
    tenant: TenantId,
    is_over: bool,
}

impl Reading {
    async fn go_on(mut self, store: Store) {
        while let Some(wanted) = self.take() {
            read(&store, self.tenant, wanted).await;
        }
    }

    /// Those who wait. When nobody does, the next who comes begins to read.
    fn take(&mut self) -> Option<Vec<Wanted>> {
        let mut waiting = self.together.waiting();
        let all = waiting.get_mut(&self.tenant)?;
        if all.is_empty() {
            waiting.remove(&self.tenant);
            self.is_over = true;
            return None;
        }
        Some(all.drain(..all.len().min(MOST)).collect())
    }
}

impl Drop for Reading {
    /// Broken off, it leaves nobody waiting for what does not come.
    fn drop(&mut self) {
        if !self.is_over {
            self.together.waiting().remove(&self.tenant);
        }
    }
}

async fn read(store: &Store, tenant: TenantId, wanted: Vec<Wanted>) {
    let ids: Vec<TaskId> = wanted.iter().map(|wanted| wanted.id).collect();
    let at_most = ids.len();
    let found = store.tasks(tenant, TaskFilter { ids, ..TaskFilter::default() }, None, at_most).await;
    let found = found
        .map_err(Problem::from)
        .map(|tasks| tasks.into_iter().map(|task| (task.id, task)).collect::<HashMap<TaskId, TaskRecord>>());
    for Wanted { id, sender } in wanted {
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
