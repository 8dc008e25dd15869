//! The storage thread: the only one that writes to the ring.
//!
//! Owns: the open slots, the group commit, and what is done when the disk fails. Recorders hand
//! fragments over through a bounded queue and never wait.

mod allocate;
mod ingest_rate;
mod open;
mod place;

use crate::dvr::store::messages::Append;
use crate::dvr::store::messages::WriterCommand;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::base::fault::{Fault, chain};
use crate::base::limits::STORAGE_FAILURES_MAX;
use crate::base::name::StreamName;
use crate::base::time::BootTime;
use crate::dvr::catalogue::lap::{LapInfo, SlotView};
use crate::dvr::config::RingConfig;
use crate::dvr::disk::{DiskFile, OpenMode};
use crate::dvr::error::{DvrError, sentence};
use crate::dvr::format::index_record::IndexRecord;
use crate::dvr::format::seal::Identity;
use crate::dvr::format::slot;
use crate::dvr::store::messages::IndexEvent;
use crate::dvr::store::open_slot::OpenSlot;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::ring_writer::ingest_rate::IngestRate;
use crate::dvr::store::state::{Durable, DvrState};
use crate::supervise::Heartbeat;

/// Longest sleep of the thread, so that it beats and sees the end.
const SLEEP_MAX: Duration = Duration::from_millis(250);

/// What follows a turn of the storage thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterTurn {
    /// Another one.
    Goes,
    /// The writer was asked to close, and all is written and synced.
    Ended,
}

/// The thread's own state.
pub(crate) struct RingWriter {
    pub(crate) shared: Arc<DvrState>,
    pub(crate) config: RingConfig,
    pub(crate) boot: Identity,
    commands: Receiver<WriterCommand>,
    indexer: SyncSender<IndexEvent>,
    heartbeat: Option<Heartbeat>,
    /// Keeps other processes away; taken once and held to the end.
    pub(crate) lock: Option<Arc<dyn DiskFile>>,
    pub(crate) ring: Option<Ring>,
    /// The ring that was in use: no other takes its place while the process lives.
    pub(crate) expected: Option<Identity>,
    pub(crate) open: BTreeMap<StreamName, OpenSlot>,
    /// Failures since the last commit that worked.
    pub(crate) failures: u32,
    /// False after the first failure: what the page cache shows of a slot may not be on the
    /// medium, so old slots are not gone on with.
    pub(crate) may_resume: bool,
    pub(crate) retry_at: BootTime,
    pub(crate) growth_at: BootTime,
    pub(crate) place_at: BootTime,
    /// The slots' files as they were found when it was last looked.
    pub(crate) files: BTreeMap<u32, u64>,
    /// `ring.toml` as it was last found: tells whether the ring was deleted or moved.
    pub(crate) witness: Option<Arc<dyn DiskFile>>,
    /// What was recorded in the last minute.
    pub(crate) ingest_rate: IngestRate,
    /// How many of the slots that leave the ring have no file any more.
    pub(crate) deleted: usize,
}

impl RingWriter {
    pub(crate) fn new(
        shared: Arc<DvrState>,
        config: RingConfig,
        boot: Identity,
        commands: Receiver<WriterCommand>,
        indexer: SyncSender<IndexEvent>,
        heartbeat: Option<Heartbeat>,
    ) -> Self {
        Self {
            shared,
            config,
            boot,
            commands,
            indexer,
            heartbeat,
            lock: None,
            ring: None,
            expected: None,
            open: BTreeMap::new(),
            failures: 0,
            may_resume: true,
            retry_at: BootTime::default(),
            growth_at: BootTime::default(),
            place_at: BootTime::default(),
            files: BTreeMap::new(),
            witness: None,
            ingest_rate: IngestRate::default(),
            deleted: 0,
        }
    }

