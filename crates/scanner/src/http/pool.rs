//! Connections that wait for their next request.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::FutureExt;
use model::{Limits, scope::canonical};
use tokio::{
    io::AsyncReadExt,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{socket::Dialer, tls::Channel};

/// Addresses beyond which the queues of gone sessions are swept out.
const SWEEP_ABOVE: usize = 4_096;

/// The idle connections of all sessions of a client. They hold places among the allowed connections, so one is closed
/// whenever somebody else waits for a place.
pub(super) struct Pool {
    idle: Mutex<HashMap<u64, Vec<Idle>>>,
    next_session: AtomicU64,
    queues: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
    everybody: Arc<Semaphore>,
    per_host: usize,
}

struct Idle {
    address: IpAddr,
    server_name: Option<String>,
    channel: Channel,
    since: Instant,
}

/// A request's place in the queue for connections.
pub(super) struct Turn {
    _of_host: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(limits: &Limits) -> Pool {
        Pool {
            idle: Mutex::default(),
            next_session: AtomicU64::new(0),
            queues: Mutex::default(),
            everybody: Arc::new(Semaphore::new(limits.connections.max(1) as usize)),
            per_host: limits.connections_per_host.max(1) as usize,
        }
    }

    /// A key for the connections of one session.
    pub(super) fn new_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// The queue of all sessions with that address.
    pub(super) fn queue(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() > SWEEP_ABOVE {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = queues.entry(canonical(address)).or_default();
        queue.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(self.per_host));
            *queue = Arc::downgrade(&fresh);
            fresh
        })
    }

    /// Waits until no more requests are under way than connections are allowed. Whoever waits here holds nothing.
    pub(super) async fn turn(&self, queue: &Arc<Semaphore>) -> Turn {
        let never_closed = "the semaphores are never closed";
        let of_host = Arc::clone(queue).acquire_owned().await.expect(never_closed);
        let of_all = Arc::clone(&self.everybody).acquire_owned().await.expect(never_closed);
        Turn { _of_host: of_host, _of_all: of_all }
    }

    /// The session's most recently used idle connection that is still good.
    pub(super) fn take(&self, session: u64, server_name: Option<&str>) -> Option<Channel> {
        loop {
            let mut channel = {
                let mut idle = self.lock();
                let of_session = idle.get_mut(&session)?;
                let at = of_session.iter().rposition(|idle| idle.server_name.as_deref() == server_name)?;
                of_session.remove(at).channel
            };
            if is_quiet(&mut channel) {
                return Some(channel);
            }
        }
    }

    /// Keeps the connection for the session's next request, unless somebody waits for its place.
    pub(super) fn park(
        &self,
        dialer: &Dialer,
        session: u64,
        address: IpAddr,
        server_name: Option<String>,
        channel: Channel,
    ) {
        let mut idle = self.lock();
        if !dialer.is_short_of_places(address) {
            let of_session = idle.entry(session).or_default();
            of_session.push(Idle {
                address: canonical(address),
                server_name,
                channel,
                since: Instant::now(),
            });
        }
    }

    /// Closes the longest idle connection, to that address or to any.
    pub(super) fn close_one(&self, address: Option<IpAddr>) {
        let mut idle = self.lock();
        let address = address.map(canonical);
        let eligible = |idle: &Idle| address.is_none_or(|address| address == idle.address);
        let oldest = idle
            .iter()
            .flat_map(|(session, channels)| {
                channels.iter().enumerate().map(move |(at, idle)| (*session, at, idle))
            })
            .filter(|(_, _, idle)| eligible(idle))
            .min_by_key(|(_, _, idle)| idle.since)
            .map(|(session, at, _)| (session, at));
        if let Some((session, at)) = oldest
            && let Some(channels) = idle.get_mut(&session)
        {
            channels.remove(at);
        }
    }

    /// Closes everything the session has left.
    pub(super) fn close_session(&self, session: u64) {
        self.lock().remove(&session);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Neither closed nor sending what nobody asked for, as far as this machine knows.
fn is_quiet(channel: &mut Channel) -> bool {
    channel.read(&mut [0_u8; 1]).now_or_never().is_none()
}
