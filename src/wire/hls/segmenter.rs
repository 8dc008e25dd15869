//! Decides where a segment ends, and each of its parts.
//!
//! Owns: the open segment. Fed with every unit of a stream that fMP4 can carry, where there is no
//! recording to serve instead.

use std::sync::Arc;
use std::time::Duration;

use super::pace::{PartPace, part_is_full};
use super::{FinishedSegment, OpenSegment, Part, Parts, SegmentBody};
use crate::base::limits::{HLS_SEGMENT_BYTES_MAX, HLS_SEGMENT_SPAN_MAX, HLS_SEGMENT_SPAN_MIN};
use crate::base::time::WallTime;
use crate::media::AccessUnit;
use crate::wire::mp4::FragmentBuilder;
use crate::wire::web::WebFormat;

/// Assumed distance of two pictures while only one is known.
const FRAME_SPAN_DEFAULT: Duration = Duration::from_millis(40);
/// How far the wall clock may drift against the media within a discontinuity.
const WALL_STEP_MAX: Duration = Duration::from_millis(500);
/// How far the sound may run ahead of a picture that does not come before the segment ends.
const LEAD_SILENCE_MAX: Duration = Duration::from_secs(5);

/// Collects units into segments.
#[derive(Debug)]
pub struct Segmenter {
    open: Option<OpenCut>,
    /// Whether the next segment begins with a discontinuity.
    discontinuity: bool,
    /// Where the newest segment ended on the wall clock, if its end is joined.
    wall_expected: Option<WallTime>,
    sequence: u32,
    pace: PartPace,
}

/// How long things are at most, as far as that is settled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Targets {
    /// The target duration.
    pub segment: Option<Duration>,
    /// That of the parts; `None`: a segment is not made of parts.
    pub part: Option<Duration>,
}

#[derive(Debug)]
struct OpenCut {
    format: Arc<WebFormat>,
    /// The part in the making, or the whole segment without parts.
    part: PartBuilder,
    /// The parts that have ended, and their bytes.
    parts: Vec<Arc<Part>>,
    bytes: usize,
    part_target: Option<Duration>,
    /// Nanoseconds after boot: the first and the newest unit of the leading track.
    first_nanos: i64,
    newest_nanos: i64,
    frame_span: Duration,
    wall: WallTime,
    discontinuity: bool,
    independent: bool,
    units: u32,
}

#[derive(Debug)]
struct PartBuilder {
    builder: FragmentBuilder,
    /// Place of its first picture.
    first_nanos: i64,
    independent: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum SegmentVerdict {
    Goes,
    /// Continues with another part.
    Parts,
    /// Ends where the unit begins.
    Ends,
    /// Ends with its last unit; what comes is not its continuation.
    Breaks,
}

impl Segmenter {
    /// A segmenter; `discontinuity`: what it makes does not continue what is listed already.
    #[must_use]
    pub fn new(discontinuity: bool) -> Self {
        let (open, wall_expected, pace) = (None, None, PartPace::default());
        Self { open, discontinuity, wall_expected, sequence: 0, pace }
    }

    /// Adds a unit of a track that `format` carries and returns the segment that it ended.
    ///
    /// A segment begins with a unit of the leading track; others before it are skipped.
    pub fn push(
        &mut self,
        unit: &Arc<AccessUnit>,
        format: &Arc<WebFormat>,
        targets: Targets,
    ) -> Option<FinishedSegment> {
        let lead = unit.track == format.lead();
        let span_max = targets.segment.unwrap_or(HLS_SEGMENT_SPAN_MAX);
        let verdict = self.open.as_ref().map_or(SegmentVerdict::Goes, |open| {
            if Arc::ptr_eq(&open.format, format) {
                open.judge(unit, lead, span_max)
            } else {
                SegmentVerdict::Breaks
            }
        });
        let cut = match verdict {
            SegmentVerdict::Goes => None,
            SegmentVerdict::Parts => {
                self.part(unit);
                None
            }
            SegmentVerdict::Ends => self.close(Some(unit)),
            SegmentVerdict::Breaks => self.interrupt(),
        };
        if let Some(open) = &mut self.open {
            if let Some(span) = open.push(unit, lead) {
                self.pace.push(span);
            }
        } else if lead {
            self.begin(unit, format, targets.part);
        }
        cut
    }

    /// How long parts are at most, once that can be said; a stream of too few pictures has none.
    #[must_use]
    pub fn part_target(&self) -> Parts {
        self.pace.parts()
    }

    /// What there is of the segment in the making, if it is made of parts.
    #[must_use]
    pub fn open(&self) -> Option<OpenSegment> {
        let open = self.open.as_ref().filter(|open| open.part_target.is_some())?;
        Some(OpenSegment {
            init: open.format.init.clone(),
            wall: open.wall,
            discontinuity: open.discontinuity,
            independent: open.independent,
            parts: open.parts.clone(),
        })
    }

    /// Ends the open part where `next` begins.
    fn part(&mut self, next: &Arc<AccessUnit>) {
        self.sequence = self.sequence.wrapping_add(1);
        if let Some(open) = &mut self.open {
            let fresh = PartBuilder::new(self.sequence, next.decode.as_nanos());
            let ended = std::mem::replace(&mut open.part, fresh);
            open.end_part(ended, Some(next));
        }
    }

