//! Bytes written to a disk, summed over boots: the kernel forgets its count with each.
//!
//! Owns: the small file in the data directory, written once an hour and at the end, so a lower
//! bound: what was written between the last note and a power cut is not in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::BoardDisk;
use crate::base::file;
use crate::base::limits::{
    BOARD_TEXT_CHARS_MAX, WRITTEN_DISKS_MAX, WRITTEN_FILE_BYTES_MAX, WRITTEN_NOTE_PAUSE,
};
use crate::base::time::{BootTime, WallTime};

/// Its name in the data directory.
const FILE: &str = "disk-written.json";

/// What was written to a disk as long as the box has known it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WrittenTotal {
    /// Bytes.
    pub bytes: u64,
    /// Start of the counting, by the clock of that time.
    pub since: String,
}

/// One disk's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
struct Page {
    disk: String,
    since: String,
    /// In boots that are over.
    before_bytes: u64,
    /// The boot that `boot_bytes` belongs to.
    boot: String,
    /// The kernel's own count when it was last checked.
    boot_bytes: u64,
}

/// The file, and what was not written to it yet.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    /// The disk seen last is the last entry.
    pages: Vec<Page>,
    noted_at: Option<BootTime>,
}

impl Ledger {
    /// Continues the file in `data_dir`; an unusable one is started afresh.
    pub(super) fn open(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let pages = read(&path).unwrap_or_default();
        Self { path, pages, noted_at: None }
    }

    /// Counts what `disk` says now, in this `boot`, and writes it down where that is due.
    pub(super) fn count(
        &mut self,
        disk: &BoardDisk,
        boot: &str,
        (now, date): (BootTime, WallTime),
    ) -> Option<WrittenTotal> {
        // What the kernel has counted when a disk is first seen began with the boot at the earliest.
        let since_boot = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        let written = self.add(disk, boot, date.offset_nanos(-since_boot))?;
        let due = |at: BootTime| now.since(at) >= WRITTEN_NOTE_PAUSE;
        if self.noted_at.is_none_or(due) && self.note().is_ok() {
            self.noted_at = Some(now);
        }
        Some(written)
    }

    fn add(&mut self, disk: &BoardDisk, boot: &str, booted: WallTime) -> Option<WrittenTotal> {
        let seen = disk.written_since_boot_bytes?;
        let known = self.pages.iter().position(|page| page.disk == disk.identity);
        let mut page = known.map_or_else(
            || Page {
                disk: disk.identity.clone(),
                since: booted.to_rfc3339(),
                before_bytes: 0,
                boot: boot.to_owned(),
                boot_bytes: 0,
            },
            |at| self.pages.remove(at),
        );
        // Another boot, or the disk was away: the kernel began to count anew.
        if page.boot != boot || seen < page.boot_bytes {
            page.before_bytes = page.before_bytes.saturating_add(page.boot_bytes);
            boot.clone_into(&mut page.boot);
        }
        page.boot_bytes = seen;
        let bytes = page.before_bytes.saturating_add(seen);
        let since = page.since.clone();
        if self.pages.len() >= WRITTEN_DISKS_MAX {
            self.pages.remove(0);
        }
        self.pages.push(page);
        Some(WrittenTotal { bytes, since })
    }

    /// Replaces the file. A directory that is not there yet is the ring's to make.
    pub(super) fn note(&self) -> io::Result<()> {
        file::replace(&self.path, &serde_json::to_vec(&self.pages)?)
    }
}

fn read(path: &Path) -> Option<Vec<Page>> {
    if fs::metadata(path).ok()?.len() > WRITTEN_FILE_BYTES_MAX {
        return None;
    }
    let mut pages: Vec<Page> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    pages.retain(|page| page.since.len() <= BOARD_TEXT_CHARS_MAX);
    pages.truncate(WRITTEN_DISKS_MAX);
    Some(pages)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn disk(written: u64) -> BoardDisk {
        BoardDisk {
            device: "mmcblk0".to_owned(),
            kind: None,
            model: None,
            bytes: None,
            written_since_boot_bytes: Some(written),
            life_used_percent: None,
            reserve: None,
            identity: "SD32G/0353445344/31914983424".to_owned(),
        }
    }

    fn counted(ledger: &mut Ledger, boot: &str, at_secs: u64, written: u64) -> u64 {
        let now = BootTime::from_millis(at_secs * 1_000);
        ledger.count(&disk(written), boot, (now, WallTime::default())).unwrap().bytes
    }

    #[test]
    fn bytes_add_up_over_boots_and_over_a_disk_that_was_away() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path());
        assert_eq!(counted(&mut ledger, "one", 5, 100), 100);
        assert_eq!(counted(&mut ledger, "one", 10, 300), 300);
        assert_eq!(counted(&mut ledger, "one", 15, 20), 320, "it was plugged in again");
        ledger.note().unwrap();
        let mut ledger = Ledger::open(dir.path());
        assert_eq!(counted(&mut ledger, "one", 20, 30), 330, "the daemon alone started again");
        assert_eq!(counted(&mut ledger, "two", 5, 1_000), 1_330);
    }

    #[test]
    fn the_file_is_written_once_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let mut ledger = Ledger::open(dir.path());
        counted(&mut ledger, "one", 5, 100);
        let first = fs::read(&file).unwrap();
        counted(&mut ledger, "one", 3_600, 200);
        assert_eq!(fs::read(&file).unwrap(), first);
        counted(&mut ledger, "one", 5 + WRITTEN_NOTE_PAUSE.as_secs(), 200);
        assert_ne!(fs::read(&file).unwrap(), first);
        assert_eq!(WRITTEN_NOTE_PAUSE, Duration::from_secs(3_600));
    }

    #[test]
    fn a_file_of_somebody_else_is_begun_anew_and_other_disks_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"{\"disk\": \xff").unwrap();
        let mut ledger = Ledger::open(dir.path());
        for n in 0..2 * WRITTEN_DISKS_MAX {
            let other = BoardDisk { identity: n.to_string(), ..disk(1) };
            let now = (BootTime::from_millis(1), WallTime::default());
            ledger.count(&other, "one", now).unwrap();
        }
        assert_eq!(ledger.pages.len(), WRITTEN_DISKS_MAX);
        ledger.note().unwrap();
        assert_eq!(Ledger::open(dir.path()).pages, ledger.pages);
    }
}
