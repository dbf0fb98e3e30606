//! The tasks that this process works on, and who may still work.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use model::{Reach, Stage, TaskId, TenantId};
use store::Lease;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why work on a task ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Somebody else has it, or it has ended.
    Lost,
    /// Nobody wants it any more.
    Unwanted,
    /// An emergency stop covers it.
    Stopped,
    /// Nobody can say whether a stop was ordered.
    Unknown,
    /// This process ends.
    ShutDown,
}

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
    cut: std::sync::Arc<OnceLock<Cut>>,
    token: CancellationToken,
}

/// What the one who works on a task keeps of it.
pub(crate) struct Hold {
    pub(crate) token: CancellationToken,
    cut: std::sync::Arc<OnceLock<Cut>>,
}

impl Hold {
    /// Why it was cut, once the token is cancelled.
    pub(crate) fn why(&self) -> Cut {
        self.cut.get().copied().unwrap_or(Cut::ShutDown)
    }
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

    pub(crate) fn take(&self, lease: Lease, stage: Stage) -> Hold {
        let (cut, token) = (std::sync::Arc::default(), CancellationToken::new());
        let hold = Hold { token: token.clone(), cut: std::sync::Arc::clone(&cut) };
        let mut held = self.lock();
        held.insert((lease.tenant, lease.task), Held { lease, stage, cut, token });
        // A stop that was seen between the claim and now.
        let refused = match &*self.permission.borrow() {
            Permission::Granted(stops) => stops
                .iter()
                .any(|reach| reach.covers(lease.tenant, lease.scan, stage))
                .then_some(Cut::Stopped),
            Permission::Unknown => Some(Cut::Unknown),
        };
        if let (Some(why), Some(held)) = (refused, held.get(&(lease.tenant, lease.task))) {
            held.end(why);
        }
        hold
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

    pub(crate) fn cut(&self, lease: &Lease, why: Cut) {
        if let Some(held) = self.lock().get(&(lease.tenant, lease.task)).filter(|held| held.lease == *lease) {
            held.end(why);
        }
    }

    pub(crate) fn cut_all(&self, why: Cut) {
        self.lock().values().for_each(|held| held.end(why));
    }

    /// What is stopped now: nothing that it reaches goes on.
    pub(crate) fn permit(&self, permission: Permission) {
        match &permission {
            Permission::Granted(stops) if stops.is_empty() => {}
            Permission::Granted(stops) => {
                for held in self.lock().values() {
                    let Lease { tenant, scan, .. } = held.lease;
                    if stops.iter().any(|reach| reach.covers(tenant, scan, held.stage)) {
                        held.end(Cut::Stopped);
                    }
                }
            }
            Permission::Unknown => self.cut_all(Cut::Unknown),
        }
        self.permission.send_if_modified(|now| {
            let changed = *now != permission;
            *now = permission;
            changed
        });
    }
}

impl Held {
    fn end(&self, why: Cut) {
        // The first reason is the one that ended it.
        let _ = self.cut.set(why);
        self.token.cancel();
    }
}
