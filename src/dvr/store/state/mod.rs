//! What the threads of the DVR and the rest of the house share.
//!
//! Owns: the locks, the queue's byte count, and the list of streams that are recorded.

mod journal_state;
mod noted;
mod status;
mod stream_log;

use crate::base::sync::lock;
use crate::dvr::catalogue::geometry::Geometry;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) use journal_state::JournalState;
pub use noted::Noted;
pub use status::{Durable, DvrStatus, RecordingState, RingState, StreamStatus};
pub(crate) use stream_log::StreamLog;
use tokio::sync::{Semaphore, broadcast};

use crate::base::limits::{DISK_READS_MAX, FRAGMENT_BYTES_MAX, NOTED_KEPT_MAX};
use crate::base::name::StreamName;
use crate::base::time::{SharedClock, Trust, WallTime};
use crate::dvr::catalogue::facts::RingFacts;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::catalogue::shrink_plan::ShrinkPlan;
use crate::dvr::catalogue::table::Catalogue;
use crate::dvr::config::Retention;
use crate::dvr::disk::Disk;
use crate::dvr::format::journal_record::{Rebuild, Resize, SegmentNumber};
use crate::dvr::format::seal::{FragmentEntry, Identity};

/// Sentences about damage that are kept at most.
const DAMAGE_SENTENCES_MAX: usize = 16;

/// What the journal's thread has yet to write.
#[derive(Debug, Default)]
struct JournalInbox {
    /// Slots and bytes evicted since the last journal entry.
    evicted: Mutex<BTreeMap<StreamName, (u64, u64)>>,
    /// Numbers of segments.
    numbered: Mutex<BTreeMap<StreamName, SegmentNumber>>,
    /// Changes of the ring's size.
    resized: Mutex<Vec<Resize>>,
    /// Rebuilds of the index.
    rebuilt: Mutex<Vec<Rebuild>>,
}

/// What people are shown of the ring beside its state.
#[derive(Debug, Default)]
struct Notices {
    /// Proposals for a smaller ring, with the tokens that accept them.
    plans: Mutex<VecDeque<(u64, ShrinkPlan)>>,
    /// Why the ring has less space than configured.
    short: Mutex<Option<String>>,
    /// Damage that was found and repaired since the process started.
    mended: Mutex<Vec<String>>,
}

/// What the threads share.
#[derive(Debug)]
pub(crate) struct DvrState {
    pub(crate) clock: SharedClock,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) data_dir: PathBuf,
    pub(crate) closing: AtomicBool,
    pub(crate) queue_bytes: AtomicUsize,
    pub(crate) fragment_bytes_max: AtomicUsize,
    /// Who vouched for the date at the last check, as an octet.
    trust: AtomicU8,
    table: Mutex<Catalogue>,
    ring: Mutex<(RingState, Geometry)>,
    /// Locked before `table` where both are needed.
    facts: Mutex<RingFacts>,
    journal: Mutex<JournalState>,
    inbox: JournalInbox,
    /// Reports what was noted to the subscribers.
    noted: broadcast::Sender<Noted>,
    notices: Notices,
    /// The age limit is due for a check.
    pub(crate) age_due: AtomicBool,
    /// The storage thread has put everything to rest.
    pub(crate) storage_ended: AtomicBool,
    /// Permits to read for players.
    pub(crate) reads: Arc<Semaphore>,
    streams: Mutex<BTreeMap<StreamName, Arc<StreamLog>>>,
}

