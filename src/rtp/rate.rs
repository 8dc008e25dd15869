//! How many packets a track makes on average, and the pace over UDP that follows from it.
//!
//! Owns: the average, and the time from one unit to the next. Two wishes pull at the pace of a key
//! frame, and a reader that has the kernel's default socket buffer decides between them:
//!
//! - No picture should wait for the one before it: a unit leaves within [`SHARE_PERCENT`] of the
//!   time to the next one, spread evenly over it.
//! - Nothing should be lost while the reader looks away, as any program on a busy machine does for 10
//!   or 20 ms. Linux gives a socket 212,992 bytes and charges a packet of ours about 2,300 (the
//!   `skb` and its page beside the payload), so that it holds some 90 of them. What comes while
//!   the reader is away must fit, however large the picture is: [`UDP_PACKET_GAP_MIN`] is that bound.
//!
//! So a key frame of up to about 100 packets (140 KB at 25 pictures a second) leaves within its
//! interval; a larger one takes longer, 105 ms with 300 packets, because within 40 ms no default
//! buffer could take it unless its reader never looked away. A stream whose average alone is faster than that
//! bound leaves at twice its average, so that live still catches up.

use std::time::Duration;

use crate::base::limits::{UDP_PACKET_GAP_MAX, UDP_PACKET_GAP_MIN};
use crate::base::time::MediaTime;

/// What is assumed to have gone before: silence, so that the key frame that a stream begins with
/// is not taken for its average.
const PRIOR_NANOS: u64 = 400_000_000;
/// Past this, older times count half.
const WINDOW_NANOS: u64 = 4_000_000_000;
/// Longest time between two units that counts; what is longer is a gap in the stream.
const STEP_NANOS_MAX: u64 = 1_000_000_000;
/// Shortest time between two units that counts; parts of one picture may have the same time.
const STEP_NANOS_MIN: u64 = 8_000_000;
/// Assumed length of the first unit.
const STEP_NANOS: u64 = 40_000_000;
/// Part of the time to the next unit that a unit may take to leave.
const SHARE_PERCENT: u64 = 85;

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

    /// The time from packet to packet of the unit that was counted last.
    pub fn gap(&self) -> Duration {
        let twice_average = Duration::from_nanos(self.nanos / 2 / self.packets.max(1));
        let within = self.step_nanos * SHARE_PERCENT / 100 / self.newest.max(1);
        let within = Duration::from_nanos(within).max(UDP_PACKET_GAP_MIN);
        twice_average.min(within).min(UDP_PACKET_GAP_MAX)
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

    /// How long the key frames take of a stream with 24 pictures of 10 packets behind each.
    fn keys_take(packets: usize) -> Vec<u128> {
        let takes = takes((0..1_000).map(|n| if n % 25 == 0 { packets } else { 10 }));
        takes.iter().step_by(25).copied().collect()
    }

    #[test]
    fn a_key_frame_leaves_within_its_interval_and_the_next_picture_does_not_wait() {
        for packets in [40, 95] {
            let keys = keys_take(packets);
            assert!(keys.iter().all(|ms| (30..=34).contains(ms)), "{packets}: {keys:?}");
        }
    }

    #[test]
    fn a_key_frame_that_no_default_buffer_could_take_within_its_interval_takes_longer() {
        let keys = keys_take(300);
        assert!(keys.iter().all(|ms| (100..=110).contains(ms)), "{keys:?}");
        // What comes while a reader looks away for 20 ms fits, after a burst that was late.
        let away = Duration::from_millis(20).as_nanos() / UDP_PACKET_GAP_MIN.as_nanos();
        assert!(away + u128::from(crate::base::limits::UDP_BURST_PACKETS_MAX) < 90, "{away}");
    }

    #[test]
    fn pictures_that_come_twice_as_fast_are_given_half_the_time_at_once() {
        let rate = NonZeroU32::new(1_000).unwrap();
        let mut average = Rate::default();
        let mut at = 0;
        for step in [100, 100, 100, 50, 50] {
            at += step;
            average.count(80, MediaTime { ticks: at, rate });
        }
        assert!(average.gap() * 80 <= Duration::from_millis(50));
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
