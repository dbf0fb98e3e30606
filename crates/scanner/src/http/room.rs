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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_flood_on_one_session_leaves_room_for_others() {
        let all = of_all();
        let (flooded, other) = (Room::of_session(&all), Room::of_session(&all));
        let seats: Vec<Seat> =
            (0..LARGE_BODIES_OF_SESSION).filter_map(|_| flooded.take().now_or_never()).collect();
        assert_eq!(seats.len(), LARGE_BODIES_OF_SESSION);
        assert!(flooded.take().now_or_never().is_none(), "one more than the session may have");
        assert!(other.take().now_or_never().is_some());
        drop(seats);
        assert!(flooded.take().now_or_never().is_some(), "room that was given back");
    }

    #[tokio::test]
    async fn all_sessions_together_have_so_much_room_and_no_more() {
        let all = of_all();
        let sessions: Vec<Room> = (0..2 * LARGE_BODIES).map(|_| Room::of_session(&all)).collect();
        let seats: Vec<Seat> = sessions.iter().filter_map(|session| session.take().now_or_never()).collect();
        assert_eq!(seats.len(), LARGE_BODIES);
    }
}
