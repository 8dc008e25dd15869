//! Does footage continue here? The one answer for listings, playlists, players, exports and RTSP.
//!
//! Owns: when two fragments belong together, and stretches of such. Pure. What a hole is depends on
//! the pace: a camera that sends a picture every four seconds is not away for three seconds in four.

use std::time::Duration;

use crate::base::limits::{CLOCK_STEP_MIN, GAP_SPAN_MAX, GAP_SPAN_MIN, HELD_BACK_MAX};
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::format::seal::{FragmentEntry, Identity};

/// After a fragment that reports a loss, a shorter hole shows as a gap.
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
    /// How far apart units are in its first and in its last fragment.
    paces: (Pace, Pace),
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
            paces: (Pace::of(entry), Pace::of(entry)),
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

    /// From where this one ends to where `next` begins on the stream's timeline.
    pub(crate) fn hole_nanos(&self, next: &Self) -> i64 {
        next.from_nanos.saturating_sub(self.until_nanos)
    }

    /// Whether `next` continues where this one ends, both being of one boot.
    pub(crate) fn goes_on_in(&self, next: &Self) -> bool {
        let hole_nanos = self.hole_nanos(next);
        let pace = self.paces.1.max(next.paces.0);
        !next.run_start && is_joined(hole_nanos, next.loss_before, pace)
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
        self.paces.1 = next.paces.1;
    }
}

/// How far apart the units of a fragment are, in nanoseconds, as its seal tells it.
///
/// The fragment of the very first picture tells nothing yet; that of the next one does, and the
/// slower of two neighbours counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pace(i64);

impl Pace {
    pub(crate) fn of(entry: &FragmentEntry) -> Self {
        let apart = entry.span_nanos / u64::from(entry.samples.max(1));
        Self(i64::try_from(apart).unwrap_or(i64::MAX))
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

/// Whether a hole of this length in the media, beyond the unit before it, shows as none between
/// fragments of this pace: up to three times the pace from unit to unit, or half a pace behind a
/// loss, where each unit counts.
pub(crate) fn is_joined(hole_nanos: i64, loss_before: bool, Pace(pace): Pace) -> bool {
    let (gap_nanos, longest) = (nanos(GAP_SPAN_MIN), nanos(GAP_SPAN_MAX));
    let shown_nanos = if loss_before {
        LOSS_GAP_NANOS_MIN.max(pace / 2)
    } else {
        gap_nanos.max(pace.saturating_mul(2))
    };
    hole_nanos < shown_nanos.min(longest) && hole_nanos > -gap_nanos
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

/// Whether fragment `next` continues where `entry` ends, both being of one boot.
pub(crate) fn continues(entry: &FragmentEntry, next: &FragmentEntry) -> bool {
    Extent::of(entry).goes_on_in(&Extent::of(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fragment of `samples` units that begins at `at` and lasts for `span`, in milliseconds.
    fn fragment(at: u64, span: u64, samples: u32) -> FragmentEntry {
        let at = i64::try_from(at).unwrap();
        FragmentEntry { samples, ..FragmentEntry::example(at, span) }
    }

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
            assert_eq!(is_joined(hole_ms * MS, loss, Pace(40 * MS)), expected, "{hole_ms} {loss}");
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

    #[test]
    fn the_pace_tells_what_a_hole_is() {
        // Units and span of both fragments, start of the second, and whether it continues the
        // first.
        for (first, second, at, joined) in [
            // 25 a second.
            ((25, 1_000), (25, 1_000), 1_000, true),
            ((25, 1_000), (25, 1_000), 2_900, true),
            ((25, 1_000), (25, 1_000), 3_100, false),
            // One each 4 s: the first gives no limit yet, then three times that is the limit.
            ((1, 40), (1, 4_000), 4_000, true),
            ((1, 4_000), (1, 4_000), 4_000, true),
            ((1, 4_000), (1, 4_000), 11_900, true),
            ((1, 4_000), (1, 4_000), 12_100, false),
            // One a second.
            ((1, 1_000), (1, 1_000), 2_900, true),
            ((1, 1_000), (1, 1_000), 3_100, false),
            // One a minute; nothing continues beyond 70 s.
            ((1, 60_000), (1, 60_000), 129_000, true),
            ((1, 60_000), (1, 60_000), 131_000, false),
            // A camera of 25 a second that was away is not slow.
            ((1, 40), (25, 1_000), 4_000, false),
        ] {
            let (before, next) = (fragment(0, first.1, first.0), fragment(at, second.1, second.0));
            let (before, next) = (Extent::of(&before), Extent::of(&next));
            assert_eq!(before.goes_on_in(&next), joined, "{first:?} {second:?} at {at}");
        }
    }

    #[test]
    fn behind_a_loss_a_missing_unit_shows() {
        let joined = |first: (u32, u64), at: u64| {
            let before = Extent::of(&fragment(0, first.1, first.0));
            let next = FragmentEntry { loss_before: true, ..fragment(at, first.1, first.0) };
            before.goes_on_in(&Extent::of(&next))
        };
        assert!(joined((25, 1_000), 1_200) && !joined((25, 1_000), 1_300));
        assert!(joined((1, 4_000), 5_000) && !joined((1, 4_000), 8_000));
    }

    #[test]
    fn a_swallowed_fragment_tells_the_pace_from_then_on() {
        let mut list = Vec::new();
        for (at, span) in [(0, 40), (4_000, 4_000), (8_000, 4_000), (18_000, 4_000)] {
            absorb(&mut list, Extent::of(&fragment(at, span, 1)), true);
        }
        assert_eq!(list.len(), 1);
        absorb(&mut list, Extent::of(&fragment(31_000, 4_000, 1)), true);
        assert_eq!(list.len(), 2);
    }
}
