//! When a unit of the past is played: recorded time to the time of the receiver.
//!
//! Owns: the mapping, which restarts at every seam, so that a gap takes no time. Pure.

use crate::base::time::MediaTime;

/// Play time from the end of one section to the begin of the next.
const STEP_NANOS: i64 = 40_000_000;

/// Recorded time to play time.
#[derive(Debug)]
pub(super) struct PlayTimeline {
    /// Recorded time passes so fast; negative is backwards.
    factor: f64,
    /// Recorded time, and the play time it has.
    anchor: Option<(i64, i64)>,
    /// Furthest play time returned, in nanoseconds.
    end_nanos: i64,
}

impl PlayTimeline {
    pub(super) fn new(factor: f64) -> Self {
        Self { factor, anchor: None, end_nanos: -STEP_NANOS }
    }

    /// The next unit does not continue the current position: `media_nanos` is played next, at
    /// another pace if `factor` says so.
    pub(super) fn anchor(&mut self, media_nanos: i64, factor: f64) {
        self.anchor = Some((media_nanos, self.end_nanos + STEP_NANOS));
        self.factor = factor;
    }

    /// The next unit keeps its recorded times: `media_nanos` was at `play_nanos`.
    pub(super) fn anchor_at(&mut self, media_nanos: i64, play_nanos: i64) {
        self.anchor = Some((media_nanos, play_nanos));
        self.factor = 1.0;
    }

    /// What follows is played at another pace, from `media_nanos` on.
    pub(super) fn bend(&mut self, media_nanos: i64, factor: f64) {
        let play_nanos = self.play_nanos(media_nanos);
        self.anchor = Some((media_nanos, play_nanos));
        self.factor = factor;
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }

    /// The play time of `media_nanos`.
    pub(super) fn play_nanos(&self, media_nanos: i64) -> i64 {
        let (from, to) = self.anchor.unwrap_or((media_nanos, 0));
        to.saturating_add(self.scaled(media_nanos.saturating_sub(from)))
    }

    /// The play time of `at` in its own ticks: exact at the pace of life.
    pub(super) fn play_ticks(&mut self, at: MediaTime) -> i64 {
        let (from, to) = self.anchor.unwrap_or((at.as_nanos(), 0));
        let ticks = |nanos| MediaTime::from_nanos(nanos, at.rate).ticks;
        self.end_nanos = self.end_nanos.max(self.play_nanos(at.as_nanos()));
        ticks(to).saturating_add(self.scaled(at.ticks.saturating_sub(ticks(from))))
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    // Ticks of years are far inside what a double holds exactly.
    fn scaled(&self, span: i64) -> i64 {
        if (self.factor - 1.0).abs() < f64::EPSILON {
            return span;
        }
        (span as f64 / self.factor).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SEC: i64 = 1_000_000_000;

    fn at(ticks: i64) -> MediaTime {
        MediaTime { ticks, rate: NonZeroU32::new(90_000).unwrap() }
    }

    #[test]
    fn a_gap_takes_no_time_and_scales_divide() {
        let mut line = PlayTimeline::new(1.0);
        line.anchor(100 * SEC, 1.0);
        assert_eq!(line.play_ticks(at(9_000_000)), 0);
        assert_eq!(line.play_ticks(at(9_090_001)), 90_001);
        // An hour later the next section begins.
        line.anchor(3_700 * SEC, 1.0);
        assert_eq!(line.play_ticks(at(3_700 * 90_000)), 90_000 + 3_600);
        line.bend(3_701 * SEC, 4.0);
        assert_eq!(line.play_ticks(at(3_705 * 90_000)), 90_000 + 3_600 + 180_000);
        let mut back = PlayTimeline::new(-2.0);
        back.anchor(100 * SEC, -2.0);
        assert_eq!(back.play_ticks(at(98 * 90_000)), 90_000);
    }
}
