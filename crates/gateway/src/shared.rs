//! What all requests share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use model::{TaskId, TenantId, scaling::Backlog};
use store::{KeyRecord, Known, SessionRecord, Store, TaskRecord};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Surroundings,
    guesses::Guesses,
    limits::{Limits, Parts},
    live::Feeds,
    metrics::Metrics,
    problem::Problem,
    recent::Recent,
    refusals::Refusals,
    rules::Rules,
    together::Together,
};

/// Behind a [`Gateway`](crate::Gateway).
pub struct Shared {
    pub(crate) store: Store,
    pub(crate) around: Surroundings,
    pub(crate) room: Semaphore,
    /// Who counts what was used.
    pub(crate) counting: Semaphore,
    pub(crate) refusals: Refusals,
    pub(crate) rules: Arc<ArcSwap<Rules>>,
    pub(crate) limits: ArcSwap<Limits>,
    pub(crate) metrics: Metrics,
    /// Keys that were used within the last second, by what they hash to.
    pub(crate) keys: Recent<[u8; 32], Known<KeyRecord>>,
    /// Tasks that somebody looked at within the last second.
    pub(crate) tasks: Recent<(TenantId, TaskId), TaskRecord>,
    pub(crate) together: Together,
    /// How many stops hold, for those who only ask whether it is ready.
    pub(crate) readiness: Recent<(), Result<usize, Problem>>,
    /// What there is to do, for autoscalers; nothing where the database does not tell.
    pub(crate) backlog: Recent<(), Option<Backlog>>,
    /// Sessions that were used within the last second, by what their tokens hash to.
    pub(crate) sessions: Recent<[u8; 32], Known<SessionRecord>>,
    pub(crate) guesses: Guesses,
    /// The audit is being told, after the answer was given.
    pub(crate) telling: TaskTracker,
    /// Nothing new is answered: whoever follows what happens is to follow it elsewhere.
    pub(crate) closing: CancellationToken,
    pub(crate) feeds: Arc<Feeds>,
    /// Who follows what happens, by tenant.
    pub(crate) followers: Parts<TenantId>,
}
