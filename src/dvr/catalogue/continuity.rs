//! Does footage go on here? The one answer for listings, playlists, players and exports.
//!
//! Owns: when two fragments belong together, and stretches of such. Pure.

use std::time::Duration;

use crate::base::limits::{CLOCK_STEP_MIN, GAP_SPAN_MIN};
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
        let leap_nanos = date_nanos.saturating_sub(media_nanos);
        leap_nanos.unsigned_abs() > nanos(CLOCK_STEP_MIN).unsigned_abs()
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

pub(crate) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}
