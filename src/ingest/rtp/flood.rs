//! Measures how much a camera brings and says when it is more than one camera may.
//!
//! Owns: the window over which the rate is averaged.

use std::time::Duration;

use crate::base::time::BootTime;

/// The bytes of the window that is on.
#[derive(Debug)]
pub(crate) struct FloodGate {
    bytes_per_sec_max: u64,
    window: Duration,
    begun: Option<BootTime>,
    bytes: u64,
}

impl FloodGate {
    /// Lets `bytes_per_sec_max` pass, averaged over `window`.
    pub(crate) fn new(bytes_per_sec_max: u64, window: Duration) -> Self {
        Self { bytes_per_sec_max, window, begun: None, bytes: 0 }
    }

    /// Counts `bytes` that arrived at `now`; `false` when the window brought too much.
    #[must_use]
    pub(crate) fn pass(&mut self, now: BootTime, bytes: usize) -> bool {
        let begun = *self.begun.get_or_insert(now);
        if now.since(begun) >= self.window {
            self.begun = Some(now);
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(bytes as u64);
        // A whole window's allowance may come at once: a camera may catch up after a stall.
        let allowed = self.bytes_per_sec_max.saturating_mul(self.window.as_secs().max(1));
        self.bytes <= allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> BootTime {
        BootTime::from_millis(secs * 1_000)
    }

    #[test]
    fn a_burst_of_one_window_passes_and_more_does_not() {
        let mut gate = FloodGate::new(100, Duration::from_secs(4));
        assert!(gate.pass(at(10), 400));
        assert!(!gate.pass(at(11), 1));
    }

    #[test]
    fn a_steady_camera_passes_for_ever() {
        let mut gate = FloodGate::new(100, Duration::from_secs(4));
        assert!((0..1_000).all(|sec| gate.pass(at(sec), 100)));
    }
}
