//! The store that is measured, who claims from it, and a pool in this process.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use model::{NewTask, Stage, TenantId, Work, WorkerId, fairness::Turns};
use store::{ClaimRequest, Claimed, Location, NewTenant, Store, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::{
    Checks, Pool, PoolOptions, Stages,
    doorbell::{Doorbell, Settings, connect},
};

use crate::Outcome;

pub(crate) fn location(database: &str) -> Location {
    match database.strip_prefix("sqlite:") {
        Some(path) => Location::Sqlite(path.into()),
        None => Location::Postgres { url: database.to_owned(), connections: 4, replica: None },
    }
}

pub(crate) async fn open(database: &str) -> Result<Store, StoreError> {
    Store::open(&location(database)).await
}

pub(crate) async fn tenant(store: &Store, name: &str) -> Result<TenantId, StoreError> {
    Ok(store.create_tenant(NewTenant::named(name), "measuring".to_owned()).await?.id)
}

pub(crate) fn exercise(hold: Duration) -> NewTask {
    NewTask::new(Work::Exercise { hold })
}

/// Somebody who claims without working.
pub(crate) struct Claimant {
    id: WorkerId,
    stage: Stage,
    turns: Arc<Mutex<Turns>>,
}

impl Claimant {
    pub(crate) fn of(stage: Stage) -> Claimant {
        Claimant { id: WorkerId::from_random(rand::random()), stage, turns: Arc::default() }
    }

    pub(crate) async fn claim(&self, store: &Store, most: usize) -> Result<Vec<Claimed>, StoreError> {
        let request = ClaimRequest {
            worker: self.id,
            stages: vec![self.stage],
            most,
            lease: Duration::from_secs(600),
            turns: Arc::clone(&self.turns),
        };
        store.claim(request).await
    }
}

/// A way to the workers, and the pool of this process when they are not elsewhere.
pub(crate) struct Workers {
    pub(crate) doorbell: Arc<dyn Doorbell>,
    own: Option<(CancellationToken, JoinHandle<std::io::Result<()>>)>,
}

impl Workers {
    /// A pool of this process does so many tasks at once.
    pub(crate) fn reach(store: &Store, address: &str, concurrency: usize) -> Outcome<Workers> {
        let doorbell = connect(address, &Settings::default())?;
        let mut own = None;
        if address == "none" {
            let stop = CancellationToken::new();
            let checks = Checks::new(Vec::new(), "measured".to_owned(), false);
            let stages =
                Stages::new(store.clone(), checks, store::Objects::directory(&std::env::temp_dir())?);
            let options = PoolOptions {
                stages: vec![Stage::Exercise],
                concurrency,
                drain: Duration::ZERO,
                lease: Duration::from_secs(30),
            };
            let pool = Pool::new(store.clone(), Arc::clone(&doorbell), Arc::new(stages), options);
            own = Some((stop.clone(), tokio::spawn(pool.run(stop))));
        }
        Ok(Workers { doorbell, own })
    }

    pub(crate) async fn end(self) -> Outcome<()> {
        if let Some((stop, pool)) = self.own {
            stop.cancel();
            pool.await??;
        }
        Ok(())
    }
}

/// The value below which so many per cent lie.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
