//! Is the box doing its work?
//!
//! Owns: the verdict. A silent camera is degraded; a recording that failed, or a vital task
//! that hangs, is failed.

use serde::Serialize;

use crate::access::ClaimStatus;
use crate::base::time::{Trust, WallTime};
use crate::board::{BoardDisk, MachineReport, Reserve};
use crate::dvr::{Dvr, RecordingState, RingState, StreamStatus};
use crate::live::recorder::Recorder;
use crate::serve::Services;
use crate::serve::http::settings::Access;
use crate::stream::{Encoding, Interrupted, StreamState};
use crate::supervise::{TaskReport, TaskState};

/// Life left of a disk below which its end is announced.
const LIFE_USED_PERCENT_SHOWN: u8 = 90;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    Degraded,
    Failed,
}

/// One thing that was checked.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) status: Status,
    message: String,
}

/// The whole answer.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct HealthReport {
    status: Status,
    time: WallTime,
    uptime_secs: f64,
    version: &'static str,
    checks: Vec<Check>,
    tasks: Vec<TaskReport>,
}

/// The answer for strangers.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct HealthWord {
    status: Status,
}

impl HealthReport {
    /// Looks at everything.
    pub(crate) fn new(context: &Services) -> Self {
        let tasks = context.supervisor.report();
        let mut checks = vec![
            storage(context),
            ring(&context.dvr),
            clock(context),
            board(&context.machine.report()),
            running(&tasks),
            access(context),
        ];
        checks.extend(context.keys_at_risk.as_deref().map(keys));
        checks.extend(park(context));
        checks.extend(reverted(context));
        checks.extend(unrecorded(context));
        checks.extend(streams(context));
        let status = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
        let uptime_ms = context.clock.boot().since(context.begun).as_millis();
        Self {
            status,
            time: context.clock.wall(),
            uptime_secs: f64::from(u32::try_from(uptime_ms / 100).unwrap_or(u32::MAX)) / 10.0,
            version: env!("CARGO_PKG_VERSION"),
            checks,
            tasks,
        }
    }

    /// The verdict alone.
    pub(crate) fn word(&self) -> HealthWord {
        HealthWord { status: self.status }
    }

    /// The verdict.
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// What is not as it should be.
    pub(crate) fn problems(&self) -> Vec<Check> {
        self.checks.iter().filter(|check| check.status != Status::Ok).cloned().collect()
    }

    /// Whether something that must never stop has stopped.
    pub(crate) fn has_failed(&self) -> bool {
        self.status == Status::Failed
    }
}

fn storage(context: &Services) -> Check {
    let streams = context.streams.all();
    let reports: Vec<StreamStatus> = streams
        .values()
        .filter_map(|outputs| outputs.recorder.as_ref().map(Recorder::status))
        .collect();
    let recording =
        reports.iter().filter(|report| report.state == RecordingState::Recording).count();
    let failed = reports.iter().find(|report| report.state == RecordingState::Failed);
    let (status, message) = match failed {
        Some(report) => {
            let reason = report.reason.as_deref().unwrap_or("the log has more");
            (Status::Failed, format!("A recording has failed: {reason}"))
        }
        None if reports.is_empty() => (Status::Ok, "No stream is configured to record.".to_owned()),
        None => (Status::Ok, format!("Recording {recording} of {} streams.", reports.len())),
    };
    Check { name: "storage".to_owned(), status, message }
}

/// Streams that should be recorded and of which nothing becomes durable: each with why, and since
/// when.
fn unrecorded(context: &Services) -> Vec<Check> {
    let streams = context.streams.all();
    let check = |(name, outputs): (&_, &std::sync::Arc<crate::live::StreamOutputs>)| {
        let report = outputs.recorder.as_ref()?.status();
        let status = match report.state {
            RecordingState::Recording => return None,
            // Push source: idle is normal.
            RecordingState::Waiting
                if matches!(outputs.stream.state().0, StreamState::Waiting { .. }) =>
            {
                return None;
            }
            RecordingState::Waiting => Status::Degraded,
            RecordingState::Failed => Status::Failed,
        };
        let since = report.since.map_or_else(String::new, WallTime::to_rfc3339);
        let why = report.reason.unwrap_or_default();
        let message = format!("Nothing is recorded since {since}. {why}");
        Some(Check { name: format!("recording/{name}"), status, message })
    };
    streams.iter().filter_map(check).collect()
}

