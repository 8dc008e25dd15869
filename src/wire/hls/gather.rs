//! Gathers fragments of the ring into segments.
//!
//! Owns: which whole fragments make a segment. Never looks into them.

use std::time::Duration;

use bytes::Bytes;

use super::segment::SEAM_NANOS_MAX;
use super::{FinishedSegment, SegmentBody, StoredRange};
use crate::base::limits::{HLS_SEGMENT_BYTES_MAX, HLS_SEGMENT_SPAN_MIN};
use crate::base::time::WallTime;

/// A fragment in the ring.
#[derive(Clone, Debug)]
pub struct RecordedFragment {
    /// `ftyp` and `moov` that it needs.
    pub init: Bytes,
    /// Its place.
    pub place: StoredRange,
    /// Where it begins on the stream's timeline, in nanoseconds after boot.
    pub from_nanos: i64,
    /// How long it plays.
    pub span: Duration,
    /// Its date.
    pub wall: WallTime,
    /// It begins with a key frame.
    pub starts_with_key: bool,
    /// It does not continue the one before: a new run, a loss, a hole, or a leap of the date.
    pub breaks: bool,
}

/// Collects pieces into segments.
#[derive(Debug, Default)]
pub struct Gather {
    open: Option<OpenGathered>,
    discontinuity: bool,
}

#[derive(Debug)]
struct OpenGathered {
    first: RecordedFragment,
    /// Where the newest piece ends, in the slot and on the timeline.
    until: u64,
    until_nanos: i64,
    discontinuity: bool,
}

impl Gather {
    /// Adds a piece and returns the segment that it ended, which is `span_max` long at most.
    ///
    /// A piece that is longer, in a stream whose earlier pictures came faster, is listed with that
    /// length, with a discontinuity behind it.
    pub fn push(&mut self, piece: RecordedFragment, span_max: Duration) -> Option<FinishedSegment> {
        let goes_on = self.open.as_ref().is_some_and(|open| open.is_continued_by(&piece, span_max));
        let cut = match &mut self.open {
            Some(open) if goes_on && !open.ends_before(&piece, span_max) => {
                open.take(&piece);
                return None;
            }
            Some(_) if goes_on => self.close(Some(piece.from_nanos), span_max),
            Some(_) => self.interrupted(span_max),
            None => None,
        };
        // Behind a break nothing can be decoded before a key frame.
        if goes_on || piece.starts_with_key {
            self.begin(piece);
        }
        cut
    }

    /// Ends the open segment because nothing more comes for now; the next restarts.
    pub fn interrupt(&mut self, span_max: Duration) -> Option<FinishedSegment> {
        self.interrupted(span_max)
    }

    /// Ends the open segment at `at_nanos` on the timeline if its pieces reach up to there.
    pub fn end_at(&mut self, at_nanos: i64, span_max: Duration) -> Option<FinishedSegment> {
        let reached = |open: &OpenGathered| open.until_nanos.abs_diff(at_nanos) <= SEAM_NANOS_MAX;
        self.open.as_ref().is_some_and(reached).then_some(())?;
        self.close(Some(at_nanos), span_max)
    }

    /// Forgets what is open; the next segment does not continue what is listed.
    pub fn leap(&mut self) {
        *self = Self { open: None, discontinuity: true };
    }

    fn interrupted(&mut self, span_max: Duration) -> Option<FinishedSegment> {
        let cut = self.close(None, span_max);
        self.discontinuity |= cut.is_some();
        cut
    }

    fn begin(&mut self, piece: RecordedFragment) {
        self.open = Some(OpenGathered {
            until: piece.place.until,
            until_nanos: end_nanos(&piece),
            discontinuity: std::mem::take(&mut self.discontinuity),
            first: piece,
        });
    }

    fn close(&mut self, next_nanos: Option<i64>, span_max: Duration) -> Option<FinishedSegment> {
        let open = self.open.take()?;
        let span = between(open.first.from_nanos, next_nanos.unwrap_or(open.until_nanos));
        self.discontinuity |= span > span_max;
        Some(FinishedSegment {
            init: open.first.init,
            body: SegmentBody::Stored(StoredRange { until: open.until, ..open.first.place }),
            span: span.min(span_max),
            from_nanos: open.first.from_nanos,
            wall: open.first.wall,
            discontinuity: open.discontinuity,
            independent: open.first.starts_with_key,
        })
    }
}

impl OpenGathered {
    /// Whether `piece` follows in time and needs no other init.
    fn is_continued_by(&self, piece: &RecordedFragment, span_max: Duration) -> bool {
        let since = between(self.first.from_nanos, piece.from_nanos);
        !piece.breaks
            && piece.init == self.first.init
            && piece.from_nanos > self.first.from_nanos
            && since <= span_max
    }

    /// Whether the segment ends where `piece` begins: at a key frame, once it is long enough;
    /// at the end of a slot; and rather than grow past its bounds.
    fn ends_before(&self, piece: &RecordedFragment, span_max: Duration) -> bool {
        let elapsed = between(self.first.from_nanos, piece.from_nanos);
        let long_enough = elapsed >= HLS_SEGMENT_SPAN_MIN || !self.first.starts_with_key;
        let bytes = piece.place.until.saturating_sub(self.first.place.from);
        piece.place.lap != self.first.place.lap
            || piece.place.from != self.until
            || (piece.starts_with_key && long_enough)
            || elapsed + piece.span > span_max
            || bytes > HLS_SEGMENT_BYTES_MAX as u64
    }

    fn take(&mut self, piece: &RecordedFragment) {
        (self.until, self.until_nanos) = (piece.place.until, end_nanos(piece));
    }
}

