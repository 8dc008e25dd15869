//! What the threads of the DVR and the rest of the house share.
//!
//! Owns: the table's lock, the queue's byte count, and what is known of each stream's recording.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::Keep;
use super::disk::Disk;
use super::footage::Recent;
use super::journal::{Cause, Facts, JournalState, Numbered, Rebuild, Resize, Trouble};
use super::seal::{Entry, Identity};
use super::shrink::{Extent, Plan};
use super::table::{SlotTable, SlotView};
use crate::base::limits::{
    DISK_READS_MAX, DISK_STALL_SHOWN, FRAGMENT_BYTES_MAX, TROUBLE_MERGE_TIME, TROUBLE_NOTE_PAUSE,
    TROUBLE_TEXT_BYTES_MAX,
};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, SharedClock, Trust, WallTime};

/// From this age on the newest durable fragment no longer counts as "recording".
const RECORDING_AGE_MAX: Duration = Duration::from_secs(5);

/// How far a stream is safe on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Date at which the newest durable fragment ends.
    pub until: WallTime,
    /// When that became known here.
    pub since: BootTime,
    /// Fragments made durable since the process started.
    pub fragments: u64,
}

/// How recording goes, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Fragments become durable.
    Recording,
    /// Nothing comes to be recorded, or the ring is being opened.
    Waiting,
    /// Footage is being lost; the reason says why.
    Failed,
}

/// How the recording of one stream goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// In one word.
    pub state: RecordingState,
    /// For people: why it is not recording.
    pub reason: Option<String>,
    /// Since when nothing of it has become durable; `None` while it does.
    pub since: Option<WallTime>,
    /// Everything up to this date is on the medium.
    pub durable_until: Option<WallTime>,
    /// Bytes of footage in the ring.
    pub bytes: u64,
    /// Units that came to be recorded and were not, since the process started.
    pub lost: u64,
}

/// How the ring does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum RingState {
    /// It is being opened.
    Opening,
    /// It takes footage.
    Ready,
    /// It cannot be used; it is tried again every few seconds.
    Failed {
        /// For people.
        reason: String,
    },
}

/// How everything does.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The ring.
    pub ring: RingState,
    /// Bytes that the ring has.
    pub size_bytes: u64,
    /// Bytes of the slots that hold footage.
    pub used_bytes: u64,
    /// Bytes of slots whose space is still to be taken from the volume.
    pub untaken_bytes: u64,
    /// Size of one slot.
    pub slot_bytes: u64,
    /// Files in the ring's directory that are none of its own.
    pub foreign_files: u64,
    /// Slots that cannot be used: unreadable, failed, or of another ring.
    pub bad_slots: u64,
    /// Damaged stretches of bytes that were passed over in finished slots.
    pub damaged: u64,
    /// Slots whose content is known, of those that hold footage.
    pub indexed_slots: u64,
    /// Slots that hold footage.
    pub held_slots: u64,
    /// Why the ring has less space than it should, for people.
    pub short: Option<String>,
    /// Why the journal cannot be written, for people.
    pub journal: Option<String>,
    /// Every stream that is being recorded.
    pub streams: BTreeMap<StreamName, StreamStatus>,
}

/// What does not change while a ring is open.
#[derive(Clone, Debug, Default)]
pub(super) struct Geometry {
    pub(super) extent: Extent,
    pub(super) foreign: u64,
}

impl Geometry {
    /// Bytes of the ring.
    pub(super) fn bytes(&self) -> u64 {
        self.extent.slot_bytes * u64::from(self.extent.slots)
    }
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: SharedClock,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: PathBuf,
    pub(super) closing: AtomicBool,
    pub(super) queue_bytes: AtomicUsize,
    pub(super) fragment_bytes_max: AtomicUsize,
    /// Who vouched for the date when somebody last looked, as an octet.
    trust: AtomicU8,
    table: Mutex<SlotTable>,
    ring: Mutex<(RingState, Geometry)>,
    /// Locked before `table` where both are needed.
    facts: Mutex<Facts>,
    journal: Mutex<JournalState>,
    /// Slots and bytes that went since that was last noted.
    evicted: Mutex<BTreeMap<StreamName, (u64, u64)>>,
    /// Numbers of segments that are not in the journal yet.
    numbered: Mutex<BTreeMap<StreamName, Numbered>>,
    /// Changes of the ring's size that are not in the journal yet.
    resized: Mutex<Vec<Resize>>,
    /// Rebuilds of the index of which the journal has not heard yet.
    rebuilt: Mutex<Vec<Rebuild>>,
    /// What was told to whoever may agree to a smaller ring, with its tokens.
    plans: Mutex<VecDeque<(u64, Plan)>>,
    short: Mutex<Option<String>>,
    /// The age limit is to be looked at now.
    pub(super) age_due: AtomicBool,
    /// The storage thread has put everything to rest.
    pub(super) storage_ended: AtomicBool,
    /// Permits to read for players.
    pub(super) reads: Arc<Semaphore>,
    streams: Mutex<BTreeMap<StreamName, Arc<StreamLog>>>,
}

