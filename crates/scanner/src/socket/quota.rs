//! What a scan may still send in all, where that is limited.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Packets that may be sent: requests, probes and queries. Who finds too few waits until more are allowed, or until stopped.
#[derive(Debug)]
pub struct Quota {
    packets: Semaphore,
    waiting: AtomicUsize,
    /// Somebody who cannot wait found too few.
    missed: AtomicBool,
}

/// Counts somebody who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Quota {
    /// Nothing is allowed yet.
    fn default() -> Quota {
        Quota { packets: Semaphore::new(0), waiting: AtomicUsize::new(0), missed: AtomicBool::new(false) }
    }
}

impl Quota {
    /// Allows so many more.
    pub fn allow(&self, packets: u64) {
        let room = Semaphore::MAX_PERMITS - self.packets.available_permits();
        self.packets.add_permits(usize::try_from(packets).unwrap_or(usize::MAX).min(room));
    }

    /// How many are allowed and not sent.
    pub fn left(&self) -> u64 {
        self.packets.available_permits() as u64
    }

    /// Takes back what is allowed and not sent.
    pub fn take_back(&self) -> u64 {
        self.packets.forget_permits(usize::MAX >> 3) as u64
    }

    /// Did somebody find too few since this was last asked?
    pub fn is_short(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed) || self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits for so many and uses them up.
    pub(super) async fn spend(&self, packets: u32) {
        if let Ok(spent) = self.packets.try_acquire_many(packets) {
            return spent.forget();
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        self.packets.acquire_many(packets).await.expect("the semaphore is never closed").forget();
    }

    /// Uses up as many of these as are allowed now.
    pub(super) fn spend_now(&self, most: u32) -> u32 {
        let mut packets = most.min(u32::try_from(self.left()).unwrap_or(u32::MAX));
        // Others spend too: what was left may be gone.
        while packets > 0 {
            if let Ok(spent) = self.packets.try_acquire_many(packets) {
                spent.forget();
                return packets;
            }
            packets /= 2;
        }
        self.missed.store(true, Ordering::Relaxed);
        0
    }

    /// Gives back what was spent and not sent.
    pub(super) fn unspend(&self, packets: u32) {
        self.packets.add_permits(packets as usize);
    }
}
