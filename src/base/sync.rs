//! Locks that outlive a panic.
//!
//! Owns: the one place that looks past a poisoned lock. A task that panics is restarted by its
//! supervisor, and what it shared stays in use: every critical section here leaves its data whole
//! at each step, so the poison mark says nothing that anybody could act on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Locks `mutex`, whether or not a thread panicked while it held the lock.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `changed` is notified.
pub fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `changed` is notified, or for `time`.
pub fn wait_for<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> MutexGuard<'a, T> {
    changed.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_outlives_a_panic() {
        let shared = Mutex::new(1);
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let mut guard = lock(&shared);
                *guard = 2;
                panic!("on purpose");
            });
            assert!(panics.join().is_err());
        });
        assert!(shared.is_poisoned());
        assert_eq!(*lock(&shared), 2);
    }
}
