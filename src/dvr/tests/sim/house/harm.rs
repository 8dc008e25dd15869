//! Harm that comes to files between two lives, and costs no fragment: a lost or damaged `ring.toml`, and
//! the fronts of slots.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::House;
use crate::dvr::RingReader;
use crate::dvr::disk::Disk;
use crate::dvr::format::seal::HEADER_BYTES;

/// Of so many ends one is followed by harm.
const HARM_EVERY: u16 = 4;
/// Bytes of noise at a front.
const NOISE_BYTES: usize = 512;

impl House {
    /// Something is harmed, at times. What was there is still found, bare.
    pub(crate) fn maybe_harm(&mut self) {
        if self.is_scarred || self.random.u16(0..HARM_EVERY) != 0 {
            return;
        }
        let arc: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let Ok(reader) = RingReader::open_on(arc, &self.data_dir) else { return };
        // A second wrong bit in one front would be noise, which is tried on its own.
        if reader.laps().is_empty() || !reader.damaged_fronts().is_empty() {
            return;
        }
        drop(reader);
        let strict = !self.is_flipped;
        let before = self.ledger.check(&self.disk, &self.data_dir, strict);
        let path = self.data_dir.join("ring/ring.toml");
        let bytes = self.disk.image().get(&path).map_or(0, Vec::len) as u64;
        match self.random.u8(0..8) {
            0..3 => self.disk.lose_file(&path),
            3 | 4 if bytes > 0 => self.disk.flip(&path, self.random.u64(0..bytes * 8)),
            5 | 6 => self.flip_front(&before),
            7 => self.scribble_over_front(&before),
            _ => return,
        }
        let found = self.ledger.check(&self.disk, &self.data_dir, strict && !self.is_flipped);
        let ids = |found: &[super::super::ledger::Found]| {
            found.iter().map(|found| (found.slot, found.id)).collect::<Vec<_>>()
        };
        assert_eq!(ids(&found), ids(&before), "harm cost footage");
        self.tally.done.harmed += 1;
    }

    fn flip_front(&mut self, found: &[super::super::ledger::Found]) {
        let Some(hit) = found.get(self.random.usize(0..=found.len())) else { return };
        let front = u64::from(hit.header.init_bytes) + HEADER_BYTES as u64;
        let path = self.data_dir.join(format!("ring/{:06}.mp4", hit.slot));
        self.disk.flip(&path, self.random.u64(0..front * 8));
    }

    /// Noise over the front of a slot of a stream that has another one, whose init segment serves.
    fn scribble_over_front(&mut self, found: &[super::super::ledger::Found]) {
        let Some(hit) = found.get(self.random.usize(0..=found.len())) else { return };
        let of_stream = found.iter().filter(|one| one.header.stream == hit.header.stream);
        let slots: BTreeSet<u32> = of_stream.map(|one| one.slot).collect();
        if slots.len() < 2 {
            return;
        }
        let path = self.data_dir.join(format!("ring/{:06}.mp4", hit.slot));
        let noise: Vec<u8> = (0..NOISE_BYTES).map(|_| self.random.u8(..)).collect();
        self.disk.scribble(&path, &noise);
        // When the other one goes, no one knows its name any more: it is owed only now.
        self.ledger.excuse_slot(found, hit.slot);
        self.is_flipped = true;
    }
}
