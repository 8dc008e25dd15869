//! When the next packets to a UDP reader may leave.
//!
//! Owns: the bucket. How wide the gaps are follows from the stream (`sink::rtsp_play`).

use std::time::Duration;

use crate::base::limits::UDP_BURST_PACKETS_MAX;
use crate::base::time::BootTime;

/// A leaky bucket.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: BootTime,
}

impl Pace {
    /// When `count` packets, at least one, may leave in one go.
    pub(super) fn when(&self, count: u32, gap: Duration) -> BootTime {
        self.next.after(gap * count.saturating_sub(1))
    }

    /// How many packets may leave at `now`. Whoever comes late makes up for it, by
    /// [`UDP_BURST_PACKETS_MAX`] packets at most.
    pub(super) fn allowance(&self, now: BootTime, gap: Duration) -> u32 {
        if self.next > now {
            return 0;
        }
        let late = now.since(self.next).as_nanos() / gap.as_nanos().max(1);
        u32::try_from(late).unwrap_or(u32::MAX).min(UDP_BURST_PACKETS_MAX) + 1
    }

    /// Counts `count` packets that left at `now`; the one behind them follows `gap` later.
    pub(super) fn sent(&mut self, now: BootTime, count: u32, gap: Duration) {
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

    #[test]
    fn packets_leave_one_gap_apart() {
        let (mut pace, gap) = (Pace::default(), Duration::from_micros(250));
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
    fn whoever_comes_late_makes_up_for_it_within_bounds() {
        let (mut pace, gap) = (Pace::default(), Duration::from_millis(1));
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
        let pace = Pace::default();
        let burst = pace.allowance(BootTime::from_millis(1), Duration::ZERO);
        assert_eq!(burst, UDP_BURST_PACKETS_MAX + 1);
    }
}
