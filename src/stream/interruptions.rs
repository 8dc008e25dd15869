//! How often a stream that was live broke off, and why.
//!
//! Owns: the newest of them, and how many are too many. Reads no clock.

use std::collections::VecDeque;

use crate::base::limits::{INTERRUPTIONS_KEPT_MAX, INTERRUPTIONS_SPAN, INTERRUPTIONS_WELL_MAX};
use crate::base::time::BootTime;

/// The newest interruptions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Interruptions {
    at: VecDeque<BootTime>,
    cause: String,
}

/// A stream that breaks off too often to be called well.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Interrupted {
    /// How often within the last `within_secs`.
    pub times: usize,
    /// The time that is checked, in seconds.
    pub within_secs: u64,
    /// Why it last did, for people.
    pub cause: String,
}

impl Interruptions {
    /// The stream broke off at `at`.
    pub(super) fn push(&mut self, at: BootTime, cause: &str) {
        if self.at.len() == INTERRUPTIONS_KEPT_MAX {
            self.at.pop_front();
        }
        self.at.push_back(at);
        cause.clone_into(&mut self.cause);
    }

    /// What to report at `now`; `None` while there are few.
    pub(super) fn told(&self, now: BootTime) -> Option<Interrupted> {
        let times = self.at.iter().filter(|at| now.since(**at) <= INTERRUPTIONS_SPAN).count();
        (times > INTERRUPTIONS_WELL_MAX).then(|| Interrupted {
            times,
            within_secs: INTERRUPTIONS_SPAN.as_secs(),
            cause: self.cause.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_three_within_ten_minutes_are_told_with_the_last_cause() {
        let at = |secs: u64| BootTime::from_millis(secs * 1_000);
        let mut interruptions = Interruptions::default();
        for n in 0..3 {
            interruptions.push(at(n * 30), "silent");
        }
        assert_eq!(interruptions.told(at(90)), None);
        interruptions.push(at(90), "closed");
        let told = interruptions.told(at(91)).unwrap();
        assert_eq!((told.times, told.cause.as_str()), (4, "closed"));
        assert_eq!(interruptions.told(at(601)), None, "the first is longer ago");
        for n in 0..10_000 {
            interruptions.push(at(700 + n), "closed");
        }
        assert_eq!(interruptions.at.len(), INTERRUPTIONS_KEPT_MAX);
    }
}
