//! What a recording left: fragments in slots, and what was reported durable when.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, SystemClock};
use holdfast::dvr::{DvrError, FragmentEntry, RingReader};

use crate::harness::block_log::LoggedDisk;

/// A fragment that was on the medium at some time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) stream: StreamName,
    pub(super) slot: u32,
    pub(super) entry: FragmentEntry,
}

impl Known {
    pub(super) fn end_ms(&self) -> i64 {
        let nanos = i64::try_from(self.entry.span_nanos).unwrap();
        self.entry.wall.offset_nanos(nanos).as_unix_millis()
    }

    /// When the last of it had arrived at the recorder: what the source itself is late with, as
    /// an encoder on a busy machine, no power cut took.
    pub(super) fn arrived_until(&self) -> BootTime {
        self.entry.boot_time.after(Duration::from_nanos(self.entry.span_nanos))
    }
}

/// What the slots of an image hold.
#[derive(Default)]
pub(super) struct Found {
    /// By generation and sequence.
    pub(super) fragments: BTreeMap<(u64, u64), Known>,
    /// Slot and time of opening, by generation.
    pub(super) laps: BTreeMap<u64, (u32, BootTime)>,
}

impl Found {
    /// Reads them; `None` where there is no ring yet.
    pub(super) fn read(data: &Path) -> Result<Option<Self>, String> {
        let reader = match RingReader::open(data) {
            Ok(reader) => reader,
            Err(DvrError::Gone { .. }) => return Ok(None),
            Err(error) => return Err(format!("the ring cannot be opened: {error}")),
        };
        let mut found = Self::default();
        for &lap in reader.laps() {
            let contents = reader.contents(lap).map_err(|error| error.to_string())?;
            let (header, contents) = contents.ok_or("a slot changed by itself")?;
            found.laps.insert(lap.generation, (lap.slot, header.opened));
            for entry in contents.entries {
                let known = Known { stream: header.stream.clone(), slot: lap.slot, entry };
                found.fragments.insert((lap.generation, known.entry.sequence), known);
            }
        }
        Ok(Some(found))
    }
}

/// What was reported durable during the recording, and at which place of the log.
#[derive(Default)]
pub(super) struct Told {
    /// Place in the log, and until when the stream was durable, in Unix milliseconds.
    pub(super) durable: BTreeMap<StreamName, Vec<(usize, i64)>>,
    /// Place in the log, and when it was reached at the latest.
    pub(super) times: Vec<(usize, BootTime)>,
}

impl Told {
    /// Notes what was reported until now. The place is looked up afterwards, so that every flush on
    /// which it rests comes before it.
    pub(super) fn note(&mut self, disk: &mut LoggedDisk, told: Vec<(StreamName, i64)>) {
        let position = disk.position();
        self.times.push((position, SystemClock.boot()));
        for (stream, until_ms) in told {
            let list = self.durable.entry(stream).or_default();
            if list.last().is_none_or(|&(_, before)| before < until_ms) {
                list.push((position, until_ms));
            }
        }
    }

    /// Until when `stream` was reported durable before entry `at`.
    pub(super) fn until_ms(&self, stream: &StreamName, at: usize) -> Option<i64> {
        let list = self.durable.get(stream)?;
        list.iter().take_while(|&&(position, _)| position <= at).last().map(|&(_, until)| until)
    }

    pub(super) fn time(&self, at: usize) -> BootTime {
        let reached = self.times.iter().find(|(position, _)| *position >= at);
        reached.or(self.times.last()).unwrap().1
    }
}
