//! How far ahead of its viewer the past is sent.
//!
//! Owns: what was sent and not shown yet, and where it was in the past. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::limits::{
    PLAY_AHEAD_BYTES_MAX, PLAY_AHEAD_MAX, PLAY_AHEAD_MIN, PLAY_PARTS_AHEAD_MAX,
};
use crate::base::time::WallTime;
use crate::dvr::Direction;

/// A part that was sent: where it is on the media timeline, and its date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) begin_secs: f64,
    pub(super) end_secs: f64,
    pub(super) bytes: usize,
    pub(super) wall: WallTime,
    pub(super) way: Direction,
}

/// What one viewer was sent and has not shown.
#[derive(Debug, Default)]
pub(super) struct Window {
    at_secs: f64,
    sent: VecDeque<Sent>,
    bytes: usize,
}

impl Window {
    /// Nothing is sent yet from `secs` of the media timeline on.
    pub(super) fn new(secs: f64) -> Self {
        Self { at_secs: secs, ..Self::default() }
    }

    pub(super) fn send(&mut self, sent: Sent) {
        self.bytes += sent.bytes;
        self.sent.push_back(sent);
    }

    /// The viewer shows `secs`. It never goes back: what it has shown it may forget.
    pub(super) fn shows(&mut self, secs: f64) {
        if !secs.is_finite() || secs <= self.at_secs {
            return;
        }
        self.at_secs = secs;
        while let Some(first) = self.sent.front().filter(|first| first.end_secs <= secs) {
            self.bytes -= first.bytes;
            // The last one tells where the viewer is.
            if self.sent.len() == 1 {
                self.sent[0].bytes = 0;
                break;
            }
            self.sent.pop_front();
        }
    }

    /// The date that is shown.
    pub(super) fn date(&self) -> Option<WallTime> {
        let first = self.sent.front()?;
        let secs = self.at_secs.clamp(first.begin_secs, first.end_secs) - first.begin_secs;
        let nanos = i64::try_from(Duration::from_secs_f64(secs).as_nanos()).ok()?;
        Some(match first.way {
            Direction::Forward => first.wall.offset_nanos(nanos),
            Direction::Backward => first.wall.offset_nanos(-nanos),
        })
    }

    /// Seconds of the media timeline that were sent and not shown.
    pub(super) fn ahead_secs(&self) -> f64 {
        self.sent.back().map_or(0.0, |last| (last.end_secs - self.at_secs).max(0.0))
    }

    /// Whether more may be sent to a viewer who plays `factor` seconds a second.
    pub(super) fn is_open(&self, factor: f64) -> bool {
        let ahead = self.ahead_secs() / factor.abs().max(1.0);
        let little = self.bytes < PLAY_AHEAD_BYTES_MAX && ahead < PLAY_AHEAD_MAX.as_secs_f64();
        self.sent.len() < PLAY_PARTS_AHEAD_MAX && (little || ahead < PLAY_AHEAD_MIN.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(at: f64, bytes: usize) -> Sent {
        let wall = WallTime::from_unix_nanos(0);
        #[allow(clippy::cast_possible_truncation)] // whole seconds
        let wall = wall.offset_nanos(at as i64 * 1_000_000_000);
        Sent { begin_secs: at, end_secs: at + 1.0, bytes, wall, way: Direction::Forward }
    }

    fn fill(window: &mut Window, from: u32, bytes: usize, factor: f64) -> u32 {
        let mut count = 0;
        while window.is_open(factor) {
            window.send(part(f64::from(from + count), bytes));
            count += 1;
        }
        count
    }

    #[test]
    fn so_many_seconds_are_sent_ahead_and_more_the_faster_it_is_shown() {
        let mut window = Window::new(0.0);
        assert_eq!(fill(&mut window, 0, 1_000, 1.0), 6);
        window.shows(2.5);
        assert_eq!(window.date(), Some(WallTime::from_unix_nanos(2_500_000_000)));
        assert_eq!(fill(&mut window, 6, 1_000, 1.0), 3);
        assert_eq!(fill(&mut window, 9, 1_000, 0.25), 0);
        assert_eq!(fill(&mut window, 9, 1_000, -16.0), 90);
        // Back, or nonsense.
        window.shows(1.0);
        window.shows(f64::NAN);
        assert_eq!(window.date(), Some(WallTime::from_unix_nanos(2_500_000_000)));
        window.shows(1e300);
        assert!(window.is_open(1.0));
        assert_eq!(window.date(), Some(WallTime::from_unix_nanos(99_000_000_000)));
    }

    #[test]
    fn large_pictures_are_sent_a_second_ahead_at_least() {
        let mut window = Window::new(0.0);
        assert_eq!(fill(&mut window, 0, PLAY_AHEAD_BYTES_MAX / 2, 1.0), 2);
        assert_eq!(fill(&mut Window::new(0.0), 0, PLAY_AHEAD_BYTES_MAX * 2, 1.0), 1);
        assert_eq!(fill(&mut Window::new(0.0), 0, PLAY_AHEAD_BYTES_MAX * 2, 16.0), 16);
    }

    #[test]
    fn endless_tiny_parts_are_not_remembered_for_ever() {
        let mut window = Window::new(0.0);
        let mut count = 0;
        while window.is_open(1.0) {
            window.send(Sent { end_secs: 0.0, ..part(0.0, 1) });
            count += 1;
        }
        assert_eq!(count, PLAY_PARTS_AHEAD_MAX);
    }
}
