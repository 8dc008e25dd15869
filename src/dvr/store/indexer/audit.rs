//! Looks now and then whether the index says what the slots say, and builds it again if not.
//!
//! Owns: the order of the looks and of the building. Part of the index thread: one slot at a
//! time, read at idle priority, only while there is nothing else to do.

use crate::dvr::store::messages::checks;
use std::collections::VecDeque;
use std::time::Duration;

use tracing::{info, warn};

use crate::base::limits::{
    INDEX_BYTES_MAX, INDEX_BYTES_PER_RECORD_BYTE_MAX, INDEX_LOOK_PAUSE, INDEX_SIZE_PAUSE,
};
use crate::base::time::BootTime;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::disk::OpenMode;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::index_record::IndexRecord;
use crate::dvr::format::seal::FragmentEntry;
use crate::dvr::format::slot;
use crate::dvr::format::slot::Strictness;
use crate::dvr::store::copies::free_copies;
use crate::dvr::store::index::{IndexHandle, Looked};
use crate::dvr::store::indexer::Indexer;
use crate::dvr::store::messages::SlotScan;
use crate::dvr::store::ring::Ring;

/// Between two slots that are read to build the index again.
const BUILD_PAUSE: Duration = Duration::from_millis(200);

/// What is checked next, and when.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    look_at: BootTime,
    size_at: BootTime,
    /// The slot that was checked last.
    slot: u32,
    /// A slot that held another lap than it should at the last look. A slot that is being taken for
    /// newer footage looks like that for a moment, so it is checked twice.
    suspect: Option<(u32, u64)>,
    /// Laps whose records are to be rebuilt.
    pub(crate) to_build: VecDeque<SlotScan>,
    /// How often the index was built again.
    pub(crate) built_again: u64,
}

/// What a look at one slot showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotVerdict {
    Same,
    /// Nothing can be said: the slot is being used, or cannot be read.
    Unknown,
    /// The slot was damaged since its record was made.
    SlotDamaged,
    /// The record is not what was put, or not what the slot says.
    Differs,
    /// Something else was put in the slot's place.
    Replaced,
}

impl Indexer {
    /// How long the thread may wait for a note before its next look.
    pub(crate) fn patience(&self) -> Duration {
        let now = self.shared.clock.boot();
        let due = self.audit.look_at.since(now);
        let due = due.min(self.unread.due().since(now));
        if self.audit.to_build.is_empty() { due.max(BUILD_PAUSE) } else { BUILD_PAUSE }
    }

    /// One check, if one is due: of a slot, of the size of the store, or of the next slot whose
    /// record is to be rebuilt.
    pub(crate) fn audit(&mut self) {
        let Some(ring) = self.shared.ring().filter(|_| !self.shared.is_closing()) else { return };
        let Some(mut index) = self.index.take() else { return };
        let now = self.shared.clock.boot();
        self.try_unread(&ring, now);
        if let Some(check) = self.audit.to_build.pop_front() {
            if !self.read(&ring, &check, &mut index) {
                self.give_up_unread(check.slot);
            } else if self.audit.to_build.is_empty() {
                info!("the index is complete again");
            }
        } else if now >= self.audit.look_at {
            // The first look comes when the start is over.
            let is_first = self.audit.look_at == BootTime::default();
            self.audit.look_at = now.after(INDEX_LOOK_PAUSE);
            let why = if is_first { None } else { self.look(&ring, &mut index, now) };
            if let Some(why) = why {
                index = self.build_again(index, why);
            }
        }
        self.index = Some(index);
    }

