//! How often acts are noted: sign-ins of players, what is refused, and what one account does.
//!
//! Owns: the counts of what was not noted. An act that comes again soon is counted, and all acts
//! together have a budget, so that a flood cannot push the older lines out of the log. No act is lost:
//! each is a line, or is counted in a later one.

use std::collections::HashMap;
use std::time::Duration;

use super::{Act, AuditLine};
use crate::base::limits::AUDIT_PACED_ACTS_MAX;
use crate::base::time::BootTime;

/// How many lines there may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::access) struct Budget {
    /// Lines at once.
    pub(in crate::access) burst: u32,
    /// How long until another one may be written, once those are used up.
    pub(in crate::access) interval: Duration,
    /// How long the same act is only counted after a line about it.
    pub(in crate::access) repeat: Duration,
}

/// One kind of acts, with one budget.
#[derive(Debug)]
pub(in crate::access) struct Pace {
    budget: Budget,
    /// When the budget is whole again.
    whole_at: BootTime,
    noted: HashMap<Act, Noted>,
    /// Acts that are counted in no entry of `noted`.
    others: u64,
    /// When the newest line was written.
    last: BootTime,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    at: BootTime,
    /// How often it came since.
    times: u64,
}

impl Pace {
    pub(in crate::access) fn new(budget: Budget) -> Self {
        Self {
            budget,
            whole_at: BootTime::default(),
            noted: HashMap::new(),
            others: 0,
            last: BootTime::default(),
        }
    }

    /// `act` was done so many `times`: the line to write, or `None` while it is only counted.
    pub(in crate::access) fn admit(
        &mut self,
        now: BootTime,
        act: Act,
        times: u64,
    ) -> Option<AuditLine> {
        let before = self.noted.get_mut(&act);
        if let Some(noted) = before {
            noted.times += times;
            if now.since(noted.at) < self.budget.repeat {
                return None;
            }
        }
        if !self.has_budget(now) {
            if !self.noted.contains_key(&act) {
                self.others += times;
            }
            return None;
        }
        let times = self.noted.get(&act).map_or(times, |noted| noted.times);
        self.make_room(&act);
        self.noted.insert(act.clone(), Noted { at: now, times: 0 });
        Some(self.line(now, act, times))
    }

    /// So many acts were done of which no more is known.
    pub(in crate::access) fn count(&mut self, times: u64) {
        self.others += times;
    }

    /// The next line of what was only counted so far and is due; `rest` says what a line is of that
    /// sums up acts of many.
    pub(in crate::access) fn due(
        &mut self,
        now: BootTime,
        rest: impl FnOnce() -> Act,
    ) -> Option<AuditLine> {
        let repeat = self.budget.repeat;
        self.noted.retain(|_, noted| noted.times > 0 || now.since(noted.at) < repeat);
        let due = |noted: &Noted| noted.times > 0 && now.since(noted.at) >= repeat;
        let found = self.noted.iter().find(|(_, noted)| due(noted));
        let found = found.map(|(act, noted)| (act.clone(), noted.times));
        let others_due = self.others > 0 && now.since(self.last) >= repeat;
        if (found.is_none() && !others_due) || !self.has_budget(now) {
            return None;
        }
        let (act, times) = match found {
            Some((act, times)) => {
                self.noted.remove(&act);
                (act, times)
            }
            None => (rest(), std::mem::take(&mut self.others)),
        };
        Some(self.line(now, act, times))
    }

    fn has_budget(&self, now: BootTime) -> bool {
        self.whole_at.since(now) <= self.budget.interval * (self.budget.burst - 1)
    }

    /// Whether nothing is counted, and the budget is whole.
    pub(in crate::access) fn is_at_rest(&self, now: BootTime) -> bool {
        self.others == 0 && self.noted.is_empty() && self.whole_at <= now
    }

    fn line(&mut self, now: BootTime, act: Act, times: u64) -> AuditLine {
        self.whole_at = self.whole_at.max(now).after(self.budget.interval);
        self.last = now;
        AuditLine { act, times, others: std::mem::take(&mut self.others) }
    }

