//! What the box did to heal itself: a small durable log, the evidence for a later visit.
//!
//! Owns: the entries in memory, the thread that writes them to the medium, and what a start reports
//! about the end before it. Adding a note never blocks: a disk that stalls delays the file, never
//! the caller.
//!
//! The ladder, as far as it is built; each rung acts only where the one below does not help:
//!
//! | rung | trigger | what happens |
//! |---|---|---|
//! | 0 | a part fails, a camera is silent | that part alone is started again, with growing pauses |
//! | 1 | a camera on USB is dead for 30 s | it is taken off its bus and put back, 3 times an hour |
//! | 2 | it still is after 2 minutes | the ports lose power for seconds, twice a day, if nothing else hangs on them |
//! | 3 | a vital task misses its deadline, or the process hangs or dies | systemd starts the daemon again |
//! | 4 | five such deaths within ten minutes | systemd boots the board again |
//! | 5 | the kernel or PID 1 hangs | the board's watchdog resets it |
//! | 6 | a new image is not well within 5 minutes, three times | the image before it is booted |
//! | 7 | three reboots within an hour | parked: recording is off for an hour, page and log stay |

mod book;
mod file;
mod outside;
mod park;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info, warn};

pub use self::book::{RecoveryEntry, Rung};
pub use self::file::RecoveryError;
pub use self::outside::{
    ServiceEnd, bear_with, has_note, image_is_on_trial, leave_note, note_end, read, wait_for_reboot,
};
pub use self::park::ParkedRecording;

use self::book::{Book, DaemonLife, Reset};
use crate::base::boot;
use crate::base::limits::STOP_TIME_MAX;
use crate::base::sync::{lock, wait};
use crate::base::time::{BootTime, SharedClock, WallTime};

/// File name below the data directory.
const NAME: &str = "recovery.json";
/// How often it is looked whether a park is over and a boot has lasted.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// When a boot has the driver of its watchdog, which alone knows what reset the board: udev loads it
/// while the daemon starts already.
const WATCHDOG_KNOWN_AFTER: Duration = Duration::from_secs(120);
/// Pause after the medium refused the log.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The log of a running daemon. Clones share it.
#[derive(Clone, Debug)]
pub struct RecoveryLog {
    shared: Arc<SharedRecovery>,
    clock: SharedClock,
    boot: String,
}

#[derive(Debug)]
struct SharedRecovery {
    state: Mutex<RecoveryState>,
    changed: Condvar,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Notifies the parts that must stop or begin recording.
    parked: watch::Sender<Option<ParkedRecording>>,
    /// Why the daemon runs with another configuration than the one on disk.
    reverted: Mutex<Option<String>>,
}

#[derive(Debug)]
struct RecoveryState {
    book: Book,
    /// What is in memory is not on the medium yet.
    unwritten: bool,
    closing: bool,
}

impl SharedRecovery {
    fn lock(&self) -> MutexGuard<'_, RecoveryState> {
        lock(&self.state)
    }
}

impl RecoveryLog {
    /// Reads the log, adds how the run before this one ended, and begins to write. An unreadable
    /// log is reported and started afresh.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn open(data_dir: &Path, clock: SharedClock) -> Result<Self, RecoveryError> {
        let path = data_dir.join(NAME);
        let mut book = file::read(&path).unwrap_or_else(|error| {
            warn!(part = "recovery", error = %error, "recovery log cannot be read, starting a new one");
            Book::default()
        });
        let boot = this_boot();
        begin_life(&mut book, data_dir, &boot, &clock);
        let parked = book.parked.clone();
        let state = RecoveryState { book, unwritten: true, closing: false };
        let shared = Arc::new(SharedRecovery {
            state: Mutex::new(state),
            changed: Condvar::new(),
            writer: Mutex::default(),
            parked: watch::Sender::new(parked),
            reverted: Mutex::default(),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("recovery".into());
        let thread = thread.spawn(move || write_changes(&writer, &path))?;
        *lock(&shared.writer) = Some(thread);
        Ok(Self { shared, clock, boot })
    }

    /// Notes that `rung` was needed for `part` and why. Waits for nothing.
    pub fn note(&self, rung: Rung, part: &str, what: &str) {
        let entry = RecoveryEntry::new(rung, part, what, &self.boot, self.clock.wall());
        let mut state = self.shared.lock();
        if state.book.add(entry) {
            state.unwritten = true;
            self.shared.changed.notify_one();
        }
    }

    /// Every entry, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<RecoveryEntry> {
        self.shared.lock().book.entries.clone()
    }

    /// How often `rung` was needed for `part` within the last `window`.
    #[must_use]
    pub fn times_within(&self, rung: Rung, part: &str, window: Duration) -> u64 {
        let now = self.clock.wall().as_unix_nanos();
        let recent = |entry: &&RecoveryEntry| {
            let at = WallTime::parse_rfc3339(&entry.last).map_or(now, WallTime::as_unix_nanos);
            let age =
                u64::try_from(now.saturating_sub(at)).map_or(Duration::ZERO, Duration::from_nanos);
            entry.rung == rung && entry.part == part && age <= window
        };
        self.shared.lock().book.entries.iter().filter(recent).map(|entry| entry.times).sum()
    }

    /// Whether recording is off, as it changes.
    #[must_use]
    pub fn parked(&self) -> watch::Receiver<Option<ParkedRecording>> {
        self.shared.parked.subscribe()
    }

