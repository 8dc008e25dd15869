//! What a minute of recording takes.
//!
//! Owns: the count of bytes, minute by minute. Pure.

use std::time::Duration;

use crate::base::time::BootTime;

const MINUTE: Duration = Duration::from_secs(60);

/// Bytes that were handed over to be recorded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IngestRate {
    since: BootTime,
    bytes: u64,
    /// Of the minute before.
    before: u64,
}

impl IngestRate {
    /// So many bytes came at `now`.
    pub(crate) fn count(&mut self, now: BootTime, bytes: usize) {
        let passed = now.since(self.since);
        if passed >= MINUTE {
            self.before = if passed < 2 * MINUTE { self.bytes } else { 0 };
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += bytes as u64;
    }

    /// Bytes of the fuller one of the last two minutes.
    pub(crate) fn minute_bytes(&self) -> u64 {
        self.bytes.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_minute_counts_and_an_old_one_does_not() {
        let mut rate = IngestRate::default();
        let at = |secs: u64| BootTime::from_millis(secs * 1_000);
        for secs in 100..160 {
            rate.count(at(secs), 1_000);
        }
        assert_eq!(rate.minute_bytes(), 60_000);
        rate.count(at(160), 10);
        assert_eq!(rate.minute_bytes(), 60_000);
        rate.count(at(400), 10);
        assert_eq!(rate.minute_bytes(), 10);
    }
}