/// What is known of one stream's recording.
#[derive(Debug)]
pub(super) struct StreamLog {
    pub(super) name: StreamName,
    pub(super) durable: watch::Sender<Option<Durable>>,
    pub(super) lost: AtomicU64,
    /// Something was lost since the last fragment that was written.
    pub(super) loss_pending: AtomicBool,
    /// When the newest unit that was handed over had arrived, in nanoseconds since boot.
    pub(super) taken_until_nanos: AtomicU64,
    /// When it was first to be recorded, in nanoseconds since boot.
    begun_nanos: AtomicU64,
    keep: Mutex<Keep>,
    recent: Mutex<Recent>,
    trouble: Mutex<Disturbance>,
    /// What kept it from being recorded, by cause: the last stretch of each.
    noted: Mutex<BTreeMap<Cause, Noted>>,
}

#[derive(Debug, Default)]
struct Disturbance {
    reason: Option<String>,
    /// The last reason that nobody took note of yet.
    news: Option<String>,
    /// Since when a fragment waits to become durable.
    waiting_since: Option<BootTime>,
}

/// A stretch of time in which something kept a stream from being recorded.
#[derive(Debug)]
struct Noted {
    from: BootTime,
    until: Option<BootTime>,
    text: String,
    /// Not in the journal as it is.
    is_news: bool,
    /// When it was last written.
    told_at: Option<BootTime>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What stands under these locks is whole after every statement that changes it.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(data_dir: PathBuf, disk: Arc<dyn Disk>, clock: SharedClock) -> Self {
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
            evicted: Mutex::default(),
            numbered: Mutex::default(),
            resized: Mutex::default(),
            rebuilt: Mutex::default(),
            plans: Mutex::default(),
            short: Mutex::default(),
            age_due: AtomicBool::new(false),
            storage_ended: AtomicBool::new(false),
            reads: Arc::new(Semaphore::new(DISK_READS_MAX)),
            streams: Mutex::default(),
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, SlotTable> {
        lock(&self.table)
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, JournalState> {
        lock(&self.journal)
    }

    /// Who vouched for the date when the journal's thread last looked, about a second ago.
    pub(super) fn trust(&self) -> Option<Trust> {
        Trust::from_octet(self.trust.load(Relaxed))
    }

    /// Somebody looked who vouches for the date.
    pub(super) fn set_trust(&self, trust: Trust) {
        self.trust.store(Trust::to_octet(Some(trust)), Relaxed);
    }

    /// The ring, once it was opened.
    pub(super) fn ring(&self) -> Option<super::ring::Ring> {
        self.journal().ring.clone()
    }

    pub(super) fn evicted(&self) -> MutexGuard<'_, BTreeMap<StreamName, (u64, u64)>> {
        lock(&self.evicted)
    }

    /// Numbers of segments that are not in the journal yet.
    pub(super) fn numbered(&self) -> MutexGuard<'_, BTreeMap<StreamName, Numbered>> {
        lock(&self.numbered)
    }

    /// Adds up what a slot held that is given to newer footage.
    pub(super) fn count_evicted(&self, gone: Option<SlotView>) {
        let Some(SlotView::Held(gone)) = gone else { return };
        let mut evicted = self.evicted();
        let sum = evicted.entry(gone.stream).or_default();
        *sum = (sum.0 + 1, sum.1 + gone.bytes);
    }

