//! Reads slots again that could not be read: most troubles of a disk end.
//!
//! Owns: when that is tried. Part of the index thread, because a read of a failing disk may take
//! long, and recording must not wait for it.

use crate::dvr::store::messages::checks;
use tracing::info;

use crate::base::limits::{RING_RETRY_PAUSE, UNREAD_PAUSE_MAX};
use crate::base::time::BootTime;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::store::indexer::Indexer;
use crate::dvr::store::messages::SlotScan;
use crate::dvr::store::ring::Ring;

/// The pause is this part of the time since the ring was opened: short while a trouble is new,
/// and a disk that is worn is left in peace.
const PAUSE_PART: u32 = 8;

/// What is tried next, and when.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// When the ring was opened.
    since: BootTime,
    due: BootTime,
    /// The slot that could not be read the last time: the others come before it.
    slot: u32,
}

impl Unread {
    /// A ring was opened, and what can be read of it was read.
    pub(crate) fn begin(&mut self, now: BootTime) {
        (self.since, self.due) = (now, now.after(RING_RETRY_PAUSE));
    }

    pub(crate) fn due(&self) -> BootTime {
        self.due
    }

    fn rest(&mut self, now: BootTime) {
        let pause = now.since(self.since) / PAUSE_PART;
        self.due = now.after(pause.clamp(RING_RETRY_PAUSE, UNREAD_PAUSE_MAX));
    }
}

impl Indexer {
    /// Looks at the fronts of the slots of which nothing is known, if that is due, until one
    /// cannot be read; what is in the others is read next.
    pub(crate) fn try_unread(&mut self, ring: &Ring, now: BootTime) {
        if now < self.unread.due || !self.audit.to_build.is_empty() {
            return;
        }
        self.unread.rest(now);
        let mut slots = self.shared.table().unread();
        let behind = slots.partition_point(|&slot| slot <= self.unread.slot);
        slots.rotate_left(behind);
        let mut read = Vec::new();
        for slot in slots {
            let disk = &*self.shared.disk;
            let known = self.shared.table().known_streams();
            let view = ring.read_view(disk, slot).and_then(|view| match view {
                SlotView::Damaged => ring.salvage(disk, slot, &known),
                view => Ok(view),
            });
            let Ok(view) = view else {
                self.unread.slot = slot;
                break;
            };
            self.shared.table().found(slot, view);
            read.push(slot);
        }
        if read.is_empty() {
            return;
        }
        info!(units = read.len(), "slots that could not be read are read again");
        let checks = checks(&self.shared.table());
        let is_next = |check: &SlotScan| read.contains(&check.slot) && self.is_wanted(check);
        let next = checks.into_iter().filter(is_next).collect();
        self.audit.to_build = next;
    }

    /// A slot could not be read again: the others are not tried either for a while.
    pub(crate) fn give_up_unread(&mut self, slot: u32) {
        self.unread.slot = slot;
        let mut to_build = std::mem::take(&mut self.audit.to_build);
        to_build.retain(|check| !self.is_wanted(check));
        self.audit.to_build = to_build;
    }
}
