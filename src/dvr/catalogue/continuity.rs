//! Does footage go on here? The one answer for listings, playlists, players, exports and RTSP.
//!
//! Owns: when two fragments belong together, and stretches of such. Pure.

use std::time::Duration;

use crate::base::limits::{CLOCK_STEP_MIN, GAP_SPAN_MIN, HELD_BACK_MAX};
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::format::seal::{FragmentEntry, Identity};

/// Behind a fragment that tells of a loss, a shorter hole shows as a gap.
const LOSS_GAP_NANOS_MIN: i64 = 250_000_000;

/// A run, or the part of one that one slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Dates as they were believed when it was recorded.
    start: WallTime,
    end: WallTime,
    /// When its first unit arrived, and the first unit of its last fragment.
    pub(crate) first: BootTime,
    pub(crate) last: BootTime,
    /// Media time since boot, in nanoseconds.
    from_nanos: i64,
    until_nanos: i64,
    pub(crate) bytes: u64,
    pub(crate) fragments: u64,
    /// Numbers of its first and last fragments in their laps.
    pub(crate) sequences: (u64, u64),
    pub(crate) run_start: bool,
    pub(crate) loss_before: bool,
}

impl Extent {
    /// The stretch that is one fragment.
    pub(crate) fn of(entry: &FragmentEntry) -> Self {
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        Self {
            start: entry.wall,
            end: entry.wall.offset_nanos(span),
            first: entry.boot_time,
            last: entry.boot_time,
            from_nanos: entry.decode_nanos,
            until_nanos: entry.decode_nanos.saturating_add(span),
            bytes: u64::from(entry.length),
            fragments: 1,
            sequences: (entry.sequence, entry.sequence),
            run_start: entry.run_start,
            loss_before: entry.loss_before,
        }
    }

    /// Its dates by what is known of the clock now.
    pub(crate) fn placed(&self, clock: &ClockTable, boot: Identity) -> (WallTime, WallTime) {
        let start = clock.place(boot, self.first, self.start);
        let span = self.end.as_unix_nanos().saturating_sub(self.start.as_unix_nanos());
        (start, start.offset_nanos(span))
    }

    /// Whether anybody vouches for these dates.
    pub(crate) fn is_vouched(&self, clock: &ClockTable, boot: Identity) -> bool {
        clock.is_vouched(boot, self.first, self.start)
    }

    /// Bytes, and seconds that they play.
    pub(crate) fn measure(&self) -> (u64, f64) {
        let nanos = self.until_nanos.saturating_sub(self.from_nanos).max(0);
        (self.bytes, Duration::from_nanos(nanos.unsigned_abs()).as_secs_f64())
    }

    /// Where a fragment ends on its stream's timeline, in nanoseconds since boot.
    pub(crate) fn end_nanos_of(entry: &FragmentEntry) -> i64 {
        Self::of(entry).until_nanos
    }

    /// Whether `next` goes on where this one ends, both being of one boot.
    pub(crate) fn goes_on_in(&self, next: &Self) -> bool {
        let hole_nanos = next.from_nanos.saturating_sub(self.until_nanos);
        !next.run_start && is_joined(hole_nanos, next.loss_before)
    }

    /// Whether the believed date leapt between this one and `next`.
    fn leaps_to(&self, next: &Self) -> bool {
        let media_nanos = next.from_nanos.saturating_sub(self.until_nanos);
        let date_nanos = next.start.as_unix_nanos().saturating_sub(self.end.as_unix_nanos());
        date_leaps(media_nanos, date_nanos)
    }

    pub(crate) fn swallow(&mut self, next: &Self) {
        (self.end, self.last, self.until_nanos) = (next.end, next.last, next.until_nanos);
        self.bytes += next.bytes;
        self.fragments += next.fragments;
        self.sequences.1 = next.sequences.1;
    }
}

/// What one lap holds of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LapExtents<'a> {
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    pub(crate) boot: Identity,
    pub(crate) extents: &'a [Extent],
}

