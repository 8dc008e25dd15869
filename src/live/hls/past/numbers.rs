//! Media sequence numbers of the segments of a stream's laps.
//!
//! Owns: the count. A lap has the same chapters each time, so that one lap whose number is known
//! gives those of all others: the numbers are the same whichever window is asked for, and go on
//! after a restart from what the journal noted of one lap. Pure.

use std::collections::VecDeque;

use super::scene::Scene;
use crate::dvr::Numbered;

/// Numbers that a lap gets where nothing is known of those before it: more than it can have
/// segments, so that they are above all that were ever told.
const NUMBERS_PER_LAP: u64 = 1 << 16;

/// The laps that were counted, oldest first, without a hole. The newest lap of the stream is not
/// among them: it may still grow.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Of the first lap's first segment.
    base: Option<Base>,
    laps: VecDeque<Counted>,
}

/// Where a lap begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// Number of its first segment.
    pub(super) number: u64,
    /// Discontinuities before it.
    pub(super) discontinuities: u64,
}

/// A lap that will not grow any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Which one.
    pub(super) generation: u64,
    /// Its segments.
    pub(super) segments: u64,
    /// How many of them begin with a discontinuity.
    pub(super) discontinuities: u64,
    /// Whether each begins with a key frame.
    pub(super) independent: bool,
    /// The last scene before it.
    pub(super) before: Option<Scene>,
    /// The last scene up to its end.
    pub(super) last: Option<Scene>,
}

/// Where a lap stands in the playlist.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Its numbers.
    pub(super) base: Base,
    /// Its segments.
    pub(super) segments: u64,
    /// Whether each of its segments begins with a key frame, as far as it was counted.
    pub(super) independent: bool,
    /// The last scene before it.
    pub(super) before: Option<Scene>,
}

impl Start {
    /// The number behind its last segment.
    pub(super) fn behind(&self) -> u64 {
        self.base.number + self.segments
    }

    /// Its segments.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.segments).unwrap_or(usize::MAX)
    }
}

impl Numbers {
    /// Forgets laps in front that are not `present` any more, and everything when the newest one
    /// is not: then nobody knows how many were between.
    pub(super) fn follow(&mut self, present: &[u64]) {
        let is_present = |lap: &Counted| present.binary_search(&lap.generation).is_ok();
        if !self.laps.back().is_some_and(is_present) {
            *self = Self::default();
        }
        while let Some(oldest) = self.laps.front().filter(|lap| !is_present(lap)) {
            if let Some(base) = &mut self.base {
                base.number += oldest.segments;
                base.discontinuities += oldest.discontinuities;
            }
            self.laps.pop_front();
        }
    }

    /// The first of the `closed` laps that is to be counted, and the scene before it.
    pub(super) fn next(&self, closed: &[u64]) -> Option<(u64, Option<Scene>)> {
        let newest = self.laps.back();
        let behind = newest.map_or(0, |lap| lap.generation);
        let next = closed.iter().copied().find(|&generation| generation > behind)?;
        Some((next, newest.and_then(|lap| lap.last)))
    }

    /// Takes note of the lap that [`Numbers::next`] named; another has been noted meanwhile.
    pub(super) fn push(&mut self, lap: &Counted) {
        if self.laps.back().is_none_or(|newest| newest.generation < lap.generation) {
            self.laps.push_back(*lap);
        }
    }

    /// Settles where the numbers begin, once: as `noted` says, if that lap is there; else above
    /// all numbers that were told before.
    pub(super) fn settle(&mut self, noted: Option<&Numbered>, newest: u64) {
        if self.base.is_some() {
            return;
        }
        let known = noted.filter(|noted| {
            noted.lap == newest || self.laps.iter().any(|lap| lap.generation == noted.lap)
        });
        let first = self.laps.front().map_or(newest, |lap| lap.generation);
        let number = first.saturating_mul(NUMBERS_PER_LAP);
        let Some(noted) = known else {
            self.base = Some(Base { number, discontinuities: first });
            return;
        };
        let before = self.laps.iter().take_while(|lap| lap.generation < noted.lap);
        let sum =
            before.fold((0, 0), |sum, lap| (sum.0 + lap.segments, sum.1 + lap.discontinuities));
        self.base = Some(Base {
            number: noted.number.saturating_sub(sum.0),
            discontinuities: noted.discontinuities.saturating_sub(sum.1),
        });
    }

    /// Where each counted lap stands, oldest first, and the one behind them, of which nothing is
    /// counted.
    pub(super) fn starts(&self) -> Vec<(Option<u64>, Start)> {
        let mut base = self.base.unwrap_or_default();
        let mut starts = Vec::with_capacity(self.laps.len() + 1);
        for lap in &self.laps {
            let Counted { segments, independent, before, .. } = *lap;
            starts.push((Some(lap.generation), Start { base, segments, independent, before }));
            base.number += segments;
            base.discontinuities += lap.discontinuities;
        }
        let before = self.laps.back().and_then(|lap| lap.last);
        starts.push((None, Start { base, segments: 0, independent: true, before }));
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lap(generation: u64, segments: u64) -> Counted {
        let (before, last, independent) = (None, None, true);
        Counted { generation, segments, discontinuities: 1, independent, before, last }
    }

    fn noted(lap: u64, number: u64) -> Numbered {
        let stream = crate::base::name::StreamName::parse("gate").unwrap();
        Numbered { stream, lap, number, discontinuities: 7 }
    }

    fn numbers(numbers: &Numbers) -> Vec<u64> {
        numbers.starts().iter().map(|(_, start)| start.base.number).collect()
    }

    #[test]
    fn a_lap_that_leaves_takes_its_numbers_with_it() {
        let mut told = Numbers::default();
        for (generation, segments) in [(3, 10), (5, 20), (6, 30)] {
            assert_eq!(told.next(&[3, 5, 6]).unwrap().0, generation);
            told.push(&lap(generation, segments));
        }
        assert!(told.next(&[3, 5, 6]).is_none());
        told.settle(None, 9);
        let base = 3 << 16;
        assert_eq!(numbers(&told), [base, base + 10, base + 30, base + 60]);
        told.follow(&[5, 6, 9]);
        assert_eq!(numbers(&told), [base + 10, base + 30, base + 60]);
        assert_eq!(told.next(&[5, 6, 9]).unwrap().0, 9);
        // All of them went while nobody asked.
        told.follow(&[20, 21]);
        assert_eq!(told.next(&[20]).unwrap().0, 20);
        told.push(&lap(20, 5));
        told.settle(None, 21);
        assert!(numbers(&told)[0] > base + 60);
    }

    #[test]
    fn the_numbers_after_a_restart_are_those_before_it() {
        let mut told = Numbers::default();
        for generation in 3..9 {
            told.push(&lap(generation, generation));
        }
        told.settle(Some(&noted(5, 1_000)), 9);
        assert_eq!(numbers(&told), [993, 996, 1_000, 1_005, 1_011, 1_018, 1_026]);
        let end = told.starts().last().unwrap().1;
        assert_eq!((end.base.discontinuities, end.base.number), (11, 1_026));
        // What was noted of a lap that is gone tells nothing.
        let mut anew = Numbers::default();
        anew.push(&lap(3, 3));
        anew.settle(Some(&noted(2, 1_000)), 9);
        assert_eq!(numbers(&anew)[0], 3 << 16);
        // Nothing is counted yet but the lap that grows.
        let mut short = Numbers::default();
        short.settle(Some(&noted(9, 1_000)), 9);
        assert_eq!(numbers(&short), [1_000]);
    }
}
