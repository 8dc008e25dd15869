//! Media sequence numbers of the segments of a stream's laps.
//!
//! Owns: the count. A lap has the same segments each time, so one lap whose number is known gives
//! those of all others: the numbers are the same for every window, and continue after a restart
//! from the journal's note on one lap. Pure.

use std::collections::VecDeque;

use super::listed_segment::ListedSegment;
use crate::dvr::SegmentNumber;

/// SequenceNumbers that a lap gets where nothing is known of those before it: more than it can have
/// segments, so that they are above all that were ever announced.
const NUMBERS_PER_LAP: u64 = 1 << 16;

/// The laps that were counted, oldest first, without a hole. The newest lap of the stream is not
/// among them: it may still grow.
#[derive(Debug, Default)]
pub(super) struct SequenceNumbers {
    /// Of the first lap's first segment.
    base: Option<SequenceBase>,
    laps: VecDeque<CountedLap>,
}

/// Where a lap begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SequenceBase {
    /// Number of its first segment.
    pub(super) number: u64,
    /// Discontinuities before it.
    pub(super) discontinuities: u64,
}

/// A lap that will not grow any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedLap {
    /// Which one.
    pub(super) generation: u64,
    /// Its segments.
    pub(super) segments: u64,
    /// How many of them begin with a discontinuity.
    pub(super) discontinuities: u64,
    /// Whether each begins with a key frame.
    pub(super) independent: bool,
    /// The last segment before it.
    pub(super) before: Option<ListedSegment>,
    /// The last segment up to its end.
    pub(super) last: Option<ListedSegment>,
}

/// Where a lap is in the playlist.
#[derive(Clone, Copy, Debug)]
pub(super) struct LapStart {
    /// Its numbers.
    pub(super) base: SequenceBase,
    /// Its segments.
    pub(super) segments: u64,
    /// Whether each of its segments begins with a key frame, as far as it was counted.
    pub(super) independent: bool,
    /// The last segment before it.
    pub(super) before: Option<ListedSegment>,
}

impl LapStart {
    /// The number behind its last segment.
    pub(super) fn behind(&self) -> u64 {
        self.base.number + self.segments
    }

    /// Its segments.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.segments).unwrap_or(usize::MAX)
    }
}

impl SequenceNumbers {
    /// Forgets every lap up to the last that is not `present` any more, and everything when the
    /// newest one is not: then it is unknown how many were between. A protected lap, or one that is
    /// being read, outlives those behind it; the list begins after them, because a list with a hole
    /// would give the segments behind it other numbers.
    pub(super) fn follow(&mut self, present: &[u64]) {
        let is_present = |lap: &CountedLap| present.binary_search(&lap.generation).is_ok();
        if !self.laps.back().is_some_and(is_present) {
            *self = Self::default();
        }
        let gone = self.laps.iter().rposition(|lap| !is_present(lap)).map_or(0, |at| at + 1);
        for lap in self.laps.drain(..gone) {
            if let Some(base) = &mut self.base {
                base.number += lap.segments;
                base.discontinuities += lap.discontinuities;
            }
        }
    }

    /// The first of the `closed` laps yet to be counted, and the segment before it.
    pub(super) fn next(&self, closed: &[u64]) -> Option<(u64, Option<ListedSegment>)> {
        let newest = self.laps.back();
        let behind = newest.map_or(0, |lap| lap.generation);
        let next = closed.iter().copied().find(|&generation| generation > behind)?;
        Some((next, newest.and_then(|lap| lap.last)))
    }

    /// Takes note of the lap that [`SequenceNumbers::next`] named; another has been noted meanwhile.
    pub(super) fn push(&mut self, lap: &CountedLap) {
        if self.laps.back().is_none_or(|newest| newest.generation < lap.generation) {
            self.laps.push_back(*lap);
        }
    }

    /// Settles where the numbers begin, once: as `noted` says, if that lap is there; else above
    /// all numbers that were announced before.
    pub(super) fn settle(&mut self, noted: Option<&SegmentNumber>, newest: u64) {
        if self.base.is_some() {
            return;
        }
        let known = noted.filter(|noted| {
            noted.lap == newest || self.laps.iter().any(|lap| lap.generation == noted.lap)
        });
        let first = self.laps.front().map_or(newest, |lap| lap.generation);
        let number = first.saturating_mul(NUMBERS_PER_LAP);
        let Some(noted) = known else {
            self.base = Some(SequenceBase { number, discontinuities: first });
            return;
        };
        let before = self.laps.iter().take_while(|lap| lap.generation < noted.lap);
        let sum =
            before.fold((0, 0), |sum, lap| (sum.0 + lap.segments, sum.1 + lap.discontinuities));
        self.base = Some(SequenceBase {
            number: noted.number.saturating_sub(sum.0),
            discontinuities: noted.discontinuities.saturating_sub(sum.1),
        });
    }

