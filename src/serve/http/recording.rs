//! What the API tells of recordings, and the two questions by which it learns it.
//!
//! Owns: the JSON shapes. The answers come from the recorder and the ring; whoever builds the
//! door hands over the questions as functions.

use serde::Serialize;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::sink::Outlet;

/// How the recording of one stream is doing.
#[derive(Clone, Debug, Serialize)]
pub struct RecordingReport {
    /// `recording`, `waiting` or `failed`.
    pub state: &'static str,
    /// Why it waits or failed, for people.
    pub reason: Option<String>,
    /// Everything up to here survives a power cut.
    pub durable_until: Option<WallTime>,
    /// Bytes held in the ring.
    pub bytes: u64,
    /// Units lost since the start.
    pub lost: u64,
}

/// What the ring holds of one stream.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecordingList {
    /// Stretches without interruption, oldest first.
    pub runs: Vec<RecordedRun>,
    /// The holes between them.
    pub gaps: Vec<Gap>,
}

/// One stretch without interruption.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRun {
    /// Capture time of its first unit.
    pub start: WallTime,
    /// End of its last unit.
    pub end: WallTime,
    /// Bytes on disk.
    pub bytes: u64,
    /// Fragments.
    pub fragments: u64,
}

/// A hole between two stretches.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// Where the footage ends.
    pub start: WallTime,
    /// Where it begins again.
    pub end: WallTime,
}

/// Asks how the recording of a stream is doing; `None` if it is not recorded.
type Report = Box<dyn Fn(&Outlet) -> Option<RecordingReport> + Send + Sync>;
/// Asks what the ring holds; `None` if the stream was never recorded. Must not wait for a disk.
type Listing = Box<dyn Fn(&StreamName) -> Option<RecordingList> + Send + Sync>;

/// The two questions.
pub struct Recordings {
    /// How is it doing?
    pub report: Report,
    /// What is there?
    pub listing: Listing,
}

impl Default for Recordings {
    /// Nothing is recorded.
    fn default() -> Self {
        Self { report: Box::new(|_| None), listing: Box::new(|_| None) }
    }
}

impl std::fmt::Debug for Recordings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recordings")
    }
}
