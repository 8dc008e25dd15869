//! The store of records: one per slot, in sled.
//!
//! Owns: how sled is configured, and that another kind of store can replace it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::dvr::error::DvrError;

const CACHE_BYTES: u64 = 8 << 20;
const FLUSH_INTERVAL_MS: u64 = 5_000;
/// A process that was just killed may still hold the lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// A store of one record per slot. All calls come from one thread.
pub(crate) trait Index: Send {
    /// Every record.
    fn load(&mut self) -> Result<Vec<(u32, Vec<u8>)>, DvrError>;
    /// Sets the record of a slot.
    fn put(&mut self, slot: u32, record: &[u8]) -> Result<(), DvrError>;
    /// Forgets the record of a slot.
    fn remove(&mut self, slot: u32) -> Result<(), DvrError>;
    /// The record of a slot.
    fn get(&mut self, slot: u32) -> Result<Option<Vec<u8>>, DvrError>;
    /// Bytes that the store takes on the disk.
    fn size_bytes(&mut self) -> Result<u64, DvrError>;
}

/// The store in sled.
pub(crate) struct SledIndex(sled::Db);

impl SledIndex {
    pub(crate) fn open(dir: &Path) -> Result<Self, DvrError> {
        let begun = Instant::now();
        loop {
            let opened = sled::Config::default()
                .path(dir)
                .mode(sled::Mode::LowSpace)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(FLUSH_INTERVAL_MS))
                .open();
            match opened {
                Ok(db) => return Ok(Self(db)),
                Err(sled::Error::Io(_)) if begun.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(Duration::from_millis(500));
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }
}

impl Index for SledIndex {
    fn load(&mut self) -> Result<Vec<(u32, Vec<u8>)>, DvrError> {
        let mut records = Vec::new();
        for pair in self.0.iter() {
            let (key, value) = pair.map_err(refused)?;
            let Ok(slot) = <[u8; 4]>::try_from(&key[..]) else { continue };
            records.push((u32::from_be_bytes(slot), value.to_vec()));
        }
        Ok(records)
    }

    fn put(&mut self, slot: u32, record: &[u8]) -> Result<(), DvrError> {
        self.0.insert(slot.to_be_bytes(), record).map(drop).map_err(refused)
    }

    fn remove(&mut self, slot: u32) -> Result<(), DvrError> {
        self.0.remove(slot.to_be_bytes()).map(drop).map_err(refused)
    }

    fn get(&mut self, slot: u32) -> Result<Option<Vec<u8>>, DvrError> {
        Ok(self.0.get(slot.to_be_bytes()).map_err(refused)?.map(|value| value.to_vec()))
    }

    fn size_bytes(&mut self) -> Result<u64, DvrError> {
        self.0.size_on_disk().map_err(refused)
    }
}

// By value, because that is how `map_err` hands it over.
fn refused(error: sled::Error) -> DvrError {
    DvrError::Index(error.to_string())
}
