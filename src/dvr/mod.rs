#![doc = include_str!("README.md")]

mod catalogue;
mod config;
mod disk;
mod error;
mod format;
mod read;
mod store;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, oneshot, watch};

pub use self::catalogue::activity::{ACTIVE_MIN, Activity, EffortSample, figures};
pub use self::catalogue::clock::{ClockRow, ClockStep, ClockTable};
pub use self::catalogue::continuity::{date_breaks, date_leaps};
pub use self::catalogue::days::{Day, days};
pub use self::catalogue::facts::{End, RingFacts};
pub use self::catalogue::listing::{
    Discontinuity, Gap, Listing, MarkView, PinView, Reason, Recording,
};
pub use self::catalogue::pin::{NewPin, Pin, PinError};
pub use self::catalogue::recent::DurableFragment;
pub use self::catalogue::segment::RecordedSegment;
pub use self::catalogue::shrink_plan::{Loss, Proposal, ShrinkError, Shrunk};
pub use self::config::{Retention, RingConfig};
pub use self::disk::{Disk, DiskFile, OpenMode, RealDisk, Volume, yield_to_others};
pub use self::error::DvrError;
pub use self::format::effort::Effort;
pub use self::format::journal_record::{
    Cause, JournalContent, JournalRecord, LossRecord, Mark, ProcessRun, Rebuild, Resize,
    SegmentNumber,
};
pub use self::format::seal::{FragmentEntry, Identity, SlotHeader};
pub use self::format::slot::{SlotContents, Strictness, Tail};
pub use self::read::cursor::{
    Depth, Direction, FragmentMeta, FragmentPlace, FragmentRead, Leases, RecordingCursor,
};
pub use self::read::footage::{Footage, LapLease};
pub use self::read::key_frame_lookup::{KeyFrameAt, KeyFrameLookup};
pub use self::read::lap_reader::LapReader;
pub use self::read::past::{LapSegments, PastLap};
pub use self::read::tool;
pub use self::read::tool::{FoundLap, RingReader};
pub use self::store::capacity::{
    ClockView, Forecast, Holding, IndexProgress, Protected, StorageReport,
};
pub use self::store::size::RingSizing;
pub use self::store::state::{Durable, DvrStatus, Noted, RecordingState, RingState, StreamStatus};

use self::catalogue::activity::reach_nanos;
use self::catalogue::continuity::{Extent, LapExtents};
use self::catalogue::lap::LapInfo;
use self::catalogue::listing;
use self::store::index::IndexHandle;
use self::store::indexer::{Indexer, OpenIndex};
use self::store::journal::Journal;
use self::store::messages::{Append, JournalChange, JournalRequest, WriterCommand};
use self::store::ring_writer::RingWriter;
use self::store::state::{DvrState, StreamLog};
use self::store::{capacity, shrink};
use crate::base::limits::{
    INDEX_QUEUE_LEN_MAX, JOURNAL_ANSWER_TIME_MAX, JOURNAL_QUEUE_LEN_MAX, MARK_TEXT_BYTES_MAX,
    SHRINK_ANSWER_TIME_MAX, STORAGE_QUEUE_BYTES_MAX, STORAGE_QUEUE_LEN_MAX,
};
use crate::base::name::StreamName;
use crate::base::sync::lock;
use crate::base::time::{BootTime, SharedClock, WallTime};
use crate::supervise::Heartbeat;
use crate::wire::mp4::Fragment;

/// The ring, its threads and what is known of it. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Dvr {
    shared: Arc<DvrState>,
    boot: Identity,
    commands: SyncSender<WriterCommand>,
    asks: SyncSender<JournalRequest>,
    threads: Arc<Threads>,
}

/// The threads of one [`Dvr`]: they end when its last handle goes.
#[derive(Debug)]
struct Threads {
    shared: Arc<DvrState>,
    ended: Mutex<Option<Receiver<()>>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.closing.store(true, Relaxed);
    }
}

