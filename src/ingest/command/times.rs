//! Even times for pictures that arrive unevenly.
//!
//! Owns: the estimate. A pipe carries no times, so a picture is dated by its arrival; but a busy
//! machine reads in fits, and players show what the times say. The distance of pictures is
//! measured, and each is placed about that far after the one before it, pulled gently towards its
//! arrival. The frame rate in the parameter sets is not used: programs often leave an arbitrary one
//! there.

use std::time::Duration;

use crate::base::time::BootTime;

/// An arrival this far from when it was due, in distances of pictures, is not jitter but a gap.
const GAP_PICTURES: u32 = 6;
/// And no nearer than this.
const GAP_MIN: Duration = Duration::from_millis(250);
/// The share of the error that is made good with each picture.
const PULL_ONE_IN: i64 = 8;
/// The share by which the distance follows its measuring.
const LEARN_ONE_IN: i64 = 64;
/// Pictures from which the distance is learned first.
const FIRST_PICTURES: u32 = 8;
/// Distance of pictures that is assumed before any was seen.
const USUAL: Duration = Duration::from_millis(40);

/// The times of one run, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct CommandTimes {
    /// Where the last picture was put, and when it arrived.
    last: Option<(i64, i64)>,
    first: i64,
    seen: u32,
    distance: i64,
}

impl CommandTimes {
    /// The time of the next picture, which `arrived` now; always after the one before it.
    pub(super) fn place(&mut self, arrived: BootTime) -> BootTime {
        let arrived = i64::try_from(arrived.as_nanos()).unwrap_or(i64::MAX / 2);
        let Some((last, came)) = self.last else {
            self.begin(arrived);
            return at(arrived);
        };
        self.learn(arrived, came);
        let due = last + self.distance;
        let error = arrived - due;
        let gap = (self.distance * i64::from(GAP_PICTURES)).max(nanos(GAP_MIN));
        let placed = if error.abs() > gap {
            // The measuring restarts, with the distance that is known.
            (self.first, self.seen) = (arrived, 0);
            arrived.max(last + 1)
        } else {
            (due + error / PULL_ONE_IN).max(last + 1)
        };
        self.last = Some((placed, arrived));
        at(placed)
    }

    fn begin(&mut self, arrived: i64) {
        (self.first, self.seen, self.distance) = (arrived, 0, nanos(USUAL));
        self.last = Some((arrived, arrived));
    }

    fn learn(&mut self, arrived: i64, came: i64) {
        let passed = arrived.saturating_sub(came).max(0);
        if passed > nanos(GAP_MIN).max(self.distance.saturating_mul(i64::from(GAP_PICTURES))) {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        let measured = if self.seen <= FIRST_PICTURES {
            (arrived - self.first) / i64::from(self.seen)
        } else {
            self.distance + (passed - self.distance) / LEARN_ONE_IN
        };
        self.distance = measured.clamp(nanos(Duration::from_millis(1)), nanos(GAP_MIN) * 4);
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 2)
}

fn at(nanos: i64) -> BootTime {
    BootTime::from_nanos(nanos.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(arrivals_ms: impl IntoIterator<Item = u64>) -> Vec<i64> {
        let mut times = CommandTimes::default();
        let micros = |at: BootTime| i64::try_from(at.as_nanos() / 1_000).unwrap();
        arrivals_ms.into_iter().map(|ms| micros(times.place(BootTime::from_millis(ms)))).collect()
    }

    #[test]
    fn jitter_is_evened_out() {
        let jitter = [0, 12, 3, 19, 7, 15, 1, 9];
        let told =
            placed((0..400).map(|n| 1_000 + n * 33 + jitter[usize::try_from(n % 8).unwrap()]));
        for pair in told[50..].windows(2) {
            assert!((28_000..38_000).contains(&(pair[1] - pair[0])), "{pair:?}");
        }
        let (last, arrived) = (told[399], (1_000 + 399 * 33) * 1_000);
        assert!((last - arrived).abs() < 25_000, "{last} for {arrived}");
    }

    #[test]
    fn another_rate_is_learned() {
        for distance in [8, 16, 40, 100, 200] {
            let told = placed((0..300).map(|n| 1_000 + n * distance));
            let even = i64::try_from(distance).unwrap() * 1_000;
            for pair in told[30..].windows(2) {
                let off = (pair[1] - pair[0] - even).abs();
                assert!(off <= even / 8 + 1, "{off} off {even}");
            }
        }
    }

    #[test]
    fn a_gap_stays_one() {
        let told = placed((0..100).map(|n| 1_000 + n * 40 + if n < 50 { 0 } else { 3_000 }));
        assert!((told[50] - told[49] - 3_040_000).abs() < 5_000, "{}", told[50] - told[49]);
        assert!((told[99] - told[50] - 49 * 40_000).abs() < 5_000);
    }

    proptest! {
        #[test]
        fn time_never_goes_back_nor_far_from_the_arrival(steps in proptest::collection::vec(0u64..2_000, 1..300)) {
            let mut now = 5_000;
            let arrivals: Vec<u64> = steps.into_iter().map(|step| { now += step; now }).collect();
            let told = placed(arrivals.clone());
            prop_assert!(told.windows(2).all(|pair| pair[0] <= pair[1]));
            for (placed, arrived) in told.iter().zip(&arrivals) {
                let off = (placed - i64::try_from(*arrived).unwrap() * 1_000).abs();
                prop_assert!(off <= 6_100_000, "{off}");
            }
        }
    }
}
