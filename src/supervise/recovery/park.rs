//! The last rung: a board that is booted again and again stops recording and stays up.
//!
//! Owns: which reboots count, when it parks, when that is over. Pure: the moment comes in.
//!
//! Reboots count within an hour and since the last boot that lasted an hour, so that a clock that
//! restarts at every boot does not park a box that is reset once a week. Those that the box did
//! itself (five deaths, its watchdog) count twice what an unexplained reset counts: most boards do
//! not tell a watchdog from the power, and power that flickers must not end the recording at once.
//! An image that is on trial is not parked: its boot loader goes back to the one before it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::book::{BOARD, Book, RecoveryEntry, Rung};
use crate::base::time::{BootTime, WallTime};

/// Reboots older than this do not count, and a boot that lasted so long begins the count anew.
pub(super) const COUNTED_FOR: Duration = Duration::from_secs(3_600);
/// How long a parked box stays so.
pub(super) const PARK_TIME: Duration = Duration::from_secs(3_600);
/// Weight at which the box parks: three reboots of its own, or six unexplained ones.
const WEIGHT_MAX: u32 = 6;
/// Reboots kept: as many as can be needed to reach the weight.
const REBOOTS_MAX: usize = 6;

/// A reboot that the box may have caused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) struct Reboot {
    /// When it was seen, RFC 3339.
    pub(super) at: String,
    /// The box did it itself, for all that is known.
    pub(super) own: bool,
}

/// Recording is off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ParkedRecording {
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when at the latest, RFC 3339.
    pub until: String,
    /// Why, for people.
    pub what: String,
    /// In which boot it began, and how old that was.
    pub(super) boot: String,
    pub(super) up_secs: u64,
}

impl ParkedRecording {
    /// How much longer at `now`, `up` after `boot` began: by whichever comes first, the date or
    /// the time that this boot spent parked.
    pub(super) fn remaining(&self, boot: &str, now: WallTime, up: BootTime) -> Duration {
        let begun_secs = if self.boot == boot { self.up_secs } else { 0 };
        let begun = BootTime::default().after(Duration::from_secs(begun_secs));
        let by_boot = PARK_TIME.saturating_sub(up.since(begun));
        let by_date = WallTime::parse_rfc3339(&self.until).map_or(Duration::ZERO, |until| {
            let left = until.as_unix_nanos().saturating_sub(now.as_unix_nanos());
            Duration::from_nanos(u64::try_from(left).unwrap_or(0))
        });
        by_boot.min(by_date)
    }
}

impl Book {
    /// Counts a reboot that is in the log.
    pub(super) fn count_reboot(&mut self, own: bool, now: WallTime) {
        self.reboots.push(Reboot { at: now.to_rfc3339(), own });
        let over = self.reboots.len().saturating_sub(REBOOTS_MAX);
        self.reboots.drain(..over);
    }

    /// The reboot that was counted last was the box's own.
    pub(super) fn own_last_reboot(&mut self) {
        if let Some(reboot) = self.reboots.last_mut() {
            reboot.own = true;
        }
    }

    /// Parks when there were too many reboots; says whether it did just now.
    pub(super) fn park_if_needed(&mut self, boot: &str, now: WallTime, up: BootTime) -> bool {
        let counts = |reboot: &Reboot| {
            let at = WallTime::parse_rfc3339(&reboot.at)?;
            let age = now.as_unix_nanos().saturating_sub(at.as_unix_nanos());
            // One that seems to come later was seen by a clock that has gone back since.
            let age = u64::try_from(age).map_or(Duration::ZERO, Duration::from_nanos);
            (age <= COUNTED_FOR).then_some(if reboot.own { 2 } else { 1 })
        };
        let weight: u32 = self.reboots.iter().filter_map(counts).sum();
        if self.parked.is_some() || weight < WEIGHT_MAX {
            return false;
        }
        let times = self.reboots.len();
        let what = format!("the board was booted again {times} times within an hour");
        self.add(RecoveryEntry::new(
            Rung::Park,
            BOARD,
            &format!("{what}; recording is off"),
            boot,
            now,
        ));
        let nanos = i64::try_from(PARK_TIME.as_nanos()).unwrap_or(i64::MAX);
        let until = now.offset_nanos(nanos).to_rfc3339();
        let up_secs = up.since(BootTime::default()).as_secs();
        let (boot, since) = (boot.to_owned(), now.to_rfc3339());
        self.parked = Some(ParkedRecording { since, until, what, boot, up_secs });
        true
    }

    /// Resumes recording; returns whether it was parked.
    pub(super) fn unpark(&mut self) -> bool {
        self.reboots.clear();
        self.parked.take().is_some()
    }

    /// A boot that has lasted long enough begins the count anew; says whether that is news.
    pub(super) fn settle(&mut self, up: BootTime) -> bool {
        let lasted = up.since(BootTime::default()) >= COUNTED_FOR && self.parked.is_none();
        let news = lasted && !self.reboots.is_empty();
        if news {
            self.reboots.clear();
        }
        news
    }
}
