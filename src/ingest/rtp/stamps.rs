//! RTP time stamps that stop, or run backwards.
//!
//! Owns: what takes their place. A unit whose stamp is that of the unit before (some cameras send
//! zero for ever) is placed by its arrival; when the stamps move on, the time that was put in is
//! taken out again as far as they ran ahead. So is one that went back many times in a row, which no
//! order of decoding explains.

use std::num::NonZeroU32;

use crate::base::time::{BootTime, MediaTime};

/// Steps back in a row after which a sender counts backwards: more than the deepest pyramid of
/// B pictures has.
const STEPS_BACK_MAX: u32 = 8;

/// The stamps of one track.
#[derive(Debug)]
pub(super) struct Stamps {
    rate: NonZeroU32,
    last: Option<(i64, BootTime)>,
    /// Ticks that were put in.
    pub(super) shift: i64,
    /// The furthest place that was given.
    furthest: i64,
    /// Steps back in a row.
    back: u32,
}

impl Stamps {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Self { rate, last: None, shift: 0, furthest: i64::MIN, back: 0 }
    }

    /// The time of a unit sent with `ticks` that arrived at `now`.
    pub(super) fn place(&mut self, ticks: i64, now: BootTime) -> i64 {
        if let Some((last, at)) = self.last {
            let step = ticks.saturating_sub(last);
            let nanos = i64::try_from(now.since(at).as_nanos()).unwrap_or(i64::MAX);
            let passed = MediaTime::from_nanos(nanos, self.rate).ticks;
            self.back = if step < 0 { self.back + 1 } else { 0 };
            // No two pictures are nearer than a millisecond.
            if self.back >= STEPS_BACK_MAX {
                let at = self.furthest.saturating_add(passed.max(1));
                self.shift = at.saturating_sub(ticks);
            } else if step.saturating_abs() <= i64::from(self.rate.get()) / 1_000 {
                let by = passed.max(1).saturating_sub(step);
                self.shift = self.shift.saturating_add(by);
            } else if self.shift > 0 && step > 0 {
                let by = step.saturating_sub(self.shift).max(step.min(passed)).max(1);
                self.shift = self.shift.saturating_add(by).saturating_sub(step);
            }
        }
        self.last = Some((ticks, now));
        let at = ticks.saturating_add(self.shift);
        self.furthest = self.furthest.max(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(stamps: &[(i64, u64)]) -> Vec<i64> {
        let mut own = Stamps::new(NonZeroU32::new(90_000).unwrap());
        stamps.iter().map(|(ticks, ms)| own.place(*ticks, BootTime::from_millis(*ms))).collect()
    }

    #[test]
    fn stamps_that_stand_still_give_way_to_the_arrival() {
        assert_eq!(placed(&[(0, 0), (0, 40), (0, 80)]), [0, 3_600, 7_200]);
        assert_eq!(placed(&[(5, 0), (6, 40), (7, 80)]), [5, 3_605, 7_205]);
    }

    #[test]
    fn two_units_of_one_stamp_make_time_run_no_faster() {
        let stamps = [(0, 0), (0, 40), (7_200, 80), (7_200, 120), (14_400, 160)];
        assert_eq!(placed(&stamps), [0, 3_600, 7_200, 10_800, 14_400]);
    }

    #[test]
    fn stamps_that_run_backwards_give_way_to_the_arrival() {
        let stamps: Vec<_> =
            (0..20_i64).map(|n| (90_000 - n * 3_600, n.unsigned_abs() * 40)).collect();
        let placed = placed(&stamps);
        assert_eq!(placed[..8], stamps[..8].iter().map(|(ticks, _)| *ticks).collect::<Vec<_>>());
        assert_eq!(placed[8], 93_600);
        assert!(placed[8..].windows(2).all(|pair| pair[1] - pair[0] == 3_600), "{placed:?}");
    }

    #[test]
    fn good_stamps_stay_as_they_are() {
        let stamps = [(0, 0), (3_600, 1), (7_200, 900), (3_700, 901), (10_800, 902)];
        assert_eq!(placed(&stamps), [0, 3_600, 7_200, 3_700, 10_800]);
    }
}
