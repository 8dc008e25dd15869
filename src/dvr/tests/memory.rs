//! A file in memory that is only read.

use std::io;

use crate::dvr::disk::DiskFile;

/// Its bytes.
#[derive(Debug)]
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl DiskFile for Memory {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).map_err(io::Error::other)?;
        let bytes = self.0.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[&[u8]]) -> io::Result<()> {
        unreachable!("it is only read")
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        unreachable!("it is only read")
    }

    fn try_lock(&self) -> io::Result<bool> {
        unreachable!("it is only read")
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
