//! How many packets a track makes on average, and the pace over UDP that follows from it.
//!
//! Owns: the average. A key frame of 300 packets sent at once, or within one frame interval,
//! overflows a receiver that looks away for 10 ms: its socket buffer of 208 KiB holds about 90
//! packets, or 180 where it asked for twice as much. At twice the average rate of the stream a
//! key frame takes a few intervals, live still catches up, and the receiver may look away for
//! as long as its buffer holds an average stream.

use std::time::Duration;

use crate::base::limits::UDP_PACKET_GAP_MAX;
use crate::base::time::MediaTime;

/// What is assumed to have gone before: silence, so that the key frame that a stream begins with
/// is not taken for its average.
const PRIOR_NANOS: u64 = 400_000_000;
/// Past this, older times count half.
const WINDOW_NANOS: u64 = 4_000_000_000;
/// Longest time between two units that counts; what is longer is a gap in the stream.
const STEP_NANOS_MAX: u64 = 1_000_000_000;
/// Assumed length of the first unit.
const STEP_NANOS: u64 = 40_000_000;

/// The average of one track.
#[derive(Debug)]
pub struct Rate {
    packets: u64,
    nanos: u64,
    last: Option<MediaTime>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { packets: 0, nanos: PRIOR_NANOS, last: None }
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
        if self.nanos > WINDOW_NANOS {
            self.packets /= 2;
            self.nanos /= 2;
        }
    }

    /// The time from packet to packet at twice the average rate, at most
    /// [`UDP_PACKET_GAP_MAX`].
    pub fn gap(&self) -> Duration {
        let nanos = self.nanos / 2 / self.packets.max(1);
        Duration::from_nanos(nanos).min(UDP_PACKET_GAP_MAX)
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
    fn a_large_key_frame_is_spread_over_several_intervals() {
        // 300 packets, then 24 times 10: on average 540 per second.
        let takes = takes((0..1_000).map(|n| if n % 25 == 0 { 300 } else { 10 }));
        let keys: Vec<u128> = takes.iter().step_by(25).copied().collect();
        assert!(keys.iter().all(|ms| (200..=300).contains(ms)), "{keys:?}");
    }

    #[test]
    fn a_stream_of_equal_pictures_takes_half_of_its_time() {
        let takes = takes(std::iter::repeat_n(300, 1_000));
        assert!(takes[100..].iter().all(|ms| (18..=22).contains(ms)), "{takes:?}");
        // Until the average is known it lags behind, by less than a second in all.
        let late: u128 = takes.iter().map(|ms| ms.saturating_sub(40)).sum();
        assert!(late < 1_000, "{late}");
    }

    #[test]
    fn sparse_packets_leave_at_the_slowest_pace() {
        assert_eq!(takes(std::iter::repeat_n(1, 100)), [1; 100]);
    }
}
