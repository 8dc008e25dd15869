//! How far apart pictures come, and how long parts are therefore.
//!
//! Owns: the part target. It is a whole number of pictures and a tenth, so that a part of so many
//! stays between 85 % of it and all of it though the camera's times tremble.

use std::time::Duration;

use super::Parts;
use crate::base::limits::HLS_PART_SPAN;

/// Distances checked.
const LOOKED_AT: usize = 12;
/// What comes more seldom gets no parts: they would be as long as segments.
const FRAME_SPAN_MAX: Duration = Duration::from_secs(1);

/// The distances of the first pictures.
#[derive(Debug, Default)]
pub(super) struct PartPace {
    spans: Vec<Duration>,
}

impl PartPace {
    /// Takes the distance of two pictures.
    pub(super) fn push(&mut self, span: Duration) {
        if self.spans.len() < LOOKED_AT {
            self.spans.push(span);
        }
    }

    /// How long parts are at most, once that can be said.
    pub(super) fn parts(&self) -> Parts {
        let seen: Duration = self.spans.iter().sum();
        if self.spans.len() < LOOKED_AT && seen < FRAME_SPAN_MAX * 3 {
            return Parts::Awaited;
        }
        let mut sorted = self.spans.clone();
        sorted.sort_unstable();
        let frame = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        if frame.is_zero() || frame > FRAME_SPAN_MAX {
            return Parts::Off;
        }
        // A little is forgiven, so that half a second at 30 pictures is 15 of them.
        let pictures = (HLS_PART_SPAN + frame / 50).as_micros() / frame.as_micros().max(1);
        let micros = frame.as_micros() * pictures.max(1) * 11 / 10;
        let millis = u64::try_from(micros.div_ceil(1_000)).unwrap_or(u64::MAX);
        Parts::Told(Duration::from_millis(millis))
    }
}

/// Whether a part of `target` at most that has lasted for `elapsed` ends before a picture that will
/// last for about `frame`: it is full, or there is no room for another one.
pub(super) fn part_is_full(target: Duration, elapsed: Duration, frame: Duration) -> bool {
    let whole = (elapsed + frame / 2) * 11 >= target * 10 && elapsed * 100 >= target * 85;
    whole || elapsed + frame > target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(micros: &[u64]) -> Parts {
        let mut pace = PartPace::default();
        for span in micros {
            pace.push(Duration::from_micros(*span));
        }
        pace.parts()
    }

    #[test]
    fn parts_are_whole_pictures_of_about_half_a_second() {
        for (span, pictures, millis) in
            [(40_000, 12, 528), (33_333, 15, 550), (100_000, 5, 550), (500_000, 1, 550)]
        {
            let target = Duration::from_millis(millis);
            assert_eq!(parts(&[span; 12]), Parts::Told(target), "{span}");
            let span = Duration::from_micros(span);
            let full = (1..100).find(|count| part_is_full(target, span * *count, span));
            assert_eq!(full, Some(pictures));
        }
        // One picture that came late changes nothing.
        let late = [40_000, 41_000, 39_000, 900_000, 40_000, 40_000, 41_000, 39_000, 40_000];
        assert_eq!(parts(&[&late[..], &[40_000; 3]].concat()), parts(&[40_000; 12]));
    }

    #[test]
    fn a_stream_of_few_pictures_has_none() {
        assert_eq!(parts(&[2_000_000, 2_000_000]), Parts::Off);
        assert_eq!(parts(&[40_000; 11]), Parts::Awaited);
    }
}
