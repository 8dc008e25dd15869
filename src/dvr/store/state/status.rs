//! The health of the ring and of the recordings.
//!
//! Owns: the words of the answer.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};

/// How far a stream is safe on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Date at which the newest durable fragment ends.
    pub until: WallTime,
    /// When that became known here.
    pub since: BootTime,
    /// Fragments made durable since the process started.
    pub fragments: u64,
}

/// How recording goes, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Fragments become durable.
    Recording,
    /// There is nothing to record, or the ring is being opened.
    Waiting,
    /// Footage is being lost; the reason says why.
    Failed,
}

/// How the recording of one stream goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct StreamStatus {
    /// In one word.
    pub state: RecordingState,
    /// For people: why it is not recording.
    pub reason: Option<String>,
    /// Since when nothing of it has become durable; `None` while footage does.
    pub since: Option<WallTime>,
    /// Everything up to this date is on the medium.
    pub durable_until: Option<WallTime>,
    /// Bytes of footage in the ring.
    pub bytes: u64,
    /// Units that came to be recorded and were not, since the process started.
    pub lost: u64,
}

/// How the ring does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum RingState {
    /// It is being opened.
    Opening,
    /// It takes footage.
    Ready,
    /// It cannot be used; it is tried again every few seconds.
    Failed {
        /// For people.
        reason: String,
    },
}

/// How everything does.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct DvrStatus {
    /// The ring.
    pub ring: RingState,
    /// Bytes that the ring has.
    pub size_bytes: u64,
    /// Bytes of the slots that hold footage.
    pub used_bytes: u64,
    /// Bytes of slots whose space is still to be taken from the volume.
    pub untaken_bytes: u64,
    /// Size of one slot.
    pub slot_bytes: u64,
    /// Files in the ring's directory that do not belong to it.
    pub foreign_files: u64,
    /// Slots that cannot be used: unreadable, failed, or of another ring.
    pub bad_slots: u64,
    /// Damaged stretches of bytes that were skipped in finished slots.
    pub damaged: u64,
    /// Damage to the ring that a person should know of, in sentences; empty when there is none.
    pub damage: Vec<String>,
    /// Slots whose content is known, of those that hold footage.
    pub indexed_slots: u64,
    /// Slots that hold footage.
    pub held_slots: u64,
    /// Why the ring has less space than it should, for people.
    pub short: Option<String>,
    /// Why the journal cannot be written, for people.
    pub journal: Option<String>,
    /// Every stream that is being recorded.
    pub streams: BTreeMap<StreamName, StreamStatus>,
}