    /// The place of each counted lap, oldest first, and the uncounted one behind them.
    pub(super) fn starts(&self) -> Vec<(Option<u64>, LapStart)> {
        let mut base = self.base.unwrap_or_default();
        let mut starts = Vec::with_capacity(self.laps.len() + 1);
        for lap in &self.laps {
            let CountedLap { segments, independent, before, .. } = *lap;
            starts.push((Some(lap.generation), LapStart { base, segments, independent, before }));
            base.number += segments;
            base.discontinuities += lap.discontinuities;
        }
        let before = self.laps.back().and_then(|lap| lap.last);
        starts.push((None, LapStart { base, segments: 0, independent: true, before }));
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lap(generation: u64, segments: u64) -> CountedLap {
        let (before, last, independent) = (None, None, true);
        CountedLap { generation, segments, discontinuities: 1, independent, before, last }
    }

    fn noted(lap: u64, number: u64) -> SegmentNumber {
        let stream = crate::base::name::StreamName::parse("gate").unwrap();
        SegmentNumber { stream, lap, number, discontinuities: 7 }
    }

    fn numbers(numbers: &SequenceNumbers) -> Vec<u64> {
        numbers.starts().iter().map(|(_, start)| start.base.number).collect()
    }

    #[test]
    fn a_lap_that_leaves_takes_its_numbers_with_it() {
        let mut announced = SequenceNumbers::default();
        for (generation, segments) in [(3, 10), (5, 20), (6, 30)] {
            assert_eq!(announced.next(&[3, 5, 6]).unwrap().0, generation);
            announced.push(&lap(generation, segments));
        }
        assert!(announced.next(&[3, 5, 6]).is_none());
        announced.settle(None, 9);
        let base = 3 << 16;
        assert_eq!(numbers(&announced), [base, base + 10, base + 30, base + 60]);
        announced.follow(&[5, 6, 9]);
        assert_eq!(numbers(&announced), [base + 10, base + 30, base + 60]);
        assert_eq!(announced.next(&[5, 6, 9]).unwrap().0, 9);
        // All of them went between requests.
        announced.follow(&[20, 21]);
        assert_eq!(announced.next(&[20]).unwrap().0, 20);
        announced.push(&lap(20, 5));
        announced.settle(None, 21);
        assert!(numbers(&announced)[0] > base + 60);
    }

    #[test]
    fn a_lap_that_outlives_those_behind_it_leaves_with_them() {
        let mut announced = SequenceNumbers::default();
        for (generation, segments) in [(3, 10), (5, 20), (6, 30), (7, 40)] {
            announced.push(&lap(generation, segments));
        }
        announced.settle(None, 9);
        let base = 3 << 16;
        announced.follow(&[3, 6, 7, 9]);
        assert_eq!(numbers(&announced), [base + 30, base + 60, base + 100]);
        assert_eq!(announced.next(&[3, 6, 7, 9]).unwrap().0, 9);
    }

    #[test]
    fn the_numbers_after_a_restart_are_those_before_it() {
        let mut announced = SequenceNumbers::default();
        for generation in 3..9 {
            announced.push(&lap(generation, generation));
        }
        announced.settle(Some(&noted(5, 1_000)), 9);
        assert_eq!(numbers(&announced), [993, 996, 1_000, 1_005, 1_011, 1_018, 1_026]);
        let end = announced.starts().last().unwrap().1;
        assert_eq!((end.base.discontinuities, end.base.number), (11, 1_026));
        // What was noted of a lap that is gone tells nothing.
        let mut anew = SequenceNumbers::default();
        anew.push(&lap(3, 3));
        anew.settle(Some(&noted(2, 1_000)), 9);
        assert_eq!(numbers(&anew)[0], 3 << 16);
        // Nothing is counted yet but the lap that grows.
        let mut short = SequenceNumbers::default();
        short.settle(Some(&noted(9, 1_000)), 9);
        assert_eq!(numbers(&short), [1_000]);
    }
}
