//! An index in memory that forgets as sled may: each record is any of its last versions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastrand::Rng;

use crate::dvr::DvrError;
use crate::dvr::store::index::Index;

/// Versions of a record that a cut may bring back.
const VERSIONS_MAX: usize = 6;

/// The versions of each slot's record, the newest last; `None` where it was removed.
type Versions = BTreeMap<u32, Vec<Option<Vec<u8>>>>;

/// What outlives the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<Mutex<Versions>>);

impl Shelf {
    fn set(&self, slot: u32, record: Option<Vec<u8>>) {
        let mut shelf = self.0.lock().unwrap();
        let versions = shelf.entry(slot).or_insert_with(|| vec![None]);
        versions.push(record);
        if versions.len() > VERSIONS_MAX {
            versions.remove(0);
        }
    }

    /// An end: some records are older than they should be, gone or damaged.
    pub(crate) fn lose(&self, random: &mut Rng) {
        let mut shelf = self.0.lock().unwrap();
        let kind = random.u8(0..6);
        for versions in shelf.values_mut() {
            let newest = versions.len() - 1;
            let mut left = match kind {
                0 => None,
                1 | 2 => versions[newest].clone(),
                _ => versions[random.usize(0..=newest)].clone(),
            };
            if let Some(bytes) = left.as_mut().filter(|_| random.u8(0..40) == 0) {
                let at = random.usize(0..bytes.len());
                bytes[at] ^= 1 << random.u8(0..8);
            }
            *versions = vec![left];
        }
    }
}

impl Index for Shelf {
    fn load(&mut self) -> Result<Vec<(u32, Vec<u8>)>, DvrError> {
        let shelf = self.0.lock().unwrap();
        let newest = |(&slot, versions): (&u32, &Vec<Option<Vec<u8>>>)| {
            Some((slot, versions.last()?.clone()?))
        };
        Ok(shelf.iter().filter_map(newest).collect())
    }
    fn put(&mut self, slot: u32, record: &[u8]) -> Result<(), DvrError> {
        self.set(slot, Some(record.to_vec()));
        Ok(())
    }
    fn remove(&mut self, slot: u32) -> Result<(), DvrError> {
        self.set(slot, None);
        Ok(())
    }
    fn get(&mut self, slot: u32) -> Result<Option<Vec<u8>>, DvrError> {
        let shelf = self.0.lock().unwrap();
        Ok(shelf.get(&slot).and_then(|versions| versions.last()?.clone()))
    }
    fn size_bytes(&mut self) -> Result<u64, DvrError> {
        Ok(0)
    }
}
