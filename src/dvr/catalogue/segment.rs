//! What a lap holds in stretches of some seconds, so that a playlist of a day costs no reading.
//!
//! Owns: where a segment ends. Pure, and the same whether the fragments come one by one while they
//! are recorded or all at once from the index or the slot: a segment never changes once it was
//! listed.

use std::time::Duration;

use crate::base::limits::{
    RECORDED_SEGMENT_SILENCE_MAX, RECORDED_SEGMENT_SPAN_MAX, RECORDED_SEGMENT_SPAN_MIN,
};
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::continuity::{self, Extent, Pace, date_leaps, is_joined};
use crate::dvr::format::seal::FragmentEntry;
use crate::dvr::format::slot;

/// Whole fragments of one lap, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedSegment {
    /// Where the first one begins in its slot, in bytes.
    pub from: u32,
    /// Where the last one ends with its seal.
    pub until: u32,
    /// Where it begins on the stream's timeline, in nanoseconds since boot.
    pub decode_nanos: i64,
    /// Playing time; up to the next segment if that continues this one.
    pub span_nanos: u64,
    /// Arrival of its first unit.
    pub boot_time: BootTime,
    /// Date of its first unit as believed when it was recorded.
    pub wall: WallTime,
    /// It begins with a key frame.
    pub starts_with_key: bool,
    /// It does not continue whatever precedes it.
    apart: bool,
    /// Something before it is missing.
    loss_before: bool,
    /// How far apart units are in its first and in its last fragment.
    paces: (Pace, Pace),
}

impl RecordedSegment {
    fn begin(entry: &FragmentEntry, apart: bool) -> Self {
        Self {
            from: entry.offset,
            until: place_end(entry),
            decode_nanos: entry.decode_nanos,
            span_nanos: entry.span_nanos,
            boot_time: entry.boot_time,
            wall: entry.wall,
            starts_with_key: entry.starts_with_key,
            apart,
            loss_before: entry.loss_before,
            paces: (Pace::of(entry), Pace::of(entry)),
        }
    }

    /// Where it ends on the stream's timeline, in nanoseconds since boot.
    #[must_use]
    pub fn end_nanos(&self) -> i64 {
        self.decode_nanos.saturating_add(i64::try_from(self.span_nanos).unwrap_or(i64::MAX))
    }

    /// Whether it continues where `before` ends, both being of one boot.
    #[must_use]
    pub fn follows(&self, before: &Self) -> bool {
        let hole_nanos = self.decode_nanos.saturating_sub(before.end_nanos());
        let pace = before.paces.1.max(self.paces.0);
        !self.apart && is_joined(hole_nanos, self.loss_before, pace)
    }

    /// Whether `next`, which continues where `last` of this segment ends, begins another one: at a
    /// key frame once this is long enough, or where the date leaps; rather than grow too long; and
    /// after a silence, during which this was already listed.
    fn ends_before(&self, last: &FragmentEntry, next: &FragmentEntry) -> bool {
        let elapsed = span_of(self.decode_nanos, next.decode_nanos);
        let is_long = elapsed >= RECORDED_SEGMENT_SPAN_MIN || !self.starts_with_key;
        next.starts_with_key && (is_long || leaps(last, next))
            || elapsed + Duration::from_nanos(next.span_nanos) > RECORDED_SEGMENT_SPAN_MAX
            || is_silent(last, next.boot_time)
    }

    fn take(&mut self, entry: &FragmentEntry) {
        self.until = place_end(entry);
        let span = span_of(self.decode_nanos, Extent::end_nanos_of(entry));
        self.span_nanos = nanos(span);
        self.paces.1 = Pace::of(entry);
    }
}

/// Puts `next` behind the segments of a lap whose newest fragment is `last`.
///
/// Behind a break nothing can be decoded before a key frame, so a segment begins with one; only
/// the first of a lap need not, because the lap before may lead up to it.
pub(crate) fn absorb(
    segments: &mut Vec<RecordedSegment>,
    last: Option<&FragmentEntry>,
    next: &FragmentEntry,
) {
    let Some(last) = last else {
        if next.starts_with_key || !next.run_start && !next.loss_before {
            segments.push(RecordedSegment::begin(next, next.run_start));
        }
        return;
    };
    let open = segments.last_mut().filter(|segment| segment.until == place_end(last));
    let goes_on = place_end(last) == next.offset
        && next.decode_nanos > last.decode_nanos
        && continuity::continues(last, next);
    match open {
        Some(segment) if goes_on => {
            if segment.ends_before(last, next) {
                segment.span_nanos = nanos(span_of(segment.decode_nanos, next.decode_nanos));
                segments.push(RecordedSegment::begin(next, false));
            } else {
                segment.take(next);
            }
        }
        _ if next.starts_with_key => segments.push(RecordedSegment::begin(next, true)),
        _ => {}
    }
}

/// All segments of a lap.
pub(crate) fn of_lap(entries: &[FragmentEntry]) -> Vec<RecordedSegment> {
    let mut segments = Vec::new();
    let mut last = None;
    for entry in entries {
        absorb(&mut segments, last, entry);
        last = Some(entry);
    }
    segments
}

/// Whether nothing came behind `last` for so long by `now` that its segment has ended.
pub(crate) fn is_silent(last: &FragmentEntry, now: BootTime) -> bool {
    let silence =
        Duration::from_nanos(last.span_nanos).saturating_add(RECORDED_SEGMENT_SILENCE_MAX);
    now.since(last.boot_time) > silence
}

