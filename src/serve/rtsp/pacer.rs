//! When the next packets to a UDP reader may leave.
//!
//! Owns: the leaky bucket. The gap between packets comes with each unit (`rtp::Rate`).

use std::time::Duration;

use crate::base::limits::{UDP_BURST_PACKETS_MAX, UDP_FIRST_BURST_PACKETS_MAX};
use crate::base::time::BootTime;

/// A leaky bucket.
#[derive(Debug)]
pub(super) struct Pacer {
    next: BootTime,
    /// Packets that may leave before the first has to wait.
    first: u32,
}

impl Default for Pacer {
    fn default() -> Self {
        Self { next: BootTime::default(), first: UDP_FIRST_BURST_PACKETS_MAX }
    }
}

impl Pacer {
    /// When `count` packets, at least one, may leave in one go.
    pub(super) fn when(&self, count: u32, gap: Duration) -> BootTime {
        if count <= self.first {
            return self.next;
        }
        self.next.after(gap * count.saturating_sub(1))
    }

    /// How many packets may leave at `now`. A late caller catches up, by [`UDP_BURST_PACKETS_MAX`]
    /// packets at most.
    pub(super) fn allowance(&self, now: BootTime, gap: Duration) -> u32 {
        if self.next > now {
            return 0;
        }
        if self.first > 0 {
            return self.first;
        }
        let late = now.since(self.next).as_nanos() / gap.as_nanos().max(1);
        u32::try_from(late).unwrap_or(u32::MAX).min(UDP_BURST_PACKETS_MAX) + 1
    }

    /// Counts `count` packets that left at `now`; the one behind them follows `gap` later.
    pub(super) fn sent(&mut self, now: BootTime, count: u32, gap: Duration) {
        if self.first > 0 {
            self.first = self.first.saturating_sub(count);
            // What follows the first burst waits for its turn.
            self.next = self.next.max(now);
            return;
        }
        let earliest = now.before(gap * UDP_BURST_PACKETS_MAX);
        self.next = self.next.max(earliest).after(gap * count);
    }

    /// The socket took nothing: tries again `by` later.
    pub(super) fn hold(&mut self, now: BootTime, by: Duration) {
        self.next = now.after(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket whose first burst is over.
    fn begun() -> Pacer {
        Pacer { first: 0, ..Pacer::default() }
    }

    #[test]
    fn the_first_burst_is_larger_and_what_follows_waits() {
        let (mut pace, gap) = (Pacer::default(), Duration::from_millis(1));
        let mut now = BootTime::from_millis(1_000);
        let mut told = Vec::new();
        for _ in 0..3 {
            while let count @ 1.. = pace.allowance(now, gap) {
                pace.sent(now, count.min(25), gap);
                told.push(count.min(25));
            }
            now = now.after(gap);
        }
        assert_eq!(told, [25, 7, 1, 1, 1]);
    }

    #[test]
    fn packets_leave_one_gap_apart() {
        let (mut pace, gap) = (begun(), Duration::from_micros(250));
        let mut now = BootTime::from_millis(1_000);
        pace.hold(now, Duration::ZERO);
        let mut told = Vec::new();
        for _ in 0..3 {
            let count = pace.allowance(now, gap);
            assert!(pace.when(count, gap) <= now && pace.when(count + 1, gap) > now);
            pace.sent(now, count, gap);
            told.push(count);
            now = now.after(Duration::from_millis(1));
        }
        assert_eq!(told, [1, 4, 4]);
    }

    #[test]
    fn a_late_packet_makes_up_for_it_within_bounds() {
        let (mut pace, gap) = (begun(), Duration::from_millis(1));
        let now = BootTime::from_millis(1_000_000);
        let mut burst = 0;
        while pace.allowance(now, gap) > 0 {
            let count = pace.allowance(now, gap).min(10);
            pace.sent(now, count, gap);
            burst += count;
        }
        assert_eq!(burst, UDP_BURST_PACKETS_MAX + 1);
    }

    #[test]
    fn without_a_gap_a_burst_is_still_bounded() {
        let pace = begun();
        let burst = pace.allowance(BootTime::from_millis(1), Duration::ZERO);
        assert_eq!(burst, UDP_BURST_PACKETS_MAX + 1);
    }
}
