//! The entries, what is kept of them, and what a start makes of the end before it.
//!
//! Owns: the form of the log. No files, no clocks: the moment comes in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::park::{ParkedRecording, Reboot};
use crate::base::limits::{RECOVERY_ENTRIES_MAX, RECOVERY_TEXT_BYTES_MAX};
use crate::base::time::WallTime;

/// Deaths within [`DEATHS_WINDOW`] after which systemd boots the board anew; as
/// `StartLimitBurst=` of `systemd/holdfast.service`.
const DEATHS_MAX: usize = 5;
/// As `StartLimitIntervalSec=` of `systemd/holdfast.service`.
const DEATHS_WINDOW: Duration = Duration::from_secs(600);

/// The name under which the whole process is listed.
pub(super) const DAEMON: &str = "daemon";
/// The name under which the machine is listed.
pub(super) const BOARD: &str = "board";
/// Why the fifth rung was needed, if the hardware reports it.
const WATCHDOG: &str = "the board's watchdog reset it: its kernel or PID 1 hung";
/// The same where it does not.
const UNEXPLAINED: &str = "power was lost or the board was reset; the hardware does not say which";
/// Why the fourth rung was needed.
pub(super) const FIVE_DEATHS: &str = "five deaths of the daemon within ten minutes";

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// One part was started again.
    PartRestart,
    /// A camera on USB was taken off its bus and put back.
    InputReset,
    /// The USB ports of the board were without power for some seconds.
    PortPower,
    /// The daemon was started again.
    DaemonRestart,
    /// It was started with the last good configuration, because it kept dying with the one there.
    ConfigReverted,
    /// The board was booted again, because the daemon did not stay alive.
    Reboot,
    /// The board was reset while the daemon ran: its watchdog, or the power.
    BoardReset,
    /// A new image was not well in time and the one before it was booted.
    PreviousImage,
    /// Recording is off, because the board was booted again and again.
    Park,
}

impl Rung {
    /// Its number on the ladder.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::PartRestart => 0,
            Self::InputReset => 1,
            Self::PortPower => 2,
            Self::DaemonRestart | Self::ConfigReverted => 3,
            Self::Reboot => 4,
            Self::BoardReset => 5,
            Self::PreviousImage => 6,
            Self::Park => 7,
        }
    }
}

/// Something that the box did to heal itself, and how often in a row for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RecoveryEntry {
    /// The rung that was needed.
    #[serde(rename = "action")]
    pub rung: Rung,
    /// Of what: a task such as `gate/source`, the daemon, the board.
    pub part: String,
    /// Why.
    pub what: String,
    /// How often.
    pub times: u64,
    /// When first, RFC 3339, by the machine's clock of that time.
    pub first: String,
    /// When last.
    pub last: String,
    /// In which boot, 32 hexadecimal digits.
    pub boot: String,
}

impl RecoveryEntry {
    /// Something that happened once, now.
    pub(super) fn new(rung: Rung, part: &str, what: &str, boot: &str, now: WallTime) -> Self {
        let what = match what.char_indices().nth(RECOVERY_TEXT_BYTES_MAX / 4) {
            Some((end, _)) => &what[..end],
            None => what,
        };
        let now = now.to_rfc3339();
        Self {
            rung,
            part: part.to_owned(),
            what: what.to_owned(),
            times: 1,
            first: now.clone(),
            last: now,
            boot: boot.to_owned(),
        }
    }

    fn repeats(&self, other: &Self) -> bool {
        (self.rung, &self.part, &self.what, &self.boot)
            == (other.rung, &other.part, &other.what, &other.boot)
    }
}

/// A run of the daemon that has no recorded end yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) struct DaemonLife {
    pub(super) boot: String,
    pub(super) since: String,
    /// How often the kernel had killed for want of memory in this boot when it began.
    #[serde(default)]
    pub(super) oom_kills: u64,
}

/// What the hardware says of the reset before this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    /// Its watchdog did it.
    Watchdog,
    /// It does not say.
    Unknown,
}

/// The log as stored in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) struct Book {
    /// Oldest first.
    pub(super) entries: Vec<RecoveryEntry>,
    /// Still present at the next start: the run ended without being asked to.
    pub(super) life: Option<DaemonLife>,
    /// Reboots since a boot that lasted, see [`super::park`]; oldest first.
    #[serde(default)]
    pub(super) reboots: Vec<Reboot>,
    /// Recording is off.
    #[serde(default)]
    pub(super) parked: Option<ParkedRecording>,
}

