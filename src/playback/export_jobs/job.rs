//! One export job: the request, its progress, and what of that outlives the process.
//!
//! Owns: the shapes. A job that runs is kept as one that waits: it begins again after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::JobError;
use crate::base::limits::{EXPORT_JOB_KEEP_TIME, EXPORT_JOB_NOTE_BYTES_MAX, STREAMS_MAX};
use crate::base::name::StreamName;
use crate::base::time::{Trust, WallTime};
use crate::dvr::Recording;

/// The range to export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportJobRequest {
    /// Of which streams.
    pub streams: Vec<StreamName>,
    /// From when.
    #[serde(with = "nanos")]
    pub start: WallTime,
    /// Until when.
    #[serde(with = "nanos")]
    pub end: WallTime,
    /// Its purpose, in the user's own words; it goes into the manifest.
    pub note: String,
}

impl ExportJobRequest {
    /// The request with each stream once, and an end that has come.
    pub(super) fn checked(mut self, now: WallTime) -> Result<Self, JobError> {
        let wrong = |text: &str| Err(JobError::Wrong(text.to_owned()));
        let asked = std::mem::take(&mut self.streams);
        for stream in asked {
            if !self.streams.contains(&stream) {
                self.streams.push(stream);
            }
        }
        self.end = self.end.min(now);
        if self.streams.is_empty() || self.streams.len() > STREAMS_MAX {
            return wrong(&format!("`streams` must name 1 to {STREAMS_MAX} streams."));
        }
        if self.end <= self.start {
            return wrong("`start` must be earlier than `end` and not in the future.");
        }
        if self.note.len() > EXPORT_JOB_NOTE_BYTES_MAX {
            return wrong(&format!("`note` may have at most {EXPORT_JOB_NOTE_BYTES_MAX} bytes."));
        }
        Ok(self)
    }
}

/// How a job does, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It is being written.
    Running,
    /// Its file is there.
    Done,
    /// It ended without a file.
    Failed,
}

/// What is kept of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) request: ExportJobRequest,
    #[serde(with = "nanos")]
    pub(super) made: WallTime,
    pub(super) state: JobState,
    /// Why it failed, for people.
    pub(super) reason: Option<String>,
    pub(super) expected_bytes: u64,
    /// Length of the archive.
    pub(super) bytes: Option<u64>,
    /// When it was done, or failed.
    #[serde(with = "nanos_or_none")]
    pub(super) finished: Option<WallTime>,
}

impl Kept {
    pub(super) fn new(
        id: String,
        request: ExportJobRequest,
        made: WallTime,
        expected_bytes: u64,
    ) -> Self {
        let (state, reason, bytes, finished) = (JobState::Queued, None, None, None);
        Self { id, request, made, state, reason, expected_bytes, bytes, finished }
    }

    /// When it leaves by itself.
    pub(super) fn expires(&self) -> Option<WallTime> {
        let after = i64::try_from(EXPORT_JOB_KEEP_TIME.as_nanos()).unwrap_or(i64::MAX);
        self.finished.map(|finished| finished.offset_nanos(after))
    }

    /// Whether it has expired. An untrusted date expires nothing.
    pub(super) fn has_expired(&self, now: WallTime, trust: Trust) -> bool {
        trust > Trust::None && self.expires().is_some_and(|at| at <= now)
    }
}

/// How far a job is, as its thread tells it, and whether it is to end.
#[derive(Debug, Default)]
pub(super) struct Progress {
    written_bytes: AtomicU64,
    /// How many it will be; 0 before that is known for sure.
    planned_bytes: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Progress {
    /// So many bytes of footage it will be.
    pub(super) fn plan(&self, bytes: u64) {
        self.planned_bytes.store(bytes, Relaxed);
    }

    /// So many bytes of footage are written. A stream that is restarted does not go back.
    pub(super) fn reach(&self, bytes: u64) {
        self.written_bytes.fetch_max(bytes, Relaxed);
    }

    /// Bytes of footage planned and not written yet.
    pub(super) fn left_bytes(&self) -> u64 {
        self.planned_bytes.load(Relaxed).saturating_sub(self.written_bytes.load(Relaxed))
    }

    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Relaxed)
    }
}

/// A job in the list.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) kept: Kept,
    pub(super) progress: Arc<Progress>,
}

impl Job {
    pub(super) fn new(kept: Kept) -> Self {
        Self { kept, progress: Arc::default() }
    }

    /// Bytes that it will still write, as far as known.
    pub(super) fn promised_bytes(&self) -> u64 {
        match self.kept.state {
            JobState::Queued => self.kept.expected_bytes,
            JobState::Running => {
                let written = self.progress.written_bytes.load(Relaxed);
                self.expected_bytes().saturating_sub(written)
            }
            JobState::Done | JobState::Failed => 0,
        }
    }

    fn expected_bytes(&self) -> u64 {
        match self.progress.planned_bytes.load(Relaxed) {
            0 => self.kept.expected_bytes,
            bytes => bytes,
        }
    }

