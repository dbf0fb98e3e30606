//! The tasks that this process works on, and who may still work.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::{Reach, ScanId, Stage, TaskId, TenantId};
use store::Lease;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// May anything be begun?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permission {
    /// As far as these stops do not reach.
    Granted(Vec<Reach>),
    /// The store cannot be asked, so nothing is sent: a stop may have been ordered.
    Unknown,
}

/// A task at work.
pub(crate) struct Held {
    pub(crate) lease: Lease,
    stage: Stage,
    token: CancellationToken,
}

/// Everything at work in this process.
pub(crate) struct Holdings {
    held: Mutex<HashMap<(TenantId, TaskId), Held>>,
    permission: watch::Sender<Permission>,
}

impl Holdings {
    pub(crate) fn new() -> Holdings {
        // Nobody has asked the store yet.
        let (permission, _) = watch::channel(Permission::Unknown);
        Holdings { held: Mutex::default(), permission }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, TaskId), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn permission(&self) -> watch::Receiver<Permission> {
        self.permission.subscribe()
    }

    /// A task that was claimed; work on it ends with the token, and nothing that is cut short has a result.
    pub(crate) fn take(&self, lease: Lease, stage: Stage) -> CancellationToken {
        let token = CancellationToken::new();
        let mut held = self.lock();
        held.insert((lease.tenant, lease.task), Held { lease, stage, token: token.clone() });
        // A stop that was seen between the claim and now.
        let refused = match &*self.permission.borrow() {
            Permission::Granted(stops) => {
                stops.iter().any(|reach| reach.covers(lease.tenant, lease.scan, stage))
            }
            Permission::Unknown => true,
        };
        if refused {
            token.cancel();
        }
        token
    }

    /// Its end is committed, or nobody cares for it.
    pub(crate) fn release(&self, lease: &Lease) {
        let mut held = self.lock();
        // A later claim of the same task may stand there by now.
        if held.get(&(lease.tenant, lease.task)).is_some_and(|held| held.lease == *lease) {
            held.remove(&(lease.tenant, lease.task));
        }
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.lock().values().map(|held| held.lease).collect()
    }

    /// The scans that tasks at work are of.
    pub(crate) fn scans(&self) -> Vec<(TenantId, ScanId)> {
        let of_scan = |held: &Held| held.lease.scan.map(|scan| (held.lease.tenant, scan));
        self.lock().values().filter_map(of_scan).collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(crate) fn cut(&self, lease: &Lease) {
        if let Some(held) = self.lock().get(&(lease.tenant, lease.task)).filter(|held| held.lease == *lease) {
            held.token.cancel();
        }
    }

    pub(crate) fn cut_all(&self) {
        self.lock().values().for_each(|held| held.token.cancel());
    }

    /// What is stopped now: nothing that it reaches goes on.
    pub(crate) fn permit(&self, permission: Permission) {
        match &permission {
            Permission::Granted(stops) if stops.is_empty() => {}
            Permission::Granted(stops) => {
                for held in self.lock().values() {
                    let Lease { tenant, scan, .. } = held.lease;
                    if stops.iter().any(|reach| reach.covers(tenant, scan, held.stage)) {
                        held.token.cancel();
                    }
                }
            }
            Permission::Unknown => self.cut_all(),
        }
        self.permission.send_if_modified(|now| {
            let changed = *now != permission;
            *now = permission;
            changed
        });
    }
}
