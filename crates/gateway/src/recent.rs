//! What was read within the last second: many requests ask for the same.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long something is believed. What changes in another process is seen that much later.
const FOR: Duration = Duration::from_secs(1);
/// Things that are known at once.
const MOST: usize = 10_000;

/// Things by what they are asked for by.
#[derive(Debug)]
pub(crate) struct Recent<K, V>(Mutex<HashMap<K, (Instant, Arc<V>)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent(Mutex::default())
    }
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(crate) fn get(&self, key: &K, now: Instant) -> Option<Arc<V>> {
        let known = self.lock();
        let (at, value) = known.get(key)?;
        (now.duration_since(*at) < FOR).then(|| Arc::clone(value))
    }

    /// It was read at that time: as it is asked for before it is read, that is when it was asked for.
    pub(crate) fn put(&self, key: K, value: V, at: Instant) -> Arc<V> {
        let value = Arc::new(value);
        let mut known = self.lock();
        if known.len() >= MOST && !known.contains_key(&key) {
            known.retain(|_, (read, _)| at.duration_since(*read) < FOR);
        }
        if known.len() < MOST {
            known.insert(key, (at, Arc::clone(&value)));
        }
        value
    }

    /// Something was changed here: it is read anew.
    pub(crate) fn forget(&self, is_changed: impl Fn(&K, &V) -> bool) {
        self.lock().retain(|key, (_, value)| !is_changed(key, value));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Instant, Arc<V>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_believed_for_a_second_and_forgotten_when_it_changes() {
        let (recent, begun) = (Recent::default(), Instant::now());
        let at = |millis| begun + Duration::from_millis(millis);
        recent.put("a", 1, at(0));
        recent.put("b", 2, at(0));
        assert_eq!(recent.get(&"a", at(999)).as_deref(), Some(&1));
        assert_eq!(recent.get(&"a", at(1_000)), None);
        recent.put("a", 3, at(1_000));
        recent.forget(|_, value| *value == 3);
        assert_eq!(recent.get(&"a", at(1_000)), None);
        assert_eq!(recent.get(&"b", at(500)).as_deref(), Some(&2));
    }

    #[test]
    fn memory_is_bounded() {
        let (recent, begun) = (Recent::default(), Instant::now());
        for number in 0..3 * MOST {
            assert_eq!(*recent.put(number, number, begun), number);
        }
        assert_eq!(recent.lock().len(), MOST);
        recent.put(0, 0, begun + FOR);
        recent.put(3 * MOST, 1, begun + FOR);
        assert_eq!(recent.get(&(3 * MOST), begun + FOR).as_deref(), Some(&1), "what is old makes room");
    }
}
