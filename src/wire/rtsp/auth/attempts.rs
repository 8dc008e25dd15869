//! Sign-ins of stream accounts that were looked at, for the log of who did what.
//!
//! Owns: those since they were last taken, within bounds. What was typed as a name is kept only where
//! there is such an account: people type passwords into the wrong field.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::limits::AUTH_ATTEMPTS_MAX;

/// One sign-in, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The account, if there is one of that name.
    pub account: Option<Arc<str>>,
    /// Where it came from.
    pub peer: IpAddr,
    /// Whether the transport is encrypted.
    pub secure: bool,
    /// Whether it was made over HTTP.
    pub http: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The password was right.
    Right,
    /// It was wrong, or there is no such account.
    Wrong,
    /// It was not looked at, because too many wrong ones came before.
    TooMany,
    /// It was right, but the account may not do what was asked.
    Forbidden,
}

/// The sign-ins since they were last taken.
#[derive(Debug, Default)]
pub struct Attempts {
    seen: HashMap<Attempt, u64>,
    /// Those for which there was no room.
    others: u64,
}

impl Attempts {
    /// Notes one.
    pub(super) fn note(&mut self, attempt: Attempt) {
        if let Some(times) = self.seen.get_mut(&attempt) {
            *times += 1;
        } else if self.seen.len() < AUTH_ATTEMPTS_MAX {
            self.seen.insert(attempt, 1);
        } else {
            self.others += 1;
        }
    }

    /// Takes them: each with how often it came, and how many others there were.
    pub fn take(&mut self) -> (Vec<(Attempt, u64)>, u64) {
        (self.seen.drain().collect(), std::mem::take(&mut self.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_alike_are_counted_and_too_many_are_not_kept() {
        let mut attempts = Attempts::default();
        let from = |n: u32| Attempt {
            account: None,
            peer: std::net::Ipv4Addr::from_bits(n).into(),
            secure: false,
            http: false,
            outcome: Outcome::Wrong,
        };
        let most = u32::try_from(AUTH_ATTEMPTS_MAX).unwrap();
        for n in 0..most + 5 {
            attempts.note(from(n));
            attempts.note(from(7));
        }
        let (seen, others) = attempts.take();
        let sevens = seen.iter().find(|(attempt, _)| *attempt == from(7)).unwrap().1;
        assert_eq!((seen.len(), sevens), (AUTH_ATTEMPTS_MAX, u64::from(most) + 6));
        assert_eq!((others, attempts.take().0.len()), (5, 0));
    }
}
