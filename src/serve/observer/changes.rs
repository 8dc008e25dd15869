//! What differs between two looks at the box.
//!
//! Owns: which difference is an event. A stream that went and came back between two looks yields
//! both events, dated by the time of its present state.

use std::collections::BTreeMap;

use serde_json::json;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::RecordingState;
use crate::event::{Audience, Kind, NewEvent, Severity};
use crate::live::recorder::Recorder;
use crate::playback::export_jobs::{JobState, JobView};
use crate::serve::Services;
use crate::serve::health::{Check, HealthReport, Status};
use crate::stream::StreamState;
use crate::supervise::recovery::{RecoveryEntry, RecoveryLog};

/// What the box looked like at one moment.
#[derive(Clone, Debug)]
pub(super) struct Look {
    streams: BTreeMap<StreamName, StreamLook>,
    jobs: BTreeMap<String, JobView>,
    recovery: Vec<RecoveryEntry>,
    status: Status,
    problems: Vec<Check>,
}

/// One stream.
#[derive(Clone, Debug, PartialEq)]
struct StreamLook {
    state: (StreamState, WallTime),
    recording: Option<(RecordingState, Option<String>)>,
}

impl Look {
    /// Looks at everything.
    pub(super) fn at(services: &Services) -> Self {
        let health = HealthReport::new(services);
        let jobs = services.export_jobs.list();
        let recovery = services.supervisor.recovery();
        Self {
            streams: streams(services),
            jobs: jobs.into_iter().map(|job| (job.id.clone(), job)).collect(),
            recovery: recovery.map(RecoveryLog::entries).unwrap_or_default(),
            status: health.status(),
            problems: health.problems(),
        }
    }

    /// The same, with a new look at the streams alone.
    pub(super) fn with_streams_of(&self, services: &Services) -> Self {
        Self { streams: streams(services), ..self.clone() }
    }

    /// What happened since `before`.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<NewEvent> {
        let mut events = stream_changes(&before.streams, &self.streams);
        events.extend(job_changes(&before.jobs, &self.jobs));
        events.extend(recovery_changes(&before.recovery, &self.recovery));
        events.extend(self.health_change(before));
        events
    }

    fn health_change(&self, before: &Self) -> Option<NewEvent> {
        let names = |look: &Self| -> Vec<_> {
            look.problems.iter().map(|check| (check.name.clone(), check.status)).collect()
        };
        if self.status == before.status && names(self) == names(before) {
            return None;
        }
        let severity = match self.status {
            Status::Ok => Severity::Info,
            Status::Degraded => Severity::Warn,
            Status::Failed => Severity::Alarm,
        };
        let data = json!({ "status": self.status, "problems": self.problems });
        Some(NewEvent::of_box(Kind::HEALTH_CHANGED, severity, data))
    }
}

fn streams(services: &Services) -> BTreeMap<StreamName, StreamLook> {
    let look = |recorder: &Recorder| {
        let status = recorder.standing();
        (status.state, status.reason)
    };
    let streams = services.streams.all();
    let each = streams.iter().map(|(name, outputs)| {
        let recording = outputs.recorder.as_ref().map(look);
        (name.clone(), StreamLook { state: outputs.stream.state(), recording })
    });
    each.collect()
}

fn stream_changes(
    before: &BTreeMap<StreamName, StreamLook>,
    now: &BTreeMap<StreamName, StreamLook>,
) -> Vec<NewEvent> {
    let live = |name, kind, severity, data| {
        NewEvent::of_stream(name, Audience::Live, kind, severity, data)
    };
    let removed = before.keys().filter(|name| !now.contains_key(*name));
    let mut events: Vec<_> =
        removed.map(|name| live(name, Kind::STREAM_REMOVED, Severity::Info, json!({}))).collect();
    for (name, look) in now {
        let old = before.get(name);
        if old.is_none() {
            events.push(live(name, Kind::STREAM_ADDED, Severity::Info, json!({})));
        }
        events.extend(state_change(name, old, look));
        let was = old.and_then(|old| old.recording.as_ref());
        events.extend(recording_change(name, was, look.recording.as_ref()));
    }
    events
}

fn state_change(
    name: &StreamName,
    old: Option<&StreamLook>,
    look: &StreamLook,
) -> Option<NewEvent> {
    let (state, since) = &look.state;
    if let Some(old) = old {
        let same = std::mem::discriminant(&old.state.0) == std::mem::discriminant(state);
        if same && old.state.1 == *since {
            return None;
        }
    }
    let (kind, severity) = match state {
        StreamState::Live => (Kind::STREAM_LIVE, Severity::Info),
        StreamState::Starting => (Kind::STREAM_STARTING, Severity::Info),
        StreamState::Waiting { .. } => (Kind::STREAM_WAITING, Severity::Info),
        StreamState::Offline { .. } => (Kind::STREAM_OFFLINE, Severity::Warn),
    };
    let data = json!({ "since": since, "reason": state.reason() });
    Some(NewEvent::of_stream(name, Audience::Live, kind, severity, data))
}