/// Whether the believed date leaps between two fragments by other than their media tell.
fn leaps(last: &FragmentEntry, next: &FragmentEntry) -> bool {
    let media = next.decode_nanos.saturating_sub(last.decode_nanos);
    let date = next.wall.as_unix_nanos().saturating_sub(last.wall.as_unix_nanos());
    date_leaps(media, date)
}

fn place_end(entry: &FragmentEntry) -> u32 {
    // A slot is at most SLOT_BYTES_MAX.
    u32::try_from(slot::end(entry)).unwrap_or(u32::MAX)
}

fn span_of(from_nanos: i64, until_nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(until_nanos.saturating_sub(from_nanos)).unwrap_or(0))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dvr::format::seal::SEAL_BYTES;

    /// A lap in the making.
    struct Lap {
        entries: Vec<FragmentEntry>,
        at_ms: i64,
        offset: u32,
        clock_ms: i64,
    }

    impl Lap {
        fn new() -> Self {
            Self { entries: Vec::new(), at_ms: 60_000, offset: 1_000, clock_ms: 0 }
        }

        fn push(&mut self, span_ms: u64, key: bool) -> &mut FragmentEntry {
            let millis = self.at_ms.unsigned_abs();
            let entry = FragmentEntry {
                offset: self.offset,
                length: 500,
                sequence: self.entries.len() as u64 + 1,
                boot_time: BootTime::from_millis(millis),
                wall: WallTime::from_unix_nanos((self.at_ms + self.clock_ms) * 1_000_000),
                samples: 25,
                starts_with_key: key,
                ..FragmentEntry::example(self.at_ms, span_ms)
            };
            self.offset = place_end(&entry);
            self.at_ms += i64::try_from(span_ms).unwrap();
            self.entries.push(entry);
            self.entries.last_mut().unwrap()
        }

        /// Start in seconds after the first fragment, length in seconds, and whether each continues
        /// the one before.
        fn told(&self) -> Vec<(f64, f64, bool)> {
            let segments = of_lap(&self.entries);
            let first = self.entries[0].decode_nanos;
            let secs = |nanos: i64| Duration::from_nanos(nanos.unsigned_abs()).as_secs_f64();
            let told = |(at, segment): (usize, &RecordedSegment)| {
                let follows = at > 0 && segment.follows(&segments[at - 1]);
                let span = i64::try_from(segment.span_nanos).unwrap();
                (secs(segment.decode_nanos - first), secs(span), follows)
            };
            segments.iter().enumerate().map(told).collect()
        }
    }

    #[test]
    fn a_segment_reaches_from_key_frame_to_key_frame() {
        let mut lap = Lap::new();
        for n in 0..11 {
            lap.push(1_000, n % 2 == 0);
        }
        assert_eq!(lap.told(), [(0.0, 4.0, false), (4.0, 4.0, true), (8.0, 3.0, true)]);
        let segments = of_lap(&lap.entries);
        assert!(segments.windows(2).all(|pair| pair[0].until == pair[1].from));
        let mut grown = Vec::new();
        for (at, entry) in lap.entries.iter().enumerate() {
            absorb(&mut grown, at.checked_sub(1).map(|at| &lap.entries[at]), entry);
            assert_eq!(grown, of_lap(&lap.entries[..=at]), "one by one or all at once");
        }
    }

    #[test]
    fn groups_that_are_too_long_are_cut_without_a_key_frame() {
        let mut lap = Lap::new();
        for n in 0..24 {
            lap.push(1_000, n % 12 == 0);
        }
        let told = lap.told();
        assert_eq!(told[..3], [(0.0, 10.0, false), (10.0, 2.0, true), (12.0, 10.0, true)]);
    }

    #[test]
    fn behind_a_break_the_next_segment_begins_with_a_key_frame() {
        let mut lap = Lap::new();
        lap.push(1_000, true);
        lap.push(1_000, false).loss_before = true;
        lap.push(1_000, true).run_start = true;
        // A hole, then a fragment that nothing leads up to.
        lap.at_ms += 5_000;
        lap.push(1_000, false);
        lap.push(1_000, true);
        // Damage: foreign bytes in between.
        lap.offset += 640;
        lap.push(1_000, false);
        lap.push(1_000, true);
        let told = lap.told();
        assert_eq!(told[0], (0.0, 2.0, false), "a loss without a hole shows nothing");
        assert_eq!(told[1..], [(2.0, 1.0, false), (9.0, 1.0, false), (11.0, 1.0, false)]);
    }

    #[test]
    fn a_silence_and_a_leap_of_the_date_end_a_segment() {
        let mut lap = Lap::new();
        lap.push(1_000, true);
        lap.push(1_000, true).boot_time = BootTime::from_millis(90_000);
        lap.clock_ms += 1_000_000;
        lap.push(1_000, true).boot_time = BootTime::from_millis(91_000);
        assert_eq!(lap.told(), [(0.0, 1.0, false), (1.0, 1.0, true), (2.0, 1.0, true)]);
        let last = *lap.entries.last().unwrap();
        assert!(!is_silent(&last, BootTime::from_millis(100_000)));
        assert!(is_silent(&last, BootTime::from_millis(110_000)));
    }

    #[test]
    fn a_lap_may_begin_where_the_one_before_leads_up_to_it() {
        let mut lap = Lap::new();
        lap.push(1_000, false);
        lap.push(1_000, true);
        assert_eq!(lap.told(), [(0.0, 1.0, false), (1.0, 1.0, true)]);
        lap.entries[0].loss_before = true;
        assert_eq!(lap.told(), [(1.0, 1.0, false)]);
        assert_eq!(slot::end(&lap.entries[0]), 1_500 + SEAL_BYTES as u64);
    }
}
