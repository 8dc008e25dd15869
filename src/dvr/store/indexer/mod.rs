//! The index thread: learns what is in each slot after a start, from the index or the slots.
//!
//! Owns: the order of the background reading, and the index. Recording never waits for it.

mod audit;
mod unread;

use crate::dvr::store::messages::IndexEvent;
use crate::dvr::store::messages::SlotScan;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use tracing::{info, warn};

use crate::base::fault::chain;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::disk;
use crate::dvr::disk::{Disk, OpenMode};
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::index_record::IndexRecord;
use crate::dvr::format::seal::FragmentEntry;
use crate::dvr::format::slot;
use crate::dvr::format::slot::{SlotContents, Tail};
use crate::dvr::store::index::IndexHandle;
use crate::dvr::store::indexer::audit::Audit;
use crate::dvr::store::indexer::unread::Unread;
use crate::dvr::store::messages::WriterCommand;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::shrink;
use crate::dvr::store::state::DvrState;

/// How long the index may take to close.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// How often the progress of the scan is reported.
const PROGRESS_PAUSE: Duration = Duration::from_secs(10);

/// How the index is opened: the store on its own thread, or one that a simulation brings.
pub(crate) type OpenIndex =
    Box<dyn FnMut(&dyn Disk, &Path) -> (IndexHandle, Vec<(u32, IndexRecord)>) + Send>;

/// The thread's own state.
pub(crate) struct Indexer {
    pub(crate) shared: Arc<DvrState>,
    notes: Receiver<IndexEvent>,
    storage: SyncSender<WriterCommand>,
    pub(crate) open_index: OpenIndex,
    pub(crate) index: Option<IndexHandle>,
    pub(crate) audit: Audit,
    pub(crate) unread: Unread,
}

impl Indexer {
    pub(crate) fn new(
        shared: Arc<DvrState>,
        notes: Receiver<IndexEvent>,
        storage: SyncSender<WriterCommand>,
        open_index: OpenIndex,
    ) -> Self {
        let (audit, unread) = (Audit::default(), Unread::default());
        Self { shared, notes, storage, open_index, index: None, audit, unread }
    }