    /// Forgets the oldest act where there is no room for `act`.
    fn make_room(&mut self, act: &Act) {
        if self.noted.len() < AUDIT_PACED_ACTS_MAX || self.noted.contains_key(act) {
            return;
        }
        let oldest = self.noted.iter().min_by_key(|(_, noted)| noted.at);
        let Some((oldest, times)) = oldest.map(|(act, noted)| (act.clone(), noted.times)) else {
            return;
        };
        self.noted.remove(&oldest);
        self.others += times;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::base::limits::{AUDIT_BURST_MAX, AUDIT_REPEAT_TIME};

    const INTERVAL: Duration = Duration::from_secs(60);
    const BUDGET: Budget =
        Budget { burst: AUDIT_BURST_MAX, interval: INTERVAL, repeat: AUDIT_REPEAT_TIME };

    fn act(from: u32) -> Act {
        Act {
            who: "unknown".to_owned(),
            proof: "none",
            scheme: "rtsp",
            address: Some(std::net::Ipv4Addr::from_bits(from).into()),
            act: "sign-in".to_owned(),
            result: 401,
        }
    }

    fn at(secs: u64) -> BootTime {
        BootTime::from_millis(secs * 1_000)
    }

    fn counts(line: Option<AuditLine>) -> Option<(u64, u64)> {
        line.map(|line| (line.times, line.others))
    }

    #[test]
    fn an_act_that_comes_again_is_counted_in_a_later_line() {
        let mut pace = Pace::new(BUDGET);
        assert_eq!(counts(pace.admit(at(5), act(1), 1)), Some((1, 0)));
        assert_eq!(counts(pace.admit(at(6), act(1), 3)), None);
        assert_eq!(counts(pace.admit(at(6), act(2), 1)), Some((1, 0)));
        assert_eq!(counts(pace.due(at(7), || act(0))), None);
        let later = at(5).after(AUDIT_REPEAT_TIME);
        assert_eq!(counts(pace.due(later, || act(0))), Some((3, 0)));
        assert_eq!(counts(pace.due(later, || act(0))), None, "it is told once");
        assert_eq!(counts(pace.admit(later, act(1), 1)), Some((1, 0)));
    }

    #[test]
    fn a_flood_from_everywhere_costs_a_few_lines_and_each_of_its_acts_is_counted() {
        let mut pace = Pace::new(BUDGET);
        let (mut lines, mut told) = (0, 0);
        let mut take = |line: Option<AuditLine>| {
            lines += u64::from(line.is_some());
            told += line.map_or(0, |line| line.times + line.others);
        };
        let flood = 100_000u32;
        for n in 0..flood {
            take(pace.admit(at(10 + u64::from(n) / 100), act(n), 1));
        }
        assert!(pace.noted.len() <= AUDIT_PACED_ACTS_MAX);
        let mut now = at(10 + u64::from(flood) / 100);
        for _ in 0..2 * AUDIT_BURST_MAX {
            now = now.after(INTERVAL);
            take(pace.due(now, || act(0)));
        }
        // A thousand seconds at one a minute, the burst before them, and what was left.
        assert!(lines <= u64::from(AUDIT_BURST_MAX) + 1_000 / 60 + 2, "{lines} lines");
        assert_eq!(told, u64::from(flood));
    }

    #[test]
    fn without_a_time_for_repeats_each_act_is_a_line_until_the_budget_is_used_up() {
        let mut pace = Pace::new(Budget { burst: 3, repeat: Duration::ZERO, ..BUDGET });
        for _ in 0..3 {
            assert_eq!(counts(pace.admit(at(10), act(1), 1)), Some((1, 0)));
        }
        assert_eq!(counts(pace.admit(at(11), act(2), 1)), None);
        assert_eq!(counts(pace.admit(at(12), act(1), 1)), None);
        assert!(!pace.is_at_rest(at(12)));
        assert_eq!(counts(pace.due(at(12), || act(0))), None, "not before its time");
        assert_eq!(counts(pace.due(at(72), || act(0))), Some((1, 1)));
        assert!(!pace.is_at_rest(at(72)) && pace.is_at_rest(at(400)));
    }

    #[test]
    fn the_same_act_without_end_is_one_line_in_so_long() {
        let mut pace = Pace::new(BUDGET);
        let lines: Vec<_> =
            (0..7_200).filter_map(|n| counts(pace.admit(at(10 + n), act(1), 1))).collect();
        let each = AUDIT_REPEAT_TIME.as_secs();
        assert_eq!(lines.len() as u64, 7_200u64.div_ceil(each));
        assert_eq!(lines[1], (each, 0));
    }
}