impl DvrState {
    pub(crate) fn new(data_dir: PathBuf, disk: Arc<dyn Disk>, clock: SharedClock) -> Self {
        Self {
            clock,
            disk,
            data_dir,
            closing: AtomicBool::new(false),
            queue_bytes: AtomicUsize::new(0),
            fragment_bytes_max: AtomicUsize::new(FRAGMENT_BYTES_MAX),
            trust: AtomicU8::new(Trust::to_octet(None)),
            table: Mutex::default(),
            ring: Mutex::new((RingState::Opening, Geometry::default())),
            facts: Mutex::default(),
            journal: Mutex::default(),
            inbox: JournalInbox::default(),
            noted: broadcast::Sender::new(NOTED_KEPT_MAX),
            notices: Notices::default(),
            age_due: AtomicBool::new(false),
            storage_ended: AtomicBool::new(false),
            reads: Arc::new(Semaphore::new(DISK_READS_MAX)),
            streams: Mutex::default(),
        }
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Catalogue> {
        lock(&self.table)
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, RingFacts> {
        lock(&self.facts)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, JournalState> {
        lock(&self.journal)
    }

    /// Who vouched for the date when the journal's thread last looked, about a second ago.
    pub(crate) fn trust(&self) -> Option<Trust> {
        Trust::from_octet(self.trust.load(Relaxed))
    }

    /// Stores who vouches for the date.
    pub(crate) fn set_trust(&self, trust: Trust) {
        self.trust.store(Trust::to_octet(Some(trust)), Relaxed);
    }

    /// The ring, once it was opened.
    pub(crate) fn ring(&self) -> Option<crate::dvr::store::ring::Ring> {
        self.journal().ring.clone()
    }

    pub(crate) fn evicted(&self) -> MutexGuard<'_, BTreeMap<StreamName, (u64, u64)>> {
        lock(&self.inbox.evicted)
    }

    /// Numbers of segments that are not in the journal yet.
    pub(crate) fn numbered(&self) -> MutexGuard<'_, BTreeMap<StreamName, SegmentNumber>> {
        lock(&self.inbox.numbered)
    }

    /// Adds up what a slot held that is given to newer footage.
    pub(crate) fn count_evicted(&self, gone: Option<SlotView>) {
        let Some(SlotView::Held(gone)) = gone else { return };
        let mut evicted = self.evicted();
        let sum = evicted.entry(gone.stream).or_default();
        *sum = (sum.0 + 1, sum.1 + gone.bytes);
    }

    pub(crate) fn plans(&self) -> MutexGuard<'_, VecDeque<(u64, ShrinkPlan)>> {
        lock(&self.notices.plans)
    }

    /// The ring goes from so many slots to so many.
    pub(crate) fn note_resize(
        &self,
        ring: &crate::dvr::store::ring::Ring,
        from_slots: u32,
        to_slots: u32,
    ) {
        let (utc, slot_bytes) = (self.clock.wall(), ring.slot_bytes);
        lock(&self.inbox.resized).push(Resize { utc, from_slots, to_slots, slot_bytes });
    }

    /// Changes of the ring's size that are not in the journal yet.
    pub(crate) fn resizes(&self) -> Vec<Resize> {
        lock(&self.inbox.resized).clone()
    }

    /// The first `count` of them are.
    pub(crate) fn resizes_noted(&self, count: usize) {
        lock(&self.inbox.resized).drain(..count);
    }

    /// The index is built again from so many slots.
    pub(crate) fn note_rebuild(&self, slots: usize, why: &str) {
        let (utc, why) = (self.clock.wall(), why.to_owned());
        lock(&self.inbox.rebuilt).push(Rebuild { utc, slots: slots as u64, why });
    }

    /// Rebuilds of the index since this was last asked.
    pub(crate) fn take_rebuilds(&self) -> Vec<Rebuild> {
        std::mem::take(&mut *lock(&self.inbox.rebuilt))
    }

    /// Why the ring has less space than it should; `None` when it has all of it.
    pub(crate) fn set_short(&self, why: Option<String>) {
        *lock(&self.notices.short) = why;
    }

    /// Remembers damage that was mended, for the ring's health report.
    pub(crate) fn note_damage(&self, sentence: String) {
        let mut mended = lock(&self.notices.mended);
        if mended.len() < DAMAGE_SENTENCES_MAX && !mended.contains(&sentence) {
            mended.push(sentence);
        }
    }

    /// Tells the choice of slots what is protected.
    pub(crate) fn share_pins(&self) {
        let facts = self.facts();
        self.table().protections = facts.protections();
    }

    /// The date of a fragment's end by what is known of the clock.
    pub(crate) fn end_of(&self, boot: Identity, entry: &FragmentEntry) -> WallTime {
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        self.facts().clock.place(boot, entry.boot_time, entry.wall).offset_nanos(span)
    }

    pub(crate) fn geometry(&self) -> Geometry {
        lock(&self.ring).1.clone()
    }

