//! Caps in all and for each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use model::{Limits, scope::canonical};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rate::{RateLimit, Sharers};

/// Hosts beyond which idle entries are swept out.
const SWEEP_ABOVE: usize = 4_096;

/// The caps of one scan.
pub(super) struct Gates {
    requests: RateLimit,
    sharers: Sharers,
    connections: Arc<Semaphore>,
    /// Who waits for a place among all connections.
    waiting: AtomicUsize,
    spare: Mutex<Vec<Spare>>,
    hosts: Mutex<HashMap<IpAddr, Arc<HostGate>>>,
    requests_per_host: u32,
    connections_per_host: u32,
}

/// Closes an idle connection, to the address given or to any, if there is one. False when there will never be one again.
type Spare = Box<dyn Fn(Option<IpAddr>) -> bool + Send + Sync>;

/// The caps of one address.
struct HostGate {
    requests: RateLimit,
    connections: Arc<Semaphore>,
    /// Who waits for a place among the address's connections.
    waiting: AtomicUsize,
}

/// Counts somebody who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::SeqCst);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A place among the allowed connections, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _total: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

impl Gates {
    pub(super) fn new(limits: &Limits, sharers: &Sharers) -> Gates {
        Gates {
            requests: RateLimit::per_second(limits.requests_per_second).among(sharers),
            sharers: sharers.clone(),
            connections: Arc::new(Semaphore::new(limits.connections as usize)),
            waiting: AtomicUsize::new(0),
            spare: Mutex::default(),
            hosts: Mutex::default(),
            requests_per_host: limits.requests_per_second_per_host,
            connections_per_host: limits.connections_per_host.max(1),
        }
    }

    fn host(&self, address: IpAddr) -> Arc<HostGate> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() > SWEEP_ABOVE {
            let busy = self.connections_per_host as usize;
            hosts.retain(|_, gate| {
                let used = Arc::strong_count(gate) > 1 || gate.connections.available_permits() < busy;
                // Whose next turn lies ahead would have it at once from a fresh gate.
                used || !gate.requests.is_due()
            });
        }
        let fresh = || {
            Arc::new(HostGate {
                requests: RateLimit::per_second(self.requests_per_host).among(&self.sharers),
                connections: Arc::new(Semaphore::new(self.connections_per_host as usize)),
                waiting: AtomicUsize::new(0),
            })
        };
        Arc::clone(hosts.entry(canonical(address)).or_insert_with(fresh))
    }

    pub(super) async fn request_turn(&self, address: IpAddr) {
        let host = self.host(address);
        host.requests.turn_with(&self.requests).await;
    }

    /// A place for a port probe, if there is one now.
    pub(super) fn probe(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// The host's place first: waiting for it must not hold a place that another host could use.
    pub(super) async fn connection(&self, address: IpAddr) -> Place {
        let host = self.host(address);
        let of_host = self.place(&host.connections, &host.waiting, Some(address)).await;
        let of_all = self.place(&self.connections, &self.waiting, None).await;
        Place { _total: of_all, _host: of_host }
    }

    async fn place(
        &self,
        places: &Arc<Semaphore>,
        waiting: &AtomicUsize,
        address: Option<IpAddr>,
    ) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return place;
        }
        // Counted before an idle connection is asked for: whoever would keep one from now on sees that somebody waits.
        let _waiting = Waiting::new(waiting);
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).retain(|spare| spare(address));
        Arc::clone(places).acquire_owned().await.expect("the semaphores are never closed")
    }

    pub(super) fn when_short(&self, spare: Spare) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
    }

    pub(super) fn is_short(&self, address: IpAddr) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0 || self.host(address).waiting.load(Ordering::SeqCst) > 0
    }
}