    /// Runs until asked to close. A panic costs the open slots, which are reopened.
    pub(crate) fn run(mut self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.adopt_thread();
        }
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.serve())) {
            let text = panic.downcast_ref::<String>().map_or("no message", String::as_str);
            error!(error = text, "the storage thread panicked, reopening the ring");
            self.close_ring("The storage thread failed and starts again.".to_owned());
        }
    }

    fn serve(&mut self) {
        loop {
            let first = self.commands.recv_timeout(self.patience()).ok();
            if self.turn(first) == WriterTurn::Ended {
                return;
            }
        }
    }

    /// How long the thread may wait for a command before its next turn.
    pub(crate) fn patience(&self) -> Duration {
        if self.shared.is_closing() {
            return Duration::ZERO;
        }
        let now = self.shared.clock.boot();
        self.commit_due().map_or(SLEEP_MAX, |due| due.since(now)).min(SLEEP_MAX)
    }

    /// Does what is due and works off the queue, `first` before it; waits for nothing but the
    /// disk. Called again and again by the thread, or by a simulation in its own time.
    pub(crate) fn turn(&mut self, first: Option<WriterCommand>) -> WriterTurn {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat();
        }
        if self.ring.is_none() && self.shared.clock.boot() >= self.retry_at {
            self.open_ring();
        }
        if let Some(command) = first {
            self.apply(command);
        }
        let rest = self.drain();
        self.commit_until(self.shared.clock.boot());
        self.check_place();
        if !rest {
            return WriterTurn::Goes;
        }
        if self.shared.is_closing() {
            self.commit_all();
            return WriterTurn::Ended;
        }
        self.delete_leaving();
        self.take_space();
        WriterTurn::Goes
    }

    /// Works off the queue until the next commit is due; returns whether it is empty.
    fn drain(&mut self) -> bool {
        while self.commit_due().is_none_or(|due| self.shared.clock.boot() < due) {
            match self.commands.try_recv() {
                Ok(command) => self.apply(command),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
        false
    }

    fn apply(&mut self, command: WriterCommand) {
        match command {
            WriterCommand::Append(append) => {
                let bytes = append.fragment.len();
                self.ingest_rate.count(self.shared.clock.boot(), bytes);
                self.append(&append);
                self.shared.queue_bytes.fetch_sub(bytes, Relaxed);
            }
            WriterCommand::Repair { slot, generation, end } => self.repair(slot, generation, end),
            WriterCommand::Expire { slot, generation } => self.expire(slot, generation),
            // A person who agreed and left would not know that it was done.
            WriterCommand::Shrink { reply, .. } if reply.is_closed() => {}
            WriterCommand::Shrink { token, reply } => {
                let _ = reply.send(self.shrink(token));
            }
            WriterCommand::Rest(stream) => {
                self.commit_one(&stream);
                if let Some(open) = self.open.remove(&stream) {
                    self.deactivate(&open);
                }
            }
            WriterCommand::Wake => {}
        }
    }

    // Writing.

    fn append(&mut self, append: &Append) {
        let stream = &append.log.name;
        // Behind a loss nothing can be decoded before the next key frame.
        let playable = append.fragment.starts_with_key || !append.log.loss_pending.load(Relaxed);
        for attempt in 0..2 {
            if self.ring.is_none() || !playable {
                break;
            }
            match self.try_append(append) {
                Ok(()) => return,
                Err(error) => {
                    self.fail_slot(stream, &error);
                    if attempt == 1 || matches!(error, DvrError::FragmentTooLong { .. }) {
                        append.log.set_reason(Some(sentence(&error)));
                    }
                }
            }
        }
        append.log.lose(u64::from(append.fragment.samples));
        if !self.open.get(stream).is_some_and(OpenSlot::is_dirty) {
            append.log.settle();
        }
    }

    fn try_append(&mut self, append: &Append) -> Result<(), DvrError> {
        let ring = self.ring.clone().ok_or(DvrError::NoSlot)?;
        let (stream, length) = (&append.log.name, append.fragment.len());
        let goes_on =
            self.open.get(stream).is_some_and(|open| open.takes(&append.init, &append.fragment));
        if !goes_on {
            let ended = self.end_slot(stream);
            let resumed = if ended { None } else { self.resume(&ring, append)? };
            let open = match resumed {
                Some(open) if open.takes(&append.init, &append.fragment) => open,
                other => {
                    if let Some(full) = other {
                        self.deactivate(&full);
                    }
                    self.open_slot(&ring, append)?
                }
            };
            if !open.takes(&append.init, &append.fragment) {
                let slot_bytes = ring.slot_bytes;
                self.deactivate(&open);
                return Err(DvrError::FragmentTooLong { bytes: length, slot_bytes });
            }
            self.open.insert(stream.clone(), open);
        }
        let Some(open) = self.open.get_mut(stream) else { return Err(DvrError::NoSlot) };
        let loss = append.loss_before || append.log.loss_pending.swap(false, Relaxed);
        let seen = (self.shared.clock.boot(), self.shared.trust());
        open.write(seen, &append.fragment, append.run_start, loss)
            .map_err(DvrError::disk("write to", ring.slot_path(open.header.slot)))
    }

    /// Makes the stream's slot durable and is done with it; returns whether there was one.
    fn end_slot(&mut self, stream: &StreamName) -> bool {
        self.commit_one(stream);
        let Some(open) = self.open.remove(stream) else { return false };
        self.deactivate(&open);
        let record =
            IndexRecord { generation: open.header.generation, damaged: 0, entries: open.durable };
        self.notify_index(IndexEvent::LapEnded(open.header.slot, record));
        true
    }

    fn with_held(&self, open: &OpenSlot, change: impl FnOnce(&mut LapInfo)) {
        let mut table = self.shared.table();
        if let Some(held) = table.lap_mut(open.header.slot, open.header.generation) {
            change(held);
        }
    }

    pub(crate) fn deactivate(&self, open: &OpenSlot) {
        self.with_held(open, |held| held.active = false);
    }

    // Making durable.

    /// Syncs every slot with news.
    pub(crate) fn commit_all(&mut self) {
        self.commit_until(BootTime::from_nanos(u64::MAX));
    }

    /// When the next commit is due.
    fn commit_due(&self) -> Option<BootTime> {
        self.open.values().filter_map(OpenSlot::commit_due).min()
    }

    /// Syncs every slot whose commit is due by `now`, the oldest news first. Each is synced in
    /// its own time: once per fragment of a second, as often as all together once a second, but
    /// no footage waits for that of other cameras.
    fn commit_until(&mut self, now: BootTime) {
        let due = |(stream, open): (&StreamName, &OpenSlot)| {
            Some((open.commit_due().filter(|&due| due <= now)?, stream.clone()))
        };
        let mut due: Vec<_> = self.open.iter().filter_map(due).collect();
        due.sort();
        for (_, stream) in due {
            self.commit_one(&stream);
        }
    }

    fn commit_one(&mut self, stream: &StreamName) {
        let Some(ring) = self.ring.clone() else { return };
        let Some(open) = self.open.get_mut(stream).filter(|open| open.is_dirty()) else { return };
        let path = ring.slot_path(open.header.slot);
        match open.sync() {
            Ok(entries) => {
                open.synced_at = self.shared.clock.boot();
                let log = Arc::clone(&open.log);
                let (slot, generation) = (open.header.slot, open.header.generation);
                if let Some(held) = self.shared.table().lap_mut(slot, generation) {
                    for entry in &entries {
                        held.add(entry);
                    }
                }
                open.tell(&entries);
                if let Some(last) = entries.last() {
                    let before = log.durable.borrow().map_or(0, |durable| durable.fragments);
                    log.durable.send_replace(Some(Durable {
                        until: self.shared.end_of(self.boot, last),
                        since: self.shared.clock.boot(),
                        fragments: before + entries.len() as u64,
                    }));
                }
                log.settle();
                log.set_reason(None);
                self.failures = 0;
            }
            Err(source) => {
                self.fail_slot(stream, &DvrError::Disk { doing: "sync", path, source });
            }
        }
    }

    // When the disk fails.

    /// Leaves the stream's slot at its last durable fragment: after a failed sync the kernel
    /// calls the lost pages clean, so syncing again would only seem to work.
    fn fail_slot(&mut self, stream: &StreamName, error: &DvrError) {
        if matches!(error, DvrError::FragmentTooLong { .. }) {
            return;
        }
        self.failures += 1;
        self.may_resume = false;
        warn!(stream = %stream, class = error.class().as_str(), error = chain(error),
            "slot abandoned after its last durable fragment");
        if let Some(open) = self.open.remove(stream) {
            open.log.lose(open.pending_samples());
            open.log.settle();
            open.log.set_reason(Some(sentence(error)));
            open.cut();
            if open.durable.is_empty() {
                let view = SlotView::Failing(self.shared.clock.boot());
                self.shared.table().slots.insert(open.header.slot, view);
            } else {
                self.deactivate(&open);
            }
        }
        let lost_place = matches!(error, DvrError::Gone { .. } | DvrError::Foreign { .. });
        if self.failures >= STORAGE_FAILURES_MAX || lost_place {
            let reason = sentence(error);
            error!(error = reason, "the ring failed, reopening it");
            self.close_ring(reason);
        }
    }

    /// Cuts off the torn end of a finished lap, so that its file plays to the end.
    pub(crate) fn repair(&mut self, number: u32, generation: u64, end: u64) {
        let Some(ring) = &self.ring else { return };
        let idle = |held: &mut LapInfo| !held.active;
        if !self.shared.table().lap_mut(number, generation).is_some_and(idle) {
            return;
        }
        let repaired =
            ring.open_slot(&*self.shared.disk, number, OpenMode::Write).and_then(|file| {
                file.write_at(end, &[&slot::skip_box(end, ring.slot_bytes)])
                    .and_then(|()| file.sync_data())
                    .map_err(DvrError::disk("mend", ring.slot_path(number)))
            });
        match repaired {
            Ok(()) => info!(seq = number, bytes = end, "torn end of a slot cut off"),
            // It is tried again at the next start; readers stop at the last seal anyway.
            Err(error) => warn!(seq = number, error = chain(&error), "torn end stays"),
        }
    }

    /// Ends a lap by making its slot blank. The bytes stay until the slot is reused, and nothing
    /// finds them any more.
    fn expire(&mut self, number: u32, generation: u64) {
        let Some(ring) = &self.ring else { return };
        if !self.shared.table().may_expire(number, generation) {
            return;
        }
        let blank = slot::free_box(0, ring.slot_bytes);
        let done = ring.open_slot(&*self.shared.disk, number, OpenMode::Write).and_then(|file| {
            file.write_at(0, &[&blank])
                .and_then(|()| file.sync_data())
                .map_err(DvrError::disk("clear", ring.slot_path(number)))
        });
        if let Err(error) = done {
            warn!(seq = number, error = chain(&error), "old footage cannot be released");
            return;
        }
        let gone = self.shared.table().slots.insert(number, SlotView::Blank);
        self.shared.count_evicted(gone);
        self.notify_index(IndexEvent::LapBegan(number));
    }

    pub(crate) fn notify_index(&self, event: IndexEvent) {
        // Without room the index misses a record and finds it again by reading the slot.
        let _ = self.indexer.try_send(event);
    }
}
