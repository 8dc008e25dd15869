//! Opens the ring, takes its space, and gives it up.
//!
//! Owns: what happens between a directory and a ring that takes footage. Part of the storage
//! thread.

use crate::dvr::store::messages::checks;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::base::fault::{Fault, chain};
use crate::base::limits::{FRAGMENT_BYTES_MAX, RING_RETRY_PAUSE};
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::disk;
use crate::dvr::disk::DiskFile;
use crate::dvr::error::{DvrError, sentence};
use crate::dvr::store::journal;
use crate::dvr::store::messages::IndexEvent;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::ring_writer::RingWriter;
use crate::dvr::store::ring_writer::place::SlotChange;
use crate::dvr::store::state::RingState;

/// Pause before the ring tries again to take space that was not there, or to delete slots.
const GROWTH_PAUSE: Duration = Duration::from_secs(60);
/// A slot holds at least this many of the largest fragments.
const FRAGMENTS_PER_SLOT_MIN: u64 = 4;

impl RingWriter {
    /// Opens the ring, or says why that cannot be and when it is tried again.
    pub(crate) fn open_ring(&mut self) {
        self.forget_deleted();
        let opened = self
            .lock_directory()
            .and_then(|()| Ring::open(&*self.shared.disk, &self.config, self.expected));
        match opened {
            Ok(found) => {
                let missing = found.missing();
                let ring = found.ring;
                self.expected = Some(ring.identity);
                let largest = ring.slot_bytes / FRAGMENTS_PER_SLOT_MIN;
                let largest = usize::try_from(largest).unwrap_or(usize::MAX);
                self.shared.fragment_bytes_max.store(largest.min(FRAGMENT_BYTES_MAX), Relaxed);
                let checks = checks(&found.table);
                // The slot in which a stream would continue may be among those.
                self.may_resume &= found.table.unreadable() == 0;
                self.shared.table().replace(found.table);
                // What is protected must be known before any slot is chosen.
                journal::ring_opened(&self.shared, &ring);
                info!(bytes = ring.bytes(), units = checks.len(), "ring opened");
                self.shared.set_short(None);
                self.growth_at = self.shared.clock.boot();
                self.notify_index(IndexEvent::RingOpened(ring.clone(), checks));
                self.shared.set_ring(RingState::Ready, Some(ring.geometry(found.foreign)));
                for (slot, of) in found.copies {
                    let why = format!("Slot {slot:06} was a copy of slot {of:06} and is free now.");
                    self.shared.note_damage(why);
                }
                if !missing.is_empty() {
                    self.report_slots(&missing, SlotChange::Missing);
                }
                if let Some(why) = found.recovered {
                    let why = format!("{why}; it was made again from the slots.");
                    warn!(reason = why, "ring.toml was made again");
                    self.shared.note_damage(why);
                }
                if let Some((from, to)) = found.resized {
                    self.shared.note_resize(&ring, from, to);
                }
                self.witness = ring.witness(&*self.shared.disk);
                // As they are now: what is in them was just read.
                self.files = ring.slot_files(&*self.shared.disk).unwrap_or_default();
                (self.ring, self.failures, self.deleted) = (Some(ring), 0, 0);
            }
            Err(error) => self.fail_ring(&error),
        }
    }

    fn lock_directory(&mut self) -> Result<(), DvrError> {
        if self.lock.is_none() {
            let dir = &self.config.data_dir;
            self.lock = disk::lock(&*self.shared.disk, dir).map_err(DvrError::disk("lock", dir))?;
        }
        let path = self.config.data_dir.clone();
        self.lock.is_some().then_some(()).ok_or(DvrError::InUse { path })
    }

    fn fail_ring(&mut self, error: &DvrError) {
        let reason = sentence(error);
        if self.shared.set_ring(RingState::Failed { reason: reason.clone() }, None) {
            let class = error.class().as_str();
            error!(class, error = reason, "nothing can be recorded, trying again");
        }
        self.retry_at = self.shared.clock.boot().after(RING_RETRY_PAUSE);
    }

    /// Gives the ring up for now; what was not durable is lost.
    pub(crate) fn close_ring(&mut self, reason: String) {
        for (_, open) in std::mem::take(&mut self.open) {
            open.log.lose(open.pending_samples());
            open.log.settle();
        }
        self.ring = None;
        self.may_resume = false;
        self.shared.set_ring(RingState::Failed { reason }, None);
        self.retry_at = self.shared.clock.boot().after(RING_RETRY_PAUSE);
    }

    /// Takes the space of one slot that is not there yet, while there is nothing else to do.
    pub(crate) fn take_space(&mut self) {
        let now = self.shared.clock.boot();
        let Some(ring) = self.ring.clone().filter(|_| now >= self.growth_at) else { return };
        let Some(number) = self.shared.table().missing(ring.slots_to_make()) else { return };
        let disk = Arc::clone(&self.shared.disk);
        match ring.is_still_there(&*disk).and_then(|()| self.make_slot(&ring, number)) {
            Ok(_) => {
                self.shared.set_short(None);
                self.shared.table().slots.insert(number, SlotView::Blank);
            }
            Err(error) => self.stop_growing(&error),
        }
    }

    /// Makes the file of a slot, as far as others are left their room.
    pub(crate) fn make_slot(
        &self,
        ring: &Ring,
        number: u32,
    ) -> Result<Arc<dyn DiskFile>, DvrError> {
        let minute = self.ingest_rate.minute_bytes();
        ring.clone().leaving_at_least(minute).make_slot(&*self.shared.disk, number)
    }

    pub(crate) fn stop_growing(&mut self, error: &DvrError) {
        warn!(error = chain(error), "the ring cannot use all of its space, continuing with less");
        // A ring that is not in its place tells so itself.
        let lost_place = matches!(error, DvrError::Gone { .. } | DvrError::Foreign { .. });
        self.shared.set_short((!lost_place).then(|| sentence(error)));
        self.rest_from_growing();
    }

    /// Keeps the number of slots for a while.
    pub(crate) fn rest_from_growing(&mut self) {
        self.growth_at = self.shared.clock.boot().after(GROWTH_PAUSE);
    }
}
