//! A clock that goes when a test tells it to. Owns: the time since boot; the date goes with it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{BootTime, Clock, WallTime};

/// The date of the boot.
const BOOTED_UNIX_NANOS: i64 = 1_795_363_523_000_000_000;

/// A clock that a test moves.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    /// A clock that is at `boot`.
    pub(crate) fn at(boot: BootTime) -> Self {
        Self(AtomicU64::new(boot.as_nanos()))
    }

    /// Moves it on.
    pub(crate) fn pass(&self, time: Duration) {
        self.0.store(self.boot().after(time).as_nanos(), Relaxed);
    }
}

impl Clock for HandClock {
    fn boot(&self) -> BootTime {
        BootTime::from_nanos(self.0.load(Relaxed))
    }

    fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(BOOTED_UNIX_NANOS + self.boot().as_nanos().cast_signed())
    }
}