impl Book {
    /// Adds an entry, as a repetition where it is one; says whether the file shall hear of it:
    /// the 3rd, 5th, 6th… restart of a part for the same reason does not wear the medium.
    pub(super) fn add(&mut self, entry: RecoveryEntry) -> bool {
        let part_only = entry.rung == Rung::PartRestart;
        let same_part =
            |known: &&mut RecoveryEntry| known.rung == entry.rung && known.part == entry.part;
        let newest = self.entries.iter_mut().rev().find(same_part);
        if let Some(known) = newest.filter(|known| part_only && known.repeats(&entry)) {
            known.times += 1;
            known.last = entry.last;
            return known.times.is_power_of_two();
        }
        self.entries.push(entry);
        if self.entries.len() > RECOVERY_ENTRIES_MAX {
            // What a flapping camera leaves must not push out the day the board was reset.
            let small = self.entries.iter().position(|entry| entry.rung == Rung::PartRestart);
            self.entries.remove(small.unwrap_or(0));
        }
        true
    }

    /// How the run before this one ended, if the end was unintended and is not noted yet. `reset`
    /// is the hardware's account of this boot.
    pub(super) fn previous_end(
        &self,
        boot: &str,
        now: WallTime,
        reset: Reset,
    ) -> Option<RecoveryEntry> {
        let life = self.life.as_ref()?;
        if life.boot == boot {
            let since = WallTime::parse_rfc3339(&life.since)?;
            let noted = self.deaths(boot).any(|at| at >= since);
            return (!noted).then(|| {
                RecoveryEntry::new(
                    Rung::DaemonRestart,
                    DAEMON,
                    "ended without being asked to",
                    boot,
                    now,
                )
            });
        }
        let (rung, what) = if self.died_too_often(&life.boot) {
            (Rung::Reboot, FIVE_DEATHS)
        } else if reset == Reset::Watchdog {
            (Rung::BoardReset, WATCHDOG)
        } else {
            (Rung::BoardReset, UNEXPLAINED)
        };
        Some(RecoveryEntry::new(rung, BOARD, what, boot, now))
    }

    /// Whether the kernel has killed for want of memory during this life, of which it had done so
    /// `oom_kills` times by now.
    pub(super) fn ran_out_of_memory(&self, boot: &str, oom_kills: u64) -> bool {
        self.life.as_ref().is_some_and(|life| life.boot == boot && life.oom_kills < oom_kills)
    }

    /// The watchdog turns out to have reset the board before `boot`: its driver was loaded after the
    /// daemon began. Says whether that is news.
    pub(super) fn explain_reset(&mut self, boot: &str) -> bool {
        let unexplained =
            |entry: &&mut RecoveryEntry| entry.what == UNEXPLAINED && entry.boot == boot;
        let Some(entry) = self.entries.iter_mut().rev().find(unexplained) else { return false };
        WATCHDOG.clone_into(&mut entry.what);
        self.own_last_reboot();
        true
    }

    /// How often the daemon died in `boot` within the window before `now`.
    pub(super) fn recent_deaths(&self, boot: &str, now: WallTime) -> usize {
        let recent = |at: &WallTime| {
            let age = now.as_unix_nanos().saturating_sub(at.as_unix_nanos());
            u64::try_from(age).is_ok_and(|age| Duration::from_nanos(age) <= DEATHS_WINDOW)
        };
        self.deaths(boot).filter(recent).count()
    }

    fn deaths(&self, boot: &str) -> impl Iterator<Item = WallTime> {
        // Its cause is filed under the part that hung, and is not a second death.
        let of_boot = move |entry: &&RecoveryEntry| {
            entry.rung == Rung::DaemonRestart && entry.part == DAEMON && entry.boot == boot
        };
        self.entries.iter().filter(of_boot).filter_map(|entry| WallTime::parse_rfc3339(&entry.last))
    }

    fn died_too_often(&self, boot: &str) -> bool {
        let deaths: Vec<_> = self.deaths(boot).collect();
        let (Some(last), true) = (deaths.last(), deaths.len() >= DEATHS_MAX) else { return false };
        let first = deaths[deaths.len() - DEATHS_MAX];
        let span = last.as_unix_nanos().saturating_sub(first.as_unix_nanos());
        u64::try_from(span).is_ok_and(|span| Duration::from_nanos(span) <= DEATHS_WINDOW)
    }
}
