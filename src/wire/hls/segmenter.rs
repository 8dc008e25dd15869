//! Decides where a segment ends.
//!
//! Owns: the open segment. Fed with every unit of a stream that fMP4 can carry, where there is
//! no recording that could be shown instead.

use std::sync::Arc;
use std::time::Duration;

use super::{Body, Cut};
use crate::base::limits::{HLS_SEGMENT_BYTES_MAX, HLS_SEGMENT_SPAN_MAX, HLS_SEGMENT_SPAN_MIN};
use crate::base::time::WallTime;
use crate::media::AccessUnit;
use crate::wire::mp4::FragmentBuilder;
use crate::wire::web::WebFormat;

/// Stands in for the distance of two pictures while only one is known.
const FRAME_SPAN_DEFAULT: Duration = Duration::from_millis(40);
/// How far the wall clock may drift against the media within a discontinuity.
const WALL_STEP_MAX: Duration = Duration::from_millis(500);
/// How far the sound may run ahead of a picture that does not come before the segment ends.
const LEAD_SILENCE_MAX: Duration = Duration::from_secs(5);

/// Collects units into segments.
#[derive(Debug)]
pub struct Segmenter {
    open: Option<Open>,
    /// Whether the next segment begins with a discontinuity.
    discontinuity: bool,
    /// Where the newest segment ended on the wall clock, if its end is joined.
    wall_expected: Option<WallTime>,
    sequence: u32,
}

#[derive(Debug)]
struct Open {
    format: Arc<WebFormat>,
    builder: FragmentBuilder,
    /// Nanoseconds after boot: the first and the newest unit of the leading track.
    first_nanos: i64,
    newest_nanos: i64,
    frame_span: Duration,
    wall: WallTime,
    discontinuity: bool,
    independent: bool,
    units: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Goes,
    /// Ends where the unit begins.
    Ends,
    /// Ends with its last unit; what comes is not its continuation.
    Breaks,
}

impl Segmenter {
    /// A segmenter; `discontinuity`: what it makes does not continue what is listed already.
    #[must_use]
    pub fn new(discontinuity: bool) -> Self {
        Self { open: None, discontinuity, wall_expected: None, sequence: 0 }
    }

    /// Adds a unit of a track that `format` carries and returns the segment that it ended.
    /// `target` is the playlist's target duration once that is settled.
    ///
    /// A segment begins with a unit of the leading track; others before it are passed over.
    pub fn push(
        &mut self,
        unit: &Arc<AccessUnit>,
        format: &Arc<WebFormat>,
        target: Option<Duration>,
    ) -> Option<Cut> {
        let lead = unit.track == format.lead();
        let span_max = target.unwrap_or(HLS_SEGMENT_SPAN_MAX);
        let verdict = self.open.as_ref().map_or(Verdict::Goes, |open| {
            if Arc::ptr_eq(&open.format, format) {
                open.judge(unit, lead, span_max)
            } else {
                Verdict::Breaks
            }
        });
        let cut = match verdict {
            Verdict::Goes => None,
            Verdict::Ends => self.close(Some(unit)),
            Verdict::Breaks => self.interrupt(),
        };
        if let Some(open) = &mut self.open {
            open.push(unit, lead);
        } else if lead {
            self.begin(unit, format);
        }
        cut
    }

    /// Ends the open segment because the stream broke off; the next one begins anew.
    pub fn interrupt(&mut self) -> Option<Cut> {
        let cut = self.close(None);
        // A stream that has not begun has nothing to break with.
        self.discontinuity |= cut.is_some();
        self.wall_expected = None;
        cut
    }

    fn begin(&mut self, unit: &Arc<AccessUnit>, format: &Arc<WebFormat>) {
        let wall = unit.captured.wall;
        let stepped = self.wall_expected.is_some_and(|expected| {
            expected.as_unix_nanos().abs_diff(wall.as_unix_nanos()) > nanos_u64(WALL_STEP_MAX)
        });
        self.sequence = self.sequence.wrapping_add(1);
        let mut open = Open {
            format: Arc::clone(format),
            builder: FragmentBuilder::new(self.sequence),
            first_nanos: unit.decode.as_nanos(),
            newest_nanos: unit.decode.as_nanos(),
            frame_span: FRAME_SPAN_DEFAULT,
            wall,
            discontinuity: std::mem::take(&mut self.discontinuity) || stepped,
            independent: unit.random_access,
            units: 0,
        };
        open.push(unit, true);
        self.open = Some(open);
    }

    fn close(&mut self, next: Option<&AccessUnit>) -> Option<Cut> {
        let open = self.open.take()?;
        let end = next.map(|unit| unit.decode.as_nanos());
        let end = end.unwrap_or_else(|| open.newest_nanos.saturating_add(nanos(open.frame_span)));
        let span = between(open.first_nanos, end);
        self.wall_expected = Some(open.wall.offset_nanos(nanos(span)));
        Some(Cut {
            init: open.format.init.clone(),
            body: Body::Held(open.builder.build(next)),
            span,
            from_nanos: open.first_nanos,
            wall: open.wall,
            discontinuity: open.discontinuity,
            independent: open.independent,
        })
    }
}

impl Open {
    fn push(&mut self, unit: &Arc<AccessUnit>, lead: bool) {
        if lead {
            let at = unit.decode.as_nanos();
            if self.units > 0 {
                self.frame_span = between(self.newest_nanos, at);
            }
            self.newest_nanos = at;
            self.units += 1;
        }
        self.builder.push(Arc::clone(unit));
    }

    fn judge(&self, unit: &AccessUnit, lead: bool, span_max: Duration) -> Verdict {
        let at = unit.decode.as_nanos();
        let elapsed = between(self.first_nanos, at);
        let full = self.builder.bytes() + unit.data.len() > HLS_SEGMENT_BYTES_MAX;
        if !lead {
            let lost = full || elapsed > span_max + LEAD_SILENCE_MAX;
            return if lost { Verdict::Breaks } else { Verdict::Goes };
        }
        if elapsed > span_max || at <= self.newest_nanos {
            return Verdict::Breaks;
        }
        // A segment that had to begin without a key frame ends at the first one.
        let long_enough = elapsed >= HLS_SEGMENT_SPAN_MIN || !self.independent;
        // The next picture may come a little later than the last ones did.
        let would_exceed = elapsed + self.frame_span * 2 > span_max;
        if full || would_exceed || (unit.random_access && long_enough) {
            return Verdict::Ends;
        }
        Verdict::Goes
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