    /// Keeps why the daemon runs with another configuration than the one on disk.
    pub fn set_reverted(&self, why: Option<String>) {
        *lock(&self.shared.reverted) = why;
    }

    /// Why the daemon runs with another configuration than the one on disk.
    #[must_use]
    pub fn reverted(&self) -> Option<String> {
        lock(&self.shared.reverted).clone()
    }

    /// Ends a park early, at a person's request; returns whether there was one.
    pub fn resume(&self) -> bool {
        let was = self.shared.lock().book.unpark();
        if was {
            info!(part = "recovery", "recording resumed by hand");
            self.changed();
        }
        was
    }

    /// Ends a park in its time, forgets reboots once a boot has lasted, and explains the reset
    /// before this boot when the hardware reports more later. Runs for ever.
    pub async fn watch_park(self) {
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            let (now, up) = (self.clock.wall(), self.clock.boot());
            let early = up.since(BootTime::default()) < WATCHDOG_KNOWN_AFTER;
            if early && file::last_reset() == Reset::Watchdog {
                self.explain_reset(now, up);
            }
            let mut state = self.shared.lock();
            let left = state.book.parked.as_ref().map(|park| park.remaining(&self.boot, now, up));
            let over = left.is_some_and(|left| left.is_zero());
            let news = if over { state.book.unpark() } else { state.book.settle(up) };
            drop(state);
            if over {
                info!(part = "recovery", "recording resumes after its pause");
            }
            if news {
                self.changed();
            }
        }
    }

    /// The watchdog did it; that counts as more than power that flickers.
    fn explain_reset(&self, now: WallTime, up: BootTime) {
        let mut state = self.shared.lock();
        if !state.book.explain_reset(&self.boot) {
            return;
        }
        warn!(part = "recovery", rung = Rung::BoardReset.number(), "the watchdog reset the board");
        park_if_needed(&mut state.book, &self.boot, now, up);
        drop(state);
        self.changed();
    }

    /// The book changed beyond an entry.
    fn changed(&self) {
        let mut state = self.shared.lock();
        state.unwritten = true;
        let parked = state.book.parked.clone();
        drop(state);
        self.shared.changed.notify_one();
        self.shared.parked.send_if_modified(|told| {
            let news = *told != parked;
            *told = parked;
            news
        });
    }

    /// Notes that the daemon ends on request, and waits until that is on the medium, at most
    /// [`STOP_TIME_MAX`].
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.book.life = None;
        (state.unwritten, state.closing) = (true, true);
        self.shared.changed.notify_one();
        drop(state);
        let writer = lock(&self.shared.writer).take();
        let Some(writer) = writer else { return };
        let until = Instant::now() + STOP_TIME_MAX;
        while !writer.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Writes the book whenever it changed, until it is closed. A medium that refuses it is asked
/// again later: the book in memory is the truth while the daemon lives.
fn write_changes(shared: &SharedRecovery, path: &Path) {
    let mut refused = false;
    loop {
        let mut state = shared.lock();
        while !state.unwritten && !state.closing {
            state = wait(&shared.changed, state);
        }
        let (book, closing) = (state.book.clone(), state.closing);
        state.unwritten = false;
        drop(state);
        match file::write(path, &book) {
            Ok(()) => refused = false,
            Err(error) => {
                // A directory that is not there yet is the ring's to make, or a disk to come.
                if !std::mem::replace(&mut refused, true) && !error.is_absence() {
                    warn!(part = "recovery", error = %error, "recovery log is not written");
                }
                shared.lock().unwritten = true;
            }
        }
        if closing {
            return;
        }
        if refused {
            let state = shared.lock();
            let _ = shared.changed.wait_timeout_while(state, RETRY_PAUSE, |state| !state.closing);
        }
    }
}

/// Writes down how the life before this one ended and what follows from it.
fn begin_life(book: &mut Book, data_dir: &Path, boot: &str, clock: &SharedClock) {
    let (now, up) = (clock.wall(), clock.boot());
    outside::take_notes(book, data_dir);
    let reset = file::last_reset();
    if let Some(entry) = book.previous_end(boot, now, reset) {
        let rung = entry.rung;
        info!(part = "recovery", rung = rung.number(), what = entry.what, "started again");
        book.add(entry);
        match rung {
            Rung::Reboot => book.count_reboot(true, now),
            Rung::BoardReset => book.count_reboot(reset == Reset::Watchdog, now),
            _ => {}
        }
    }
    let (since, oom_kills) = (now.to_rfc3339(), file::oom_kills());
    book.life = Some(DaemonLife { boot: boot.to_owned(), since, oom_kills });
    book.settle(up);
    let over = |parked: &ParkedRecording| parked.remaining(boot, now, up).is_zero();
    if book.parked.as_ref().is_some_and(over) {
        book.unpark();
        info!(part = "recovery", "recording resumes after its pause");
    } else {
        park_if_needed(book, boot, now, up);
    }
}

/// Parks a board that was booted too often, unless its boot loader will do something about that; and
/// says of one that is parked that it is.
fn park_if_needed(book: &mut Book, boot: &str, now: WallTime, up: BootTime) {
    if !outside::image_is_on_trial() {
        book.park_if_needed(boot, now, up);
    }
    if let Some(parked) = &book.parked {
        error!(
            part = "recovery",
            what = parked.what,
            until = parked.until,
            "parked, recording is off"
        );
    }
}

fn this_boot() -> String {
    format!("{:032x}", u128::from_be_bytes(boot::identity()))
}
