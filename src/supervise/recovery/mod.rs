//! What the box did to heal itself: a small durable log, the evidence for whoever comes later.
//!
//! Owns: the entries in memory, the thread that puts them on the medium, and what a start tells
//! of the end before it. Whoever notes something waits for nothing: a disk that stalls delays
//! the file, never the caller.
//!
//! The ladder, as far as it is built; each rung acts only where the one below does not mend it:
//!
//! | rung | trigger | what happens |
//! |---|---|---|
//! | 0 | a part fails, a camera is silent | that part alone is started again, with growing pauses |
//! | 3 | a vital task misses its deadline, or the process hangs or dies | systemd starts the daemon again |
//! | 4 | five such deaths within ten minutes | systemd boots the board again |
//! | 5 | the kernel or PID 1 hangs | the board's watchdog resets it |

mod book;
mod file;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};

pub use self::book::{Entry, Rung};
pub use self::file::RecoveryError;

use self::book::{Book, DAEMON, Life};
use crate::base::boot;
use crate::base::limits::STOP_TIME_MAX;
use crate::base::time::SharedClock;

/// File name below the data directory.
const NAME: &str = "recovery.json";
/// Pause after the medium refused the log.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The log of a running daemon. Clones share it.
#[derive(Clone, Debug)]
pub struct RecoveryLog {
    shared: Arc<Shared>,
    clock: SharedClock,
    boot: String,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    book: Book,
    /// What is in memory is not on the medium yet.
    unwritten: bool,
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecoveryLog {
    /// Reads what is there, adds what the end of the run before it was, and begins to write. A
    /// log that cannot be read is told and begun anew.
    ///
    /// # Errors
    ///
    /// No thread can be had.
    pub fn open(data_dir: &Path, clock: SharedClock) -> Result<Self, RecoveryError> {
        let path = data_dir.join(NAME);
        let mut book = file::read(&path).unwrap_or_else(|error| {
            warn!(part = "recovery", error = %error, "recovery log is not readable, begun anew");
            Book::default()
        });
        let boot = this_boot();
        let now = clock.wall();
        if let Some(entry) = book.previous_end(&boot, now, file::watchdog_reset()) {
            info!(
                part = "recovery",
                rung = entry.rung.number(),
                what = entry.what,
                "started again"
            );
            book.add(entry);
        }
        book.life = Some(Life { boot: boot.clone(), since: now.to_rfc3339() });
        let state = State { book, unwritten: true, closing: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            writer: Mutex::default(),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("recovery".into());
        let thread = thread.spawn(move || write_changes(&writer, &path))?;
        *shared.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self { shared, clock, boot })
    }

    /// Notes that `rung` was needed for `part` and why. Waits for nothing.
    pub fn note(&self, rung: Rung, part: &str, what: &str) {
        let entry = Entry::new(rung, part, what, &self.boot, self.clock.wall());
        let mut state = self.shared.lock();
        if state.book.add(entry) {
            state.unwritten = true;
            self.shared.changed.notify_one();
        }
    }

    /// Every entry, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.lock().book.entries.clone()
    }

    /// Notes that the daemon ends because it was told to, and waits until that is on the
    /// medium, at most [`STOP_TIME_MAX`].
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.book.life = None;
        (state.unwritten, state.closing) = (true, true);
        self.shared.changed.notify_one();
        drop(state);
        let writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        let until = Instant::now() + STOP_TIME_MAX;
        while !writer.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Writes the book whenever it changed, until it is closed. A medium that refuses it is asked
/// again later: the book in memory is the truth while the daemon lives.
fn write_changes(shared: &Shared, path: &Path) {
    let mut refused = false;
    loop {
        let mut state = shared.lock();
        while !state.unwritten && !state.closing {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
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

/// What the service manager knows of an end that nobody asked for: `SERVICE_RESULT` and what
/// stands beside it in the environment of `ExecStopPost=` (systemd.exec(5)).
#[derive(Clone, Debug)]
pub struct ServiceEnd {
    /// Such as `watchdog`, `signal`, `core-dump`, `exit-code`, `oom-kill`.
    pub result: String,
    /// Such as `ABRT`, or the exit code.
    pub status: String,
}

/// Notes how the service ended, for a daemon that is not running; an end that was asked for is
/// none of the ladder's.
///
/// # Errors
///
/// The log cannot be read or written.
pub fn note_end(
    data_dir: &Path,
    end: &ServiceEnd,
    clock: &SharedClock,
) -> Result<(), RecoveryError> {
    if end.result.is_empty() || end.result == "success" {
        return Ok(());
    }
    let path = data_dir.join(NAME);
    let mut book = file::read(&path)?;
    let what = match end.result.as_str() {
        "watchdog" => "did not answer systemd in time".to_owned(),
        "oom-kill" => "was killed for want of memory".to_owned(),
        result => format!("ended by itself ({result}, {})", end.status),
    };
    book.add(Entry::new(Rung::DaemonRestart, DAEMON, &what, &this_boot(), clock.wall()));
    file::write(&path, &book)
}

/// The entries of a box whose daemon need not run, oldest first.
///
/// # Errors
///
/// The log cannot be read.
pub fn read(data_dir: &Path) -> Result<Vec<Entry>, RecoveryError> {
    Ok(file::read(&data_dir.join(NAME))?.entries)
}

fn this_boot() -> String {
    format!("{:032x}", u128::from_be_bytes(boot::identity()))
}