/// Whether a hole of this length in the media shows as none.
pub(crate) fn is_joined(hole_nanos: i64, loss_before: bool) -> bool {
    let gap_nanos = nanos(GAP_SPAN_MIN);
    let shown_nanos = if loss_before { LOSS_GAP_NANOS_MIN } else { gap_nanos };
    hole_nanos < shown_nanos && hole_nanos > -gap_nanos
}

/// Puts `next` behind the last of `list`: as part of it, or as a stretch of its own.
pub(crate) fn absorb(list: &mut Vec<Extent>, next: Extent, same_boot: bool) {
    let goes_on = |newest: &Extent| newest.goes_on_in(&next) && !newest.leaps_to(&next);
    match list.last_mut().filter(|newest| same_boot && goes_on(newest)) {
        Some(newest) => newest.swallow(&next),
        None => list.push(next),
    }
}

/// Whether the date leapt while the media moved on by `media_nanos`.
#[must_use]
pub fn date_leaps(media_nanos: i64, date_nanos: i64) -> bool {
    is_beyond(date_nanos.saturating_sub(media_nanos), CLOCK_STEP_MIN)
}

/// Whether dates that the clock table gave leave the media, so that footage that continues has to be
/// shown in two parts.
///
/// What a camera or network held back moves its dates as well. So a difference of `step_min` counts only
/// where the clock is known to have stepped, and otherwise one that is longer than anything is held back.
pub fn date_breaks(away_nanos: i64, step_min: Duration, stepped: impl FnOnce() -> bool) -> bool {
    is_beyond(away_nanos, HELD_BACK_MAX) || is_beyond(away_nanos, step_min) && stepped()
}

fn is_beyond(nanos: i64, than: Duration) -> bool {
    u128::from(nanos.unsigned_abs()) > than.as_nanos()
}

pub(crate) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether fragment `next` goes on where `entry` ends, both being of one boot.
pub(crate) fn continues(entry: &FragmentEntry, next: &FragmentEntry) -> bool {
    Extent::of(entry).goes_on_in(&Extent::of(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn holes_and_losses_decide_whether_media_continue() {
        // Hole in ms, loss before, joined.
        let cases = [
            (0, false, true),
            (1_999, false, true),
            (2_000, false, false),
            (-1_999, false, true), // overlaps a little
            (-2_000, false, false),
            (0, true, true), // a loss that left no hole
            (249, true, true),
            (250, true, false),
        ];
        for (hole_ms, loss, expected) in cases {
            assert_eq!(is_joined(hole_ms * MS, loss), expected, "{hole_ms} {loss}");
        }
    }

    #[test]
    fn dates_that_leave_the_media_decide_whether_the_date_leapt() {
        // media and date in ms: leaps
        let cases = [
            (1_000, 1_000, false),
            (1_000, 1_500, false),
            (1_000, 1_501, true),
            (1_000, 500, false),
            (1_000, 499, true),
            (1_000, -3_600_000, true),
        ];
        for (media_ms, date_ms, expected) in cases {
            assert_eq!(date_leaps(media_ms * MS, date_ms * MS), expected, "{media_ms} {date_ms}");
        }
        // away in ms, threshold in ms, the clock stepped: breaks
        let cases = [
            (400, 500, true, false),
            (501, 500, true, true),
            (-501, 500, true, true),
            (501, 500, false, false), // held back
            (1_999, 2_000, true, false),
            (2_001, 2_000, true, true),
            (60_000, 500, false, false),
            (60_001, 500, false, true), // nothing is held back for so long
            (-60_001, 2_000, false, true),
        ];
        for (away_ms, step_ms, stepped, expected) in cases {
            let breaks = date_breaks(away_ms * MS, Duration::from_millis(step_ms), || stepped);
            assert_eq!(breaks, expected, "{away_ms} {step_ms} {stepped}");
        }
    }
}
