//! Whether a stream that should be recorded is: judged by what is on the medium, not by intent.
//!
//! Owns: the reason for people, and when it becomes a failure. The recorder's task tells what it
//! sees of the pictures; the DVR says what has become durable.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::base::limits::UNRECORDED_TIME_MAX;
use crate::base::time::BootTime;
use crate::dvr::{RecordingState, StreamStatus};
use crate::stream::{Stream, StreamState};

/// A unit is on the medium by then, unless something is wrong.
const DURABLE_TIME_MAX: Duration = Duration::from_secs(3);

/// What the recorder's task sees.
#[derive(Debug, Default)]
pub(super) struct RecordingHealth {
    /// Since when the stream is live, in nanoseconds since boot; 0 while it is not.
    live_since_nanos: AtomicU64,
    /// Pictures are skipped, because none of them is a key frame.
    keyless: AtomicBool,
}

impl RecordingHealth {
    /// The stream became live at `now`, or is not.
    pub(super) fn live(&self, now: Option<BootTime>) {
        self.live_since_nanos.store(now.map_or(0, BootTime::as_nanos), Relaxed);
    }

    /// Whether pictures are skipped for want of a key frame.
    pub(super) fn keyless(&self, keyless: bool) {
        self.keyless.store(keyless, Relaxed);
    }

    /// What of `status` follows from the state of `stream` at `now`.
    pub(super) fn judge(
        &self,
        status: StreamStatus,
        stream: &Stream,
        now: BootTime,
    ) -> StreamStatus {
        if status.state != RecordingState::Waiting {
            return status;
        }
        let since = self.live_since_nanos.load(Relaxed);
        let live_for = (since > 0).then(|| now.since(BootTime::from_nanos(since)));
        let state = stream.state().0;
        let overdue =
            state == StreamState::Live && live_for.is_some_and(|age| age > UNRECORDED_TIME_MAX);
        // What came last is on its way to the disk for a moment; behind that nothing is missing.
        let silent = stream.newest_arrival().is_none_or(|at| now.since(at) > DURABLE_TIME_MAX);
        let reason = match state {
            StreamState::Offline { reason } | StreamState::Waiting { reason } => {
                format!("No picture arrives: {reason}")
            }
            StreamState::Live if self.keyless.load(Relaxed) => {
                "Pictures arrive, but no key frame with which a recording can begin.".to_owned()
            }
            StreamState::Live if overdue && !silent => {
                let why = status.reason.unwrap_or_default();
                format!("Pictures arrive, but nothing of them reaches the disk. {why}")
            }
            StreamState::Live | StreamState::Starting => status.reason.unwrap_or_default(),
        };
        let failed = overdue && !silent;
        let state = if failed { RecordingState::Failed } else { status.state };
        StreamStatus { state, reason: Some(reason), ..status }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::name::StreamName;
    use crate::base::time::WallTime;

    const BEGUN: BootTime = BootTime::from_millis(1_000);

    fn waiting() -> StreamStatus {
        StreamStatus {
            state: RecordingState::Waiting,
            reason: Some("No picture arrives from this stream.".to_owned()),
            since: Some(WallTime::default()),
            durable_until: None,
            bytes: 0,
            lost: 0,
        }
    }

    /// The report `ms` after a stream became live whose newest picture arrived at `picture_ms`.
    fn said(keyless: bool, ms: u64, picture_ms: u64) -> (RecordingState, String) {
        let stream = Stream::new(StreamName::parse("gate").unwrap(), "test", WallTime::default());
        stream.set_state(StreamState::Live, WallTime::default());
        let picture =
            super::super::tests::arrived(BEGUN.after(std::time::Duration::from_millis(picture_ms)));
        stream.publish(Arc::unwrap_or_clone(picture));
        let sight = RecordingHealth::default();
        sight.live(Some(BEGUN));
        sight.keyless(keyless);
        let now = BEGUN.after(std::time::Duration::from_millis(ms));
        let judged = sight.judge(waiting(), &stream, now);
        (judged.state, judged.reason.unwrap())
    }

    #[test]
    fn pictures_without_a_key_frame_are_no_recording() {
        let (state, reason) = said(true, 2_000, 1_990);
        assert_eq!(state, RecordingState::Waiting, "the next key frame may come");
        assert!(reason.contains("no key frame"), "{reason}");
        let (state, reason) = said(true, 11_000, 10_990);
        assert_eq!(state, RecordingState::Failed);
        assert!(reason.contains("no key frame"), "{reason}");
    }

    #[test]
    fn pictures_of_which_nothing_becomes_durable_are_no_recording() {
        let (state, reason) = said(false, 11_000, 10_990);
        assert_eq!(state, RecordingState::Failed);
        assert!(reason.contains("nothing of them reaches the disk"), "{reason}");
    }

    #[test]
    fn a_silent_camera_is_no_fault_of_the_recording() {
        assert_eq!(said(false, 30_000, 1_000).0, RecordingState::Waiting);
        assert_eq!(said(false, 30_000, 24_000).0, RecordingState::Waiting, "for six seconds");
        let stream = Stream::new(StreamName::parse("gate").unwrap(), "test", WallTime::default());
        let reason = "connection refused".to_owned();
        stream.set_state(StreamState::Offline { reason }, WallTime::default());
        let judged =
            RecordingHealth::default().judge(waiting(), &stream, BootTime::from_millis(99_000));
        assert_eq!(judged.state, RecordingState::Waiting);
        assert_eq!(judged.reason.unwrap(), "No picture arrives: connection refused");
    }

    #[test]
    fn what_becomes_durable_is_believed() {
        let stream = Stream::new(StreamName::parse("gate").unwrap(), "test", WallTime::default());
        let status = StreamStatus { state: RecordingState::Recording, reason: None, ..waiting() };
        let judged = RecordingHealth::default().judge(status.clone(), &stream, BEGUN);
        assert_eq!(judged, status);
    }
}
