//! What a stream's pictures are like: how often one comes, and how often one to begin at.
//!
//! Owns: what was learned of the run that is on. Reads no clock: the units tell.

use std::time::Duration;

use crate::base::time::BootTime;
use crate::media::{AccessUnit, Entry, Interval, Kind, RunId};

/// What is known of the pictures of one run.
#[derive(Debug, Default)]
pub(super) struct PicturePace {
    run: RunId,
    /// When its first and its newest unit arrived.
    arrived: Option<(BootTime, BootTime)>,
    pictures: Interval,
    entries: Interval,
    /// The class of the newest place to begin.
    pub(super) entry: Option<Entry>,
}

impl PicturePace {
    /// Counts a published unit. Another run starts afresh, but for the last report.
    pub(super) fn count(&mut self, unit: &AccessUnit) {
        if self.run != unit.run {
            *self = Self { run: unit.run, entry: self.entry, ..Self::default() };
        }
        let first = self.arrived.map_or(unit.arrived, |(first, _)| first);
        self.arrived = Some((first, unit.arrived));
        if unit.params.kind() != Kind::Video {
            return;
        }
        self.pictures.push(unit.decode.as_nanos());
        if unit.entry.is_some() {
            self.entries.push(unit.decode.as_nanos());
            self.entry = unit.entry;
        }
    }

    /// From the arrival of the first unit to that of the newest.
    pub(super) fn flowed(&self) -> Duration {
        self.arrived.map_or(Duration::ZERO, |(first, newest)| newest.since(first))
    }

    /// From one picture to the next.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.pictures.learned().map(nanos)
    }

    /// From one place to begin to the next.
    pub(super) fn entry_interval(&self) -> Option<Duration> {
        self.entries.learned().map(nanos)
    }
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0).unsigned_abs())
}
