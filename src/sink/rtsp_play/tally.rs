//! What one reader was given, what it lost, and how far it is behind.
//!
//! Owns: the counts of one session. Those of all readers together are the fan-out's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::RtpUnit;
use crate::base::meter::Meter;
use crate::bus::{Lag, Place};

/// Counts of one reader; they outlive it.
#[derive(Debug)]
pub struct Tally {
    meter: Meter,
    drops: AtomicU64,
    place: Place<RtpUnit>,
}

/// The counts of one reader at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tallied {
    /// Units handed to it.
    pub units: u64,
    /// Their payload.
    pub bytes: u64,
    /// Units passed over because it was slow.
    pub lost: u64,
    /// How often it was moved on to the next key frame.
    pub drops: u64,
    /// Units that wait for it.
    pub lag_units: u64,
    /// Bytes that wait for it, besides those in its socket.
    pub lag_bytes: u64,
}

impl Tally {
    pub(super) fn new(place: Place<RtpUnit>) -> Self {
        Self { meter: Meter::default(), drops: AtomicU64::new(0), place }
    }

    pub(super) fn given(&self, bytes: usize) {
        self.meter.unit(bytes);
    }

    pub(super) fn dropped(&self, units: u64) {
        self.meter.lost(units);
        self.drops.fetch_add(1, Relaxed);
    }

    /// The counts as they stand.
    #[must_use]
    pub fn now(&self) -> Tallied {
        let (totals, lag) = (self.meter.totals(), self.place.lag());
        let Lag { units: lag_units, bytes: lag_bytes } = lag;
        let drops = self.drops.load(Relaxed);
        let (units, bytes, lost) = (totals.units, totals.bytes, totals.lost);
        Tallied { units, bytes, lost, drops, lag_units, lag_bytes }
    }
}
