//! Facts that footage cannot carry, kept in `journal.log` beside the ring.
//!
//! Owns: the thread that writes them, what it looks at once a second, and what happens to a note
//! when the disk does not take it. The facts in memory are the truth while the process lives; a
//! journal that could not be appended to is rewritten from them.

mod file;
#[cfg(test)]
mod tests;
mod watch;

use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::store::messages::JournalChange;
use crate::dvr::store::messages::JournalRequest;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use tracing::{info, warn};

use self::file::JournalFile;
use crate::base::fault::chain;
use crate::base::limits::JOURNAL_RETRY_PAUSE;
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::facts::RingFacts;
use crate::dvr::catalogue::pin;
use crate::dvr::catalogue::pin::{NewPin, Pin, PinError};
use crate::dvr::disk::Disk;
use crate::dvr::error::DvrError;
use crate::dvr::format::journal_record::{JournalContent, JournalRecord, Mark, ProcessRun};
use crate::dvr::format::seal::Identity;
use crate::dvr::store::messages::WriterCommand;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::state::DvrState;

/// How often clock, troubles and pins are checked.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Longest sleep of the thread, so that it sees the end.
const SLEEP_MAX: Duration = Duration::from_millis(250);

/// Takes note of a ring that was opened, and reads the journal at the first time, so that what
/// is protected is known before anything is written. A journal that cannot be read is moved
/// aside: recording goes before.
pub(crate) fn ring_opened(shared: &DvrState, ring: &Ring) {
    let first = shared.journal().mounts == 0;
    if first {
        let (facts, number) = load(&*shared.disk, &shared.data_dir);
        *shared.facts() = facts;
        shared.journal().number = number;
    }
    let mut state = shared.journal();
    state.ring = Some(ring.clone());
    state.mounts += 1;
    drop(state);
    shared.share_pins();
}

/// What the journal in `data_dir` says, and the number of its last record.
fn load(disk: &dyn Disk, data_dir: &Path) -> (RingFacts, u64) {
    let parsed = match file::read(disk, data_dir) {
        Ok(parsed) => parsed,
        Err(error) => {
            warn!(error = %error, "the journal cannot be read and is moved aside");
            if let Err(error) = file::move_aside(disk, data_dir) {
                warn!(error = %error, "the journal cannot be moved aside");
            }
            JournalContent::default()
        }
    };
    if parsed.damaged > 0 {
        warn!(lost = parsed.damaged, "damaged records in the journal were passed over");
    }
    if parsed.torn_bytes > 0 {
        info!(bytes = parsed.torn_bytes, "torn end of the journal dropped");
    }
    let number = parsed.number;
    (RingFacts::of(parsed.records), number)
}

/// The journal of `data_dir`, for read-only use.
pub(crate) fn read_facts(
    disk: &dyn Disk,
    data_dir: &Path,
) -> Result<(RingFacts, JournalContent), DvrError> {
    let path = data_dir.join(file::JOURNAL_FILE);
    let mut parsed = file::read(disk, data_dir).map_err(DvrError::disk("read", path))?;
    let facts = RingFacts::of(std::mem::take(&mut parsed.records));
    Ok((facts, parsed))
}

/// Writes a journal of `facts` whose last record was `number`, while no daemon runs.
pub(crate) fn rewrite(
    disk: &dyn Disk,
    data_dir: &Path,
    facts: &RingFacts,
    number: u64,
) -> Result<(), DvrError> {
    let path = data_dir.join(file::JOURNAL_FILE);
    JournalFile::rewrite(disk, data_dir, &facts.records(), number)
        .map(drop)
        .map_err(DvrError::disk("write", path))
}

/// The thread's own state.
pub(crate) struct Journal {
    shared: Arc<DvrState>,
    boot: Identity,
    asks: Receiver<JournalRequest>,
    storage: SyncSender<WriterCommand>,
    file: Option<JournalFile>,
    /// When this life began: before anything could be recorded in it.
    begun: (BootTime, WallTime),
    /// Number of the last record, also of a file that is not used any more.
    number: u64,
    /// Applied and not yet written.
    pending: Vec<JournalRecord>,
    /// How often the ring had been opened when the file was written.
    mounts: u64,
    retry_at: BootTime,
    look_at: BootTime,
    age_at: BootTime,
    evict_at: BootTime,
}