    /// Ends the open segment because the stream broke off; the next one restarts.
    pub fn interrupt(&mut self) -> Option<FinishedSegment> {
        let cut = self.close(None);
        // A stream that has not begun has nothing to break with.
        self.discontinuity |= cut.is_some();
        self.wall_expected = None;
        cut
    }

    fn begin(&mut self, unit: &Arc<AccessUnit>, format: &Arc<WebFormat>, part: Option<Duration>) {
        let wall = unit.captured.wall;
        let stepped = self.wall_expected.is_some_and(|expected| {
            expected.as_unix_nanos().abs_diff(wall.as_unix_nanos()) > nanos_u64(WALL_STEP_MAX)
        });
        self.sequence = self.sequence.wrapping_add(1);
        let mut open = OpenCut {
            format: Arc::clone(format),
            part: PartBuilder::new(self.sequence, unit.decode.as_nanos()),
            parts: Vec::new(),
            bytes: 0,
            part_target: part,
            first_nanos: unit.decode.as_nanos(),
            newest_nanos: unit.decode.as_nanos(),
            frame_span: FRAME_SPAN_DEFAULT,
            wall,
            discontinuity: std::mem::take(&mut self.discontinuity) || stepped,
            independent: unit.random_access(),
            units: 0,
        };
        open.push(unit, true);
        self.open = Some(open);
    }

    fn close(&mut self, next: Option<&AccessUnit>) -> Option<FinishedSegment> {
        let mut open = self.open.take()?;
        let end = next.map(|unit| unit.decode.as_nanos());
        let end = end.unwrap_or_else(|| open.newest_nanos.saturating_add(nanos(open.frame_span)));
        let span = between(open.first_nanos, end);
        self.wall_expected = Some(open.wall.offset_nanos(nanos(span)));
        let last = std::mem::replace(&mut open.part, PartBuilder::new(0, 0));
        open.end_part(last, next);
        Some(FinishedSegment {
            init: open.format.init.clone(),
            body: SegmentBody::Held(open.parts),
            span,
            from_nanos: open.first_nanos,
            wall: open.wall,
            discontinuity: open.discontinuity,
            independent: open.independent,
        })
    }
}

impl PartBuilder {
    /// An empty part that begins at `first_nanos`.
    fn new(sequence: u32, first_nanos: i64) -> Self {
        let builder = FragmentBuilder::new(sequence);
        Self { builder, first_nanos, independent: false }
    }
}

impl OpenCut {
    /// Takes `unit`; returns how far it is behind the one before it in the leading track.
    fn push(&mut self, unit: &Arc<AccessUnit>, lead: bool) -> Option<Duration> {
        let mut since = None;
        if lead {
            let at = unit.decode.as_nanos();
            if self.units > 0 {
                self.frame_span = between(self.newest_nanos, at);
                since = Some(self.frame_span);
            }
            self.newest_nanos = at;
            self.units += 1;
            self.part.independent |= unit.random_access();
        }
        self.part.builder.push(Arc::clone(unit));
        since
    }

    /// Adds a part that ends where `next` begins, or as long after its last picture as that came
    /// after the one before.
    fn end_part(&mut self, part: PartBuilder, next: Option<&AccessUnit>) {
        let end = next.map(|unit| unit.decode.as_nanos());
        let end = end.unwrap_or_else(|| self.newest_nanos.saturating_add(nanos(self.frame_span)));
        let span = between(part.first_nanos, end);
        // A hole in the media is in the length of the segment, never in that of a part.
        let longest = self.part_target.unwrap_or(span);
        let fragment = part.builder.build(next);
        self.bytes += fragment.len();
        let (span, independent) = (span.min(longest), part.independent);
        self.parts.push(Arc::new(Part { fragment, span, independent }));
    }

    fn part_ends(&self, at: i64) -> bool {
        let elapsed = between(self.part.first_nanos, at);
        self.part_target.is_some_and(|target| part_is_full(target, elapsed, self.frame_span))
    }

    fn judge(&self, unit: &AccessUnit, lead: bool, span_max: Duration) -> SegmentVerdict {
        let at = unit.decode.as_nanos();
        let elapsed = between(self.first_nanos, at);
        let full = self.bytes + self.part.builder.bytes() + unit.data.len() > HLS_SEGMENT_BYTES_MAX;
        if !lead {
            let lost = full || elapsed > span_max + LEAD_SILENCE_MAX;
            return if lost { SegmentVerdict::Breaks } else { SegmentVerdict::Goes };
        }
        if elapsed > span_max || at <= self.newest_nanos {
            return SegmentVerdict::Breaks;
        }
        // A segment that had to begin without a key frame ends at the first one.
        let long_enough = elapsed >= HLS_SEGMENT_SPAN_MIN || !self.independent;
        // The next picture may come a little later than the last ones did.
        let would_exceed = elapsed + self.frame_span * 2 > span_max;
        if full || would_exceed || (unit.random_access() && long_enough) {
            return SegmentVerdict::Ends;
        }
        if self.part_ends(at) { SegmentVerdict::Parts } else { SegmentVerdict::Goes }
    }
}

/// From one instant in nanoseconds to a later one; zero if it is not later.
fn between(from: i64, to: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

fn nanos_u64(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
