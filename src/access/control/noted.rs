//! What the audit log says of acts that anybody can repeat.
//!
//! Owns: that sign-ins and refusals have budgets of their own, so that a flood of the ones hides none of
//! the others.

use tracing::warn;

use super::AccessControl;
use crate::access::audit::{Act, AuditLine, Pace};
use crate::base::limits::{AUDIT_REFUSAL_INTERVAL, AUDIT_SIGN_IN_INTERVAL};
use crate::base::sync::lock;

/// How often which acts are noted.
#[derive(Debug)]
pub(super) struct Paces {
    sign_ins: Pace,
    refusals: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            sign_ins: Pace::new(AUDIT_SIGN_IN_INTERVAL),
            refusals: Pace::new(AUDIT_REFUSAL_INTERVAL),
        }
    }
}

impl Paces {
    fn of(&mut self, act: &Act) -> &mut Pace {
        if act.result < 400 { &mut self.sign_ins } else { &mut self.refusals }
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
                let line = paces.refusals.due(now, || of_many(401));
                line.or_else(|| paces.sign_ins.due(now, || of_many(200)))
            };
            let Some(line) = line else { return };
            if let Err(error) = self.audit.append_line(self.clock.wall(), &line) {
                warn!(part = "access", %error, "audit log cannot be written");
            }
        }
    }
}

/// Acts of many, of which only the number is known.
fn of_many(result: u16) -> Act {
    Act {
        who: "several".to_owned(),
        proof: "none",
        scheme: "any",
        address: None,
        act: "various".to_owned(),
        result,
    }
}
