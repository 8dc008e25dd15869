//! Reads a ring from its files alone: no daemon, no index.
//!
//! Owns: the walk over all slots for `ls`, `verify` and a person who holds only the disk. Writes
//! nothing.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::dvr::catalogue::facts::RingFacts;
use crate::dvr::catalogue::lap::{LapInfo, SlotView};
use crate::dvr::disk::{Disk, OpenMode, RealDisk};
use crate::dvr::error::DvrError;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::journal_record::JournalContent;
use crate::dvr::format::seal::{FragmentEntry, SlotHeader};
use crate::dvr::format::slot;
use crate::dvr::format::slot::{SlotContents, Strictness};
use crate::dvr::store::journal;
use crate::dvr::store::ring::Ring;

/// A ring on a disk, opened for reading.
#[derive(Debug)]
pub struct RingReader {
    disk: Arc<dyn Disk>,
    ring: Ring,
    facts: RingFacts,
    journal: JournalContent,
    laps: Vec<FoundLap>,
    blank: u64,
    damaged: Vec<u32>,
    damaged_fronts: Vec<u32>,
    copies: Vec<u32>,
    bad: Vec<u32>,
    swapped: Vec<(u32, u32)>,
    missing: Vec<u32>,
    wiped: Vec<u32>,
    foreign: Vec<String>,
    recovered: Option<String>,
}

/// A slot that holds footage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundLap {
    /// The slot's number.
    pub slot: u32,
    /// Which lap of the ring.
    pub generation: u64,
    /// How to read its end.
    pub strictness: Strictness,
}

impl RingReader {
    /// Opens the ring under `data_dir` and reads the front of every slot.
    pub fn open(data_dir: &Path) -> Result<Self, DvrError> {
        Self::open_on(Arc::new(RealDisk), data_dir)
    }

