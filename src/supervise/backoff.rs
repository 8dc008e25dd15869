//! How long to wait before a part is started again.
//!
//! Owns: the doubling, the jitter and the reset. Randomness comes in as a seed.

use std::time::Duration;

use crate::base::fault::Class;
use crate::base::limits::{
    REFUSED_PAUSE, REFUSED_TRIES_MAX, RESTART_PAUSE_MAX, RESTART_PAUSE_MIN, RESTART_RESET_AFTER,
};

/// The pace of restarts of one task.
#[derive(Debug)]
pub struct Backoff {
    longest: Duration,
    ceiling: Duration,
    refused: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// A pace that begins at the shortest pause.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { longest: RESTART_PAUSE_MAX, ceiling: RESTART_PAUSE_MIN, refused: 0, random }
    }

    /// The same with pauses of at most `longest`, unless credentials are refused.
    #[must_use]
    pub fn up_to(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// The pause after a life that did its work for `lived` and ended with an error of `class`.
    ///
    /// Full jitter: anywhere between the shortest pause and a ceiling that doubles each time.
    /// Refused credentials are tried [`REFUSED_TRIES_MAX`] times, then hourly, because cameras
    /// lock accounts.
    pub fn pause(&mut self, lived: Duration, class: Class) -> Duration {
        if lived >= RESTART_RESET_AFTER {
            self.ceiling = RESTART_PAUSE_MIN;
            self.refused = 0;
        }
        self.refused = if class == Class::Refused { self.refused + 1 } else { 0 };
        if self.refused >= REFUSED_TRIES_MAX {
            return REFUSED_PAUSE;
        }
        let spread = self.ceiling.saturating_sub(RESTART_PAUSE_MIN).mul_f64(self.random.f64());
        self.ceiling = (self.ceiling * 2).min(self.longest);
        RESTART_PAUSE_MIN + spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_ceiling_and_stay_inside() {
        let mut backoff = Backoff::new(1);
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let pause = backoff.pause(Duration::ZERO, Class::Network);
            assert!((RESTART_PAUSE_MIN..=RESTART_PAUSE_MAX).contains(&pause), "{pause:?}");
            longest = longest.max(pause);
        }
        assert!(longest > RESTART_PAUSE_MAX / 2, "{longest:?}");
    }

    #[test]
    fn a_good_minute_resets_the_pace() {
        let mut backoff = Backoff::new(2);
        for _ in 0..10 {
            backoff.pause(Duration::ZERO, Class::Peer);
        }
        assert_eq!(backoff.pause(RESTART_RESET_AFTER, Class::Peer), RESTART_PAUSE_MIN);
    }

    #[test]
    fn refused_credentials_are_not_hammered() {
        let mut backoff = Backoff::new(3);
        let pauses: Vec<_> =
            (0..4).map(|_| backoff.pause(Duration::ZERO, Class::Refused)).collect();
        assert!(pauses[1] < REFUSED_PAUSE);
        assert_eq!(pauses[2..], [REFUSED_PAUSE, REFUSED_PAUSE]);
        assert!(backoff.pause(Duration::ZERO, Class::Network) < REFUSED_PAUSE);
    }
}