fn end_nanos(piece: &RecordedFragment) -> i64 {
    let span = i64::try_from(piece.span.as_nanos()).unwrap_or(i64::MAX);
    piece.from_nanos.saturating_add(span)
}

/// From one instant in nanoseconds to a later one; zero if it is not later.
fn between(from: i64, to: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(3);

    /// A ring in the making.
    struct TestRing {
        gather: Gather,
        at_ms: i64,
        place: StoredRange,
        init: Bytes,
    }

    impl TestRing {
        fn new() -> Self {
            let place = StoredRange { lap: 7, from: 1_000, until: 1_000 };
            Self { gather: Gather::default(), at_ms: 5_000, place, init: Bytes::from_static(b"a") }
        }

        fn push(&mut self, span_ms: u32, key: bool, breaks: bool) -> Option<FinishedSegment> {
            let from = self.place.until;
            self.place = StoredRange { from, until: from + 100, ..self.place };
            let piece = RecordedFragment {
                init: self.init.clone(),
                place: self.place,
                from_nanos: self.at_ms * 1_000_000,
                span: Duration::from_millis(span_ms.into()),
                wall: WallTime::default(),
                starts_with_key: key,
                breaks,
            };
            self.at_ms += i64::from(span_ms);
            self.gather.push(piece, Duration::from_secs(3))
        }

        fn next_lap(&mut self) {
            self.place = StoredRange { lap: self.place.lap + 1, from: 1_000, until: 1_000 };
        }
    }

    fn told(cut: &FinishedSegment) -> (StoredRange, u64, bool, bool) {
        let SegmentBody::Stored(place) = cut.body else { panic!("{cut:?}") };
        let ms = u64::try_from(cut.span.as_millis()).unwrap();
        (place, ms, cut.discontinuity, cut.independent)
    }

    #[test]
    fn a_segment_reaches_from_key_frame_to_key_frame() {
        let mut ring = TestRing::new();
        assert!(ring.push(1_000, true, true).is_none());
        assert!(ring.push(1_000, true, false).is_none());
        let cut = ring.push(1_000, true, false).unwrap();
        let place = StoredRange { lap: 7, from: 1_000, until: 1_200 };
        assert_eq!(told(&cut), (place, 2_000, false, true));
        assert!(ring.push(500, false, false).is_none());
        assert!(ring.push(500, false, false).is_none());
        let cut = ring.push(1_000, true, false).unwrap();
        assert_eq!(told(&cut).1, 2_000);
    }

    #[test]
    fn a_slot_that_is_full_ends_a_segment_without_a_discontinuity() {
        let mut ring = TestRing::new();
        ring.push(1_000, true, false);
        ring.next_lap();
        let cut = ring.push(1_000, true, false).unwrap();
        assert_eq!(told(&cut).0, StoredRange { lap: 7, from: 1_000, until: 1_100 });
        ring.push(1_000, true, false);
        let cut = ring.push(1_000, true, false).unwrap();
        assert_eq!(
            told(&cut),
            (StoredRange { lap: 8, from: 1_000, until: 1_200 }, 2_000, false, true)
        );
    }

    #[test]
    fn a_segment_ends_where_another_hand_goes_on() {
        let mut ring = TestRing::new();
        ring.push(1_000, true, true);
        assert!(ring.gather.end_at(5_500_000_000, TARGET).is_none());
        let cut = ring.gather.end_at(6_000_000_000, TARGET).unwrap();
        assert_eq!(told(&cut).1, 1_000);
        assert!(cut.is_continued_at(6_000_000_400, WallTime::from_unix_nanos(1_000_000_000)));
        assert!(!cut.is_continued_at(6_040_000_000, WallTime::from_unix_nanos(1_040_000_000)));
        assert!(!cut.is_continued_at(6_000_000_000, WallTime::from_unix_nanos(9_000_000_000)));
        ring.push(1_000, true, false);
        assert!(!ring.gather.interrupt(TARGET).unwrap().discontinuity);
    }

    #[test]
    fn what_does_not_continue_is_a_discontinuity() {
        let mut ring = TestRing::new();
        ring.push(1_000, true, false);
        // A hole longer than a segment, a new run, and other parameters.
        ring.at_ms += 60_000;
        let cut = ring.push(1_000, true, false).unwrap();
        assert_eq!(told(&cut).1, 1_000);
        let cut = ring.push(1_000, true, true).unwrap();
        assert!(cut.discontinuity);
        ring.init = Bytes::from_static(b"b");
        let cut = ring.push(1_000, true, false).unwrap();
        assert!(cut.discontinuity);
        assert!(ring.gather.interrupt(TARGET).unwrap().discontinuity);
        assert!(ring.gather.interrupt(TARGET).is_none());
        ring.push(1_000, true, false);
        assert!(ring.gather.interrupt(TARGET).unwrap().discontinuity);
    }

    #[test]
    fn no_segment_is_longer_than_the_target() {
        let mut ring = TestRing::new();
        let mut cuts = Vec::new();
        // A key frame every 8 s only, then a picture every 5 s.
        cuts.extend((0..40).filter_map(|n| ring.push(1_000, n % 8 == 0, false)));
        cuts.extend((0..10).filter_map(|_| ring.push(5_000, true, false)));
        assert!(cuts.iter().all(|cut| cut.span <= Duration::from_secs(3)), "{cuts:?}");
        assert!(cuts.iter().any(|cut| !cut.independent));
        let starts: Vec<_> = cuts.iter().map(|cut| told(cut).0.from).collect();
        let ends: Vec<_> = cuts.iter().map(|cut| told(cut).0.until).collect();
        assert_eq!(starts[1..], ends[..ends.len() - 1], "nothing is left out");
    }
}
