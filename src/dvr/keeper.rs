//! The index thread: learns what is in each slot after a start, from the index or the slots.
//!
//! Owns: the order of the background reading, and the index. Recording never waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use tracing::{info, warn};

use super::disk::Open;
use super::index::{IndexHandle, Record};
use super::ring::Ring;
use super::slot::{self, Contents, Front, Strictness, Tail};
use super::state::Shared;
use super::storage::Command;
use super::table::SlotTable;

/// How long the index may take to close.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// What the storage thread tells the index thread.
#[derive(Debug)]
pub(super) enum Note {
    /// A ring was opened: learn what its slots hold.
    Mounted(Ring, Vec<Check>),
    /// A lap ended.
    Ended(u32, Record),
    /// A slot began a new lap, or goes on with its old one: what the index holds is stale.
    Began(u32),
}

/// A lap that was found at a start.
#[derive(Clone, Debug)]
pub(super) struct Check {
    slot: u32,
    generation: u64,
    strictness: Strictness,
}

/// What is to be learnt of every lap in `table`: the newest of each stream may have a torn end.
pub(super) fn checks(table: &SlotTable) -> Vec<Check> {
    let mut newest = BTreeMap::new();
    for (_, held) in table.held() {
        let latest = newest.entry(&held.stream).or_insert(0);
        *latest = held.generation.max(*latest);
    }
    let mut checks: Vec<_> = table
        .held()
        .map(|(slot, held)| {
            let last = newest.get(&held.stream) == Some(&held.generation);
            let strictness = if last { Strictness::Tail } else { Strictness::Finished };
            Check { slot, generation: held.generation, strictness }
        })
        .collect();
    // The newest first: torn ends are mended soon, and people look at the last hours.
    checks.sort_by_key(|check| std::cmp::Reverse(check.generation));
    checks
}

/// The thread's own state.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) notes: Receiver<Note>,
    pub(super) storage: SyncSender<Command>,
}

impl Keeper {
    /// Runs until the storage thread goes.
    pub(super) fn run(self) {
        let mut index: Option<IndexHandle> = None;
        for note in &self.notes {
            match note {
                Note::Mounted(ring, checks) => {
                    let (handle, records) = match index.take() {
                        Some(handle) => (handle, Vec::new()),
                        None => IndexHandle::open(&*self.shared.disk, &self.shared.data_dir),
                    };
                    let handle = index.insert(handle);
                    self.learn(&ring, &checks, handle, records.into_iter().collect());
                }
                Note::Ended(slot, record) => {
                    index.get_or_insert_with(IndexHandle::none).put(slot, &record);
                }
                Note::Began(slot) => {
                    index.get_or_insert_with(IndexHandle::none).remove(slot);
                }
            }
        }
        if let Some(mut index) = index {
            index.close(CLOSE_TIME_MAX);
        }
    }

    fn learn(
        &self,
        ring: &Ring,
        checks: &[Check],
        index: &mut IndexHandle,
        mut records: BTreeMap<u32, Record>,
    ) {
        let mut read = 0u64;
        for check in checks {
            if self.shared.is_closing() {
                return;
            }
            let record = records.remove(&check.slot);
            // The last slot of a stream may have grown since its record was written.
            let usable = record.filter(|record| {
                record.generation == check.generation && check.strictness == Strictness::Finished
            });
            if let Some(record) = usable {
                self.know(check, &record);
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
    }

    fn is_wanted(&self, check: &Check) -> bool {
        let mut table = self.shared.table();
        table.lap_mut(check.slot, check.generation).is_some_and(|held| !held.active && !held.known)
    }

    fn know(&self, check: &Check, record: &Record) {
        let mut table = self.shared.table();
        if let Some(held) = table.lap_mut(check.slot, check.generation)
            && !held.active
            && !held.known
        {
            held.learn(&record.entries, u64::from(record.damaged));
        }
    }

    fn read(&self, ring: &Ring, check: &Check, index: &mut IndexHandle) {
        let contents = match self.scan(ring, check) {
            Ok(Some(contents)) => contents,
            // Reused meanwhile: nothing to know.
            Ok(None) => return,
            Err(error) => {
                warn!(seq = check.slot, error = error.to_string(), "slot cannot be read");
                return;
            }
        };
        let damaged = contents.damaged.len();
        if damaged > 0 {
            warn!(seq = check.slot, lost = damaged, "damaged fragments in a slot were passed over");
        }
        if contents.tail == Tail::Torn {
            let repair = Command::Repair {
                slot: check.slot,
                generation: check.generation,
                end: contents.end,
            };
            // When there is no room the torn end stays until the next start; nothing reads it.
            let _ = self.storage.try_send(repair);
        }
        let record = Record {
            generation: check.generation,
            damaged: u32::try_from(damaged).unwrap_or(u32::MAX),
            entries: contents.entries,
        };
        self.know(check, &record);
        if check.strictness == Strictness::Finished {
            index.put(check.slot, &record);
        }
    }

    fn scan(&self, ring: &Ring, check: &Check) -> Result<Option<Contents>, super::DvrError> {
        let file = ring.open_slot(&*self.shared.disk, check.slot, Open::Read)?;
        let failed = super::DvrError::disk("read", ring.slot_path(check.slot));
        let read = || {
            Ok(match slot::read_front(&*file, ring.slot_bytes)? {
                Front::Held { header, .. } if header.generation == check.generation => {
                    Some(slot::scan(&*file, &header, check.strictness)?)
                }
                _ => None,
            })
        };
        read().map_err(failed)
    }
}