    /// Every stream that is being recorded.
    pub(crate) fn logs(&self) -> Vec<Arc<StreamLog>> {
        lock(&self.streams).values().cloned().collect()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    pub(crate) fn ring_state(&self) -> RingState {
        lock(&self.ring).0.clone()
    }

    /// Returns whether this is news.
    pub(crate) fn set_ring(&self, state: RingState, geometry: Option<Geometry>) -> bool {
        let mut ring = lock(&self.ring);
        let news = ring.0 != state;
        ring.0 = state;
        if let Some(geometry) = geometry {
            ring.1 = geometry;
        }
        news
    }

    /// What is known of `name`; begins with nothing.
    pub(crate) fn stream(&self, name: &StreamName, keep: Retention) -> Arc<StreamLog> {
        let mut streams = lock(&self.streams);
        let log = streams.entry(name.clone()).or_insert_with(|| {
            let log = StreamLog::new(name);
            log.begun_nanos.store(self.clock.boot().as_nanos(), Relaxed);
            Arc::new(log)
        });
        *lock(&log.keep) = keep;
        Arc::clone(log)
    }

    /// As [`DvrState::stream`], of one that need not be recorded and does not become so.
    pub(crate) fn known_stream(&self, name: &StreamName) -> Arc<StreamLog> {
        let known = lock(&self.streams).get(name).cloned();
        known.unwrap_or_else(|| Arc::new(StreamLog::new(name)))
    }

    /// The shares that streams are granted now.
    pub(crate) fn keeps(&self) -> BTreeMap<StreamName, Retention> {
        lock(&self.streams).iter().map(|(name, log)| (name.clone(), *lock(&log.keep))).collect()
    }

    pub(crate) fn forget(&self, name: &StreamName) {
        lock(&self.streams).remove(name);
    }

    pub(crate) fn stream_status(&self, log: &StreamLog) -> StreamStatus {
        let bytes =
            self.table().held().filter(|(_, h)| h.stream == log.name).map(|(_, h)| h.bytes).sum();
        StreamStatus { bytes, ..self.standing(log) }
    }

    /// As [`DvrState::stream_status`] without its bytes, for which every slot is checked.
    pub(crate) fn standing(&self, log: &StreamLog) -> StreamStatus {
        let now = self.clock.boot();
        let (state, reason) = log.state(&self.ring_state(), now);
        let idle = i64::try_from(now.since(log.grown_at()).as_nanos()).unwrap_or(i64::MAX);
        let since = self.clock.wall().offset_nanos(-idle);
        StreamStatus {
            state,
            reason,
            since: (state != RecordingState::Recording).then_some(since),
            durable_until: log.durable.borrow().map(|durable| durable.until),
            bytes: 0,
            lost: log.lost.load(Relaxed),
        }
    }

    pub(crate) fn status(&self) -> DvrStatus {
        let (short, journal) = (lock(&self.notices.short).clone(), self.journal().trouble.clone());
        let streams = self.logs();
        let streams =
            streams.iter().map(|log| (log.name.clone(), self.stream_status(log))).collect();
        let (ring, geometry) = lock(&self.ring).clone();
        let table = self.table();
        let mut damage = lock(&self.notices.mended).clone();
        damage.extend(table.damage(DAMAGE_SENTENCES_MAX));
        let held = || table.held().map(|(_, held)| held);
        let bad = |view: &&_| {
            matches!(
                view,
                SlotView::Foreign
                    | SlotView::Unreadable
                    | SlotView::Damaged
                    | SlotView::Nameless { .. }
                    | SlotView::Failing(_)
            )
        };
        let taken_bytes = table.slots.len() as u64 * geometry.extent.slot_bytes;
        DvrStatus {
            ring,
            size_bytes: geometry.bytes(),
            untaken_bytes: geometry.bytes().saturating_sub(taken_bytes),
            used_bytes: held().count() as u64 * geometry.extent.slot_bytes,
            slot_bytes: geometry.extent.slot_bytes,
            foreign_files: geometry.foreign,
            bad_slots: table.slots.values().filter(bad).count() as u64,
            damaged: held().map(|held| held.damaged).sum(),
            indexed_slots: held().filter(|held| held.known).count() as u64,
            held_slots: held().count() as u64,
            damage,
            short,
            journal,
            streams,
        }
    }
}
