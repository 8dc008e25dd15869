//! Reads a range of a stream lap by lap while it is being written, with all of its laps leased from the
//! start: the slowest reader that there can be.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::format::seal::FragmentEntry;
use crate::dvr::format::slot;
use crate::dvr::format::slot::Strictness;
use crate::dvr::read::lap_reader::{LapReader, Lease};
use crate::dvr::read::tool::chosen;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::state::DvrState;
use crate::dvr::{Dvr, DvrError};

/// A reader of one range. Its calls block on the disk.
#[derive(Debug)]
pub(crate) struct RangeReader {
    shared: Arc<DvrState>,
    ring: Ring,
    range: (WallTime, WallTime),
    /// The laps that are left, by slot, the one being read first.
    laps: VecDeque<(u32, Lease)>,
    open: Option<(LapReader, VecDeque<FragmentEntry>)>,
    begun: bool,
}

/// One fragment.
#[derive(Clone, Debug)]
pub(crate) struct RangePiece {
    pub(crate) init: Bytes,
    pub(crate) bytes: Bytes,
    pub(crate) entry: FragmentEntry,
    pub(crate) start: WallTime,
}

impl RangeReader {
    /// Leases the laps of `stream` that hold anything between `from` and `until`.
    pub(crate) fn open(
        dvr: &Dvr,
        stream: &StreamName,
        from: WallTime,
        until: WallTime,
    ) -> Result<Self, DvrError> {
        let shared = Arc::clone(&dvr.shared);
        let ring = shared.ring().ok_or(DvrError::NoSlot)?;
        let laps = dvr.footage(stream).laps();
        let meets = |(start, end): (WallTime, WallTime)| start < until && end > from;
        let wanted = laps.iter().filter(|lap| lap.dates.is_some_and(meets));
        let laps = wanted.map(|lap| (lap.slot, Lease::new(&shared, lap.generation))).collect();
        Ok(Self { shared, ring, range: (from, until), laps, open: None, begun: false })
    }

    /// The next fragment, beginning with one that starts with a key frame; `None` at the end.
    ///
    /// [`DvrError::Reused`] says that the slot was given to newer footage meanwhile, and
    /// [`DvrError::Removed`] that the ring was made smaller; the call after that continues behind it.
    pub(crate) fn next_piece(&mut self) -> Result<Option<RangePiece>, DvrError> {
        let piece = self.try_next();
        if piece.is_err() {
            self.pass();
        }
        piece
    }

    fn try_next(&mut self) -> Result<Option<RangePiece>, DvrError> {
        loop {
            let Some((slot, lease)) = self.laps.front() else { return Ok(None) };
            let (slot, generation) = (*slot, lease.generation());
            if self.shared.table().is_removed(slot) {
                return Err(DvrError::Removed { slot });
            }
            if self.open.is_none() {
                self.open = Some(self.open_lap(slot, generation)?);
            }
            let Some((reader, entries)) = &mut self.open else { return Ok(None) };
            let Some(entry) = entries.pop_front() else {
                self.pass();
                continue;
            };
            let read = slot::read_fragment(reader.file(), reader.header(), &entry);
            let read = read.map_err(DvrError::disk("read", self.ring.slot_path(slot)))?;
            let bytes = read.ok_or(DvrError::Reused { slot })?;
            let (init, boot) = (reader.init().clone(), reader.header().boot);
            self.begun = true;
            let start = self.shared.facts().clock.place(boot, entry.boot_time, entry.wall);
            return Ok(Some(RangePiece { init, bytes, entry, start }));
        }
    }

    fn open_lap(
        &self,
        slot: u32,
        generation: u64,
    ) -> Result<(LapReader, VecDeque<FragmentEntry>), DvrError> {
        let lease = Lease::new(&self.shared, generation);
        let reader = LapReader::open(&self.ring, slot, lease)?.ok_or(DvrError::Reused { slot })?;
        let entries = reader.entries(|file, header| {
            slot::scan(file, header, Strictness::Finished).map(|contents| contents.entries)
        })?;
        let clock = self.shared.facts().clock.clone();
        let range = chosen(&entries, reader.header(), &clock, self.range, self.begun);
        Ok((reader, entries[range].iter().copied().collect()))
    }

    /// Done with the first lap.
    fn pass(&mut self) {
        self.open = None;
        self.laps.pop_front();
    }
}
