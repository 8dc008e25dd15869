//! How many packets a track makes on average, and the pace over UDP that follows from it.
//!
//! Owns: the average, and the time from one unit to the next. A key frame of 300 packets sent at once
//! overflows a receiver whose socket buffer of 208 KiB holds about 90. It leaves at twice the average
//! rate of the stream, or faster where that would take longer than [`SHARE_PERCENT`] of the time to
//! the next unit: then it is spread over that, so that no unit waits for the one before it.

use std::time::Duration;

use crate::base::limits::UDP_PACKET_GAP_MAX;
use crate::base::time::MediaTime;

/// Shortest time between two units that counts; parts of one picture may have the same time.
const STEP_NANOS_MIN: u64 = 8_000_000;
/// What is assumed to have gone before: silence, so that the key frame that a stream begins with
/// is not taken for its average.
const PRIOR_NANOS: u64 = 400_000_000;
/// Past this, older times count half.
const WINDOW_NANOS: u64 = 4_000_000_000;
/// Longest time between two units that counts; what is longer is a gap in the stream.
const STEP_NANOS_MAX: u64 = 1_000_000_000;
/// Assumed length of the first unit.
const STEP_NANOS: u64 = 40_000_000;

/// Part of the time to the next unit that a unit may take to leave.
const SHARE_PERCENT: u64 = 80;

/// The average of one track.
#[derive(Debug)]
pub struct Rate {
    packets: u64,
    nanos: u64,
    /// From one unit to the next, as it was of late.
    step_nanos: u64,
    /// Packets of the unit that was counted last.
    newest: u64,
    last: Option<MediaTime>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { packets: 0, nanos: PRIOR_NANOS, step_nanos: STEP_NANOS, newest: 0, last: None }
    }
}

impl Rate {
    /// Counts a unit of `packets` that is decoded at `at`.
    pub fn count(&mut self, packets: usize, at: MediaTime) {
        let step = self.last.replace(at).map_or(STEP_NANOS, |last| {
            at.as_nanos().saturating_sub(last.as_nanos()).unsigned_abs().min(STEP_NANOS_MAX)
        });
        self.packets += packets as u64;
        self.nanos += step;
        self.newest = packets as u64;
        // A shorter step is believed at once: it is the next unit that must not wait.
        self.step_nanos = if step < self.step_nanos {
            step.max(STEP_NANOS_MIN)
        } else {
            self.step_nanos + (step - self.step_nanos) / 8
        };
        if self.nanos > WINDOW_NANOS {
            self.packets /= 2;
            self.nanos /= 2;
        }
    }

    /// The time from packet to packet of the unit that was counted last, at most
    /// [`UDP_PACKET_GAP_MAX`].
    pub fn gap(&self) -> Duration {
        let average = self.nanos / 2 / self.packets.max(1);
        let within = self.step_nanos * SHARE_PERCENT / 100 / self.newest.max(1);
        Duration::from_nanos(average.min(within)).min(UDP_PACKET_GAP_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// How long each unit takes at the pace of the moment, in milliseconds, at 25 per second.
    fn takes(packets: impl Iterator<Item = usize>) -> Vec<u128> {
        let rate = NonZeroU32::new(25).unwrap();
        let mut average = Rate::default();
        (0..)
            .zip(packets)
            .map(|(ticks, packets)| {
                average.count(packets, MediaTime { ticks, rate });
                (average.gap() * u32::try_from(packets).unwrap()).as_millis()
            })
            .collect()
    }

    #[test]
    fn a_large_key_frame_is_spread_over_its_interval_and_the_next_does_not_wait() {
        // 300 packets, then 24 times 10: on average 540 per second.
        let takes = takes((0..1_000).map(|n| if n % 25 == 0 { 300 } else { 10 }));
        let keys: Vec<u128> = takes.iter().step_by(25).copied().collect();
        assert!(keys.iter().all(|ms| (28..=32).contains(ms)), "{keys:?}");
        assert!(takes.iter().all(|ms| *ms <= 32), "{takes:?}");
    }

    #[test]
    fn pictures_that_come_twice_as_fast_are_given_half_the_time_at_once() {
        let rate = NonZeroU32::new(1_000).unwrap();
        let mut average = Rate::default();
        let mut at = 0;
        for step in [100, 100, 100, 50, 50] {
            at += step;
            average.count(300, MediaTime { ticks: at, rate });
        }
        assert!(average.gap() * 300 <= Duration::from_millis(50));
    }

    #[test]
    fn a_stream_of_equal_pictures_takes_half_of_its_time() {
        let takes = takes(std::iter::repeat_n(300, 1_000));
        assert!(takes[100..].iter().all(|ms| (18..=22).contains(ms)), "{takes:?}");
        assert!(takes.iter().all(|ms| *ms <= 32), "{takes:?}");
    }

    #[test]
    fn sparse_packets_leave_at_the_slowest_pace() {
        assert_eq!(takes(std::iter::repeat_n(1, 100)), [1; 100]);
    }
}
