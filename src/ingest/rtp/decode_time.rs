//! Gives decoding times to units that arrive with presentation times only.
//!
//! Owns: the reordering window of one track. RTP carries when a picture is shown, not when it is
//! decoded (RFC 6184 §5.1); files and browsers want both. Nothing is held back for it: the decoding
//! time of a unit is the presentation time `depth` places before the largest seen, which is known
//! when the unit arrives.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deepest reordering that H.264 and H.265 allow (ITU-T H.264 §A.3.1, H.265 §A.4.2), in pictures.
pub(crate) const DEPTH_MAX: usize = 16;

/// The two times of a unit, in ticks of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitTimes {
    /// Grows with every unit.
    pub(crate) decode: i64,
    /// Never before `decode`.
    pub(crate) present: i64,
}

/// The reordering window of one track.
#[derive(Debug)]
pub(crate) struct DecodeTimes {
    depth: usize,
    /// Distance of two pictures, for the first `depth` units, which have no predecessors.
    frame_ticks: i64,
    /// The newest presentation times, smallest on top; never more than `depth`, at most 16.
    waiting: BinaryHeap<Reverse<i64>>,
    last_decode: Option<i64>,
    highest: Option<i64>,
}

impl DecodeTimes {
    /// A window for pictures `frame_ticks` apart that are reordered by at most `depth` places.
    /// No decoding time will be at or before `floor`.
    pub(crate) fn new(depth: usize, frame_ticks: i64, floor: Option<i64>) -> Self {
        Self {
            depth: depth.min(DEPTH_MAX),
            frame_ticks: frame_ticks.max(1),
            waiting: BinaryHeap::new(),
            last_decode: floor,
            highest: None,
        }
    }

    /// Adopts new parameter sets; the times already returned hold.
    pub(crate) fn reshape(&mut self, depth: usize, frame_ticks: i64) {
        self.depth = depth.min(DEPTH_MAX);
        self.frame_ticks = frame_ticks.max(1);
    }

    /// The times of the next unit, whose presentation time is `present`.
    ///
    /// A picture that comes later than `depth` allows shows that the parameter sets said too
    /// little: it is shown a few ticks late and the window grows by one place.
    pub(crate) fn place(&mut self, present: i64) -> UnitTimes {
        self.waiting.push(Reverse(present));
        let wished = self.wished();
        let decode = self.last_decode.map_or(wished, |last| wished.max(last.saturating_add(1)));
        if decode > present && self.highest.is_some_and(|highest| present < highest) {
            self.depth = (self.depth + 1).min(DEPTH_MAX);
        }
        self.last_decode = Some(decode);
        self.highest = Some(self.highest.map_or(present, |highest| highest.max(present)));
        UnitTimes { decode, present: present.max(decode) }
    }

    /// The decoding time of the unit just pushed, ignoring those before it.
    fn wished(&mut self) -> i64 {
        let mut passed = None;
        while self.waiting.len() > self.depth {
            passed = self.waiting.pop();
        }
        if let Some(Reverse(passed)) = passed {
            return passed;
        }
        let smallest = self.waiting.peek().map_or(0, |&Reverse(smallest)| smallest);
        // At most 16 places, so this fits i64.
        let places = i64::try_from(self.depth + 1 - self.waiting.len()).unwrap_or(1);
        smallest.saturating_sub(places.saturating_mul(self.frame_ticks))
    }

    /// Forgets the window after a leap of the camera's clock; times keep growing.
    pub(crate) fn leap(&mut self) {
        self.waiting.clear();
        self.highest = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(depth: usize, present: &[i64]) -> Vec<(i64, i64)> {
        let mut times = DecodeTimes::new(depth, 10, None);
        present
            .iter()
            .map(|&present| {
                let times = times.place(present);
                (times.decode, times.present)
            })
            .collect()
    }

    #[test]
    fn without_b_frames_both_times_are_one() {
        assert_eq!(told(0, &[0, 10, 20]), [(0, 0), (10, 10), (20, 20)]);
    }

    #[test]
    fn two_b_frames_are_decoded_in_order() {
        // I0 P3 B1 B2 P6 B4 B5
        assert_eq!(
            told(1, &[0, 30, 10, 20, 60, 40, 50]),
            [(-10, 0), (0, 30), (10, 10), (20, 20), (30, 60), (40, 40), (50, 50)]
        );
    }

    #[test]
    fn a_pyramid_needs_two_places() {
        // I0 P4 B2 B1 B3 P8 B6 B5 B7
        let told = told(2, &[0, 40, 20, 10, 30, 80, 60, 50, 70]);
        let decode: Vec<_> = told.iter().map(|t| t.0).collect();
        assert_eq!(decode, [-20, -10, 0, 10, 20, 30, 40, 50, 60]);
    }

    #[test]
    fn an_unannounced_b_frame_teaches_the_depth() {
        let told = told(0, &[0, 30, 10, 20, 60, 40, 50, 90, 70, 80]);
        // The first B-frames are shown late, but nothing goes backwards …
        assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
        // … and a group later every picture keeps its own time.
        let present: Vec<_> = told[4..].iter().map(|t| t.1).collect();
        assert_eq!(present, [60, 40, 50, 90, 70, 80]);
    }

    #[test]
    fn equal_times_move_by_one_tick_and_teach_nothing() {
        assert_eq!(told(0, &[5, 5, 5, 15]), [(5, 5), (6, 6), (7, 7), (15, 15)]);
    }

    #[test]
    fn nothing_is_decoded_before_the_floor() {
        let mut times = DecodeTimes::new(2, 10, Some(100));
        assert!((0..5).all(|i| times.place(101 + i * 10).decode > 100));
    }

    proptest! {
        #[test]
        fn decoding_grows_and_never_passes_showing(
            depth in 0usize..20,
            present in proptest::collection::vec(any::<i64>(), 0..100),
        ) {
            let mut times = DecodeTimes::new(depth, 3_600, None);
            let mut last = None;
            for present in present.into_iter().map(|ticks| ticks / 4) {
                let given = times.place(present);
                prop_assert!(given.decode <= given.present);
                prop_assert!(last.is_none_or(|last| last < given.decode));
                prop_assert!(times.waiting.len() <= DEPTH_MAX);
                last = Some(given.decode);
            }
        }

        #[test]
        fn enough_depth_keeps_every_presentation_time(
            depth in 1usize..5, groups in 1i64..20,
        ) {
            // Each anchor is sent before the `depth` pictures that are shown before it.
            let mut times = DecodeTimes::new(depth, 10, None);
            let size = i64::try_from(depth).unwrap() + 1;
            prop_assert_eq!(times.place(0).present, 0);
            for group in 0..groups {
                let order = std::iter::once(size).chain((1..size).rev());
                for place in order {
                    let present = (group * size + place) * 10;
                    prop_assert_eq!(times.place(present).present, present);
                }
            }
        }
    }
}
