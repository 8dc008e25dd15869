//! Looks now and then whether the ring and its slots are still where they were.
//!
//! Owns: what happens to slots that someone deleted, exchanged or cut while the program runs, and
//! of a ring that is gone. Part of the storage thread. What is changed inside a file that keeps its
//! name, number and length is found by the index thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{error, warn};

use crate::base::limits::PLACE_CHECK_PAUSE;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::disk::DiskFile;
use crate::dvr::error::sentence;
use crate::dvr::store::copies::free_copies;
use crate::dvr::store::messages::IndexEvent;
use crate::dvr::store::open_slot::OpenSlot;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::ring_writer::RingWriter;

/// Slots that a sentence names; of more it says how many.
const NAMED_MAX: usize = 8;

impl RingWriter {
    /// Checks now and then whether the ring is still in its place, so that a disk that went away is
    /// reported and left alone before the next slot is needed, and whether all slots are.
    pub(crate) fn check_place(&mut self) {
        let now = self.shared.clock.boot();
        let Some(ring) = self.ring.clone().filter(|_| now >= self.place_at) else { return };
        let disk = Arc::clone(&self.shared.disk);
        let place = ring.is_still_there(&*disk).and_then(|()| ring.slot_files(&*disk));
        self.place_at = now.after(PLACE_CHECK_PAUSE);
        match place {
            Ok(files) => {
                self.witness = ring.witness(&*disk);
                self.check_slots(&ring, files);
            }
            Err(error) => {
                let reason = sentence(&error);
                error!(error = reason, "the ring is not to be used any more, trying again");
                self.close_ring(reason);
            }
        }
    }

    /// When someone deleted the ring, and its volume is there, a new one is made. A volume that
    /// went and a directory that was moved leave their files a name: what they hold may come back.
    pub(crate) fn forget_deleted(&mut self) {
        let (disk, dir) = (&self.shared.disk, &self.config.data_dir);
        let deleted_from = |file: &Arc<dyn DiskFile>| file.deleted_from().ok().flatten();
        let whole = self.lock.as_ref().and_then(deleted_from);
        // A `ring.toml` that is rewritten is deleted, too: so nothing of a ring may be left.
        let ring = self.witness.as_ref().and_then(deleted_from);
        let ring = ring.filter(|_| Ring::is_deleted(&**disk, dir));
        let Some(device) = whole.or(ring) else { return };
        if dir.ancestors().find_map(|dir| disk.device(dir).ok()) != Some(device) {
            return;
        }
        let what = if whole.is_some() { dir.clone() } else { dir.join("ring") };
        let why = format!(
            "{} was deleted while the program ran, with all that was recorded. A new ring was made.",
            what.display()
        );
        warn!(reason = why, "the ring was deleted");
        self.shared.note_damage(why);
        if whole.is_some() {
            self.lock = None;
        }
        (self.expected, self.witness) = (None, None);
    }

    /// Compares the files that are there with those that were there before.
    fn check_slots(&mut self, ring: &Ring, files: BTreeMap<u32, u64>) {
        let known: Vec<u32> = self.shared.table().slots.keys().copied().collect();
        let is_gone = |number: &u32| !files.contains_key(number);
        let gone: Vec<u32> = known.iter().copied().filter(is_gone).collect();
        let is_cut = |open: &&OpenSlot| open.is_cut_short();
        let cut: Vec<u32> =
            self.open.values().filter(is_cut).map(|open| open.header.slot).collect();
        let is_other = |&(number, file): &(&u32, &u64)| {
            self.files.get(number).is_some_and(|before| before != file) || cut.contains(number)
        };
        let others: Vec<u32> = files.iter().filter(is_other).map(|(&number, _)| number).collect();
        // Slots that come back, or that someone put there: one that is made here is known at once.
        let is_fresh = |number: &u32| known.binary_search(number).is_err();
        let fresh: Vec<u32> = files.keys().copied().filter(is_fresh).collect();
        self.files = files;
        if !gone.is_empty() {
            self.lose_slots(&gone);
        }
        if !others.is_empty() {
            self.report_slots(&others, SlotChange::Changed);
        }
        let is_news = !others.is_empty() || !fresh.is_empty();
        for number in others.into_iter().chain(fresh) {
            self.read_anew(ring, number);
        }
        if is_news {
            free_copies(&self.shared, ring);
        }
    }

    /// These slots have no files any more: they are made again.
    fn lose_slots(&mut self, gone: &[u32]) {
        for &number in gone {
            self.end_writing(number);
            self.shared.table().slots.remove(&number);
            self.notify_index(IndexEvent::LapBegan(number));
        }
        self.report_slots(gone, SlotChange::Deleted);
        self.growth_at = self.shared.clock.boot();
    }

    /// What is in a slot is not what was known of it.
    fn read_anew(&mut self, ring: &Ring, number: u32) {
        self.end_writing(number);
        self.notify_index(IndexEvent::LapBegan(number));
        // What cannot be read now is read again later.
        let view = ring.read_view(&*self.shared.disk, number).unwrap_or(SlotView::Unreadable);
        let mut table = self.shared.table();
        table.slots.insert(number, SlotView::Unreadable);
        table.found(number, view);
    }

    /// Nothing more goes into a slot that is not what it was.
    fn end_writing(&mut self, number: u32) {
        let mut open = self.open.iter().filter(|(_, open)| open.header.slot == number);
        let Some(stream) = open.next().map(|(stream, _)| stream.clone()) else { return };
        let Some(open) = self.open.remove(&stream) else { return };
        open.log.lose(open.pending_samples());
        open.log.settle();
        self.deactivate(&open);
        self.may_resume = false;
    }

    pub(super) fn report_slots(&self, slots: &[u32], change: SlotChange) {
        let why = change.sentence(slots);
        warn!(units = slots.len(), reason = why, "slots are not what they were");
        self.shared.note_damage(why);
    }
}

/// What someone did to slots.
#[derive(Clone, Copy, Debug)]
pub(super) enum SlotChange {
    Deleted,
    Missing,
    Changed,
}

impl SlotChange {
    fn sentence(self, slots: &[u32]) -> String {
        let named: Vec<_> = slots.iter().take(NAMED_MAX).map(|slot| format!("{slot:06}")).collect();
        let more = match slots.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (slots, were) = if slots.len() == 1 { ("Slot", "was") } else { ("Slots", "were") };
        let what = match self {
            Self::Deleted => "deleted while the program ran",
            Self::Missing => "deleted while the program was stopped",
            Self::Changed => "changed by something else while the program ran",
        };
        format!("{slots} {}{more} {were} {what}.", named.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_name_some_slots_and_count_the_rest() {
        let one = SlotChange::Deleted.sentence(&[3]);
        assert_eq!(one, "Slot 000003 was deleted while the program ran.");
        let many: Vec<u32> = (0..10).collect();
        let many = SlotChange::Changed.sentence(&many);
        assert!(
            many.starts_with("Slots 000000, 000001") && many.contains("000007 and 2 more were")
        );
    }
}