impl Journal {
    pub(crate) fn new(
        shared: Arc<DvrState>,
        boot: Identity,
        asks: Receiver<JournalRequest>,
        storage: SyncSender<WriterCommand>,
    ) -> Self {
        let now = shared.clock.boot();
        let begun = (now, shared.clock.wall());
        Self {
            begun,
            shared,
            boot,
            asks,
            storage,
            file: None,
            number: 0,
            pending: Vec::new(),
            mounts: 0,
            retry_at: now,
            look_at: now,
            age_at: now.after(LOOK_PAUSE * 30),
            evict_at: now,
        }
    }

    /// Runs until everything else has ended, and notes that as the last fact.
    pub(crate) fn run(mut self) {
        loop {
            let ask = self.asks.recv_timeout(SLEEP_MAX);
            if matches!(ask, Err(RecvTimeoutError::Disconnected)) {
                std::thread::sleep(SLEEP_MAX);
            }
            let ended = self.shared.storage_ended.load(Relaxed);
            self.turn(ask.ok(), ended);
            if ended {
                return;
            }
        }
    }

    /// Does what is due, `ask` before it; the last time when everything else has `ended`.
    /// Called again and again by the thread, or by a simulation in its own time.
    pub(crate) fn turn(&mut self, ask: Option<JournalRequest>, ended: bool) {
        if let Some(ask) = ask {
            self.answer(ask);
        }
        let is_mounted = self.remount();
        let now = self.shared.clock.boot();
        if is_mounted && (ended || now >= self.look_at) {
            self.look(now, ended);
            self.look_at = now.after(LOOK_PAUSE);
        }
        if ended {
            self.stop(now);
        }
    }

    /// Whether the ring was opened; the first time this life begins, and every time the file is to
    /// be rewritten, because the disk may be an older one.
    fn remount(&mut self) -> bool {
        let (mounts, number) = {
            let state = self.shared.journal();
            (state.mounts, state.number)
        };
        if mounts == 0 {
            return false;
        }
        if self.mounts == 0 {
            self.number = number;
            let session =
                ProcessRun { boot: self.boot, at: self.begun.0, utc: self.begun.1, stopped: None };
            self.note(JournalRecord::Start(session));
        }
        if self.mounts != mounts {
            (self.mounts, self.file) = (mounts, None);
            self.retry_at = self.shared.clock.boot();
        }
        true
    }

    /// Applies a fact and remembers to write it.
    fn note(&mut self, record: JournalRecord) {
        self.shared.facts().apply(record.clone());
        self.pending.push(record);
    }

    fn stop(&mut self, now: BootTime) {
        if self.mounts == 0 {
            return;
        }
        self.note(JournalRecord::Stop { boot: self.boot, at: now });
        self.retry_at = now;
        self.write();
    }

    // Asked for.

    fn answer(&mut self, ask: JournalRequest) {
        if !self.remount() {
            let text = "The ring is not open yet, or cannot be opened; try again in a moment.";
            let _ = ask.reply.send(Err(PinError::NotNow(text.to_owned())));
            return;
        }
        let done = self.record_of(ask.change).and_then(|(record, undo)| {
            self.note(record.clone());
            self.shared.share_pins();
            self.retry_at = self.shared.clock.boot();
            if self.write() {
                self.shared.tell(&record, undo.as_ref());
                return Ok(record);
            }
            self.undo(&record, undo);
            self.shared.share_pins();
            let trouble = self.shared.journal().trouble.clone().unwrap_or_default();
            Err(PinError::NotNow(format!("The disk does not take the note: {trouble}")))
        });
        // The caller may have gone.
        let _ = ask.reply.send(done);
    }

    /// The record that makes the change, and what an undone change brings back.
    fn record_of(&self, change: JournalChange) -> Result<(JournalRecord, Option<Pin>), PinError> {
        match change {
            JournalChange::Pin(wish) => {
                self.pin_of(wish).map(|pin| (JournalRecord::Pin(pin), None))
            }
            JournalChange::Unpin(id) => {
                let pin = self.shared.facts().pins.get(&id).cloned().ok_or(PinError::Unknown)?;
                Ok((JournalRecord::Unpin { id, expired: false }, Some(pin)))
            }
            JournalChange::Mark { stream, at, text, kind } => {
                Ok((JournalRecord::Mark(Mark { id: new_id(), stream, at, text, kind }), None))
            }
        }
    }