/// The ring itself: also when there is nothing to record, so that a disk that went away is reported
/// before it is missed.
fn ring(dvr: &Dvr) -> Check {
    let storage = &dvr.status();
    let (status, message) = match (&storage.ring, &storage.short, &storage.journal) {
        (RingState::Failed { reason }, ..) => (Status::Failed, reason.clone()),
        (RingState::Opening, ..) => (Status::Degraded, "The ring is being opened.".to_owned()),
        (_, Some(why), _) => {
            (Status::Degraded, format!("The ring has less space than configured. {why}"))
        }
        (_, _, Some(why)) => (
            Status::Degraded,
            format!("Marks, protected ranges and reasons of gaps cannot be written. {why}"),
        ),
        _ if let Some(first) = storage.damage.first() => (
            Status::Degraded,
            match storage.damage.len() {
                1 => first.clone(),
                all => format!("{first} /api/v1/storage lists all {all} places with damage."),
            },
        ),
        _ if storage.bad_slots > 0 => (
            Status::Degraded,
            format!("{} slots of the ring cannot be used; is the disk failing?", storage.bad_slots),
        ),
        _ if let Some(proposal) = dvr.shrink_proposal() => (Status::Degraded, proposal.message),
        _ if storage.indexed_slots < storage.held_slots => {
            let (known, held) = (storage.indexed_slots, storage.held_slots);
            (Status::Ok, format!("Reading the ring after a start: {known} of {held} slots."))
        }
        _ => (Status::Ok, "Storage is accepting recordings.".to_owned()),
    };
    Check { name: "ring".to_owned(), status, message }
}

/// The date: footage is placed by it, and age limits wait until it can be trusted.
fn clock(context: &Services) -> Check {
    let trust = context.clock.quality().trust;
    let (status, message) = match trust {
        Trust::Ntp => (Status::Ok, "The clock is set by a time server."),
        Trust::Rtc => (Status::Ok, "The clock is set by the battery clock."),
        Trust::None => (
            Status::Ok,
            "Clock not confirmed by a time server yet. Recordings will be re-dated once it is.",
        ),
    };
    Check { name: "clock".to_owned(), status, message: message.to_owned() }
}

/// The board: what its heat, its supply and the age of its disk do to the recording.
fn board(report: &MachineReport) -> Check {
    let power = &report.power;
    let worn = report.disk.as_ref().is_some_and(is_worn);
    let (status, message) = if power.under_voltage == Some(true) {
        (Status::Degraded, "The supply voltage is too low. Use a stronger power supply.")
    } else if power.throttled == Some(true) {
        (Status::Degraded, "The board is hot and has slowed down. Improve its cooling.")
    } else if worn {
        (Status::Degraded, "The disk is nearly worn out. Replace it soon.")
    } else if power.under_voltage_since_boot == Some(true) {
        (Status::Ok, "The supply voltage was too low at times since boot.")
    } else if power.throttled_since_boot == Some(true) {
        (Status::Ok, "The board was too hot at times since boot.")
    } else {
        (Status::Ok, "No board faults.")
    };
    Check { name: "board".to_owned(), status, message: message.to_owned() }
}

fn is_worn(disk: &BoardDisk) -> bool {
    let used_up = disk.life_used_percent.is_some_and(|used| used >= LIFE_USED_PERCENT_SHOWN);
    used_up || disk.reserve == Some(Reserve::Urgent)
}

/// Whom the box lets in.
fn access(context: &Services) -> Check {
    let (status, message) = match (context.http.now().access, context.access.claim_status()) {
        (Access::OpenOnLoopback, _) => {
            (Status::Ok, "Open to this computer only (claim = \"loopback\").")
        }
        (Access::Accounts, ClaimStatus::Claimed) => (Status::Ok, "Claimed: people sign in."),
        (Access::Accounts, ClaimStatus::Unclaimed | ClaimStatus::Locked(_)) => (
            Status::Ok,
            "Not claimed yet: no one is let in. `holdfast claim-code` prints the code.",
        ),
        (Access::Accounts, ClaimStatus::Damaged) => (
            Status::Degraded,
            "The accounts cannot be read, so no one is let in. `holdfast account reset` starts over.",
        ),
    };
    Check { name: "access".to_owned(), status, message: message.to_owned() }
}

/// That whoever takes the disk with the recordings has the keys too.
fn keys(at: &std::path::Path) -> Check {
    let message = keys_at_risk(at);
    Check { name: "keys".to_owned(), status: Status::Ok, message }
}

