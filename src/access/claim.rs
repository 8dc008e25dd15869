//! The claim of a new box: who may make its first account.
//!
//! Owns: the count of wrong codes, the lock, and the window that the button opens. Does not own
//! whether there is an account already, nor the code.

use std::time::Duration;

use super::code::ClaimCode;
use crate::base::limits::{CLAIM_LOCK_TIME, CLAIM_WINDOW_TIME, CLAIM_WRONG_MAX};
use crate::base::time::BootTime;

/// Why a claim is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The code.
    #[error(
        "this is not the claim code; it is on the box's label or console, or `holdfast claim-code` prints it"
    )]
    WrongCode,
    /// Too many wrong codes.
    #[error("too many wrong codes; try again in {} s", wait.as_secs())]
    Locked {
        /// For how long still.
        wait: Duration,
    },
    /// Another claim came first.
    #[error("this box has been claimed already")]
    Claimed,
    /// Not needed: it is open to this computer.
    #[error("this box is open to this computer; take `claim` out of its configuration to claim it")]
    Open,
}

/// The claim of a box without an account.
#[derive(Debug, Default)]
pub(super) struct Claim {
    wrong: u32,
    locked_until: Option<BootTime>,
    window_until: Option<BootTime>,
}

impl Claim {
    /// How long no code is checked.
    pub(super) fn locked(&self, now: BootTime) -> Option<Duration> {
        let wait = self.locked_until?.since(now);
        // Whole seconds, rounded up, so that the client does not come back a moment too early.
        (!wait.is_zero()).then(|| Duration::from_secs(wait.as_secs() + 1))
    }

    /// For how long no code is needed.
    pub(super) fn window(&self, now: BootTime) -> Option<Duration> {
        let left = self.window_until?.since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Somebody held the box's button: the next claim needs no code. That ends a lock too.
    pub(super) fn open_window(&mut self, now: BootTime) {
        (self.wrong, self.locked_until) = (0, None);
        self.window_until = Some(now.after(CLAIM_WINDOW_TIME));
    }

    /// Locks it for `wait`, as before a restart.
    pub(super) fn lock(&mut self, now: BootTime, wait: Duration) {
        self.locked_until = Some(now.after(wait.min(CLAIM_LOCK_TIME)));
    }

    /// Checks what was typed.
    pub(super) fn check(
        &mut self,
        now: BootTime,
        code: &ClaimCode,
        typed: &str,
    ) -> Result<(), ClaimError> {
        if let Some(wait) = self.locked(now) {
            return Err(ClaimError::Locked { wait });
        }
        if self.window(now).is_some() && typed.is_empty() {
            return Ok(());
        }
        if ClaimCode::parse(typed).is_some_and(|typed| typed.is(code)) {
            return Ok(());
        }
        self.wrong += 1;
        if self.wrong >= CLAIM_WRONG_MAX {
            (self.wrong, self.window_until) = (0, None);
            self.lock(now, CLAIM_LOCK_TIME);
        }
        Err(ClaimError::WrongCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_button_opens_a_window_without_a_code_and_ends_a_lock() {
        let (mut claim, code) = (Claim::default(), ClaimCode::new([3; 8]));
        let now = BootTime::from_millis(5_000);
        assert_eq!(claim.check(now, &code, ""), Err(ClaimError::WrongCode));
        claim.lock(now, CLAIM_LOCK_TIME);
        claim.open_window(now);
        assert_eq!(claim.check(now, &code, ""), Ok(()));
        for _ in 0..CLAIM_WRONG_MAX {
            assert_eq!(claim.check(now, &code, "guess"), Err(ClaimError::WrongCode));
        }
        assert!(matches!(claim.check(now, &code, ""), Err(ClaimError::Locked { .. })));
        claim.open_window(now);
        let over = now.after(CLAIM_WINDOW_TIME);
        assert_eq!(claim.window(over), None);
        assert_eq!(claim.check(over, &code, ""), Err(ClaimError::WrongCode));
    }

    #[test]
    fn five_wrong_codes_lock_the_claim_for_a_while_even_for_the_right_one() {
        let (mut claim, code) = (Claim::default(), ClaimCode::new([3; 8]));
        let (right, wrong) = (code.shown(), ClaimCode::new([4; 8]).shown());
        let now = BootTime::from_millis(5_000);
        for _ in 0..CLAIM_WRONG_MAX {
            assert_eq!(claim.check(now, &code, &wrong), Err(ClaimError::WrongCode));
        }
        assert!(matches!(claim.check(now, &code, &right), Err(ClaimError::Locked { .. })));
        let later = now.after(CLAIM_LOCK_TIME);
        assert_eq!(claim.locked(later), None);
        assert_eq!(claim.check(later, &code, &right), Ok(()));
        assert_eq!(claim.check(later, &code, "rubbish"), Err(ClaimError::WrongCode));
    }
}