/// One stream's way into the ring.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<DvrState>,
    commands: SyncSender<WriterCommand>,
    log: Arc<StreamLog>,
}

/// A fragment was not taken because too much waits for the disk already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage queue is full, {units} units are lost")]
pub struct Refused {
    /// Units that are lost with it.
    pub units: u64,
}

impl Dvr {
    /// Starts the storage and index threads and returns at once; the ring is opened behind it.
    ///
    /// A missing, full or read-only disk is not an error: it shows up in [`Dvr::status`] and is
    /// retried until it works. `heartbeat` beats while the storage thread turns; it stops while the
    /// disk hangs.
    pub fn open(
        config: RingConfig,
        clock: SharedClock,
        heartbeat: Option<Heartbeat>,
    ) -> Result<Self, DvrError> {
        Self::open_on(Arc::new(RealDisk), crate::base::boot::identity(), config, clock, heartbeat)
    }

    /// As [`Dvr::open`], on any disk and in any boot.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        boot: Identity,
        config: RingConfig,
        clock: SharedClock,
        heartbeat: Option<Heartbeat>,
    ) -> Result<Self, DvrError> {
        let (end, ended) = sync_channel::<()>(3);
        let open_index = Box::new(IndexHandle::open);
        let (dvr, storage, indexer, journal) =
            Self::parts(disk, boot, config, clock, heartbeat, open_index);
        *lock(&dvr.threads.ended) = Some(ended);
        // Each holds a sender: `ended` learns of the last one's end by its disconnection.
        let (other, third) = (end.clone(), end.clone());
        spawn("dvr-index", move || {
            indexer.run();
            drop(other);
        })?;
        spawn("dvr-journal", move || {
            journal.run();
            drop(third);
        })?;
        let told = Arc::clone(&dvr.shared);
        spawn("dvr-storage", move || {
            storage.run();
            told.storage_ended.store(true, Relaxed);
            drop(end);
        })?;
        Ok(dvr)
    }

    /// The parts without their threads; a simulation drives them itself.
    fn parts(
        disk: Arc<dyn Disk>,
        boot: Identity,
        config: RingConfig,
        clock: SharedClock,
        heartbeat: Option<Heartbeat>,
        open_index: OpenIndex,
    ) -> (Self, RingWriter, Indexer, Journal) {
        let shared = Arc::new(DvrState::new(config.data_dir.clone(), disk, clock));
        let (commands, queue) = sync_channel(STORAGE_QUEUE_LEN_MAX);
        let (notes_in, notes) = sync_channel(INDEX_QUEUE_LEN_MAX);
        let (asks, asked) = sync_channel(JOURNAL_QUEUE_LEN_MAX);
        let indexer = Indexer::new(Arc::clone(&shared), notes, commands.clone(), open_index);
        let journal = Journal::new(Arc::clone(&shared), boot, asked, commands.clone());
        let storage =
            RingWriter::new(Arc::clone(&shared), config, boot, queue, notes_in, heartbeat);
        let threads = Threads { shared: Arc::clone(&shared), ended: Mutex::default() };
        let dvr = Self { shared, boot, commands, asks, threads: Arc::new(threads) };
        (dvr, storage, indexer, journal)
    }

    /// The way into the ring for `stream`, which is granted `keep`. One writer per stream.
    #[must_use]
    pub fn writer(&self, stream: &StreamName, keep: Retention) -> Writer {
        Writer {
            shared: Arc::clone(&self.shared),
            commands: self.commands.clone(),
            log: self.shared.stream(stream, keep),
        }
    }

    /// Changes what `stream` is granted while it is recorded.
    pub fn set_retention(&self, stream: &StreamName, keep: Retention) {
        let _ = self.shared.stream(stream, keep);
    }

    /// No longer counts `stream` among those that are recorded; its footage stays until its
    /// slots are needed.
    pub fn forget(&self, stream: &StreamName) {
        self.shared.forget(stream);
    }

    /// The durable runs of `stream` and the gaps between them, without opening a file.
    #[must_use]
    pub fn listing(&self, stream: &StreamName) -> Listing {
        let facts = self.shared.facts();
        let table = self.shared.table();
        let mut laps: Vec<_> = table.held().filter(|(_, held)| held.stream == *stream).collect();
        laps.sort_by_key(|(_, held)| held.generation);
        let complete = laps.iter().all(|(_, held)| held.known);
        let laps = laps.iter().map(|&(slot, held)| LapExtents {
            slot,
            generation: held.generation,
            boot: held.boot,
            extents: &held.stretches,
        });
        listing::join(laps, stream, &facts, complete)
    }

    /// How much happens in the pictures of `stream` from `start` to `end`, in steps of `step`.
    /// Reads nothing from the disk.
    #[must_use]
    pub fn activity(
        &self,
        stream: &StreamName,
        (start, end): (WallTime, WallTime),
        step: Duration,
    ) -> Activity {
        let (from, until) = (start.offset_nanos(-reach_nanos()), end.offset_nanos(reach_nanos()));
        let mut samples = Vec::new();
        {
            let facts = self.shared.facts();
            let table = self.shared.table();
            let of_stream = table.held().filter(|(_, held)| held.stream == *stream);
            for (_, held) in of_stream {
                let placed = |extent: &Extent| extent.placed(&facts.clock, held.boot);
                let meets = |(begins, ends): (WallTime, WallTime)| begins < until && ends > from;
                if held.stretches.iter().map(placed).any(meets) {
                    held.efforts.place(&facts.clock, held.boot, &mut samples);
                }
            }
        }
        samples.sort_by_key(|sample| sample.at);
        samples.retain(|sample| (from..until).contains(&sample.at));
        Activity::of(&samples, start, end, step)
    }

    /// The boots in which what `stream` has between two dates was recorded, the oldest first.
    #[must_use]
    pub fn boots(&self, stream: &StreamName, from: WallTime, until: WallTime) -> Vec<Identity> {
        let facts = self.shared.facts();
        let table = self.shared.table();
        let meets = |held: &&LapInfo| {
            let mut placed = held.stretches.iter().map(|s| s.placed(&facts.clock, held.boot));
            held.stream == *stream && placed.any(|(start, end)| start < until && end > from)
        };
        let mut laps: Vec<_> = table.held().map(|(_, held)| held).filter(meets).collect();
        laps.sort_by_key(|held| held.generation);
        let mut boots: Vec<Identity> = laps.iter().map(|held| held.boot).collect();
        boots.dedup();
        boots
    }

    /// Protects a range; returns when that is on the medium.
    pub async fn pin(&self, wish: NewPin) -> Result<PinView, PinError> {
        match self.ask(JournalChange::Pin(wish)).await? {
            JournalRecord::Pin(pin) => Ok(PinView::from(&pin)),
            _ => Err(not_answered()),
        }
    }

    /// Protects it no more; returns when that is on the medium.
    pub async fn unpin(&self, id: u64) -> Result<(), PinError> {
        self.ask(JournalChange::Unpin(id)).await.map(drop)
    }

    /// Marks a moment of one stream, or of all; returns when that is on the medium.
    pub async fn mark(
        &self,
        stream: Option<StreamName>,
        at: WallTime,
        text: String,
        kind: Option<String>,
    ) -> Result<MarkView, PinError> {
        if text.is_empty() || text.len() > MARK_TEXT_BYTES_MAX {
            let text = format!("`text` must have 1 to {MARK_TEXT_BYTES_MAX} bytes.");
            return Err(PinError::Wrong(text));
        }
        match self.ask(JournalChange::Mark { stream, at, text, kind }).await? {
            JournalRecord::Mark(mark) => Ok(listing::mark(&mark)),
            _ => Err(not_answered()),
        }
    }

    async fn ask(&self, change: JournalChange) -> Result<JournalRecord, PinError> {
        let (reply, answer) = oneshot::channel();
        self.asks.try_send(JournalRequest { change, reply }).map_err(|_| not_answered())?;
        match tokio::time::timeout(JOURNAL_ANSWER_TIME_MAX, answer).await {
            Ok(Ok(done)) => done,
            _ => Err(not_answered()),
        }
    }

    /// Every marked moment from `from` on and before `until`, in the order in which they were made.
    #[must_use]
    pub fn marks(&self, from: WallTime, until: WallTime) -> Vec<MarkView> {
        let facts = self.shared.facts();
        let marks = facts.marks.iter().filter(|mark| from <= mark.at && mark.at < until);
        marks.map(listing::mark).collect()
    }

    /// What is noted from now on: marks, protected ranges, gaps.
    #[must_use]
    pub fn watch_notes(&self) -> broadcast::Receiver<Noted> {
        self.shared.watch_notes()
    }

    /// Every protected range.
    #[must_use]
    pub fn pins(&self) -> Vec<PinView> {
        self.shared.facts().pins.values().map(PinView::from).collect()
    }

    /// Lets the next pass of the age limit come at once.
    #[cfg(test)]
    fn pass_age_limit(&self) {
        self.shared.age_due.store(true, Relaxed);
    }

    /// What the journal says.
    #[must_use]
    pub fn facts(&self) -> RingFacts {
        self.shared.facts().clone()
    }

    /// What of `stream` is on the medium, configured or not.
    #[must_use]
    pub fn footage(&self, stream: &StreamName) -> Footage {
        Footage::new(Arc::clone(&self.shared), self.shared.known_stream(stream))
    }

    /// The streams of which the ring holds anything, configured or not.
    #[must_use]
    pub fn recorded_streams(&self) -> Vec<StreamName> {
        let table = self.shared.table();
        let mut names: Vec<_> = table.held().map(|(_, held)| held.stream.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// A cursor over what `stream` has recorded; blocks on nothing but locks.
    pub fn recording_cursor(&self, stream: &StreamName) -> Result<RecordingCursor, DvrError> {
        RecordingCursor::open(Arc::clone(&self.shared), self.boot, stream)
    }

    /// The date that footage of now will have in the recording: a capture that is dated by
    /// another clock than ours is placed by its arrival.
    #[must_use]
    pub fn date(&self, arrived: BootTime, believed: WallTime) -> WallTime {
        self.shared.facts().clock.place(self.boot, arrived, believed)
    }

    /// Everything about the storage, with the forecast.
    #[must_use]
    pub fn storage(&self) -> capacity::StorageReport {
        capacity::storage(&self.shared)
    }

    /// What shrinking the ring to its configured size would delete; `None` when it is not larger.
    #[must_use]
    pub fn shrink_proposal(&self) -> Option<Proposal> {
        shrink::propose(&self.shared)
    }

    /// Carries out the proposal of this token; returns when that is decided on the medium.
    pub async fn shrink(&self, token: &str) -> Result<Shrunk, ShrinkError> {
        let whole = (token.len() == 16).then(|| u64::from_str_radix(token, 16).ok()).flatten();
        let token = whole.ok_or(ShrinkError::Changed)?;
        let late = "The disk has not confirmed it in time; see /api/v1/storage for the result.";
        let not_now = || ShrinkError::NotNow(late.to_owned());
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(WriterCommand::Shrink { token, reply }).map_err(|_| not_now())?;
        match tokio::time::timeout(SHRINK_ANSWER_TIME_MAX, answer).await {
            Ok(Ok(done)) => done,
            _ => Err(not_now()),
        }
    }

    /// How everything does.
    #[must_use]
    pub fn status(&self) -> DvrStatus {
        self.shared.status()
    }

    /// Writes and syncs what waits, then ends the threads; blocks for at most `limit`.
    /// Returns whether they ended in time. What is appended afterwards is refused.
    pub fn close(&self, limit: Duration) -> bool {
        self.shared.closing.store(true, Relaxed);
        let _ = self.commands.try_send(WriterCommand::Wake);
        let ended = lock(&self.threads.ended).take();
        ended.is_none_or(|ended| {
            ended.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
        })
    }
}

impl Writer {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        &self.log.name
    }

    /// Media bytes from which on a fragment should be cut, so that slots of this ring hold
    /// several.
    #[must_use]
    pub fn fragment_bytes_max(&self) -> usize {
        self.shared.fragment_bytes_max.load(Relaxed)
    }

    /// Hands a fragment over; never waits.
    ///
    /// `init` is the init segment that it needs: another than before begins a new slot.
    /// `run_start` says that it is the first of a run, `loss_before` that something before it
    /// is missing. When too much waits for the disk the fragment is refused and counted.
    pub fn append(
        &self,
        init: &Bytes,
        fragment: Fragment,
        run_start: bool,
        loss_before: bool,
    ) -> Result<(), Refused> {
        let (bytes, units) = (fragment.len(), u64::from(fragment.samples));
        let taken_until = fragment.last_arrived.as_nanos();
        let waiting = self.shared.queue_bytes.fetch_add(bytes, Relaxed);
        let log = Arc::clone(&self.log);
        let append = Append { log, init: init.clone(), fragment, run_start, loss_before };
        self.log.taken_until_nanos.fetch_max(taken_until, Relaxed);
        let room = waiting + bytes <= STORAGE_QUEUE_BYTES_MAX && !self.shared.is_closing();
        if room {
            self.log.wait(self.shared.clock.boot());
            if self.commands.try_send(WriterCommand::Append(Box::new(append))).is_ok() {
                return Ok(());
            }
        }
        self.shared.queue_bytes.fetch_sub(bytes, Relaxed);
        self.log.lose(units);
        Err(Refused { units })
    }

    /// Arrival of the newest unit that was handed over since the process started, by this
    /// writer or one before it: units up to here would be recorded twice.
    #[must_use]
    pub fn taken_until(&self) -> BootTime {
        BootTime::from_nanos(self.log.taken_until_nanos.load(Relaxed))
    }

    /// How far the stream is durable, as it grows.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<Option<Durable>> {
        self.log.durable.subscribe()
    }

    /// From now on `cause` keeps the stream from being recorded: the journal will tell it of the
    /// gap. `text` says more about it; empty when there is nothing more to say.
    pub fn begin_trouble(&self, cause: Cause, text: &str) {
        self.log.begin(cause, text, self.shared.clock.boot());
    }

    /// Between two moments `cause` kept the stream from being recorded, and is over.
    pub fn note_trouble(&self, cause: Cause, text: &str, from: BootTime, until: BootTime) {
        self.log.begin(cause, text, from);
        self.log.end(cause, until);
    }

    /// `cause` is over.
    pub fn end_trouble(&self, cause: Cause) {
        self.log.end(cause, self.shared.clock.boot());
    }

    /// How the recording goes.
    #[must_use]
    pub fn status(&self) -> StreamStatus {
        self.shared.stream_status(&self.log)
    }

    /// The same without counting its bytes, for frequent callers; they are reported as 0.
    #[must_use]
    pub fn standing(&self) -> StreamStatus {
        self.shared.standing(&self.log)
    }

    /// What of it is on the medium.
    #[must_use]
    pub fn footage(&self) -> Footage {
        Footage::new(Arc::clone(&self.shared), Arc::clone(&self.log))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without room the slot stays open until the next writer of the stream, or the end.
        let _ = self.commands.try_send(WriterCommand::Rest(self.log.name.clone()));
    }
}

fn not_answered() -> PinError {
    PinError::NotNow("The disk has not taken the note in time; try again.".to_owned())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), DvrError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(DvrError::Thread)
}