    /// As [`RingReader::open`], on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self, DvrError> {
        let gone = || DvrError::Gone { path: data_dir.join("ring/ring.toml") };
        let (ring, recovered) = Ring::find_or_recover(&*disk, data_dir)?.ok_or_else(gone)?;
        let mut found = ring.read_fronts(&*disk)?;
        found.search_damaged(&*disk)?;
        let (facts, journal) = journal::read_facts(&*disk, data_dir)?;
        let last = found.table.last_of_boots();
        let lap = |(slot, held): (u32, &LapInfo)| {
            let generation = held.generation;
            FoundLap {
                slot,
                generation,
                strictness: Strictness::of_lap(last.contains(&generation)),
            }
        };
        let mut laps: Vec<_> = found.table.held().map(lap).collect();
        laps.sort_by_key(|lap| lap.generation);
        let of = |kind: fn(&SlotView) -> bool| {
            let of_kind = found.table.slots.iter().filter(|(_, view)| kind(view));
            of_kind.map(|(&slot, _)| slot).collect::<Vec<_>>()
        };
        let damaged_fronts = of(|view| matches!(view, SlotView::Held(lap) if lap.is_front_damaged));
        let own = |slot: &u32| Some((*slot, found.ring.number_inside(&*disk, *slot)?));
        let swapped: Vec<_> = damaged_fronts.iter().filter_map(own).collect();
        let is_swapped = |slot: &u32| swapped.iter().any(|(one, _)| one == slot);
        let blank = of(|view| matches!(view, SlotView::Blank));
        let is_wiped = |slot: &u32| found.ring.begins_with_zeros(&*disk, *slot);
        Ok(Self {
            missing: found.missing(),
            wiped: blank.iter().copied().filter(is_wiped).collect(),
            foreign: found.ring.foreign_files(&*disk)?,
            recovered,
            blank: (blank.len() - found.copies.len()) as u64,
            damaged: of(|view| matches!(view, SlotView::Damaged | SlotView::Nameless { .. })),
            damaged_fronts: damaged_fronts.into_iter().filter(|slot| !is_swapped(slot)).collect(),
            bad: of(|view| matches!(view, SlotView::Foreign | SlotView::Unreadable)),
            copies: found.copies.iter().map(|&(slot, _)| slot).collect(),
            disk,
            ring: found.ring,
            facts,
            journal,
            laps,
            swapped,
        })
    }

    /// What the journal beside the ring says; nothing where there is none.
    #[must_use]
    pub fn facts(&self) -> &RingFacts {
        &self.facts
    }

    /// How the journal was found. Its records are in [`RingReader::facts`].
    #[must_use]
    pub fn journal(&self) -> &JournalContent {
        &self.journal
    }

    /// Slots that hold footage, oldest lap first.
    #[must_use]
    pub fn laps(&self) -> &[FoundLap] {
        &self.laps
    }

    /// Slots that were made and never used.
    #[must_use]
    pub fn blank(&self) -> u64 {
        self.blank
    }

    /// Slots whose front is neither a lap's nor blank: a torn opening, or worse.
    #[must_use]
    pub fn damaged(&self) -> &[u32] {
        &self.damaged
    }

    /// Slots whose front is damaged and whose footage can be read all the same.
    #[must_use]
    pub fn damaged_fronts(&self) -> &[u32] {
        &self.damaged_fronts
    }

    /// Slots that hold what another slot holds.
    #[must_use]
    pub fn copies(&self) -> &[u32] {
        &self.copies
    }

    /// Slots that cannot be read or belong to another ring.
    #[must_use]
    pub fn bad(&self) -> &[u32] {
        &self.bad
    }

    /// Slots that hold the footage of another slot, with that slot.
    #[must_use]
    pub fn swapped(&self) -> &[(u32, u32)] {
        &self.swapped
    }

    /// Slots that are not there though those behind them are.
    #[must_use]
    pub fn missing(&self) -> &[u32] {
        &self.missing
    }

    /// Slots that are nothing but zeros, which a ring makes only for a moment.
    #[must_use]
    pub fn wiped(&self) -> &[u32] {
        &self.wiped
    }

    /// Names of files beside the slots that do not belong to the ring.
    #[must_use]
    pub fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// Why the ring is not what `ring.toml` says; `None` when it is.
    #[must_use]
    pub fn recovered(&self) -> Option<&str> {
        self.recovered.as_deref()
    }

    /// Size of a slot and number of slots.
    #[must_use]
    pub fn geometry(&self) -> (u64, u32) {
        (self.ring.slot_bytes, self.ring.slots)
    }

    /// Checks every seal of a lap. `None` when the slot was reused since the ring was opened.
    pub fn contents(&self, lap: FoundLap) -> Result<Option<(SlotHeader, SlotContents)>, DvrError> {
        let file = self.ring.open_slot(&*self.disk, lap.slot, OpenMode::Read)?;
        let failed = DvrError::disk("read", self.ring.slot_path(lap.slot));
        let read = || match self.ring.read_front(&*file, lap.slot)? {
            SlotFront::Held { header, .. } if header.generation == lap.generation => {
                let contents = slot::scan(&*file, &header, lap.strictness)?;
                Ok(Some((header, contents)))
            }
            _ => Ok(None),
        };
        read().map_err(failed)
    }

    /// The `ftyp` and `moov` of the lap that `header` begins.
    pub fn init(&self, header: &SlotHeader) -> Result<Bytes, DvrError> {
        let file = self.ring.open_slot(&*self.disk, header.slot, OpenMode::Read)?;
        let failed = DvrError::disk("read", self.ring.slot_path(header.slot));
        match self.ring.read_front(&*file, header.slot).map_err(failed)? {
            SlotFront::Held { header: found, init, .. } if found == *header => Ok(init),
            _ => Err(DvrError::Reused { slot: header.slot }),
        }
    }

    /// The `moof` and `mdat` that `entry` names. `None` when the bytes are not there any more:
    /// never those of another lap, because the seal is checked after reading.
    pub fn fragment(
        &self,
        header: &SlotHeader,
        entry: &FragmentEntry,
    ) -> Result<Option<Bytes>, DvrError> {
        let file = self.ring.open_slot(&*self.disk, header.slot, OpenMode::Read)?;
        slot::read_fragment(&*file, header, entry)
            .map_err(DvrError::disk("read", self.ring.slot_path(header.slot)))
    }
}
