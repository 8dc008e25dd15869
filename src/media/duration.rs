//! How long a unit lasts whose successor is not known yet: as long as its predecessor did.
//!
//! Owns: the newest unit of each track. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::time::MediaTime;
use crate::media::{AccessUnit, TrackId};

/// Longest duration that is taken over from the predecessor, in seconds: a longer distance was
/// a hole.
const DURATION_SECS_MAX: i64 = 2;

/// The durations of a stream's units.
#[derive(Debug, Default)]
pub struct Durations {
    /// The newest unit of each track: when, and how long.
    newest: BTreeMap<TrackId, (MediaTime, i64)>,
}

impl Durations {
    /// An empty unit at the end of `unit`, for [`FragmentBuilder::build`]. To be asked for every
    /// unit, in order.
    ///
    /// [`FragmentBuilder::build`]: crate::wire::mp4::FragmentBuilder::build
    pub fn successor(&mut self, unit: &AccessUnit) -> AccessUnit {
        let ticks = unit.decode.ticks.saturating_add(self.of(unit));
        let decode = MediaTime { ticks, rate: unit.decode.rate };
        AccessUnit { decode, present: decode, data: Bytes::new(), ..unit.clone() }
    }

    /// Ticks that `unit` lasts.
    fn of(&mut self, unit: &AccessUnit) -> i64 {
        let typical = i64::from(unit.params.typical_ticks(unit.data.len()));
        let longest = i64::from(unit.decode.rate.get()) * DURATION_SECS_MAX;
        let ticks = match self.newest.get(&unit.track) {
            None => typical,
            Some(&(at, before)) => {
                let since = unit.decode.ticks.saturating_sub(at.ticks);
                if (1..=longest).contains(&since) { since } else { before }
            }
        };
        self.newest.insert(unit.track, (unit.decode, ticks));
        ticks
    }
}
