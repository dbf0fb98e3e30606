//! What this process may send for scans that may only send so much: asked for before it is sent, and given back when it was not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use model::{Limits, ScanId, TenantId};
use scanner::socket::Quota;
use store::{Store, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it is looked whose quota runs low.
const LOOK: Duration = Duration::from_millis(200);
/// Who was granted nothing for so long, and could send something, ends the scan: until then others may give back what they do not
/// need.
const STARVED_FOR: Duration = Duration::from_secs(2);

/// The quotas of scans at work in this process.
#[derive(Default)]
pub(crate) struct Quotas {
    known: Mutex<HashMap<(TenantId, ScanId), Known>>,
}

struct Known {
    quota: Arc<Quota>,
    /// What it sends in a second, at most: so many are asked for at once.
    a_second: u64,
    /// When half of that is gone, more is asked for.
    granted: u64,
    starved_since: Option<Instant>,
}

/// Something to be done about a quota.
enum Want {
    /// Nobody works on the scan here any more.
    Return,
    /// It runs low, or somebody waits.
    Grant { packets: u64, somebody_waits: bool },
}

impl Quotas {
    /// A quota in which nothing is allowed yet.
    pub(crate) fn begin(&self, tenant: TenantId, scan: ScanId, limits: &Limits) -> Arc<Quota> {
        let Limits { requests_per_second, probes_per_second, queries_per_second, .. } = *limits;
        let a_second = [requests_per_second, probes_per_second, queries_per_second];
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry((tenant, scan)).or_insert_with(|| Known {
            quota: Arc::default(),
            a_second: a_second.into_iter().map(u64::from).sum::<u64>().max(1),
            granted: 0,
            starved_since: None,
        });
        Arc::clone(&known.quota)
    }

    /// Looks after them until it is dropped.
    pub(crate) async fn tend(&self, store: &Store) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut in_trouble = false;
        loop {
            look.tick().await;
            let tended = self.look(store).await;
            if let (false, Err(error)) = (in_trouble, &tended) {
                tracing::warn!(%error, "nothing can be sent for scans that may only send so much");
            }
            in_trouble = tended.is_err();
        }
    }

    /// Gives back what nobody here will send. Nobody works any more.
    pub(crate) async fn give_back(&self, store: &Store) -> Result<(), StoreError> {
        let known = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        for ((tenant, scan), Known { quota, .. }) in known {
            return_left(store, tenant, scan, &quota).await?;
        }
        Ok(())
    }

    async fn look(&self, store: &Store) -> Result<(), StoreError> {
        let mut trouble = None;
        for ((tenant, scan), quota, want) in self.wants() {
            let done = match want {
                Want::Return => return_left(store, tenant, scan, &quota).await,
                Want::Grant { packets, somebody_waits } => {
                    self.ask(store, (tenant, scan), &quota, packets, somebody_waits).await
                }
            };
            // What is wrong with one scan holds up no other.
            if let Err(error) = done {
                trouble = trouble.or(Some(error));
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn ask(
        &self,
        store: &Store,
        (tenant, scan): (TenantId, ScanId),
        quota: &Quota,
        packets: u64,
        somebody_waits: bool,
    ) -> Result<(), StoreError> {
        let granted = store.grant_packets(tenant, scan, packets).await?;
        quota.allow(granted);
        if self.has_starved((tenant, scan), granted, somebody_waits) {
            store.end_for_packets(tenant, scan).await?;
        }
        Ok(())
    }

    /// Those that no engine has any more are forgotten.
    fn wants(&self) -> Vec<((TenantId, ScanId), Arc<Quota>, Want)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wants = Vec::new();
        known.retain(|scan, Known { quota, a_second, granted, .. }| {
            if Arc::strong_count(quota) == 1 {
                wants.push((*scan, std::mem::take(quota), Want::Return));
                return false;
            }
            let somebody_waits = quota.is_short();
            if somebody_waits || quota.left() <= *granted / 2 {
                wants.push((*scan, Arc::clone(quota), Want::Grant { packets: *a_second, somebody_waits }));
            }
            true
        });
        wants
    }

    fn has_starved(&self, scan: (TenantId, ScanId), granted: u64, somebody_waits: bool) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.get_mut(&scan) else { return false };
        known.granted = granted;
        if granted > 0 || !somebody_waits {
            known.starved_since = None;
            return false;
        }
        known.starved_since.get_or_insert_with(Instant::now).elapsed() >= STARVED_FOR
    }
}

/// What cannot be given back is lost to the scan: it may have been sent, for all that anybody knows.
async fn return_left(store: &Store, tenant: TenantId, scan: ScanId, quota: &Quota) -> Result<(), StoreError> {
    match quota.take_back() {
        0 => Ok(()),
        left => store.return_packets(tenant, scan, left).await,
    }
}
