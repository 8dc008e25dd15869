//! When the next packet to a UDP reader may leave.
//!
//! Owns: the pace. A key frame of 500 packets sent at once overflows the receiver's socket
//! buffer, so it is spread over half of the time to the next unit; the other half lets a reader
//! that joined late catch up with live at twice the speed.

use std::time::Duration;

use crate::base::limits::{UDP_BURST_PACKETS_MAX, UDP_PACKET_GAP_MAX};
use crate::base::time::BootTime;

/// The gap between the packets of a unit of `packets` that comes `interval` after its
/// predecessor.
pub(super) fn gap(packets: usize, interval: Duration) -> Duration {
    let packets = u32::try_from(packets).unwrap_or(u32::MAX).max(1);
    (interval / 2 / packets).min(UDP_PACKET_GAP_MAX)
}

/// A leaky bucket.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: BootTime,
}

impl Pace {
    /// When the next packet may leave.
    pub(super) fn next(&self) -> BootTime {
        self.next
    }

    /// Counts a packet that left at `now`; the one behind it follows `gap` later. A timer that
    /// came late is made up for, by [`UDP_BURST_PACKETS_MAX`] packets at most.
    pub(super) fn sent(&mut self, now: BootTime, gap: Duration) {
        let earliest = now.before(gap * UDP_BURST_PACKETS_MAX);
        self.next = self.next.max(earliest).after(gap);
    }

    /// The socket took nothing: tries again `by` later.
    pub(super) fn hold(&mut self, now: BootTime, by: Duration) {
        self.next = now.after(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `packets` with a timer of 1 ms and tells how many left in each of its ticks.
    fn ticks(packets: usize, interval: Duration) -> Vec<usize> {
        let gap = gap(packets, interval);
        let mut now = BootTime::from_millis(1_000);
        let mut pace = Pace::default();
        pace.hold(now, Duration::ZERO);
        let (mut left, mut told) = (packets, Vec::new());
        while left > 0 {
            let before = left;
            while left > 0 && pace.next() <= now {
                pace.sent(now, gap);
                left -= 1;
            }
            told.push(before - left);
            now = now.after(Duration::from_millis(1));
        }
        told
    }

    #[test]
    fn a_large_unit_is_spread_over_half_its_interval() {
        let told = ticks(400, Duration::from_millis(40));
        assert!((20..=21).contains(&told.len()), "{told:?}");
        assert!(told.iter().all(|&packets| packets <= 21), "{told:?}");
    }

    #[test]
    fn small_units_leave_at_the_slowest_pace() {
        assert_eq!(ticks(3, Duration::from_millis(40)), [1, 1, 1]);
    }

    #[test]
    fn a_late_timer_is_made_up_for_within_bounds() {
        let mut pace = Pace::default();
        let now = BootTime::from_millis(1_000_000);
        let mut burst = 0;
        while pace.next() <= now {
            pace.sent(now, Duration::from_millis(1));
            burst += 1;
        }
        assert_eq!(burst, UDP_BURST_PACKETS_MAX + 1);
    }
}
