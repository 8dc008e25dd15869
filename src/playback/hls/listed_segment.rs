//! A segment of the ring in its place, and what it is announced as behind another.
//!
//! Owns: where the media break. Pure.

use std::time::Duration;

use crate::base::time::WallTime;
use crate::dvr::{PastLap, RecordedSegment, date_leaps};
use crate::wire::hls::{PastSegment, StoredRange};

/// A segment, its lap and its date.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListedSegment {
    lap: PastLap,
    pub(super) recorded: RecordedSegment,
    pub(super) wall: WallTime,
}

impl ListedSegment {
    /// The segments of a lap with their dates.
    pub(super) fn of_lap(
        lap: &PastLap,
        recorded: &[RecordedSegment],
        dates: impl IntoIterator<Item = WallTime>,
    ) -> Vec<Self> {
        let segment = |(&recorded, wall)| Self { lap: *lap, recorded, wall };
        recorded.iter().zip(dates).map(segment).collect()
    }

    /// How long it plays.
    pub(super) fn span(&self) -> Duration {
        Duration::from_nanos(self.recorded.span_nanos)
    }

    /// Date at which it ends.
    pub(super) fn end(&self) -> WallTime {
        self.wall.offset_nanos(i64::try_from(self.recorded.span_nanos).unwrap_or(i64::MAX))
    }

    /// Whether it does not continue `before`: it is of another run, boot or format, the date
    /// leaps, or `before` was announced shorter than it is.
    pub(super) fn breaks(&self, before: &Self, target: Duration) -> bool {
        self.lap.boot != before.lap.boot
            || self.lap.init != before.lap.init
            || !self.recorded.follows(&before.recorded)
            || before.span() > target
            || self.leaps(before)
    }

    fn leaps(&self, before: &Self) -> bool {
        let media = self.recorded.decode_nanos.saturating_sub(before.recorded.decode_nanos);
        let date = self.wall.as_unix_nanos().saturating_sub(before.wall.as_unix_nanos());
        date_leaps(media, date)
    }

    /// What it is announced as behind `before`.
    pub(super) fn segment(&self, before: Option<&Self>, target: Duration) -> PastSegment {
        let (from, until) = (self.recorded.from.into(), self.recorded.until.into());
        PastSegment {
            place: StoredRange { lap: self.lap.generation, from, until },
            init: self.lap.init,
            span: self.span(),
            wall: self.wall,
            discontinuity: before.is_some_and(|before| self.breaks(before, target)),
        }
    }
}
