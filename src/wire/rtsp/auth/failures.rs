//! How many wrong passwords came from which address, and who must wait because of them.
//!
//! Owns: the ledger, which is bounded and can be written down over a restart. A failure is a
//! debt of time that runs off by itself: up to a few at once cost nothing, then one try is let
//! through as often as one debt runs off.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::limits::{
    AUTH_ADDRESSES_MAX, AUTH_FAILURE_ALL_TIME, AUTH_FAILURE_TIME, AUTH_FAILURES_ALL_MAX,
    AUTH_FAILURES_MAX,
};
use crate::base::network::network_of;
use crate::base::time::{BootTime, WallTime};

/// The ledger of wrong passwords.
#[derive(Debug, Default)]
pub struct Failures {
    sources: HashMap<IpAddr, Source>,
    all: Debt,
    /// Wrong passwords since the start.
    count: u64,
    /// Tries that were not even checked, since the start.
    refused: u64,
    /// Where the last of either came from.
    last: Option<IpAddr>,
    /// Changes of what is written down.
    changes: u64,
}

/// What is known of one address, or of one /64 network of IPv6, which one household has.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    debt: Debt,
    /// It has shown a right password: then the failures of others do not lock it out.
    good: bool,
}

/// A debt of time: paid at this instant.
#[derive(Clone, Copy, Debug, Default)]
struct Debt(BootTime);

impl Debt {
    fn add(&mut self, now: BootTime, by: Duration) {
        self.0 = self.0.max(now).after(by);
    }

    /// How long until a further try, if up to `most` debts of `each` are free.
    fn wait(self, now: BootTime, each: Duration, most: u32) -> Option<Duration> {
        let over = self.0.since(now).saturating_sub(each * (most - 1));
        (!over.is_zero()).then_some(over)
    }
}

/// The ledger as stored.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedFailures {
    /// When, by this machine's date then: what runs off while it is off is not counted if the
    /// date went back.
    at_unix_ms: i64,
    all_ms: u64,
    sources: Vec<SavedSource>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SavedSource {
    address: IpAddr,
    debt_ms: u64,
    good: bool,
}

impl Failures {
    /// How long `peer` has to wait before a password of its is checked; `None`: not at all.
    pub fn wait(&mut self, now: BootTime, peer: IpAddr) -> Option<Duration> {
        let source = self.sources.get(&network_of(peer)).copied().unwrap_or_default();
        let own = source.debt.wait(now, AUTH_FAILURE_TIME, AUTH_FAILURES_MAX);
        let all = || self.all.wait(now, AUTH_FAILURE_ALL_TIME, AUTH_FAILURES_ALL_MAX);
        let wait = own.or_else(|| if source.good { None } else { all() });
        if wait.is_some() {
            self.refused += 1;
            self.last = Some(peer);
        }
        wait
    }

    /// A wrong password came from `peer`.
    pub fn failed(&mut self, now: BootTime, peer: IpAddr) {
        self.count += 1;
        self.changes += 1;
        self.last = Some(peer);
        self.all.add(now, AUTH_FAILURE_ALL_TIME);
        self.source(now, peer).debt.add(now, AUTH_FAILURE_TIME);
    }

    /// A right password came from `peer`. Its debts stay: who knows one password may guess at
    /// others.
    pub fn succeeded(&mut self, now: BootTime, peer: IpAddr) {
        let known = std::mem::replace(&mut self.source(now, peer).good, true);
        self.changes += u64::from(!known);
    }

