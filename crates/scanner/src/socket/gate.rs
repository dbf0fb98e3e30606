//! Caps in all and for each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use model::{Limits, scope::canonical};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rate::RateLimit;

/// Hosts beyond which idle entries are swept out.
const SWEEP_ABOVE: usize = 4_096;

/// The caps of one scan.
pub(super) struct Gates {
    requests: RateLimit,
    connections: Arc<Semaphore>,
    hosts: Mutex<HashMap<IpAddr, Arc<HostGate>>>,
    requests_per_host: u32,
    connections_per_host: u32,
}

/// The caps of one address.
struct HostGate {
    requests: RateLimit,
    connections: Arc<Semaphore>,
}

/// A place among the allowed connections, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _total: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

impl Gates {
    pub(super) fn new(limits: &Limits) -> Gates {
        Gates {
            requests: RateLimit::per_second(limits.requests_per_second),
            connections: Arc::new(Semaphore::new(limits.connections as usize)),
            hosts: Mutex::default(),
            requests_per_host: limits.requests_per_second_per_host,
            connections_per_host: limits.connections_per_host.max(1),
        }
    }

    fn host(&self, address: IpAddr) -> Arc<HostGate> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() > SWEEP_ABOVE {
            let busy = self.connections_per_host as usize;
            hosts.retain(|_, gate| Arc::strong_count(gate) > 1 || gate.connections.available_permits() < busy);
        }
        let fresh = || {
            Arc::new(HostGate {
                requests: RateLimit::per_second(self.requests_per_host),
                connections: Arc::new(Semaphore::new(self.connections_per_host as usize)),
            })
        };
        Arc::clone(hosts.entry(canonical(address)).or_insert_with(fresh))
    }

    pub(super) async fn request_turn(&self, address: IpAddr) {
        let host = self.host(address);
        host.requests.turn().await;
        self.requests.turn().await;
    }

    /// The host's place first: waiting for it must not hold a place that another host could use.
    pub(super) async fn connection(&self, address: IpAddr) -> Place {
        let host = self.host(address);
        let never_closed = "the semaphores are never closed";
        let of_host = Arc::clone(&host.connections).acquire_owned().await.expect(never_closed);
        let of_all = Arc::clone(&self.connections).acquire_owned().await.expect(never_closed);
        Place { _total: of_all, _host: of_host }
    }
}