/// The same in words, with what to do.
pub(crate) fn keys_at_risk(at: &std::path::Path) -> String {
    format!(
        "Accounts, keys and passwords of cameras are in {}, on the disk with the recordings. If that \
         disk can be taken out, stop Holdfast, move the directory to the disk of the system, and name it \
         as `state_dir`.",
        at.display()
    )
}

/// Whether recording is off because the board was booted again and again.
fn park(context: &Services) -> Option<Check> {
    let parked = context.supervisor.recovery()?.parked().borrow().clone()?;
    let message = format!(
        "Recording is off until {}: {}. `holdfast recovery resume` ends it now.",
        parked.until, parked.what
    );
    Some(Check { name: "recovery".to_owned(), status: Status::Failed, message })
}

/// Whether another configuration runs than the one on disk.
fn reverted(context: &Services) -> Option<Check> {
    let message = context.supervisor.recovery()?.reverted()?;
    Some(Check { name: "config".to_owned(), status: Status::Degraded, message })
}

fn running(tasks: &[TaskReport]) -> Check {
    let hanging: Vec<&str> =
        tasks.iter().filter(|task| !task.beating).map(|task| task.name.as_str()).collect();
    let waiting: Vec<&str> = tasks
        .iter()
        .filter(|task| task.state == TaskState::Waiting)
        .map(|task| task.name.as_str())
        .collect();
    let (status, message) = if !hanging.is_empty() {
        (Status::Failed, format!("Not responding: {}.", hanging.join(", ")))
    } else if !waiting.is_empty() {
        (Status::Degraded, format!("Waiting to restart: {}.", waiting.join(", ")))
    } else {
        (Status::Ok, format!("{} tasks are running.", tasks.len()))
    };
    Check { name: "tasks".to_owned(), status, message }
}

/// A stream that is there: whether it stays, and whether all of it or as much as there is time for.
fn live(encoding: Option<&Encoding>, interrupted: Option<Interrupted>) -> (Status, String) {
    if let Some(Interrupted { times, within_secs, cause }) = interrupted {
        let minutes = within_secs / 60;
        let message = format!("Live, but broken off {times} times in {minutes} minutes. {cause}");
        return (Status::Degraded, message);
    }
    let mut message = "Live.".to_owned();
    let Some(encoding) = encoding else { return (Status::Ok, message) };
    if encoding.one_in > 1 {
        message = format!(
            "Live, but only one picture in {} is encoded: this machine cannot keep up. Choose a smaller picture or a lower frame rate.",
            encoding.one_in
        );
    }
    if let Some(why) = &encoding.instead {
        message = format!("{message} The board's encoder is not used: {why}.");
    }
    let is_whole = encoding.one_in <= 1 && encoding.instead.is_none();
    (if is_whole { Status::Ok } else { Status::Degraded }, message)
}

fn streams(context: &Services) -> Vec<Check> {
    let streams = context.streams.all();
    let check = |(name, outputs): (&_, &std::sync::Arc<crate::live::StreamOutputs>)| {
        let (status, message) = match outputs.stream.state().0 {
            StreamState::Live => live(
                outputs.stream.encoding().as_deref(),
                outputs.stream.interrupted(context.clock.boot()),
            ),
            StreamState::Starting => {
                (Status::Degraded, "Waiting for the first picture.".to_owned())
            }
            StreamState::Waiting { reason } => (Status::Ok, reason),
            StreamState::Offline { reason } => (Status::Degraded, format!("Offline: {reason}")),
        };
        Check { name: format!("stream/{name}"), status, message }
    };
    streams.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Power;

    fn told(power: Power) -> (Status, String) {
        let check = board(&MachineReport { power, ..MachineReport::default() });
        (check.status, check.message)
    }

    #[test]
    fn heat_and_a_weak_supply_are_shown() {
        let (status, message) = told(Power::default());
        assert_eq!((status, message.as_str()), (Status::Ok, "No board faults."));
        let (status, message) = told(Power { throttled: Some(true), ..Power::default() });
        assert!(status == Status::Degraded && message.contains("hot"), "{message}");
        let weak = Power { under_voltage: Some(true), throttled: Some(true), ..Power::default() };
        let (status, message) = told(weak);
        assert!(status == Status::Degraded && message.contains("voltage"), "{message}");
        let over = Power { under_voltage_since_boot: Some(true), ..Power::default() };
        let (status, message) = told(Power { under_voltage: Some(false), ..over });
        assert!(status == Status::Ok && message.contains("at times"), "{message}");
    }
}
