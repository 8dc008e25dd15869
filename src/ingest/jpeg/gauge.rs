//! How many pictures a second come, learned from the first ones.
//!
//! Owns: when enough have come. Reads no clock.

use std::time::Duration;

use crate::base::time::BootTime;

/// Pictures that tell the pace, if they come over [`SPAN_MIN`].
const PICTURES: u16 = 6;
/// Some cameras send what they have in store at once.
const SPAN_MIN: Duration = Duration::from_millis(400);
/// Time over which the pace of a slow camera is measured.
const SPAN_MAX: Duration = Duration::from_millis(1_500);

/// The pictures so far.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    first: Option<BootTime>,
    /// Those behind the first.
    count: u16,
}

impl Gauge {
    /// A picture was taken at `at`; pictures per second, when they are known.
    pub(super) fn push(&mut self, at: BootTime) -> Option<f32> {
        let Some(first) = self.first else {
            self.first = Some(at);
            return None;
        };
        self.count = self.count.saturating_add(1);
        let span = at.since(first);
        let is_known = span >= SPAN_MAX || self.count >= PICTURES && span >= SPAN_MIN;
        is_known.then(|| (f32::from(self.count) / span.as_secs_f32()).clamp(0.1, 60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(interval_ms: u64) -> (u64, f32) {
        let mut gauge = Gauge::default();
        let mut at = |n: u64| gauge.push(BootTime::from_millis(1_000 + n * interval_ms));
        (0..1_000).find_map(|n| at(n).map(|fps| (n, fps))).unwrap()
    }

    #[test]
    fn the_pace_is_known_soon_whatever_it_is() {
        let (after, fps) = told(40);
        assert!(after == 10 && (24.9..25.1).contains(&fps), "{after} {fps}");
        let (after, fps) = told(200);
        assert!(after == 6 && (4.9..5.1).contains(&fps), "{after} {fps}");
        let (after, fps) = told(4_000);
        assert!(after == 1 && (0.2..0.3).contains(&fps), "{after} {fps}");
    }
}