    /// Runs until the storage thread goes.
    pub(crate) fn run(mut self) {
        disk::yield_to_others();
        loop {
            match self.notes.recv_timeout(self.patience()) {
                Ok(note) => self.handle(note),
                Err(RecvTimeoutError::Timeout) => self.audit(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(mut index) = self.index {
            index.close(CLOSE_TIME_MAX);
        }
    }

    /// Works off what is there, without waiting: for a simulation in its own time.
    #[cfg(test)]
    pub(crate) fn turn(&mut self) {
        while let Ok(note) = self.notes.try_recv() {
            self.handle(note);
        }
        self.audit();
    }

    fn handle(&mut self, note: IndexEvent) {
        let mut index = match (self.index.take(), &note) {
            (Some(index), _) => index,
            (None, IndexEvent::RingOpened(ring, checks)) => {
                let shared = Arc::clone(&self.shared);
                let (mut index, records) = (self.open_index)(&*shared.disk, &shared.data_dir);
                let is_empty = records.is_empty().then(|| "it is empty".to_owned());
                // Of the newest laps it has no records.
                let finished = checks.iter().filter(|check| !check.is_newest).count();
                if let Some(why) = index.anew.take().or(is_empty).filter(|_| finished > 0) {
                    shared.note_rebuild(finished, &why);
                }
                self.rebuild(ring, checks, &mut index, records.into_iter().collect());
                self.index = Some(index);
                return;
            }
            (None, _) => IndexHandle::none(),
        };
        match note {
            IndexEvent::RingOpened(ring, checks) => {
                self.rebuild(&ring, &checks, &mut index, BTreeMap::new());
            }
            IndexEvent::LapEnded(slot, record) => index.put(slot, &record),
            IndexEvent::LapBegan(slot) => index.remove(slot),
        }
        self.index = Some(index);
    }

    fn rebuild(
        &mut self,
        ring: &Ring,
        checks: &[SlotScan],
        index: &mut IndexHandle,
        mut records: BTreeMap<u32, IndexRecord>,
    ) {
        self.unread.begin(self.shared.clock.boot());
        let (mut read, mut told_at) = (0u64, self.shared.clock.boot());
        for (done, check) in checks.iter().enumerate() {
            if self.shared.is_closing() {
                return;
            }
            let now = self.shared.clock.boot();
            if now.since(told_at) >= PROGRESS_PAUSE {
                told_at = now;
                info!(
                    units = done,
                    lag_units = checks.len() - done,
                    "learning what is in the slots"
                );
            }
            let record = records.remove(&check.slot);
            // The last slot of a stream may have grown since its record was written.
            let usable =
                record.filter(|record| record.generation == check.generation && !check.is_newest);
            if let Some(record) = usable
                && self.ends_with(ring, check, record.entries.last())
            {
                self.know(check, &record);
            } else if let Some(last) = self.remembered(check)
                && self.ends_with(ring, check, Some(&last))
            {
                self.confirm(check);
            } else if self.is_wanted(check) {
                read += 1;
                self.read(ring, check, index);
            }
        }
        for (slot, _) in records {
            index.remove(slot);
        }
        if read > 0 {
            info!(units = read, "slots were read to complete the index");
        }
        if let Some(proposal) = shrink::propose(&self.shared) {
            let (bytes, reason) = (proposal.footage_bytes, proposal.message);
            warn!(bytes, reason, "the ring is larger than configured and stays so");
        }
    }

    /// How a lap ended that was known before the ring was opened again.
    fn remembered(&self, check: &SlotScan) -> Option<FragmentEntry> {
        let mut table = self.shared.table();
        let held = table.lap_mut(check.slot, check.generation)?;
        held.last.filter(|_| !held.active && !held.known)
    }

    /// Whether the lap still ends so: an index may have lost its newest record, and a volume
    /// may come back older than it went.
    fn ends_with(&self, ring: &Ring, check: &SlotScan, last: Option<&FragmentEntry>) -> bool {
        let read = || {
            let file = ring.open_slot(&*self.shared.disk, check.slot, OpenMode::Read).ok()?;
            match ring.read_front(&*file, check.slot).ok()? {
                SlotFront::Held { header, .. } if header.generation == check.generation => {
                    slot::ends_with(&*file, &header, last).ok()
                }
                _ => None,
            }
        };
        read().unwrap_or(false)
    }

    fn confirm(&self, check: &SlotScan) {
        if let Some(held) = self.shared.table().lap_mut(check.slot, check.generation) {
            held.known = true;
        }
    }

    pub(crate) fn is_wanted(&self, check: &SlotScan) -> bool {
        let mut table = self.shared.table();
        table.lap_mut(check.slot, check.generation).is_some_and(|held| !held.active && !held.known)
    }

    fn know(&self, check: &SlotScan, record: &IndexRecord) {
        let mut table = self.shared.table();
        if let Some(held) = table.lap_mut(check.slot, check.generation)
            && !held.active
            && !held.known
        {
            held.learn(&record.entries, u64::from(record.damaged));
            table.count_segments(check.slot, check.generation);
        }
    }

    /// Learns what is in a lap from its slot; returns whether that could be read.
    pub(crate) fn read(&self, ring: &Ring, check: &SlotScan, index: &mut IndexHandle) -> bool {
        let (contents, is_durable) = match self.scan(ring, check) {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.lost(check);
                return true;
            }
            Err(error) => {
                warn!(seq = check.slot, error = chain(&error), "slot cannot be read");
                return false;
            }
        };
        let damaged = contents.damaged.len();
        if damaged > 0 {
            warn!(seq = check.slot, lost = damaged, "damaged fragments in a slot were passed over");
        }
        if contents.tail == Tail::Torn && !self.is_front_damaged(check) {
            let repair = WriterCommand::Repair {
                slot: check.slot,
                generation: check.generation,
                end: contents.end,
            };
            // When there is no room the torn end stays until the next start; it is never read.
            let _ = self.storage.try_send(repair);
        }
        let record = IndexRecord {
            generation: check.generation,
            damaged: u32::try_from(damaged).unwrap_or(u32::MAX),
            entries: contents.entries,
        };
        self.know(check, &record);
        if !check.is_newest && is_durable {
            index.put(check.slot, &record);
        }
        true
    }

    /// Whether the slot's front is damaged: nothing is written to such a slot.
    fn is_front_damaged(&self, check: &SlotScan) -> bool {
        let mut table = self.shared.table();
        table.lap_mut(check.slot, check.generation).is_some_and(|held| held.is_front_damaged)
    }

    /// The lap is not there: its slot was reused meanwhile, or its front was in memory only.
    fn lost(&self, check: &SlotScan) {
        let mut table = self.shared.table();
        if table.lap_mut(check.slot, check.generation).is_some_and(|held| !held.active) {
            table.slots.insert(check.slot, SlotView::Damaged);
        }
    }

    /// What is in a lap, and whether all of it is on the medium: a process that was killed may
    /// have left it in memory only, and then the index must not outlive it.
    pub(crate) fn scan(
        &self,
        ring: &Ring,
        check: &SlotScan,
    ) -> Result<Option<(SlotContents, bool)>, crate::dvr::DvrError> {
        let file = ring.open_slot(&*self.shared.disk, check.slot, OpenMode::Read)?;
        let failed = crate::dvr::DvrError::disk("read", ring.slot_path(check.slot));
        let is_durable = file.sync_data().and_then(|()| file.forget_cached()).is_ok();
        let read = || {
            Ok(match ring.read_front(&*file, check.slot)? {
                SlotFront::Held { header, .. } if header.generation == check.generation => {
                    Some((slot::scan(&*file, &header, check.strictness)?, is_durable))
                }
                _ => None,
            })
        };
        read().map_err(failed)
    }
}
