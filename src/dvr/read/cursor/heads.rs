//! The cursor read a second way: what fragments say of their samples, without the media or with
//! them, and the same ones again from any place that was passed before.
//!
//! Owns: places that a walk can return to, and the leases of a whole range. A file generated while
//! it is sent is planned from the heads alone, and its media are read by the same walk; missing or
//! damaged footage is an error and never skipped.

use bytes::Bytes;

use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::catalogue::continuity;
use crate::dvr::error::DvrError;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::seal::{FragmentEntry, Identity};
use crate::dvr::format::slot;
use crate::dvr::read::cursor::{FragmentPlace, RecordingCursor};
use crate::dvr::read::lap_reader::Lease;

/// A fragment as the walk passes it.
#[derive(Clone, Debug)]
pub struct FragmentMeta {
    /// Its place.
    pub place: FragmentPlace,
    /// The `ftyp` and `moov` that it needs.
    pub init: Bytes,
    /// Its `moof`, and behind that its `mdat` if [`Depth::Media`] was asked for.
    pub bytes: Bytes,
    /// What its seal says.
    pub entry: FragmentEntry,
    /// The boot in which it was recorded.
    pub boot: Identity,
}

impl FragmentMeta {
    /// Whether its media continue those of `entry`, of boot `boot`.
    #[must_use]
    pub fn continues(&self, (boot, entry): &(Identity, FragmentEntry)) -> bool {
        self.boot == *boot && continuity::continues(entry, &self.entry)
    }
}

/// How much of a fragment is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its `moof`, which is not checked.
    Head,
    /// All of it, checked against its seal.
    Media,
}

/// As long as these live the laps are skipped when a slot is needed for newer footage, if another
/// of the older half can go.
#[derive(Debug)]
pub struct Leases {
    _laps: Vec<Lease>,
}

impl FragmentPlace {
    /// Its lap.
    #[must_use]
    pub fn lap(&self) -> u64 {
        self.generation
    }
}

impl RecordingCursor {
    /// The clock table of the walk's beginning, so that a repeated walk finds the same dates.
    #[must_use]
    pub fn clock(&self) -> ClockTable {
        self.shared.facts().clock.clone()
    }

    /// The ring that it reads.
    #[must_use]
    pub fn ring(&self) -> Identity {
        self.ring.identity
    }

    /// Leases the laps of these places.
    #[must_use]
    pub fn lease(&self, places: impl Iterator<Item = FragmentPlace>) -> Leases {
        let laps = places.map(|place| Lease::new(&self.shared, place.generation)).collect();
        Leases { _laps: laps }
    }

    /// Goes to `places[0]`, from where the same fragments come as when that was passed first:
    /// those of the laps of all `places`, or an error.
    pub fn go_to(&mut self, places: &[FragmentPlace]) {
        (self.next, self.last) = (places.first().copied(), None);
        (self.seam, self.needs_key) = (true, false);
        self.seen = places.iter().map(|place| (place.generation, place.slot)).collect();
    }

    /// The next fragment. `None` when there is none yet: the call after that looks again.
    ///
    /// The first one behind a [`RecordingCursor::seek`] begins with a key frame.
    pub fn head(&mut self, depth: Depth) -> Result<Option<FragmentMeta>, DvrError> {
        loop {
            let Some(place) = self.upcoming()? else { return Ok(None) };
            let (boot, entry) = self.entry(place)?;
            if self.needs_key && !entry.starts_with_key {
                (self.last, self.next) = (Some((place, boot, entry)), None);
                continue;
            }
            let (init, bytes) = self.read_head(place, &entry, depth)?;
            (self.last, self.next) = (Some((place, boot, entry)), None);
            self.needs_key = false;
            return Ok(Some(FragmentMeta { place, init, bytes, entry, boot }));
        }
    }

    /// All of the fragment of `head`, checked against its seal.
    pub fn media(&mut self, head: &FragmentMeta) -> Result<Bytes, DvrError> {
        self.read_head(head.place, &head.entry, Depth::Media).map(|(_, bytes)| bytes)
    }

    fn read_head(
        &mut self,
        place: FragmentPlace,
        entry: &FragmentEntry,
        depth: Depth,
    ) -> Result<(Bytes, Bytes), DvrError> {
        let failed = DvrError::disk("read", self.ring.slot_path(place.slot));
        let lap = self.lap(place.generation, place.slot)?;
        let reader = lap.reader.clone();
        let (file, header, init) = (reader.file(), reader.header(), reader.init().clone());
        let read = match depth {
            Depth::Head => slot::read_movie(file, header, entry),
            Depth::Media => slot::read_fragment(file, header, entry),
        };
        let front = match read {
            Ok(Some(bytes)) => {
                // A slot about to be reused is marked so before any of it is overwritten.
                let is_held = self.shared.table().lap_mut(place.slot, place.generation).is_some();
                let gone = DvrError::Reused { slot: place.slot };
                return if is_held { Ok((init, bytes)) } else { Err(gone) };
            }
            Ok(None) => self.ring.read_front(file, place.slot),
            Err(error) => Err(error),
        };
        match front.map_err(failed)? {
            SlotFront::Held { header: now, .. } if now == *header => {
                // Every seal of the lap is checked from now on.
                if let Some(held) = self.shared.table().lap_mut(place.slot, place.generation) {
                    held.damaged = held.damaged.max(u64::from(entry.length));
                }
                Err(DvrError::Damaged { slot: place.slot })
            }
            _ => Err(DvrError::Reused { slot: place.slot }),
        }
    }
}
