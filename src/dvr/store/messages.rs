//! What the threads of the ring tell each other.
//!
//! Owns: the messages, so that no thread's file needs another's.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::catalogue::pin::{NewPin, PinError};
use crate::dvr::catalogue::shrink_plan::{ShrinkError, Shrunk};
use crate::dvr::catalogue::table::Catalogue;
use crate::dvr::format::index_record;
use crate::dvr::format::journal_record::JournalRecord;
use crate::dvr::format::slot::Strictness;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::state::StreamLog;
use crate::wire::mp4::Fragment;

/// Commands to the storage thread.
#[derive(Debug)]
pub(crate) enum WriterCommand {
    /// Write a fragment.
    Append(Box<Append>),
    /// Cut off the torn end of a slot that is not being written.
    Repair { slot: u32, generation: u64, end: u64 },
    /// Give up a slot whose footage is older than its stream may keep.
    Expire { slot: u32, generation: u64 },
    /// Make the ring smaller as the plan of this token says.
    Shrink { token: u64, reply: oneshot::Sender<Result<Shrunk, ShrinkError>> },
    /// Nothing more comes from this stream for now.
    Rest(StreamName),
    /// Look at the flags again.
    Wake,
}

/// A fragment to be written.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) log: Arc<StreamLog>,
    pub(crate) init: Bytes,
    pub(crate) fragment: Fragment,
    pub(crate) run_start: bool,
    pub(crate) loss_before: bool,
}

/// What the storage thread tells the index thread.
#[derive(Debug)]
pub(crate) enum IndexEvent {
    /// A ring was opened: learn what its slots hold.
    RingOpened(Ring, Vec<SlotScan>),
    /// A lap ended.
    LapEnded(u32, index_record::IndexRecord),
    /// A slot began a new lap, or continues with its old one: what the index holds is stale.
    LapBegan(u32),
}

/// A lap that was found at a start.
#[derive(Clone, Debug)]
pub(crate) struct SlotScan {
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    pub(crate) strictness: Strictness,
    /// The stream may continue in it.
    pub(crate) is_newest: bool,
}

/// What to index of every lap in `table`: the last one of a boot may have a torn end.
pub(crate) fn checks(table: &Catalogue) -> Vec<SlotScan> {
    let (last, newest) = (table.last_of_boots(), table.newest_laps());
    let check = |(slot, held): (u32, &LapInfo)| {
        let generation = held.generation;
        let strictness = Strictness::of_lap(last.contains(&generation));
        SlotScan { slot, generation, strictness, is_newest: newest.contains(&generation) }
    };
    let mut checks: Vec<_> = table.held().map(check).collect();
    // The newest first: torn ends are mended soon, and people look at the last hours.
    checks.sort_by_key(|check| std::cmp::Reverse(check.generation));
    checks
}

/// What the thread is asked.
#[derive(Debug)]
pub(crate) struct JournalRequest {
    pub(crate) change: JournalChange,
    /// Hears of it when it is on the medium.
    pub(crate) reply: oneshot::Sender<Result<JournalRecord, PinError>>,
}

/// The change requested.
#[derive(Debug)]
pub(crate) enum JournalChange {
    Pin(NewPin),
    Unpin(u64),
    Mark { stream: Option<StreamName>, at: WallTime, text: String, kind: Option<String> },
}
