//! What was read within the last second: many requests ask for the same, and one of them reads it for all.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

/// How long something is believed. What changes in another process is seen that much later.
const FOR: Duration = Duration::from_secs(1);
/// Things that are known at once of those that came last, and of those before them.
const MOST: usize = 10_000;

/// One reading: whoever asks while it goes on waits for it.
#[derive(Debug)]
struct Reading<V> {
    begun: Instant,
    value: OnceCell<Arc<V>>,
}

type Readings<K, V> = HashMap<K, Arc<Reading<V>>>;

/// Things by what they are asked for by. What is too old to be believed goes with all that is as old, so that nobody looks for it: those
/// of the last second are in the one or the other, and what comes is put among the younger.
#[derive(Debug)]
struct Known<K, V> {
    younger: Readings<K, V>,
    older: Readings<K, V>,
    /// Since when the younger are kept.
    since: Instant,
}

impl<K: Hash + Eq, V> Known<K, V> {
    fn get(&self, key: &K) -> Option<&Arc<Reading<V>>> {
        self.younger.get(key).or_else(|| self.older.get(key))
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut Arc<Reading<V>>> {
        self.younger.get_mut(key).or_else(|| self.older.get_mut(key))
    }

    fn remove(&mut self, key: &K) {
        self.younger.remove(key);
        self.older.remove(key);
    }

    /// Gives back what nobody needs any more. Where there is no room what is older goes early, and is read anew.
    fn keep(&mut self, key: K, reading: Arc<Reading<V>>, now: Instant) -> Readings<K, V> {
        let mut gone = HashMap::new();
        if self.younger.len() >= MOST || now.duration_since(self.since) >= FOR {
            gone = mem::replace(&mut self.older, mem::take(&mut self.younger));
            self.since = now;
        }
        self.older.remove(&key);
        self.younger.insert(key, reading);
        gone
    }
}

/// Things that were read within the last second.
#[derive(Debug)]
pub(crate) struct Recent<K, V>(Mutex<Known<K, V>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        let known = Known { younger: HashMap::new(), older: HashMap::new(), since: Instant::now() };
        Recent(Mutex::new(known))
    }
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// As it was read within the last second, or as it is read now. A reading that fails is of nobody else.
    pub(crate) async fn get<E>(
        &self,
        key: &K,
        now: Instant,
        read: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let reading = self.reading(key, now);
        let value = reading.value.get_or_try_init(async || read().await.map(Arc::new)).await;
        if value.is_err() {
            let mut known = self.lock();
            if known.get(key).is_some_and(|reading| reading.value.get().is_none()) {
                known.remove(key);
            }
        }
        value.cloned()
    }

    /// It is known to be so instead, as long as nobody has said meanwhile that it was changed.
    pub(crate) fn replace(&self, key: K, old: &Arc<V>, value: V) -> Arc<V> {
        let value = Arc::new(value);
        let mut known = self.lock();
        if let Some(reading) =
            known.get_mut(&key).filter(|reading| reading.value.get().is_some_and(|is| Arc::ptr_eq(is, old)))
        {
            let begun = reading.begun;
            *reading = Arc::new(Reading { begun, value: OnceCell::new_with(Some(Arc::clone(&value))) });
        }
        value
    }

    /// Something was changed here: it is read anew, also what is being read just now.
    pub(crate) fn forget(&self, is_changed: impl Fn(&K, Option<&V>) -> bool) {
        let Known { younger, older, .. } = &mut *self.lock();
        for known in [younger, older] {
            known.retain(|key, reading| !is_changed(key, reading.value.get().map(|value| &**value)));
        }
    }

    fn reading(&self, key: &K, now: Instant) -> Arc<Reading<V>> {
        let mut known = self.lock();
        if let Some(reading) = known.get(key).filter(|reading| now.duration_since(reading.begun) < FOR) {
            return Arc::clone(reading);
        }
        let reading = Arc::new(Reading { begun: now, value: OnceCell::new() });
        let gone = known.keep(key.clone(), Arc::clone(&reading), now);
        drop(known);
        // Nobody waits for that.
        drop(gone);
        reading
    }

