//! A chapter of the ring in its place, and what it is announced as behind another.
//!
//! Owns: where the media break. Pure.

use std::time::Duration;

use crate::base::time::WallTime;
use crate::dvr::{PastLap, RecordedSegment, date_leaps};
use crate::wire::hls::{PastSegment, StoredRange};

/// A chapter, its lap and its date.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListedChapter {
    lap: PastLap,
    pub(super) chapter: RecordedSegment,
    pub(super) wall: WallTime,
}

impl ListedChapter {
    /// The chapters of a lap with their dates.
    pub(super) fn of_lap(
        lap: &PastLap,
        chapters: &[RecordedSegment],
        dates: impl IntoIterator<Item = WallTime>,
    ) -> Vec<Self> {
        let chapter = |(&chapter, wall)| Self { lap: *lap, chapter, wall };
        chapters.iter().zip(dates).map(chapter).collect()
    }

    /// How long it plays.
    pub(super) fn span(&self) -> Duration {
        Duration::from_nanos(self.chapter.span_nanos)
    }

    /// Date at which it ends.
    pub(super) fn end(&self) -> WallTime {
        self.wall.offset_nanos(i64::try_from(self.chapter.span_nanos).unwrap_or(i64::MAX))
    }

    /// Whether it does not continue `before`: it is of another run, boot or format, the date
    /// leaps, or `before` was announced shorter than it is.
    pub(super) fn breaks(&self, before: &Self, target: Duration) -> bool {
        self.lap.boot != before.lap.boot
            || self.lap.init != before.lap.init
            || !self.chapter.follows(&before.chapter)
            || before.span() > target
            || self.leaps(before)
    }

    fn leaps(&self, before: &Self) -> bool {
        let media = self.chapter.decode_nanos.saturating_sub(before.chapter.decode_nanos);
        let date = self.wall.as_unix_nanos().saturating_sub(before.wall.as_unix_nanos());
        date_leaps(media, date)
    }

    /// What it is announced as behind `before`.
    pub(super) fn segment(&self, before: Option<&Self>, target: Duration) -> PastSegment {
        let (from, until) = (self.chapter.from.into(), self.chapter.until.into());
        PastSegment {
            place: StoredRange { lap: self.lap.generation, from, until },
            init: self.lap.init,
            span: self.span(),
            wall: self.wall,
            discontinuity: before.is_some_and(|before| self.breaks(before, target)),
        }
    }
}
