//! Opens the ring, takes its space, and gives it up when its place is lost.
//!
//! Owns: what happens between a directory and a ring that takes footage. Part of the storage
//! thread.

use crate::dvr::store::messages::checks;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::base::fault::{Fault, chain};
use crate::base::limits::{FRAGMENT_BYTES_MAX, PLACE_CHECK_PAUSE, RING_RETRY_PAUSE};
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::disk;
use crate::dvr::error::{DvrError, sentence};
use crate::dvr::store::journal;
use crate::dvr::store::messages::IndexEvent;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::ring_writer::RingWriter;
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
                if let Some(why) = found.recovered {
                    warn!(reason = why, "ring.toml was made again");
                    self.shared.note_damage(why);
                }
                if let Some((from, to)) = found.resized {
                    self.shared.note_resize(&ring, from, to);
                }
                (self.ring, self.failures, self.deleted) = (Some(ring), 0, 0);
            }
            Err(error) => self.fail_ring(&error),
        }
    }

    /// When the data directory was deleted, and its volume is there, a new ring is made. A volume
    /// that went away and a directory that was moved leave the lock its name: what they hold may
    /// come back.
    fn forget_deleted(&mut self) {
        let (disk, dir) = (&self.shared.disk, &self.config.data_dir);
        let Some(Ok(Some(device))) = self.lock.as_ref().map(|lock| lock.deleted_from()) else {
            return;
        };
        let nearest = dir.ancestors().find_map(|dir| disk.device(dir).ok());
        if nearest != Some(device) {
            return;
        }
        let why = format!(
            "{} was deleted while the program ran, with all that was recorded. A new ring was made.",
            dir.display()
        );
        warn!(reason = why, "the data directory was deleted");
        self.shared.note_damage(why);
        (self.lock, self.expected) = (None, None);
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
        match ring.is_still_there(&*disk).and_then(|()| ring.make_slot(&*disk, number)) {
            Ok(_) => {
                self.shared.set_short(None);
                self.shared.table().slots.insert(number, SlotView::Blank);
            }
            Err(error) => self.stop_growing(&error),
        }
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

    /// Checks now and then whether the ring is still in its place, so that a disk that went away is
    /// reported and left alone before the next slot is needed.
    pub(crate) fn check_place(&mut self) {
        let now = self.shared.clock.boot();
        let Some(ring) = self.ring.as_ref().filter(|_| now >= self.place_at) else { return };
        let place = ring.is_still_there(&*self.shared.disk);
        self.place_at = now.after(PLACE_CHECK_PAUSE);
        if let Err(error) = place {
            let reason = sentence(&error);
            error!(error = reason, "the ring is not to be used any more, trying again");
            self.close_ring(reason);
        }
    }
}
