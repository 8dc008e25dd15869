//! When a picture was taken, on our clock; and how many before it never came.
//!
//! Owns: the way from the driver's time stamps and sequence numbers to [`BootTime`] and a count.
//! Both are checked: a wrong stamp is worth less than the time of arrival.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::driver::BufferTime;
use crate::base::limits::V4L2_STAMP_AGE_MAX;
use crate::base::time::BootTime;

/// `CLOCK_MONOTONIC` now: what drivers stamp with. It stops while the machine sleeps.
#[must_use]
pub fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), nanos)
}

/// When a picture with `stamp` was taken; both clocks were read at the same moment. `None` when the
/// stamp is not of this clock, is in the future, or is older than a picture can be.
#[must_use]
pub fn taken_at(stamp: BufferTime, monotonic: Duration, boot: BootTime) -> Option<BootTime> {
    let BufferTime::Monotonic(at) = stamp else { return None };
    let age = monotonic.checked_sub(at)?;
    (age <= V4L2_STAMP_AGE_MAX).then(|| boot.before(age))
}

/// Counts the pictures that a driver dropped by the gaps in its sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequence(Option<u32>);

impl Sequence {
    /// Takes the next number; how many are missing before it. A number that goes back, as those of
    /// some drivers do, restarts without a gap.
    pub fn next(&mut self, number: u32) -> u16 {
        let Some(last) = self.0.replace(number) else { return 0 };
        let step = number.wrapping_sub(last);
        // Half the circle ahead or more is behind.
        if step == 0 || step > u32::MAX / 2 {
            return 0;
        }
        u16::try_from(step - 1).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_believed_only_if_it_can_be_true() {
        let (now, boot) = (Duration::from_secs(100), BootTime::from_millis(150_000));
        let at = |secs| taken_at(BufferTime::Monotonic(Duration::from_secs(secs)), now, boot);
        // Fifty seconds of sleep lie between the two clocks.
        assert_eq!(at(99), Some(BootTime::from_millis(149_000)));
        assert_eq!(at(101), None);
        assert_eq!(at(20), None);
        assert_eq!(taken_at(BufferTime::Unknown, now, boot), None);
        assert_eq!(taken_at(BufferTime::Copied(now), now, boot), None);
    }

    #[test]
    fn gaps_are_counted_over_the_wrap_and_never_backwards() {
        let mut sequence = Sequence::default();
        let numbers = [u32::MAX - 1, u32::MAX, 1, 2, 2, 10, 0, 1];
        assert_eq!(numbers.map(|number| sequence.next(number)), [0, 0, 1, 0, 0, 7, 0, 0]);
        assert_eq!(Sequence(Some(0)).next(1 << 30), u16::MAX);
    }
}
