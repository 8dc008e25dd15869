//! The log on the medium, and what hardware and kernel say of an end.
//!
//! Owns: the form of the file, and how large it may be.

use std::fs;
use std::io;
use std::path::Path;

use super::book::{Book, Reset};
use crate::base::fault::plain;
use crate::base::file;
use crate::base::limits::RECOVERY_FILE_BYTES_MAX;

/// `bootstatus` bit of a board that its watchdog reset, `WDIOF_CARDRESET` of linux/watchdog.h.
const CARD_RESET: u32 = 0x0020;

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The medium.
    #[error("The recovery log cannot be read or written: {}. Check the disk.", plain(.0))]
    Io(#[from] io::Error),
    /// It is not a log of ours.
    #[error("The recovery log is damaged. Holdfast begins a new one at its next start.")]
    Form(#[from] serde_json::Error),
    /// It is larger than a log of ours can be.
    #[error(
        "The recovery log has {bytes} bytes, more than a log can have. Holdfast begins a new one at its next start."
    )]
    Large {
        /// Its size.
        bytes: u64,
    },
}

impl RecoveryError {
    /// No directory for the log.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The log; empty when there is none.
pub(super) fn read(path: &Path) -> Result<Book, RecoveryError> {
    let bytes = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        found => found?.len(),
    };
    if bytes > RECOVERY_FILE_BYTES_MAX {
        return Err(RecoveryError::Large { bytes });
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Replaces the log.
pub(super) fn write(path: &Path, book: &Book) -> Result<(), RecoveryError> {
    Ok(file::replace(path, &serde_json::to_vec(book)?)?)
}

/// How often the kernel has killed for want of memory in this boot, whomever and within whatever
/// limit (`oom_kill` of `/proc/vmstat`).
pub(super) fn oom_kills() -> u64 {
    let told = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = told.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
    count.unwrap_or_default()
}

/// What the hardware says of the last reset (sysfs-class-watchdog).
pub(super) fn last_reset() -> Reset {
    let Ok(devices) = fs::read_dir("/sys/class/watchdog") else { return Reset::Unknown };
    let status = |dir: &Path| {
        let text = fs::read_to_string(dir.join("bootstatus")).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let did_it =
        |device: fs::DirEntry| status(&device.path()).is_some_and(|bits| bits & CARD_RESET != 0);
    if devices.flatten().any(did_it) { Reset::Watchdog } else { Reset::Unknown }
}
