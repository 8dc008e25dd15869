//! When the next packet to a UDP reader may leave.
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

    #[test]
    fn packets_leave_one_gap_apart() {
        let (mut pace, gap) = (Pace::default(), Duration::from_micros(250));
        let mut now = BootTime::from_millis(1_000);
        pace.hold(now, Duration::ZERO);
        let mut told = Vec::new();
        for _ in 0..3 {
            let mut sent = 0;
            while pace.next() <= now {
                pace.sent(now, gap);
                sent += 1;
            }
            told.push(sent);
            now = now.after(Duration::from_millis(1));
        }
        assert_eq!(told, [1, 4, 4]);
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
