//! A shrink in a ring that takes footage: part of the storage thread.
//!
//! Owns: the order of the steps. `ring.toml` says the new size and which slots leave, on the
//! medium, before the first file is deleted; it says so until the last one is. So an interrupted
//! shrink continues at the next start, and what was agreed to never reappears.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::base::fault::chain;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::catalogue::shrink_plan::{ShrinkError, Shrunk};
use crate::dvr::error::{DvrError, sentence};
use crate::dvr::store::messages::IndexEvent;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::ring_writer::RingWriter;
use crate::dvr::store::state::RingState;

/// How long files are deleted in one turn: footage waits meanwhile.
const DELETE_TIME_MAX: Duration = Duration::from_millis(50);

impl RingWriter {
    /// Carries out the plan that `token` was issued for. When this returns it is decided on the
    /// medium; the files go in the turns that follow.
    pub(crate) fn shrink(&mut self, token: u64) -> Result<Shrunk, ShrinkError> {
        let told = self.shared.plans().iter().find(|(known, _)| *known == token).cloned();
        let (_, plan) = told.ok_or(ShrinkError::Changed)?;
        // A disk that refuses costs the ring what is not durable yet, so nothing waits.
        self.commit_all();
        let not_now = |text: &str| ShrinkError::NotNow(text.to_owned());
        let ring = self.ring.clone().ok_or_else(|| not_now("The ring is not open."))?;
        if !ring.leaving.is_empty() {
            return Err(not_now("The ring is being made smaller already."));
        }
        if plan.extent != ring.extent() {
            return Err(ShrinkError::Changed);
        }
        let (gone, slots) = plan.carry_out(&mut self.shared.table()).ok_or(ShrinkError::Changed)?;
        let disk = Arc::clone(&self.shared.disk);
        let numbers = gone.keys().copied().collect();
        let smaller =
            ring.is_still_there(&*disk).and_then(|()| ring.without(&*disk, slots, numbers));
        match smaller {
            Ok(smaller) => Ok(self.go_without(&ring, smaller, gone)),
            Err(error) => {
                // Which of the two the file says is read again.
                self.shared.table().slots.extend(gone);
                let reason = sentence(&error);
                self.close_ring(reason.clone());
                Err(ShrinkError::NotNow(reason))
            }
        }
    }

    fn go_without(&mut self, ring: &Ring, smaller: Ring, gone: BTreeMap<u32, SlotView>) -> Shrunk {
        let mut footage_bytes = 0;
        let (slots, size_bytes) = (gone.len() as u64, smaller.bytes());
        for (number, view) in gone {
            if let SlotView::Held(held) = &view {
                footage_bytes += held.bytes;
            }
            self.shared.count_evicted(Some(view));
            self.notify_index(IndexEvent::LapBegan(number));
        }
        info!(bytes = footage_bytes, units = slots, "the ring is made smaller, as agreed");
        let foreign = self.shared.geometry().foreign;
        self.shared.set_ring(RingState::Ready, Some(smaller.geometry(foreign)));
        self.shared.note_resize(&smaller, ring.slots, smaller.slots);
        self.shared.plans().clear();
        (self.ring, self.deleted) = (Some(smaller), 0);
        Shrunk { size_bytes, slots, footage_bytes }
    }

    /// Deletes files of slots that leave, for a moment, while there is nothing else to do.
    pub(crate) fn delete_leaving(&mut self) {
        let now = self.shared.clock.boot();
        let leaves = |ring: &Ring| !ring.leaving.is_empty() && now >= self.growth_at;
        let Some(ring) = self.ring.clone().filter(leaves) else { return };
        if let Err(error) = self.try_delete(&ring) {
            warn!(error = chain(&error), "slots of a smaller ring cannot be deleted yet");
            self.rest_from_growing();
        }
    }

    fn try_delete(&mut self, ring: &Ring) -> Result<(), DvrError> {
        let disk = Arc::clone(&self.shared.disk);
        ring.is_still_there(&*disk)?;
        let until = self.shared.clock.boot().after(DELETE_TIME_MAX);
        while let Some(&number) = ring.leaving.get(self.deleted) {
            if self.shared.clock.boot() >= until {
                return Ok(());
            }
            ring.remove_slot(&*disk, number)?;
            self.deleted += 1;
        }
        if !self.shared.resizes().is_empty() {
            // Until the journal has it, this is where a next start learns of it.
            return Ok(());
        }
        let highest = self.shared.table().slots.keys().next_back().copied();
        let rest = ring.left(&*disk, highest)?;
        info!(units = ring.leaving.len(), "slots of a smaller ring are deleted");
        self.ring = Some(rest.clone());
        // A larger size may have been configured since.
        let grown = rest.grown(&*disk)?;
        if grown.slots != ring.slots {
            self.shared.note_resize(&grown, ring.slots, grown.slots);
            let foreign = self.shared.geometry().foreign;
            self.shared.set_ring(RingState::Ready, Some(grown.geometry(foreign)));
        }
        self.ring = Some(grown);
        Ok(())
    }
}