    /// Wrong passwords, and tries that were not checked, since the start.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.count, self.refused)
    }

    /// Where the last wrong password, or try that was not checked, came from.
    #[must_use]
    pub fn last(&self) -> Option<IpAddr> {
        self.last
    }

    /// How often changed what [`Self::ledger`] tells, except by time.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The record of `peer`; a full ledger forgets the address closest to being forgiven that was
    /// never right.
    fn source(&mut self, now: BootTime, peer: IpAddr) -> &mut Source {
        let key = network_of(peer);
        if self.sources.len() >= AUTH_ADDRESSES_MAX && !self.sources.contains_key(&key) {
            let rank = |source: &Source| (source.good, source.debt.0.since(now));
            let least = self.sources.iter().min_by_key(|(_, source)| rank(source));
            if let Some(least) = least.map(|(address, _)| *address) {
                self.sources.remove(&least);
            }
        }
        self.sources.entry(key).or_default()
    }

    /// The ledger to be written down; debts that are paid are left out.
    #[must_use]
    pub fn saved(&self, now: BootTime, wall: WallTime) -> SavedFailures {
        let millis = |debt: Debt| u64::try_from(debt.0.since(now).as_millis()).unwrap_or(u64::MAX);
        let mut sources: Vec<_> = self
            .sources
            .iter()
            .map(|(&address, source)| SavedSource {
                address,
                debt_ms: millis(source.debt),
                good: source.good,
            })
            .filter(|source| source.good || source.debt_ms > 0)
            .collect();
        sources.sort_by_key(|source| source.address);
        SavedFailures { at_unix_ms: wall.as_unix_millis(), all_ms: millis(self.all), sources }
    }

    /// Takes over what a former life wrote down.
    pub fn restore(&mut self, now: BootTime, wall: WallTime, ledger: &SavedFailures) {
        let off = wall.as_unix_millis().saturating_sub(ledger.at_unix_ms);
        let off = u64::try_from(off).unwrap_or(0);
        // A file edited by hand locks no one out for ever.
        let debt = |millis: u64, each: Duration, most: u32| {
            let debt = Duration::from_millis(millis.saturating_sub(off));
            Debt(now.after(debt.min(each * most)))
        };
        self.all = debt(ledger.all_ms, AUTH_FAILURE_ALL_TIME, AUTH_FAILURES_ALL_MAX);
        for source in ledger.sources.iter().take(AUTH_ADDRESSES_MAX) {
            let debt = debt(source.debt_ms, AUTH_FAILURE_TIME, AUTH_FAILURES_MAX);
            let record = Source { debt, good: source.good };
            self.sources.insert(network_of(source.address), record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const WALL: WallTime = WallTime::from_unix_nanos(1_795_363_523_000_000_000);

    fn peer(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    fn at(secs: u64) -> BootTime {
        BootTime::from_millis(secs * 1_000)
    }

    #[test]
    fn a_few_failures_are_free_and_then_one_try_comes_back_at_a_time() {
        let mut failures = Failures::default();
        for _ in 0..AUTH_FAILURES_MAX {
            assert_eq!(failures.wait(at(100), peer(1)), None);
            failures.failed(at(100), peer(1));
        }
        assert_eq!(failures.wait(at(100), peer(1)), Some(AUTH_FAILURE_TIME));
        assert_eq!(failures.wait(at(100), peer(2)), None, "another address");
        let later = at(100).after(AUTH_FAILURE_TIME);
        assert_eq!(failures.wait(later, peer(1)), None);
        failures.failed(later, peer(1));
        assert_eq!(failures.wait(later, peer(1)), Some(AUTH_FAILURE_TIME));
        let all = later.after(AUTH_FAILURE_TIME * AUTH_FAILURES_MAX);
        assert_eq!(failures.saved(all, WALL).sources, []);
        assert_eq!(failures.counts(), (u64::from(AUTH_FAILURES_MAX) + 1, 2));
    }

    #[test]
    fn many_addresses_together_meet_the_cap_but_known_ones_pass() {
        let mut failures = Failures::default();
        failures.succeeded(at(1), peer(1));
        for n in 0..AUTH_FAILURES_ALL_MAX {
            failures.failed(at(1), peer(100 + n));
        }
        assert_eq!(failures.wait(at(1), peer(2)), Some(AUTH_FAILURE_ALL_TIME));
        assert_eq!(failures.wait(at(1), peer(1)), None);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let mut failures = Failures::default();
        let v6 = |low| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, low));
        for low in 0..u16::try_from(AUTH_FAILURES_MAX).unwrap() {
            failures.failed(at(1), v6(low));
        }
        assert!(failures.wait(at(1), v6(500)).is_some());
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(network_of(mapped), peer(1));
    }

    #[test]
    fn the_ledger_is_bounded_and_keeps_who_owes_most() {
        let mut failures = Failures::default();
        for _ in 0..AUTH_FAILURES_MAX {
            failures.failed(at(1), peer(1));
        }
        failures.succeeded(at(1), peer(2));
        for n in 0..2 * u32::try_from(AUTH_ADDRESSES_MAX).unwrap() {
            failures.failed(at(2), peer(100 + n));
        }
        assert_eq!(failures.sources.len(), AUTH_ADDRESSES_MAX);
        assert!(failures.sources[&peer(2)].good);
        let own = failures.sources[&peer(1)].debt;
        assert!(own.wait(at(2), AUTH_FAILURE_TIME, AUTH_FAILURES_MAX).is_some());
    }

    #[test]
    fn debts_outlive_a_restart_and_run_off_meanwhile() {
        let mut before = Failures::default();
        for _ in 0..AUTH_FAILURES_MAX {
            before.failed(at(1_000), peer(1));
        }
        let text = serde_json::to_string(&before.saved(at(1_000), WALL)).unwrap();
        let ledger: SavedFailures = serde_json::from_str(&text).unwrap();
        let wait_after = |wall: WallTime| {
            let mut after = Failures::default();
            after.restore(at(5), wall, &ledger);
            after.wait(at(5), peer(1))
        };
        assert_eq!(wait_after(WALL), Some(AUTH_FAILURE_TIME));
        let off = i64::try_from(AUTH_FAILURE_TIME.as_nanos()).unwrap();
        assert_eq!(wait_after(WALL.offset_nanos(off / 2)), Some(AUTH_FAILURE_TIME / 2));
        assert_eq!(wait_after(WALL.offset_nanos(off)), None);
        assert_eq!(wait_after(WALL.offset_nanos(-off)), Some(AUTH_FAILURE_TIME), "date went back");
    }
}