fn recording_change(
    name: &StreamName,
    was: Option<&(RecordingState, Option<String>)>,
    now: Option<&(RecordingState, Option<String>)>,
) -> Option<NewEvent> {
    let state = |told: Option<&(RecordingState, Option<String>)>| told.map(|(state, _)| *state);
    if state(was) == state(now) {
        return None;
    }
    let recorded = state(was) == Some(RecordingState::Recording);
    let (kind, severity) = match state(now) {
        Some(RecordingState::Recording) => (Kind::RECORDING_STARTED, Severity::Info),
        Some(RecordingState::Failed) => (Kind::RECORDING_STOPPED, Severity::Alarm),
        Some(RecordingState::Waiting) if recorded => (Kind::RECORDING_STOPPED, Severity::Warn),
        None if recorded => (Kind::RECORDING_STOPPED, Severity::Info),
        // It never began.
        Some(RecordingState::Waiting) | None => return None,
    };
    let reason = now.and_then(|(_, reason)| reason.clone());
    let data = json!({ "reason": reason });
    Some(NewEvent::of_stream(name, Audience::Past, kind, severity, data))
}

fn job_changes(
    before: &BTreeMap<String, JobView>,
    now: &BTreeMap<String, JobView>,
) -> Vec<NewEvent> {
    let ended = |job: &&JobView| {
        let news = before.get(&job.id).is_none_or(|old| old.state != job.state);
        news && matches!(job.state, JobState::Done | JobState::Failed)
    };
    let event = |job: &JobView| {
        let (kind, severity) = match job.state {
            JobState::Failed => (Kind::EXPORT_FAILED, Severity::Warn),
            _ => (Kind::EXPORT_FINISHED, Severity::Info),
        };
        let data = json!({ "id": job.id, "streams": job.streams, "reason": job.reason });
        // For callers who may see the recordings of all streams.
        NewEvent { audience: Audience::Past, ..NewEvent::of_box(kind, severity, data) }
    };
    now.values().filter(ended).map(event).collect()
}

/// Entries that are new, or that happened once more.
fn recovery_changes(before: &[RecoveryEntry], now: &[RecoveryEntry]) -> Vec<NewEvent> {
    let known = |entry: &&RecoveryEntry| !before.contains(entry);
    let event = |entry: &RecoveryEntry| {
        NewEvent::of_box(Kind::RECOVERY_ACTION, Severity::Warn, json!(entry))
    };
    now.iter().filter(known).map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(state: StreamState, since: i64, recording: Option<RecordingState>) -> StreamLook {
        let recording = recording.map(|state| (state, Some("why".to_owned())));
        StreamLook { state: (state, WallTime::from_unix_nanos(since)), recording }
    }

    fn gate(look: StreamLook) -> BTreeMap<StreamName, StreamLook> {
        [(StreamName::parse("gate").unwrap(), look)].into()
    }

    fn told(
        before: &BTreeMap<StreamName, StreamLook>,
        now: &BTreeMap<StreamName, StreamLook>,
    ) -> Vec<(String, Severity)> {
        let events = stream_changes(before, now).into_iter();
        events.map(|event| (event.kind.as_str().to_owned(), event.severity)).collect()
    }

    fn offline() -> StreamState {
        StreamState::Offline { reason: "It hung up.".to_owned() }
    }

    #[test]
    fn a_stream_that_changes_is_told_once() {
        use RecordingState::{Failed, Recording, Waiting};
        let none = BTreeMap::new();
        let starting = gate(look(StreamState::Starting, 1, Some(Waiting)));
        let live = gate(look(StreamState::Live, 2, Some(Recording)));
        let away = gate(look(offline(), 3, Some(Waiting)));
        let failed = gate(look(offline(), 3, Some(Failed)));
        let one = |kind: &str, severity| (kind.to_owned(), severity);
        let started =
            [one("stream.live", Severity::Info), one("recording.started", Severity::Info)];
        assert_eq!(told(&starting, &live), started);
        assert_eq!(told(&live, &live), []);
        let lost =
            [one("stream.offline", Severity::Warn), one("recording.stopped", Severity::Warn)];
        assert_eq!(told(&live, &away), lost);
        assert_eq!(told(&away, &failed), [one("recording.stopped", Severity::Alarm)]);
        assert_eq!(told(&failed, &none), [one("stream.removed", Severity::Info)]);
        let added = [one("stream.added", Severity::Info), one("stream.starting", Severity::Info)];
        assert_eq!(told(&none, &starting), added);
    }

    #[test]
    fn a_stream_that_was_away_between_two_looks_is_told() {
        let before = gate(look(StreamState::Live, 2, None));
        let after = gate(look(StreamState::Live, 9, None));
        assert_eq!(told(&before, &after).len(), 1);
        let another = StreamState::Offline { reason: "It is silent.".to_owned() };
        let (before, after) = (gate(look(offline(), 3, None)), gate(look(another, 3, None)));
        assert_eq!(told(&before, &after), [], "the same outage");
    }
}
