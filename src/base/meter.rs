//! The four counters that every source and every sink keeps.
//!
//! Owns: the numbers. Does not own: how they are shown.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of one part, only ever growing.
#[derive(Debug, Default)]
pub struct Meter {
    units: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    restarts: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Totals {
    /// Access units handled.
    pub units: u64,
    /// Media bytes handled.
    pub bytes: u64,
    /// Units that were lost before or inside this part.
    pub lost: u64,
    /// How often the part was started again.
    pub restarts: u64,
}

impl Meter {
    /// Counts one unit of `bytes`.
    pub fn unit(&self, bytes: usize) {
        self.units.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts `units` that were lost.
    pub fn lost(&self, units: u64) {
        self.lost.fetch_add(units, Relaxed);
    }

    /// Counts one restart.
    pub fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// The current counts.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            units: self.units.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            lost: self.lost.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
        }
    }
}
