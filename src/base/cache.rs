//! Things that are made once for all who ask, and kept while there is room.
//!
//! Owns: the room, in bytes, and whose turn it is to make a thing: one asker makes it, the others
//! wait for that. What was not asked for the longest leaves first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::base::sync::lock;

/// A shelf of bounded size. Clones are handles to the same.
#[derive(Debug)]
pub struct Cache<K, V> {
    bytes_max: usize,
    places: Arc<Mutex<CacheTable<K, V>>>,
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { bytes_max: self.bytes_max, places: Arc::clone(&self.places) }
    }
}

#[derive(Debug)]
struct CacheTable<K, V> {
    held: BTreeMap<K, CachedRow<V>>,
    /// Grows with every request, so that it orders them.
    asked: u64,
}

#[derive(Debug)]
struct CachedRow<V> {
    thing: Arc<tokio::sync::Mutex<V>>,
    bytes: usize,
    asked: u64,
}

impl<K: Ord + Clone, V: Default> Cache<K, V> {
    /// An empty shelf with room for `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        let places = CacheTable { held: BTreeMap::new(), asked: 0 };
        Self { bytes_max, places: Arc::new(Mutex::new(places)) }
    }

    fn lock(&self) -> MutexGuard<'_, CacheTable<K, V>> {
        lock(&self.places)
    }

    /// Locks the entry under `key`, waiting while another caller holds it. An entry not made yet
    /// holds the default. Cancel safe.
    pub async fn take(&self, key: &K) -> OwnedMutexGuard<V> {
        self.ask(key).lock_owned().await
    }

    /// The same, waiting at most `limit` for the other caller.
    pub async fn take_within(
        &self,
        key: &K,
        limit: Duration,
    ) -> Result<OwnedMutexGuard<V>, Elapsed> {
        let thing = self.ask(key);
        // What is made already is had without a timer.
        if let Ok(free) = Arc::clone(&thing).try_lock_owned() {
            return Ok(free);
        }
        timeout(limit, thing.lock_owned()).await
    }

    /// The entry under `key`, made if need be, as the one asked for last.
    fn ask(&self, key: &K) -> Arc<tokio::sync::Mutex<V>> {
        let mut places = self.lock();
        places.asked += 1;
        let asked = places.asked;
        let place = places.held.entry(key.clone()).or_insert_with(|| CachedRow {
            thing: Arc::default(),
            bytes: 0,
            asked,
        });
        place.asked = asked;
        Arc::clone(&place.thing)
    }

    /// Says how many bytes the thing under `key` has now, and makes room for them; what has none
    /// is let go.
    pub fn weigh(&self, key: &K, bytes: usize) {
        let mut places = self.lock();
        if let Some(place) = places.held.get_mut(key) {
            place.bytes = bytes;
        }
        // Those without weight are being made, or were never.
        let idle = |place: &CachedRow<V>| place.bytes == 0 && Arc::strong_count(&place.thing) == 1;
        places.held.retain(|_, place| !idle(place));
        while places.held.values().map(|place| place.bytes).sum::<usize>() > self.bytes_max {
            let oldest = places.held.iter().filter(|(_, place)| place.bytes > 0);
            let Some((oldest, _)) = oldest.min_by_key(|(_, place)| place.asked) else { return };
            let oldest = oldest.clone();
            places.held.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_not_asked_for_the_longest_leaves_first() {
        let shelf = Cache::<u32, Vec<u8>>::new(25);
        for key in 0..3 {
            *shelf.take(&key).await = vec![1; 10];
            shelf.weigh(&key, 10);
            drop(shelf.take(&0).await);
        }
        assert_eq!(shelf.take(&0).await.len(), 10);
        assert_eq!(shelf.take(&1).await.len(), 0);
        assert_eq!(shelf.take(&2).await.len(), 10);
    }

    #[tokio::test]
    async fn one_makes_it_and_the_others_wait_for_that() {
        let shelf = Cache::<u32, Option<u32>>::new(100);
        let made = std::sync::atomic::AtomicU32::new(0);
        let ask = async || {
            let mut thing = shelf.take(&7).await;
            if thing.is_none() {
                tokio::task::yield_now().await;
                *thing = Some(made.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                shelf.weigh(&7, 1);
            }
            thing.unwrap()
        };
        assert_eq!(tokio::join!(ask(), ask(), ask()), (0, 0, 0));
    }

    #[tokio::test]
    async fn what_failed_leaves_nothing_behind() {
        let shelf = Cache::<u32, Option<u32>>::new(100);
        for key in 0..10 {
            drop(shelf.take(&key).await);
        }
        shelf.weigh(&0, 0);
        assert!(shelf.lock().held.is_empty());
    }
}