    pub(super) fn view(&self) -> JobView {
        let kept = &self.kept;
        let expected_bytes = self.expected_bytes();
        let written_bytes = self.progress.written_bytes.load(Relaxed);
        // Whole only when the file is there.
        let percent = match kept.state {
            JobState::Done => 100,
            _ => (written_bytes.saturating_mul(100) / expected_bytes.max(1)).min(99),
        };
        JobView {
            id: kept.id.clone(),
            state: kept.state,
            reason: kept.reason.clone(),
            percent,
            written_bytes,
            expected_bytes,
            bytes: kept.bytes,
            streams: kept.request.streams.clone(),
            start: kept.request.start,
            end: kept.request.end,
            note: kept.request.note.clone(),
            made: kept.made,
            finished: kept.finished,
            expires: kept.expires(),
            file: kept.bytes.map(|_| format!("/api/v1/exports/{}/file", kept.id)),
        }
    }
}

/// A job as published.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct JobView {
    /// Its name for programs.
    pub id: String,
    /// How it does.
    pub state: JobState,
    /// Why it failed, for people.
    pub reason: Option<String>,
    /// How much of it is done; grows, but restarts after a restart. 100 when the file is there.
    pub percent: u64,
    /// Bytes of footage written so far.
    pub written_bytes: u64,
    /// About how many it will be.
    pub expected_bytes: u64,
    /// Length of the file, once it is there.
    pub bytes: Option<u64>,
    /// Of which streams.
    pub streams: Vec<StreamName>,
    /// From when.
    pub start: WallTime,
    /// Until when.
    pub end: WallTime,
    /// Its purpose.
    pub note: String,
    /// When it was accepted.
    pub made: WallTime,
    /// When it was done, or failed.
    pub finished: Option<WallTime>,
    /// When it leaves by itself, if the clock is trusted then.
    pub expires: Option<WallTime>,
    /// Where its file is, once it is there.
    pub file: Option<String>,
}

/// About how many bytes of `run` lie between two dates.
pub(super) fn share(run: &Recording, start: WallTime, end: WallTime) -> u64 {
    let nanos = |from: WallTime, until: WallTime| {
        u128::from(until.as_unix_nanos().saturating_sub(from.as_unix_nanos()).max(0).unsigned_abs())
    };
    let whole = nanos(run.start, run.end).max(1);
    let part = nanos(run.start.max(start), run.end.min(end));
    u64::try_from(u128::from(run.bytes) * part.min(whole) / whole).unwrap_or(u64::MAX)
}

/// A date as nanoseconds since 1970, so that none is rounded.
#[allow(clippy::trivially_copy_pass_by_ref)] // the signature is serde's
mod nanos {
    use super::{Deserialize, Deserializer, Serializer, WallTime};

    pub(super) fn serialize<S: Serializer>(at: &WallTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.as_unix_nanos())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WallTime, D::Error> {
        i64::deserialize(from).map(WallTime::from_unix_nanos)
    }
}

#[allow(clippy::ref_option)] // the signature is serde's
mod nanos_or_none {
    use super::{Deserialize, Deserializer, Serialize, Serializer, WallTime};

    pub(super) fn serialize<S: Serializer>(
        at: &Option<WallTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(WallTime::as_unix_nanos).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<WallTime>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(WallTime::from_unix_nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> WallTime {
        WallTime::from_unix_nanos(secs * 1_000_000_000)
    }

    fn request(streams: &[&str], start: i64, end: i64) -> ExportJobRequest {
        let streams = streams.iter().map(|name| StreamName::parse(name).unwrap()).collect();
        ExportJobRequest { streams, start: at(start), end: at(end), note: String::new() }
    }

    #[test]
    fn a_wish_ends_now_at_the_latest_and_names_a_stream_once() {
        let checked = request(&["gate", "yard", "gate"], 10, 99).checked(at(50)).unwrap();
        assert_eq!(checked, request(&["gate", "yard"], 10, 50));
        for bad in [request(&[], 1, 2), request(&["gate"], 2, 2), request(&["gate"], 60, 70)] {
            assert!(bad.checked(at(50)).is_err());
        }
    }

    #[test]
    fn what_is_kept_of_a_job_is_read_back() {
        let mut kept = Kept::new("ab".to_owned(), request(&["gate"], 1, 2), at(3), 77);
        kept.finished = Some(WallTime::from_unix_nanos(123_456_789_012_345_678));
        let text = serde_json::to_vec(&kept).unwrap();
        let back: Kept = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (back.request, back.made, back.finished),
            (kept.request, kept.made, kept.finished)
        );
    }

    #[test]
    fn a_finished_job_leaves_after_a_week_by_a_trusted_clock_only() {
        let week = 7 * 24 * 3_600;
        let mut kept = Kept::new("ab".to_owned(), request(&["gate"], 1, 2), at(3), 77);
        assert!(!kept.has_expired(at(9 * week), Trust::Ntp));
        kept.finished = Some(at(10));
        assert!(!kept.has_expired(at(9 + week), Trust::Ntp));
        assert!(kept.has_expired(at(10 + week), Trust::Rtc));
        assert!(!kept.has_expired(at(10 + week), Trust::None));
    }

    #[test]
    fn a_part_of_a_run_has_its_part_of_the_bytes() {
        let run = Recording { start: at(100), end: at(200), bytes: 1_000, fragments: 100 };
        assert_eq!(share(&run, at(0), at(300)), 1_000);
        assert_eq!(share(&run, at(150), at(300)), 500);
        assert_eq!(share(&run, at(300), at(400)), 0);
    }
}
