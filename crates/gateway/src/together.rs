//! Tasks that many ask for at the same time, read in one transaction of their tenant: beginning and ending one costs more than a row.
//!
//! Nobody waits for others to come: what arrives while a reading goes on is the next one. A tenant has one reading at a time, and another
//! beside it once as many wait as one reads, or when it takes long; none waits for another tenant's.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use model::{TaskId, TenantId};
use store::{Store, StoreError, TaskFilter, TaskRecord};
use tokio::sync::oneshot;

use crate::problem::{Kind, Problem};

/// Tasks of one reading, at most. For many more, PostgreSQL looks at every task of a tenant whose tasks it has not counted yet
/// (`ANALYZE`), and that takes as long as a thousand single ones.
const MOST: usize = 64;
/// Readings of one tenant at a time: while one waits for its turn at the database or here, the cores have another to go on with.
const READINGS: usize = 3;
/// After so long somebody else reads beside one that does not come to its end: its connection may be dead, and those of others are not.
const PATIENCE: Duration = Duration::from_secs(1);

type Answer = Result<TaskRecord, Problem>;

/// Somebody who waits for a task.
#[derive(Debug)]
struct Wanted {
    id: TaskId,
    sender: oneshot::Sender<Answer>,
}

/// Who waits for tasks of one tenant, and how many read for them.
#[derive(Debug)]
struct Waiting {
    wanted: VecDeque<Wanted>,
    readings: usize,
    /// When somebody last began to read.
    taken: Instant,
}

/// Who waits for which task. For a tenant that stands here somebody reads, and goes on until nobody waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Together(Arc<Mutex<HashMap<TenantId, Waiting>>>);

impl Together {
    /// One task of a tenant, as it is after it was asked for.
    pub(crate) async fn task(&self, store: &Store, tenant: TenantId, id: TaskId) -> Answer {
        let (sender, answer) = oneshot::channel();
        if self.wait(tenant, Wanted { id, sender }) {
            // By itself: whoever asked may go away, and the others still want theirs.
            let reading = Reading { together: self.clone(), tenant, is_over: false };
            tokio::spawn(reading.go_on(store.clone()));
        }
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Whether one more is to read.
    fn wait(&self, tenant: TenantId, wanted: Wanted) -> bool {
        let mut all = self.lock();
        let nobody = || Waiting { wanted: VecDeque::new(), readings: 0, taken: Instant::now() };
        let waiting = all.entry(tenant).or_insert_with(nobody);
        waiting.wanted.push_back(wanted);
        let is_late = waiting.wanted.len() >= MOST || waiting.taken.elapsed() > PATIENCE;
        let begins = waiting.readings == 0 || (is_late && waiting.readings < READINGS);
        waiting.readings += usize::from(begins);
        begins
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Waiting>> {
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

    /// Those who wait. When nobody does, it is over; where it was the last, the next who comes begins to read.
    fn take(&mut self) -> Option<Vec<Wanted>> {
        let mut all = self.together.lock();
        let waiting = all.get_mut(&self.tenant)?;
        // Whoever has gone is not read for.
        waiting.wanted.retain(|wanted| !wanted.sender.is_closed());
        if waiting.wanted.is_empty() {
            waiting.readings -= 1;
            if waiting.readings == 0 {
                all.remove(&self.tenant);
            }
            self.is_over = true;
            return None;
        }
        waiting.taken = Instant::now();
        let most = waiting.wanted.len().min(MOST);
        Some(waiting.wanted.drain(..most).collect())
    }
}

impl Drop for Reading {
    /// Broken off, it leaves nobody waiting for what does not come.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut all = self.together.lock();
        if let Some(waiting) = all.get_mut(&self.tenant) {
            waiting.readings -= 1;
            if waiting.readings == 0 {
                all.remove(&self.tenant);
            }
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
