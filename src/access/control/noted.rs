//! What the audit log says of acts that come often.
//!
//! Owns: that sign-ins, refusals and each account have budgets of their own, so that a flood of the ones
//! hides none of the others. What is beyond a budget is counted, and the number is in a later line.

use std::collections::BTreeMap;

use tracing::warn;

use super::AccessControl;
use crate::access::audit::{Act, AuditLine, Budget, Pace};
use crate::base::limits::{
    AUDIT_ACTORS_MAX, AUDIT_ACTS_BURST_MAX, AUDIT_ACTS_INTERVAL, AUDIT_BURST_MAX,
    AUDIT_REFUSAL_INTERVAL, AUDIT_REPEAT_TIME, AUDIT_SIGN_IN_INTERVAL,
};
use crate::base::sync::lock;
use crate::base::time::BootTime;

const SIGN_INS: Budget =
    Budget { burst: AUDIT_BURST_MAX, interval: AUDIT_SIGN_IN_INTERVAL, repeat: AUDIT_REPEAT_TIME };
const REFUSALS: Budget = Budget { interval: AUDIT_REFUSAL_INTERVAL, ..SIGN_INS };
/// Of one account or token: what it does twice is two lines.
const ACTS: Budget = Budget {
    burst: AUDIT_ACTS_BURST_MAX,
    interval: AUDIT_ACTS_INTERVAL,
    repeat: std::time::Duration::ZERO,
};

/// How often which acts are noted.
#[derive(Debug)]
pub(super) struct Paces {
    sign_ins: Pace,
    refusals: Pace,
    /// What the accounts and tokens do, by their names.
    actors: BTreeMap<String, Pace>,
    /// What those do for whom there was no room.
    others: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            sign_ins: Pace::new(SIGN_INS),
            refusals: Pace::new(REFUSALS),
            actors: BTreeMap::new(),
            others: Pace::new(ACTS),
        }
    }
}

impl Paces {
    fn of(&mut self, act: &Act) -> &mut Pace {
        if act.result < 400 { &mut self.sign_ins } else { &mut self.refusals }
    }

    fn of_actor(&mut self, who: &str) -> &mut Pace {
        if self.actors.len() >= AUDIT_ACTORS_MAX && !self.actors.contains_key(who) {
            return &mut self.others;
        }
        self.actors.entry(who.to_owned()).or_insert_with(|| Pace::new(ACTS))
    }

    /// The next line of what was only counted.
    fn due(&mut self, now: BootTime) -> Option<AuditLine> {
        let several = |result| move || of_many("several", result);
        let strangers = self.refusals.due(now, several(401));
        let players = strangers.or_else(|| self.sign_ins.due(now, several(200)));
        let known = players.or_else(|| {
            self.actors.iter_mut().find_map(|(who, pace)| pace.due(now, || of_many(who, 200)))
        });
        known.or_else(|| self.others.due(now, several(200)))
    }
}

impl AccessControl {
    /// `act`, which anybody can repeat, was done so many `times`: the line for the audit log, or `None`
    /// while it is only counted.
    #[must_use]
    pub fn admit_act(&self, act: Act, times: u64) -> Option<AuditLine> {
        let now = self.clock.boot();
        lock(&self.paces).of(&act).admit(now, act, times)
    }

    /// The same of `act`, which somebody did who may.
    #[must_use]
    pub fn admit_own_act(&self, act: Act) -> Option<AuditLine> {
        let now = self.clock.boot();
        lock(&self.paces).of_actor(&act.who).admit(now, act, 1)
    }

    /// So many sign-ins were looked at of which no more is known.
    pub fn count_sign_ins(&self, times: u64) {
        lock(&self.paces).refusals.count(times);
    }

    /// Writes down what was only counted so far. Blocks.
    pub(super) fn note_due(&self) {
        let now = self.clock.boot();
        loop {
            let line = {
                let mut paces = lock(&self.paces);
                let line = paces.due(now);
                paces.actors.retain(|_, pace| !pace.is_at_rest(now));
                line
            };
            let Some(line) = line else { return };
            if let Err(error) = self.audit.append_line(self.clock.wall(), &line) {
                warn!(part = "access", %error, "audit log cannot be written");
            }
        }
    }
}

/// Acts of which only the number is known.
fn of_many(who: &str, result: u16) -> Act {
    Act {
        who: who.to_owned(),
        proof: "none",
        scheme: "any",
        address: None,
        act: "various".to_owned(),
        result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(who: &str, number: u32) -> Act {
        Act { act: format!("DELETE /api/v1/pins/{number}"), ..of_many(who, 204) }
    }

    #[test]
    fn a_flood_of_one_account_is_counted_and_hides_no_other() {
        let mut paces = Paces::default();
        let mut now = BootTime::from_millis(10_000);
        let admit = |paces: &mut Paces, now, who: &str, number| {
            paces.of_actor(who).admit(now, act(who, number), 1)
        };
        let flood = 50_000;
        let lines = (0..flood).filter(|n| admit(&mut paces, now, "olga", *n).is_some()).count();
        assert_eq!(lines, AUDIT_ACTS_BURST_MAX as usize);
        assert!(admit(&mut paces, now, "anna", 0).is_some(), "another account has its own budget");
        let mut counted = 0;
        for _ in 0..2_000 {
            now = now.after(AUDIT_ACTS_INTERVAL);
            while let Some(line) = paces.due(now) {
                assert_eq!(line.act.who, "olga");
                counted += line.times + line.others;
            }
        }
        assert_eq!(lines as u64 + counted, u64::from(flood), "each is a line or counted in one");
    }

    #[test]
    fn accounts_beyond_the_bound_share_a_budget() {
        let mut paces = Paces::default();
        let now = BootTime::from_millis(10_000);
        for n in 0..2 * AUDIT_ACTORS_MAX {
            let who = format!("token {n}");
            let _ = paces.of_actor(&who).admit(now, act(&who, 0), 1);
        }
        assert_eq!(paces.actors.len(), AUDIT_ACTORS_MAX);
    }
}
