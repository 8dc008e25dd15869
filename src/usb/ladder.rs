//! Which remedy is due for a camera that is dead.
//!
//! Owns: the first two rungs' triggers and limits. Pure: the moment comes in, and how often each
//! was tried, which the recovery log knows over restarts.

use std::time::Duration;

use crate::base::time::BootTime;

/// Dead for so long, it is taken off its bus and put back; again after as long.
const RESET_AFTER: Duration = Duration::from_secs(30);
/// Dead for so long, in spite of that, the ports lose their power; again after as long.
const POWER_AFTER: Duration = Duration::from_secs(120);

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsbStep {
    /// Take the camera off its bus and put it back.
    Reset,
    /// Switch the ports off and on.
    PowerCycle,
}

impl UsbStep {
    /// Within which time it may be tried [`Self::times_max`] times.
    #[must_use]
    pub const fn window(self) -> Duration {
        match self {
            Self::Reset => Duration::from_secs(3_600),
            Self::PowerCycle => Duration::from_secs(24 * 3_600),
        }
    }

    /// How often it may be tried within [`Self::window`]: resets of each camera, power cycles of
    /// the whole board.
    #[must_use]
    pub const fn times_max(self) -> u64 {
        match self {
            Self::Reset => 3,
            Self::PowerCycle => 2,
        }
    }
}

/// The state of one camera.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    dead_since: Option<BootTime>,
    reset_at: Option<BootTime>,
    power_at: Option<BootTime>,
}

impl Ladder {
    /// The camera gives pictures.
    pub fn alive(&mut self) {
        *self = Self::default();
    }

    /// The camera gives none at `now`, for whatever reason. Says what is due; `tried` answers how
    /// often that was tried within its window.
    pub fn dead(&mut self, now: BootTime, tried: impl Fn(UsbStep) -> u64) -> Option<UsbStep> {
        let since = *self.dead_since.get_or_insert(now);
        let rested = |last: Option<BootTime>, pause| last.is_none_or(|at| now.since(at) >= pause);
        let allowed = |step: UsbStep| tried(step) < step.times_max();
        let (dead, was_reset) = (now.since(since), self.reset_at.is_some());
        // A board whose resets are used up continues to the next rung.
        let may_power = was_reset || !allowed(UsbStep::Reset);
        if dead >= POWER_AFTER
            && may_power
            && rested(self.power_at, POWER_AFTER)
            && allowed(UsbStep::PowerCycle)
        {
            self.power_at = Some(now);
            return Some(UsbStep::PowerCycle);
        }
        if dead >= RESET_AFTER && rested(self.reset_at, RESET_AFTER) && allowed(UsbStep::Reset) {
            self.reset_at = Some(now);
            return Some(UsbStep::Reset);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What is done to a camera that stays dead for so many seconds.
    fn steps(secs: u64) -> Vec<(u64, UsbStep)> {
        let done: RefCell<Vec<(u64, UsbStep)>> = RefCell::default();
        let mut ladder = Ladder::default();
        for second in 0..=secs {
            let tried = |step: UsbStep| {
                let since = second.saturating_sub(step.window().as_secs());
                let same = |(at, of): &&(u64, UsbStep)| *of == step && *at >= since;
                done.borrow().iter().filter(same).count() as u64
            };
            let due = ladder.dead(BootTime::from_millis(second * 1_000), tried);
            if let Some(step) = due {
                done.borrow_mut().push((second, step));
            }
        }
        done.into_inner()
    }

    #[test]
    fn a_dead_camera_is_reset_and_then_loses_its_power() {
        use UsbStep::{PowerCycle, Reset};
        assert_eq!(steps(29), []);
        assert_eq!(
            steps(600),
            [(30, Reset), (60, Reset), (90, Reset), (120, PowerCycle), (240, PowerCycle)]
        );
    }

    #[test]
    fn what_stays_dead_costs_no_more_than_its_limits() {
        let day = steps(24 * 3_600 - 1);
        let power = day.iter().filter(|(_, step)| *step == UsbStep::PowerCycle).count();
        assert_eq!(power, 2);
        for hour in 0..24 {
            let within = |(at, step): &&(u64, UsbStep)| {
                *step == UsbStep::Reset && (hour * 3_600..(hour + 1) * 3_600).contains(at)
            };
            assert!(day.iter().filter(within).count() <= 3, "{day:?}");
        }
    }

    #[test]
    fn a_camera_that_comes_back_begins_anew() {
        let mut ladder = Ladder::default();
        let at = |secs: u64| BootTime::from_millis(secs * 1_000);
        assert_eq!(ladder.dead(at(0), |_| 0), None);
        ladder.alive();
        assert_eq!(ladder.dead(at(40), |_| 0), None);
        assert_eq!(ladder.dead(at(70), |_| 0), Some(UsbStep::Reset));
    }
}
