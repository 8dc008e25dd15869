//! A file's bytes: what reads show, what is on the medium, and the writes between the two.
//!
//! Owns: the way of a write onto the medium, or not.

use fastrand::Rng;

use super::survival::{Survives, Write};

#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    /// What reads show.
    pub(crate) cache: Vec<u8>,
    pub(crate) medium: Vec<u8>,
    /// Written and not synced.
    pub(crate) dirty: Vec<Write>,
}

impl Inode {
    /// All that was written reaches the medium.
    pub(crate) fn flush(&mut self) {
        self.medium.resize(self.cache.len(), 0);
        for write in std::mem::take(&mut self.dirty) {
            self.medium[write.at..write.at + write.bytes.len()].copy_from_slice(&write.bytes);
        }
    }

    /// What is clean is read from the medium again.
    pub(crate) fn forget(&mut self) {
        let length = self.cache.len();
        self.cache.clone_from(&self.medium);
        self.cache.resize(length, 0);
        for write in &self.dirty {
            self.cache[write.at..write.at + write.bytes.len()].copy_from_slice(&write.bytes);
        }
    }

    pub(crate) fn lose(&mut self, random: &mut Rng, survives: Survives) {
        let dirty = std::mem::take(&mut self.dirty);
        let keeps_length = match survives {
            Survives::Nothing => false,
            Survives::Everything => true,
            _ => random.bool(),
        };
        if keeps_length {
            self.medium.resize(self.cache.len(), 0);
        }
        for write in &dirty {
            survives.put(random, write, &mut self.medium);
        }
        self.cache.clone_from(&self.medium);
    }
}
