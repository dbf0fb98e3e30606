//! Room for large bodies: without it, a few servers that send without end would fill the memory through all connections at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body beyond this is large.
pub(super) const SMALL_BODY: usize = 256 << 10;
/// Large bodies that are read at once, in all.
const LARGE_BODIES: usize = 8;
/// The same for one session, so that a flood leaves room for the others.
const LARGE_BODIES_OF_SESSION: usize = 3;

/// The room of one session.
#[derive(Debug, Clone)]
pub(super) struct Room {
    of_session: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

/// Held by whoever reads a large body, until it has been handed over.
#[derive(Debug)]
pub(super) struct Seat {
    _of_session: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// The room of all sessions.
pub(super) fn of_all() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LARGE_BODIES))
}

impl Room {
    pub(super) fn of_session(of_all: &Arc<Semaphore>) -> Room {
        Room { of_session: Arc::new(Semaphore::new(LARGE_BODIES_OF_SESSION)), of_all: Arc::clone(of_all) }
    }

    /// Waits until there is room for one more. The peer waits meanwhile, and the request's deadline does not.
    pub(super) async fn take(&self) -> Seat {
        let never_closed = "the semaphores are never closed";
        let of_session = Arc::clone(&self.of_session).acquire_owned().await.expect(never_closed);
        let of_all = Arc::clone(&self.of_all).acquire_owned().await.expect(never_closed);
        Seat { _of_session: of_session, _of_all: of_all }
    }
}