    fn undo(&self, record: &JournalRecord, before: Option<Pin>) {
        let mut facts = self.shared.facts();
        match record {
            JournalRecord::Pin(pin) => {
                facts.pins.remove(&pin.id);
            }
            JournalRecord::Mark(mark) => facts.marks.retain(|known| known.id != mark.id),
            _ => {}
        }
        facts.pins.extend(before.map(|pin| (pin.id, pin)));
    }

    fn pin_of(&self, wish: NewPin) -> Result<Pin, PinError> {
        let now = self.shared.clock.wall();
        wish.check(now)?;
        let facts = self.shared.facts();
        if facts.pins.len() >= crate::base::limits::PINS_MAX {
            return Err(PinError::TooMany);
        }
        let table = self.shared.table();
        let of_stream = || table.held().filter(|(_, held)| held.stream == wish.stream);
        if of_stream().any(|(_, held)| !held.known) {
            let text = "The ring is still being read after a start; try again in a moment.";
            return Err(PinError::NotNow(text.to_owned()));
        }
        let meets = |held: &LapInfo| {
            let placed = held.stretches.iter().map(|s| s.placed(&facts.clock, held.boot));
            placed.into_iter().any(|(start, end)| start < wish.until && end > wish.from)
        };
        let laps = of_stream().filter(|(_, held)| meets(held)).map(|(_, held)| held.generation);
        let laps = laps.fold(None, |laps: Option<(u64, u64)>, lap| {
            Some(laps.map_or((lap, lap), |(first, last)| (first.min(lap), last.max(lap))))
        });
        if laps.is_none() && wish.until <= now {
            return Err(PinError::Empty { stream: wish.stream });
        }
        let NewPin { stream, from, until, reason, owner, expires } = wish;
        let pin =
            Pin { id: new_id(), stream, from, until, reason, owner, expires, made: now, laps };
        let geometry = self.shared.geometry();
        let all = facts.pins.values().chain([&pin]);
        let wanted_bytes = pin::bytes_taken(&table, all, geometry.extent.slot_bytes);
        let max_bytes = pin::bytes_max(geometry.bytes());
        if wanted_bytes > max_bytes {
            return Err(PinError::Full { wanted_bytes, max_bytes });
        }
        Ok(pin)
    }

    // Writing.

    /// Writes what is pending; returns whether everything is on the medium.
    fn write(&mut self) -> bool {
        let now = self.shared.clock.boot();
        let due = self.file.as_ref().is_none_or(JournalFile::is_long);
        if self.pending.is_empty() && !due {
            return true;
        }
        if now < self.retry_at {
            return false;
        }
        match self.try_write(due) {
            Ok(()) => {
                self.pending.clear();
                if self.shared.journal().trouble.take().is_some() {
                    info!("the journal is written again");
                }
                true
            }
            Err(error) => {
                // They are in the facts, from which the file is rewritten.
                self.pending.clear();
                self.file = None;
                self.retry_at = now.after(JOURNAL_RETRY_PAUSE);
                let told = crate::dvr::error::sentence(&error);
                if self.shared.journal().trouble.replace(told).is_none() {
                    warn!(error = chain(&error), "the journal cannot be written, trying again");
                }
                false
            }
        }
    }

    fn try_write(&mut self, anew: bool) -> Result<(), DvrError> {
        let ring = self.shared.journal().ring.clone().ok_or(DvrError::NoSlot)?;
        let disk = Arc::clone(&self.shared.disk);
        let data_dir = &self.shared.data_dir;
        let failed = DvrError::disk("write", data_dir.join(file::JOURNAL_FILE));
        ring.is_still_there(&*disk)?;
        let file = if let Some(mut file) = self.file.take().filter(|_| !anew) {
            file.append(&self.pending).map(|()| file)
        } else {
            let records = self.shared.facts().records();
            JournalFile::rewrite(&*disk, data_dir, &records, self.number)
        };
        let file = file.map_err(failed)?;
        self.number = file.number();
        self.file = Some(file);
        Ok(())
    }
}

/// A name that no other pin or mark has.
fn new_id() -> u64 {
    fastrand::u64(1..)
}