    /// Looks at the next slot, and once an hour at the size; says what is wrong with the index.
    fn look(
        &mut self,
        ring: &Ring,
        index: &mut IndexHandle,
        now: BootTime,
    ) -> Option<&'static str> {
        if now >= self.audit.size_at {
            self.audit.size_at = now.after(INDEX_SIZE_PAUSE);
            let most = INDEX_BYTES_MAX.max(index.kept_bytes() * INDEX_BYTES_PER_RECORD_BYTE_MAX);
            if index.size_bytes().is_some_and(|bytes| bytes > most) {
                return Some("it has grown too large");
            }
        }
        let suspect = self.audit.suspect.take();
        let (slot, generation) = suspect.or_else(|| index.next_kept(self.audit.slot))?;
        self.audit.slot = slot;
        let check =
            SlotScan { slot, generation, strictness: Strictness::Finished, is_newest: false };
        match self.verdict(ring, &check, index) {
            SlotVerdict::Same | SlotVerdict::Unknown => None,
            SlotVerdict::SlotDamaged => {
                warn!(seq = slot, "a slot was damaged since it was written");
                self.read_again(ring, &check, index);
                None
            }
            SlotVerdict::Replaced if suspect.is_none() => {
                self.audit.suspect = Some((slot, generation));
                None
            }
            SlotVerdict::Replaced => {
                self.adopt(ring, slot);
                index.remove(slot);
                None
            }
            SlotVerdict::Differs => Some("it does not say what the slots say"),
        }
    }

    fn verdict(&self, ring: &Ring, check: &SlotScan, index: &mut IndexHandle) -> SlotVerdict {
        if !self.is_idle(check) {
            return SlotVerdict::Unknown;
        }
        let record = match index.look(check.slot) {
            Looked::Unknown => return SlotVerdict::Unknown,
            Looked::Gone => return SlotVerdict::Differs,
            Looked::Record(record) => record,
        };
        if record.generation != check.generation {
            return SlotVerdict::Differs;
        }
        match self.holds(ring, check, &record.entries) {
            Some(true) => return SlotVerdict::Same,
            None if self.is_replaced(ring, check) => return SlotVerdict::Replaced,
            None => return SlotVerdict::Unknown,
            Some(false) => {}
        }
        let Ok(Some((contents, _))) = self.scan(ring, check) else { return SlotVerdict::Unknown };
        match () {
            // It was taken for newer footage while it was checked.
            () if !self.is_idle(check) => SlotVerdict::Unknown,
            () if contents.damaged.len() > record.damaged as usize => SlotVerdict::SlotDamaged,
            // Damage at its very end shows as a shorter lap.
            () if record.entries.starts_with(&contents.entries) => SlotVerdict::SlotDamaged,
            () => SlotVerdict::Differs,
        }
    }

    /// Whether the lap is known and at rest.
    fn is_idle(&self, check: &SlotScan) -> bool {
        let mut table = self.shared.table();
        table.lap_mut(check.slot, check.generation).is_some_and(|held| held.known && !held.active)
    }

    /// Whether the slot has just these seals; `None` where it cannot be read or has another lap.
    fn holds(&self, ring: &Ring, check: &SlotScan, entries: &[FragmentEntry]) -> Option<bool> {
        let file = ring.open_slot(&*self.shared.disk, check.slot, OpenMode::Read).ok()?;
        match ring.read_front(&*file, check.slot).ok()? {
            SlotFront::Held { header, .. } if header.generation == check.generation => {
                slot::has_seals(&*file, &header, entries).ok()
            }
            _ => None,
        }
    }

    /// Whether the slot can be read and holds another lap, or none, though it is not being written.
    fn is_replaced(&self, ring: &Ring, check: &SlotScan) -> bool {
        let is_other = match ring.read_view(&*self.shared.disk, check.slot) {
            Ok(SlotView::Held(lap)) => lap.generation != check.generation,
            Ok(_) => true,
            Err(_) => false,
        };
        is_other && self.is_idle(check)
    }

    /// Adopts the slot's present content; it is read like one that could not be read before.
    fn adopt(&self, ring: &Ring, slot: u32) {
        let why = format!("Slot {slot:06} was changed by something else while the program ran.");
        warn!(seq = slot, reason = why, "slots are not what they were");
        self.shared.note_damage(why);
        let view = ring.read_view(&*self.shared.disk, slot).unwrap_or(SlotView::Unreadable);
        let mut table = self.shared.table();
        table.slots.insert(slot, SlotView::Unreadable);
        table.found(slot, view);
        drop(table);
        free_copies(&self.shared, ring);
    }

    /// What a damaged slot still holds is all that is known of it from now on.
    fn read_again(&self, ring: &Ring, check: &SlotScan, index: &mut IndexHandle) {
        if let Some(held) = self.shared.table().lap_mut(check.slot, check.generation) {
            held.known = false;
        }
        self.read(ring, check, index);
    }

    /// Moves the store aside and begins a new one, which is filled slot by slot from now on.
    fn build_again(&mut self, mut index: IndexHandle, why: &'static str) -> IndexHandle {
        warn!(error = why, "the index is moved aside and built again");
        self.audit.built_again += 1;
        index.give_up(&*self.shared.disk, &self.shared.data_dir);
        let (index, _) = (self.open_index)(&*self.shared.disk, &self.shared.data_dir);
        let table = self.shared.table();
        let checks = checks(&table);
        self.audit.to_build = checks.into_iter().filter(|check| !check.is_newest).collect();
        drop(table);
        self.shared.note_rebuild(self.audit.to_build.len(), why);
        index
    }
}

impl IndexRecord {
    /// Bytes that a store needs for it at least.
    pub(crate) fn bytes(&self) -> u64 {
        self.encode().len() as u64
    }
}
