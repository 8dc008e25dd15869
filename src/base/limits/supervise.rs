//! Restarts, heartbeats and the recovery log.
//!
//! Owns: pauses, ages, and how much of a log is kept.

use std::time::Duration;

/// First and shortest pause before a part is started again.
pub const RESTART_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause before a part is started again.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A part that ran this long, or a camera whose media flowed this long, starts again at the
/// shortest pause.
pub const RESTART_RESET_AFTER: Duration = Duration::from_secs(10);
/// Tries with refused credentials before the pause becomes [`REFUSED_PAUSE`].
pub const REFUSED_TRIES_MAX: u32 = 3;
/// The pause after credentials were refused [`REFUSED_TRIES_MAX`] times.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(3_600);
/// How long everything together may take to stop.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// A vital task that does not beat for this long, or any that does not come back from one turn,
/// stops the watchdog's food.
pub const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(10);
/// The same for the storage thread, besides its calls to the disk, which may take any time.
pub const STORAGE_HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(30);

/// Entries of the recovery log; restarts of parts leave it before anything larger does.
pub const RECOVERY_ENTRIES_MAX: usize = 256;
/// Longest reason of an entry; the rest is cut off.
pub const RECOVERY_TEXT_BYTES_MAX: usize = 1_024;
/// Largest recovery log read; a larger one was not written by this program.
pub const RECOVERY_FILE_BYTES_MAX: u64 = 1 << 20;
/// Largest memory of `holdfast health` that is read.
pub const HEALTH_FILE_BYTES_MAX: u64 = 64 << 10;
/// Longest answer of the daemon's own API that a command reads.
pub const API_ANSWER_BYTES_MAX: u64 = 4 << 20;
