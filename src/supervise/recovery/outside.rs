//! What others than the running daemon do with the log: systemd, other commands of the program.
//!
//! Owns: notes on how the service ended, whether the board may be booted again, and the pause of
//! a parked daemon that dies. Nothing here is used while the daemon writes, but [`leave_note`],
//! which has a file of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::book::{BOARD, Book, DAEMON, FIVE_DEATHS, RecoveryEntry, Rung};
use super::{NAME, RecoveryError, file, this_boot};
use crate::base::time::{BootTime, SharedClock};

/// A note of another command, until the daemon takes it into the log.
const NOTE_NAME: &str = "recovery.note";
/// Where there is no log to count reboots in, a boot lasts at least this long: three an hour.
const BOOT_TIME_MIN: Duration = Duration::from_secs(1_200);
/// Pause of a parked daemon that died before: with it systemd never sees the five starts within
/// ten minutes after which it gives up.
const PARKED_PAUSE: Duration = Duration::from_secs(200);
/// Deaths within ten minutes before which a parked daemon starts without a pause.
const PARKED_DEATHS: usize = 2;
/// Both say that the image that runs was not found good yet: systemd-boot's variable of a boot
/// that is counted (systemd-bless-boot(8)), and what an image with another loader puts there.
const TRIAL_SIGNS: [&str; 2] = [
    "/sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
    "/run/holdfast-on-trial",
];

/// What the service manager knows of an unintended end: `SERVICE_RESULT` and its companions in the
/// environment of `ExecStopPost=` (systemd.exec(5)).
#[derive(Clone, Debug)]
pub struct ServiceEnd {
    /// Such as `watchdog`, `signal`, `core-dump`, `exit-code`.
    pub result: String,
    /// Such as `ABRT`, or the exit code.
    pub status: String,
}

/// Notes how the service ended, for a daemon that is not running; a requested end does not concern
/// the ladder.
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
    let boot = this_boot();
    // With OOMPolicy=continue, which the decoder child needs, systemd says no more than the signal.
    let of_memory = end.status == "KILL" && book.ran_out_of_memory(&boot, file::oom_kills());
    let what = match end.result.as_str() {
        "watchdog" => "did not answer systemd in time".to_owned(),
        _ if of_memory => "was killed when memory ran out".to_owned(),
        result => format!("ended by itself ({result}, {})", end.status),
    };
    book.add(RecoveryEntry::new(Rung::DaemonRestart, DAEMON, &what, &boot, clock.wall()));
    file::write(&path, &book)
}

/// The entries of a box whose daemon need not run, oldest first.
///
/// # Errors
///
/// The log cannot be read.
pub fn read(data_dir: &Path) -> Result<Vec<RecoveryEntry>, RecoveryError> {
    Ok(file::read(&data_dir.join(NAME))?.entries)
}

/// Leaves a note for the daemon's log, which it takes in at its next start.
///
/// # Errors
///
/// The note cannot be written.
pub fn leave_note(
    data_dir: &Path,
    rung: Rung,
    part: &str,
    what: &str,
    clock: &SharedClock,
) -> Result<(), RecoveryError> {
    let mut note = Book::default();
    note.add(RecoveryEntry::new(rung, part, what, &this_boot(), clock.wall()));
    file::write(&data_dir.join(NOTE_NAME), &note)
}

/// Whether a note waits for the daemon's next start.
#[must_use]
pub fn has_note(data_dir: &Path) -> bool {
    data_dir.join(NOTE_NAME).exists()
}

/// Takes in what others noted.
pub(super) fn take_notes(book: &mut Book, data_dir: &Path) {
    let path = data_dir.join(NOTE_NAME);
    for entry in file::read(&path).unwrap_or_default().entries {
        book.add(entry);
    }
    // Twice is better than never: it is removed before the log is on the medium, and a note that
    // a power cut takes with it is the smaller loss.
    let _ = fs::remove_file(&path);
}

/// How long the board must wait before it is rebooted because the daemon did not stay alive; also
/// notes that reboot. Usually zero; a parked box waits until the park is over, and one whose log
/// cannot be written, so that its reboots go uncounted, stays up at least 20 minutes.
pub fn wait_for_reboot(data_dir: &Path, clock: &SharedClock) -> Duration {
    let (boot, now, up) = (this_boot(), clock.wall(), clock.boot());
    let path = data_dir.join(NAME);
    let noted = file::read(&path).and_then(|mut book| {
        let left = book.parked.as_ref().map(|park| park.remaining(&boot, now, up));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Ok(left);
        }
        book.add(RecoveryEntry::new(Rung::Reboot, BOARD, FIVE_DEATHS, &boot, now));
        book.count_reboot(true, now);
        // This end is noted; the next start need not find it out.
        book.life = None;
        file::write(&path, &book).map(|()| Duration::ZERO)
    });
    noted.unwrap_or_else(|_| BOOT_TIME_MIN.saturating_sub(up.since(BootTime::default())))
}

/// How long a start is put off: a parked daemon that keeps dying must not make systemd give up,
/// because that boots the board again.
#[must_use]
pub fn bear_with(data_dir: &Path, clock: &SharedClock) -> Duration {
    let Ok(book) = file::read(&data_dir.join(NAME)) else { return Duration::ZERO };
    let (boot, now, up) = (this_boot(), clock.wall(), clock.boot());
    let parked = book.parked.as_ref().is_some_and(|park| !park.remaining(&boot, now, up).is_zero());
    let dies = book.recent_deaths(&boot, now) >= PARKED_DEATHS;
    if parked && dies { PARKED_PAUSE } else { Duration::ZERO }
}

/// Whether the boot loader counts the starts of this image, because it was not found good yet.
#[must_use]
pub fn image_is_on_trial() -> bool {
    TRIAL_SIGNS.iter().any(|sign| Path::new(sign).exists())
}