    pub(super) fn plans(&self) -> MutexGuard<'_, VecDeque<(u64, Plan)>> {
        lock(&self.plans)
    }

    /// The ring goes from so many slots to so many.
    pub(super) fn note_resize(&self, ring: &super::ring::Ring, from_slots: u32, to_slots: u32) {
        let (utc, slot_bytes) = (self.clock.wall(), ring.slot_bytes);
        lock(&self.resized).push(Resize { utc, from_slots, to_slots, slot_bytes });
    }

    /// Changes of the ring's size that are not in the journal yet.
    pub(super) fn resizes(&self) -> Vec<Resize> {
        lock(&self.resized).clone()
    }

    /// The first `count` of them are.
    pub(super) fn resizes_noted(&self, count: usize) {
        lock(&self.resized).drain(..count);
    }

    /// The index is built again from so many slots.
    pub(super) fn note_rebuild(&self, slots: usize, why: &str) {
        let (utc, why) = (self.clock.wall(), why.to_owned());
        lock(&self.rebuilt).push(Rebuild { utc, slots: slots as u64, why });
    }

    /// Rebuilds of the index since this was last asked.
    pub(super) fn take_rebuilds(&self) -> Vec<Rebuild> {
        std::mem::take(&mut *lock(&self.rebuilt))
    }

    /// Why the ring has less space than it should; `None` when it has all of it.
    pub(super) fn set_short(&self, why: Option<String>) {
        *lock(&self.short) = why;
    }

    /// Tells the choice of slots what is protected.
    pub(super) fn share_pins(&self) {
        let facts = self.facts();
        self.table().protections = facts.protections();
    }

    /// The date of a fragment's end by what is known of the clock.
    pub(super) fn end_of(&self, boot: Identity, entry: &Entry) -> WallTime {
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        self.facts().clock.place(boot, entry.boot_time, entry.wall).offset_nanos(span)
    }

    pub(super) fn geometry(&self) -> Geometry {
        lock(&self.ring).1.clone()
    }

    /// Every stream that is being recorded.
    pub(super) fn logs(&self) -> Vec<Arc<StreamLog>> {
        lock(&self.streams).values().cloned().collect()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    pub(super) fn ring_state(&self) -> RingState {
        lock(&self.ring).0.clone()
    }

    /// Returns whether this is news.
    pub(super) fn set_ring(&self, state: RingState, geometry: Option<Geometry>) -> bool {
        let mut ring = lock(&self.ring);
        let news = ring.0 != state;
        ring.0 = state;
        if let Some(geometry) = geometry {
            ring.1 = geometry;
        }
        news
    }

    /// What is known of `name`; begins with nothing.
    pub(super) fn stream(&self, name: &StreamName, keep: Keep) -> Arc<StreamLog> {
        let mut streams = lock(&self.streams);
        let log = streams.entry(name.clone()).or_insert_with(|| {
            let log = StreamLog::new(name);
            log.begun_nanos.store(self.clock.boot().as_nanos(), Relaxed);
            Arc::new(log)
        });
        *lock(&log.keep) = keep;
        Arc::clone(log)
    }

    /// As [`Shared::stream`], of one that need not be recorded and does not become so.
    pub(super) fn known_stream(&self, name: &StreamName) -> Arc<StreamLog> {
        let known = lock(&self.streams).get(name).cloned();
        known.unwrap_or_else(|| Arc::new(StreamLog::new(name)))
    }

    /// The shares that streams are granted now.
    pub(super) fn keeps(&self) -> BTreeMap<StreamName, Keep> {
        lock(&self.streams).iter().map(|(name, log)| (name.clone(), *lock(&log.keep))).collect()
    }

    pub(super) fn forget(&self, name: &StreamName) {
        lock(&self.streams).remove(name);
    }

    pub(super) fn stream_status(&self, log: &StreamLog) -> StreamStatus {
        let bytes =
            self.table().held().filter(|(_, h)| h.stream == log.name).map(|(_, h)| h.bytes).sum();
        StreamStatus { bytes, ..self.standing(log) }
    }

    /// As [`Shared::stream_status`] without its bytes, for which every slot is looked at.
    pub(super) fn standing(&self, log: &StreamLog) -> StreamStatus {
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

    pub(super) fn status(&self) -> Status {
        let (short, journal) = (lock(&self.short).clone(), self.journal().trouble.clone());
        let streams = self.logs();
        let streams =
            streams.iter().map(|log| (log.name.clone(), self.stream_status(log))).collect();
        let (ring, geometry) = lock(&self.ring).clone();
        let table = self.table();
        let held = || table.held().map(|(_, held)| held);
        let bad = |view: &&_| {
            matches!(view, SlotView::Foreign | SlotView::Unreadable | SlotView::Failing(_))
        };
        let taken_bytes = table.slots.len() as u64 * geometry.extent.slot_bytes;
        Status {
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
            short,
            journal,
            streams,
        }
    }
}

impl StreamLog {
    pub(super) fn new(name: &StreamName) -> Self {
        Self {
            name: name.clone(),
            durable: watch::Sender::new(None),
            lost: AtomicU64::new(0),
            loss_pending: AtomicBool::new(false),
            taken_until_nanos: AtomicU64::new(0),
            begun_nanos: AtomicU64::new(0),
            keep: Mutex::default(),
            recent: Mutex::default(),
            trouble: Mutex::default(),
            noted: Mutex::default(),
        }
    }

    /// Its newest fragments.
    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        lock(&self.recent)
    }

    /// Counts `units` that did not reach the medium; what comes next says so in its seal.
    pub(super) fn lose(&self, units: u64) {
        self.lost.fetch_add(units, Relaxed);
        self.loss_pending.store(true, Relaxed);
    }

    /// Something waits to become durable from `now` on.
    pub(super) fn wait(&self, now: BootTime) {
        lock(&self.trouble).waiting_since.get_or_insert(now);
    }

    /// Nothing waits any more.
    pub(super) fn settle(&self) {
        lock(&self.trouble).waiting_since = None;
    }

    /// Recording failed for `reason`, or goes on.
    pub(super) fn set_reason(&self, reason: Option<String>) {
        let mut trouble = lock(&self.trouble);
        trouble.news = reason.clone().or(trouble.news.take());
        trouble.reason = reason;
    }

    /// Why recording fails, or failed since this was last asked.
    pub(super) fn take_failure(&self) -> Option<String> {
        let mut trouble = lock(&self.trouble);
        let news = trouble.news.take();
        trouble.reason.clone().or(news)
    }

    /// Since when something waits to become durable.
    pub(super) fn waits_since(&self) -> Option<BootTime> {
        lock(&self.trouble).waiting_since
    }

    /// From `now` on `cause` keeps the stream from being recorded. One that was over for moments
    /// only goes on, so that a camera that flaps is one fact.
    pub(super) fn begin(&self, cause: Cause, text: &str, now: BootTime) {
        let cut = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = cut.take_while(|&end| end <= TROUBLE_TEXT_BYTES_MAX).last().unwrap_or(0);
        let text = text[..end].to_owned();
        let mut noted = lock(&self.noted);
        match noted.get_mut(&cause) {
            Some(known) if known.until.is_none() => {}
            Some(known) if known.until.is_some_and(|end| now.since(end) < TROUBLE_MERGE_TIME) => {
                (known.until, known.is_news) = (None, true);
            }
            _ => {
                let fresh = Noted { from: now, until: None, text, is_news: true, told_at: None };
                noted.insert(cause, fresh);
            }
        }
    }

    /// `cause` is over.
    pub(super) fn end(&self, cause: Cause, now: BootTime) {
        let mut noted = lock(&self.noted);
        if let Some(known) = noted.get_mut(&cause).filter(|known| known.until.is_none()) {
            (known.until, known.is_news) = (Some(now), true);
        }
    }

    /// What is to be written down, not more often than the pause unless `all`.
    pub(super) fn news(&self, now: BootTime, all: bool, boot: Identity) -> Vec<Trouble> {
        let mut noted = lock(&self.noted);
        let rested = |at: BootTime| now.since(at) >= TROUBLE_NOTE_PAUSE;
        let due = noted
            .iter_mut()
            .filter(|(_, known)| known.is_news && (all || known.told_at.is_none_or(rested)));
        let told = due.map(|(&cause, known)| {
            (known.is_news, known.told_at) = (false, Some(now));
            let (stream, text) = (self.name.clone(), known.text.clone());
            Trouble { stream, boot, from: known.from, until: known.until, cause, text }
        });
        told.collect()
    }

    /// Whether what comes now is lost.
    pub(super) fn is_failing(&self, ring: &RingState, now: BootTime) -> bool {
        self.state(ring, now).0 == RecordingState::Failed
    }

    fn state(&self, ring: &RingState, now: BootTime) -> (RecordingState, Option<String>) {
        use RecordingState::{Failed, Recording, Waiting};
        match ring {
            RingState::Failed { reason } => return (Failed, Some(reason.clone())),
            RingState::Opening => return (Waiting, Some("The ring is being opened.".to_owned())),
            RingState::Ready => {}
        }
        let trouble = lock(&self.trouble);
        if let Some(reason) = &trouble.reason {
            return (Failed, Some(reason.clone()));
        }
        let waited = trouble.waiting_since.map(|since| now.since(since));
        if let Some(waited) = waited.filter(|&waited| waited > DISK_STALL_SHOWN) {
            let secs = waited.as_secs();
            return (Failed, Some(format!("The disk has taken no data for {secs} seconds.")));
        }
        let is_durable = self.durable.borrow().is_some();
        match waited {
            // What is on the medium counts, not what is on its way there.
            _ if is_durable && now.since(self.grown_at()) <= RECORDING_AGE_MAX => (Recording, None),
            Some(_) => (Waiting, Some("The first of it is on its way to the disk.".to_owned())),
            None => (Waiting, Some("No picture arrives from this stream.".to_owned())),
        }
    }

    /// When something of it last became durable; when it was first to be, if nothing has.
    fn grown_at(&self) -> BootTime {
        let begun = BootTime::from_nanos(self.begun_nanos.load(Relaxed));
        self.durable.borrow().map_or(begun, |durable| durable.since)
    }
}
