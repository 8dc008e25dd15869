//! Begins laps: continues with a stream's last slot, or takes the one whose turn it is.
//!
//! Owns: the steps from a choice to an open slot. Part of the storage thread.

use std::sync::Arc;

use crate::base::limits::CACHED_SEGMENTS_MAX;
use crate::base::name::StreamName;
use crate::dvr::catalogue::eviction::NextSlot;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::disk::OpenMode;
use crate::dvr::error::DvrError;
use crate::dvr::format::epoch::SlotEpoch;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::seal::SlotHeader;
use crate::dvr::format::slot;
use crate::dvr::format::slot::{Strictness, Tail};
use crate::dvr::store::messages::Append;
use crate::dvr::store::messages::IndexEvent;
use crate::dvr::store::open_slot::OpenSlot;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::ring_writer::RingWriter;

impl RingWriter {
    /// Continues the slot that the stream wrote last, if that was in this boot, with the same
    /// parameters, and ended whole.
    pub(crate) fn resume(
        &mut self,
        ring: &Ring,
        append: &Append,
    ) -> Result<Option<OpenSlot>, DvrError> {
        let newest = self.shared.table().newest_of(&append.log.name).and_then(|(slot, held)| {
            (held.boot == self.boot && self.may_resume).then_some((slot, held.generation))
        });
        let Some((number, generation)) = newest else { return Ok(None) };
        let disk = Arc::clone(&self.shared.disk);
        let file = ring.open_slot(&*disk, number, OpenMode::Write)?;
        let failed = DvrError::disk("read", ring.slot_path(number));
        // What a failed write left in memory only must not be taken for what is on the medium.
        let read = file.sync_data().and_then(|()| file.forget_cached());
        let read = read.and_then(|()| ring.read_front(&*file, number));
        let found = read.and_then(|front| match front {
            SlotFront::Held { header, init, is_damaged: false }
                if header.generation == generation && init == append.init =>
            {
                let contents = slot::scan(&*file, &header, Strictness::Tail)?;
                Ok(Some((header, contents)))
            }
            _ => Ok(None),
        });
        let Some((header, contents)) = found.map_err(failed)? else { return Ok(None) };
        if contents.tail != Tail::Free {
            self.repair(number, generation, contents.end);
            return Ok(None);
        }
        if let Some(held) = self.shared.table().lap_mut(number, generation) {
            held.learn(&contents.entries, 0);
            held.active = true;
        }
        self.notify_index(IndexEvent::LapBegan(number));
        let log = Arc::clone(&append.log);
        Ok(Some(OpenSlot::resumed(log, file, header, append.init.clone(), contents)))
    }

    /// Begins a new lap of the slot whose turn it is.
    pub(crate) fn open_slot(&mut self, ring: &Ring, append: &Append) -> Result<OpenSlot, DvrError> {
        ring.is_still_there(&*self.shared.disk)?;
        let choice = self.choose(ring, &append.log.name).ok_or(DvrError::NoSlot)?;
        let opened = self.begin_lap(ring, append, choice);
        match (opened, choice) {
            // Space that is not there cannot be taken: the oldest goes instead.
            (Err(error), NextSlot::Make(_)) if error.is_full() => {
                self.stop_growing(&error);
                let choice = self.choose(ring, &append.log.name).ok_or(error)?;
                self.begin_lap(ring, append, choice)
            }
            (opened, _) => opened,
        }
    }

    fn choose(&self, ring: &Ring, stream: &StreamName) -> Option<NextSlot> {
        let keeps = self.shared.keeps();
        let keep_of = |name: &StreamName| keeps.get(name).copied().unwrap_or_default();
        let (mut table, now) = (self.shared.table(), self.shared.clock.boot());
        table.forgive(now);
        let may_grow = now >= self.growth_at;
        let missing = table.missing(ring.slots_to_make()).filter(|_| may_grow);
        table.choose(stream, keep_of, ring.slot_bytes, missing)
    }

    fn begin_lap(
        &mut self,
        ring: &Ring,
        append: &Append,
        choice: NextSlot,
    ) -> Result<OpenSlot, DvrError> {
        let disk = Arc::clone(&self.shared.disk);
        let (NextSlot::Make(number) | NextSlot::Reuse(number)) = choice;
        let file = match choice {
            NextSlot::Make(_) => self.make_slot(ring, number)?,
            NextSlot::Reuse(_) => match ring.open_slot(&*disk, number, OpenMode::Write) {
                Ok(file) => file,
                Err(error) => return Err(self.set_bad(number, error)),
            },
        };
        let header = SlotHeader {
            ring: ring.identity,
            slot: number,
            slot_bytes: ring.slot_bytes,
            generation: self.next_generation(),
            stream: append.log.name.clone(),
            boot: self.boot,
            opened: self.shared.clock.boot(),
            opened_wall: self.shared.clock.wall(),
            init_bytes: u32::try_from(append.init.len()).unwrap_or(u32::MAX),
            epoch: SlotEpoch::of_first(&append.init, &append.fragment.head),
        };
        // From here on what the slot held is gone, whether the write works or not.
        self.notify_index(IndexEvent::LapBegan(number));
        let log = Arc::clone(&append.log);
        let is_fresh = choice == NextSlot::Make(number);
        let opened = OpenSlot::begun(log, file, header.clone(), append.init.clone(), is_fresh);
        let open = opened.map_err(DvrError::disk("write to", ring.slot_path(number)));
        let open = open.map_err(|error| self.set_bad(number, error))?;
        let mut view = SlotView::unread(header, &append.init, false);
        if let SlotView::Held(held) = &mut view {
            (held.active, held.known) = (true, true);
            held.segments = Some(Arc::default());
        }
        let mut table = self.shared.table();
        let gone = table.slots.insert(number, view);
        table.bound_segments(CACHED_SEGMENTS_MAX);
        drop(table);
        self.shared.count_evicted(gone);
        Ok(open)
    }

    fn next_generation(&self) -> u64 {
        let mut table = self.shared.table();
        table.next_generation += 1;
        table.next_generation
    }

    fn set_bad(&self, number: u32, error: DvrError) -> DvrError {
        let view = SlotView::Failing(self.shared.clock.boot());
        self.shared.table().slots.insert(number, view);
        error
    }
}
