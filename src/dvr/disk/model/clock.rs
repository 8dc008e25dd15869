//! Time that moves on command.
//!
//! Owns: the time since boot and the date. Who vouches for the date is set, as the date is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::base::time::{BootTime, Clock, ClockQuality, Trust, WallTime};

/// Time that moves on command.
#[derive(Debug, Default)]
pub(crate) struct VirtualClock {
    boot_nanos: AtomicU64,
    wall_minus_boot_nanos: AtomicI64,
    trust: Mutex<Trust>,
}

impl VirtualClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.boot_nanos.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Relaxed);
    }

    /// Begins a boot: some seconds after power came, at the date `wall_nanos`.
    pub(crate) fn reboot(&self, wall_nanos: i64) {
        let boot_nanos = 3_000_000_000;
        self.boot_nanos.store(boot_nanos, Relaxed);
        self.set(wall_nanos - boot_nanos.cast_signed(), Trust::None);
    }

    /// The date is now the time since boot and this, and `trust` vouches for it.
    pub(crate) fn set(&self, wall_minus_boot_nanos: i64, trust: Trust) {
        self.wall_minus_boot_nanos.store(wall_minus_boot_nanos, Relaxed);
        *self.trust.lock().unwrap() = trust;
    }

    /// The date minus the time since boot.
    pub(crate) fn offset_nanos(&self) -> i64 {
        self.wall_minus_boot_nanos.load(Relaxed)
    }
}

impl Clock for VirtualClock {
    fn boot(&self) -> BootTime {
        BootTime::from_nanos(self.boot_nanos.load(Relaxed))
    }
    fn wall(&self) -> WallTime {
        let boot = self.boot_nanos.load(Relaxed).cast_signed();
        WallTime::from_unix_nanos(boot + self.wall_minus_boot_nanos.load(Relaxed))
    }
    fn quality(&self) -> ClockQuality {
        ClockQuality { trust: *self.trust.lock().unwrap(), error_max: None }
    }
}