    fn lock(&self) -> MutexGuard<'_, Known<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    async fn read(recent: &Recent<&'static str, u32>, key: &'static str, at: Instant, is: u32) -> u32 {
        *recent.get(&key, at, async || Ok::<_, ()>(is)).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_read_is_believed_for_a_second_and_forgotten_when_it_changes() {
        let (recent, begun) = (Recent::default(), Instant::now());
        let at = |millis| begun + Duration::from_millis(millis);
        assert_eq!(read(&recent, "a", at(0), 1).await, 1);
        assert_eq!(read(&recent, "b", at(0), 2).await, 2);
        assert_eq!(read(&recent, "a", at(999), 3).await, 1);
        assert_eq!(read(&recent, "a", at(1_000), 3).await, 3);
        recent.forget(|_, value| value == Some(&3));
        assert_eq!(read(&recent, "a", at(1_000), 4).await, 4);
        assert_eq!(read(&recent, "b", at(500), 5).await, 2);
        let old = recent.get(&"b", at(500), async || Ok::<_, ()>(0)).await.unwrap();
        assert_eq!(*recent.replace("b", &old, 6), 6);
        assert_eq!(read(&recent, "b", at(999), 7).await, 6);
        // What was changed meanwhile is not put back.
        let old = recent.get(&"b", at(1_000), async || Ok::<_, ()>(0)).await.unwrap();
        recent.forget(|key, _| *key == "b");
        assert_eq!(*recent.replace("b", &old, 9), 9);
        assert_eq!(read(&recent, "b", at(1_499), 7).await, 7);
        let failed = recent.get(&"c", at(0), async || Err::<u32, _>("away")).await;
        assert_eq!(failed.unwrap_err(), "away");
        assert_eq!(read(&recent, "c", at(1), 8).await, 8, "what failed is not remembered");
    }

    #[tokio::test]
    async fn one_reads_for_all_who_ask_meanwhile() {
        let (recent, now) = (Recent::<&str, usize>::default(), Instant::now());
        let (readings, go_on) = (AtomicUsize::new(0), Notify::new());
        let ask = || {
            recent.get(&"a", now, async || {
                let number = readings.fetch_add(1, Ordering::Relaxed);
                go_on.notified().await;
                Ok::<_, ()>(number)
            })
        };
        // The one who reads goes away: another takes over.
        tokio::select! {
            biased;
            _ = ask() => panic!("nobody let it go on"),
            () = std::future::ready(()) => {}
        }
        let (all, ()) = tokio::join!(futures_util::future::join_all((0..100).map(|_| ask())), async {
            tokio::task::yield_now().await;
            go_on.notify_one();
        });
        assert!(all.iter().all(|value| **value.as_ref().unwrap() == 1), "{all:?}");
        assert_eq!(readings.load(Ordering::Relaxed), 2);
        // What changes while it is read is not believed afterwards.
        let changing = async {
            tokio::task::yield_now().await;
            recent.forget(|_, value| value.is_none());
            go_on.notify_one();
        };
        let later = now + FOR;
        let slow = recent.get(&"a", later, async || {
            go_on.notified().await;
            Ok::<_, ()>(7)
        });
        assert_eq!(*tokio::join!(slow, changing).0.unwrap(), 7);
        assert_eq!(*recent.get(&"a", later, async || Ok::<_, ()>(8)).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let (recent, begun) = (Recent::default(), Instant::now());
        for number in 0..3 * MOST {
            let known = recent.get(&number, begun, async || Ok::<_, ()>(number)).await;
            assert_eq!(*known.unwrap(), number);
        }
        let kept = || {
            let known = recent.lock();
            (known.younger.len(), known.older.len())
        };
        assert_eq!(kept(), (MOST, MOST));
        let last = recent.get(&(3 * MOST - 1), begun, async || Err::<usize, _>("it is known")).await;
        assert_eq!(*last.unwrap(), 3 * MOST - 1);
        // What is too old goes by itself.
        for (seconds, left) in [(1, (1, MOST)), (2, (1, 1)), (3, (1, 1))] {
            let later = begun + seconds * FOR;
            let known = recent.get(&(seconds as usize), later, async || Ok::<_, ()>(seconds as usize)).await;
            assert_eq!((*known.unwrap(), kept()), (seconds as usize, left));
        }
    }
}
