//! Reads a range of a stream out of the ring while it is being written.
//!
//! Owns: the leases. The slots of the range are passed over when one is needed for newer
//! footage, as long as another of the older half can go; a reader under whom one was taken gets an error, never another lap's bytes: each
//! fragment is checked against the seal of its lap after it was read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::disk::{DiskFile, OpenMode};
use crate::dvr::error::DvrError;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::seal::{FragmentEntry, SlotHeader};
use crate::dvr::format::slot;
use crate::dvr::format::slot::Strictness;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::state::DvrState;

/// A reader of one range. Its calls block on the disk.
#[derive(Debug)]
pub struct Replay {
    shared: Arc<DvrState>,
    ring: Ring,
    range: (WallTime, WallTime),
    /// Laps that are leased, the one that is being read first.
    laps: VecDeque<(u32, u64)>,
    open: Option<ReplayLap>,
    begun: bool,
}

#[derive(Debug)]
struct ReplayLap {
    file: Arc<dyn DiskFile>,
    header: SlotHeader,
    init: Bytes,
    entries: VecDeque<FragmentEntry>,
}

/// One fragment.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The `ftyp` and `moov` that it needs.
    pub init: Bytes,
    /// Its `moof` and `mdat`.
    pub bytes: Bytes,
    /// What its seal says.
    pub entry: FragmentEntry,
    /// Where it stands by what is known of the clock.
    pub start: WallTime,
}

impl Replay {
    /// Leases the slots of `stream` that hold anything between `from` and `until`.
    pub(crate) fn open(
        shared: Arc<DvrState>,
        stream: &StreamName,
        from: WallTime,
        until: WallTime,
    ) -> Result<Self, DvrError> {
        let ring = shared.ring().ok_or(DvrError::NoSlot)?;
        let mut laps = Vec::new();
        {
            let facts = shared.facts();
            let mut table = shared.table();
            for (slot, held) in table.held().filter(|(_, held)| held.stream == *stream) {
                let mut placed = held.stretches.iter().map(|s| s.placed(&facts.clock, held.boot));
                if placed.any(|(start, end)| start < until && end > from) {
                    laps.push((held.generation, slot));
                }
            }
            laps.sort_unstable();
            for &(generation, _) in &laps {
                table.lease(generation);
            }
        }
        let laps = laps.into_iter().map(|(generation, slot)| (slot, generation)).collect();
        Ok(Self { shared, ring, range: (from, until), laps, open: None, begun: false })
    }

    /// The next fragment, beginning with one that starts with a key frame; `None` at the end.
    ///
    /// [`DvrError::Reused`] says that the slot was given to newer footage meanwhile, and
    /// [`DvrError::Removed`] that the ring was made smaller; the call after that goes on behind it.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, DvrError> {
        loop {
            let Some(&(slot, generation)) = self.laps.front() else { return Ok(None) };
            if self.shared.table().is_removed(slot) {
                self.pass();
                return Err(DvrError::Removed { slot });
            }
            if self.open.is_none() {
                match self.open_lap(slot, generation) {
                    Ok(open) => self.open = Some(open),
                    Err(error) => {
                        self.pass();
                        return Err(error);
                    }
                }
            }
            let Some(open) = &mut self.open else { return Ok(None) };
            let Some(entry) = open.entries.pop_front() else {
                self.pass();
                continue;
            };
            let read = slot::read_fragment(&*open.file, &open.header, &entry);
            let read = read.map_err(DvrError::disk("read", self.ring.slot_path(slot)))?;
            let Some(bytes) = read else {
                self.pass();
                return Err(DvrError::Reused { slot });
            };
            self.begun = true;
            let (init, boot) = (open.init.clone(), open.header.boot);
            let start = self.shared.facts().clock.place(boot, entry.boot_time, entry.wall);
            return Ok(Some(Piece { init, bytes, entry, start }));
        }
    }

    fn open_lap(&self, slot: u32, generation: u64) -> Result<ReplayLap, DvrError> {
        let file = self.ring.open_slot(&*self.shared.disk, slot, OpenMode::Read)?;
        let failed = DvrError::disk("read", self.ring.slot_path(slot));
        let front = self.ring.read_front(&*file, slot);
        let found = front.and_then(|front| match front {
            SlotFront::Held { header, init, .. } if header.generation == generation => {
                let contents = slot::scan(&*file, &header, Strictness::Finished)?;
                Ok(Some((header, init, contents.entries)))
            }
            _ => Ok(None),
        });
        let (header, init, entries) = found.map_err(failed)?.ok_or(DvrError::Reused { slot })?;
        let clock = self.shared.facts().clock.clone();
        let range = chosen(&entries, &header, &clock, self.range, self.begun);
        let entries = entries[range].iter().copied().collect();
        Ok(ReplayLap { file, header, init, entries })
    }

    /// Done with the first lap.
    fn pass(&mut self) {
        self.open = None;
        if let Some((_, generation)) = self.laps.pop_front() {
            self.shared.table().release(generation);
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        while !self.laps.is_empty() {
            self.pass();
        }
    }
}

/// Which fragments of a lap lie between two dates. Where reading begins, those before are taken
/// along back to one that starts with a key frame, as far as the lap has one.
pub(crate) fn chosen(
    entries: &[FragmentEntry],
    header: &SlotHeader,
    clock: &ClockTable,
    (from, until): (WallTime, WallTime),
    begun: bool,
) -> Range<usize> {
    let meets = |entry: &FragmentEntry| {
        let start = clock.place(header.boot, entry.boot_time, entry.wall);
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        start < until && start.offset_nanos(span) > from
    };
    let Some(first) = entries.iter().position(meets) else { return 0..0 };
    let last = entries.iter().rposition(meets).unwrap_or(first);
    let key = entries[..=first].iter().rposition(|entry| entry.starts_with_key);
    let first = if begun { first } else { key.unwrap_or(first) };
    first..last + 1
}
