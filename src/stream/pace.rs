//! What a stream's pictures are like: how often one comes, and how often one to begin at.
//!
//! Owns: what was learned of the run that is on. Reads no clock: media time tells.

use std::time::Duration;

use crate::media::{AccessUnit, Entry, Interval, Kind, RunId};

/// What is known of the pictures of one run.
#[derive(Debug, Default)]
pub(super) struct PicturePace {
    run: RunId,
    pictures: Interval,
    entries: Interval,
    /// The class of the newest place to begin.
    pub(super) entry: Option<Entry>,
}

impl PicturePace {
    /// Counts a unit that is published. Another run begins anew, but for what was said last.
    pub(super) fn count(&mut self, unit: &AccessUnit) {
        if unit.params.kind() != Kind::Video {
            return;
        }
        if self.run != unit.run {
            *self = Self { run: unit.run, entry: self.entry, ..Self::default() };
        }
        self.pictures.push(unit.decode.as_nanos());
        if unit.entry.is_some() {
            self.entries.push(unit.decode.as_nanos());
            self.entry = unit.entry;
        }
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
