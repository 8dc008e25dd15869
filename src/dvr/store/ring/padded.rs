//! A slot's file that was cut short, read to the end of its slot.

use std::sync::Arc;

use crate::dvr::disk::DiskFile;

/// A file that is shorter than its slot: zeros replace the missing end.
#[derive(Debug)]
pub(super) struct Padded {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) length: u64,
}

impl DiskFile for Padded {
    fn length(&self) -> std::io::Result<u64> {
        Ok(self.length)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let there = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let (there, missing) = buffer.split_at_mut(there.min(buffer.len()));
        missing.fill(0);
        if there.is_empty() { Ok(()) } else { self.file.read_at(at, there) }
    }

    fn write_at(&self, at: u64, pieces: &[&[u8]]) -> std::io::Result<()> {
        self.file.write_at(at, pieces)
    }

    fn allocate(&self, bytes: u64) -> std::io::Result<()> {
        self.file.allocate(bytes)
    }

    fn try_lock(&self) -> std::io::Result<bool> {
        self.file.try_lock()
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn forget_cached(&self) -> std::io::Result<()> {
        self.file.forget_cached()
    }
}
