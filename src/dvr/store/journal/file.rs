//! The journal as a file: appended to, rewritten whole, read at the start.
//!
//! Owns: where the next frame goes, and when the file is rewritten. Nothing is appended behind a
//! failure: the file is rewritten from what is known, which is the only repair.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::limits::{JOURNAL_BYTES_MAX, JOURNAL_COMPACT_BYTES_MIN};
use crate::dvr::disk;
use crate::dvr::disk::{Disk, DiskFile, OpenMode};
use crate::dvr::format::journal_record::{JournalContent, JournalRecord, parse};

/// The journal's name in the data directory.
pub(crate) const JOURNAL_FILE: &str = "journal.log";
/// The name of one that cannot be read.
const BAD_FILE: &str = "journal.bad";

/// An open journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    file: Arc<dyn DiskFile>,
    end: u64,
    number: u64,
    /// From here on it is rewritten.
    compact_at: u64,
}

impl JournalFile {
    /// Replaces the journal by one that holds `records`, so that after a crash it is the old one or
    /// this one. Numbers continue after `number`.
    pub(crate) fn rewrite(
        disk: &dyn Disk,
        data_dir: &Path,
        records: &[JournalRecord],
        number: u64,
    ) -> io::Result<Self> {
        let (bytes, number) = encode(records, number);
        disk::write_small(disk, data_dir, JOURNAL_FILE, &bytes)?;
        let file = disk.open(&path(data_dir), OpenMode::Write)?;
        let end = bytes.len() as u64;
        Ok(Self { file, end, number, compact_at: JOURNAL_COMPACT_BYTES_MIN.max(end * 2) })
    }

    /// Appends records; when it returns they are on the medium. After an error the file is not
    /// to be used any more.
    pub(crate) fn append(&mut self, records: &[JournalRecord]) -> io::Result<()> {
        let mut left = records;
        while !left.is_empty() {
            let mut bytes = Vec::new();
            let taken = JournalRecord::encode_together(left, self.number + 1, &mut bytes);
            self.file.write_at(self.end, &[&bytes])?;
            self.file.sync_data()?;
            (self.end, self.number) = (self.end + bytes.len() as u64, self.number + 1);
            left = &left[taken..];
        }
        Ok(())
    }

    /// Number of the last record.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it has grown so far that it should be rewritten.
    pub(crate) fn is_long(&self) -> bool {
        self.end >= self.compact_at
    }
}

/// Reads the journal in `data_dir`; an absent one is empty.
pub(crate) fn read(disk: &dyn Disk, data_dir: &Path) -> io::Result<JournalContent> {
    match disk::read_small(disk, &path(data_dir), JOURNAL_BYTES_MAX) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(JournalContent::default()),
        Err(error) => Err(error),
    }
}

/// Moves a journal that cannot be read out of the way.
pub(crate) fn move_aside(disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
    disk.rename(&path(data_dir), &data_dir.join(BAD_FILE))?;
    disk.sync_dir(data_dir)
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(JOURNAL_FILE)
}

fn encode(records: &[JournalRecord], mut number: u64) -> (Vec<u8>, u64) {
    let mut bytes = Vec::new();
    for record in records {
        number += 1;
        record.encode(number, &mut bytes);
    }
    (bytes, number)
}
