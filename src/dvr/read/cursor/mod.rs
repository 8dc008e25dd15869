//! A cursor over the fragments of one stream, forwards fragment by fragment and backwards group
//! by group.
//!
//! Owns: its place, and the leases on the laps around it. Its calls block on the disk. Every
//! fragment is checked against the seal of its lap when it is read: a slot that was given to
//! newer footage meanwhile is an error, never another lap's bytes.

mod heads;
mod refresh;

use std::sync::Arc;

use bytes::Bytes;

pub use heads::{Depth, FragmentMeta, Leases};

use crate::base::limits::REPLAY_GOP_BYTES_MAX;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::catalogue::continuity::continues;
use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::error::DvrError;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::seal::{FragmentEntry, Identity, SlotHeader};
use crate::dvr::format::slot;
use crate::dvr::format::slot::Strictness;
use crate::dvr::read::lap_reader::{LapReader, Lease};
use crate::dvr::store::ring::Ring;
use crate::dvr::store::state::DvrState;

/// Laps kept open: the one being read and its neighbours.
const LAPS_OPEN_MAX: usize = 3;

/// Which way time runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As it did.
    Forward,
    /// From the newer to the older.
    Backward,
}

/// A cursor over the fragments of one stream.
#[derive(Debug)]
pub struct RecordingCursor {
    shared: Arc<DvrState>,
    boot: Identity,
    ring: Ring,
    stream: StreamName,
    open: Vec<CursorLap>,
    /// Laps that were there since it last went somewhere: one that is not any more is missed.
    seen: Vec<(u64, u32)>,
    /// The fragment that comes next.
    next: Option<FragmentPlace>,
    /// The one that was read or skipped last.
    last: Option<(FragmentPlace, Identity, FragmentEntry)>,
    /// Something is missing before what comes next.
    seam: bool,
    /// What comes next must begin with a key frame.
    needs_key: bool,
}

/// A fragment as it comes off the cursor.
#[derive(Clone, Debug)]
pub struct FragmentRead {
    /// The `ftyp` and `moov` that it needs.
    pub init: Bytes,
    /// Its `moof` and `mdat`.
    pub bytes: Bytes,
    /// What its seal says.
    pub entry: FragmentEntry,
    /// The boot in which it was recorded.
    pub boot: Identity,
    /// That is the boot that continues: media times compare with those of what comes live.
    pub this_boot: bool,
    /// Its date by what is known of the clock.
    pub start: WallTime,
    /// It does not continue where the one before ended.
    pub seam: bool,
    /// Where the next fragment begins, if there is one yet.
    pub next_start: Option<WallTime>,
    /// What follows does not continue where this one ends, or nothing follows for good.
    pub ends_section: bool,
}

/// A fragment's place in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentPlace {
    generation: u64,
    slot: u32,
    at: usize,
}

#[derive(Debug)]
struct CursorLap {
    reader: LapReader,
    entries: Vec<FragmentEntry>,
    /// No more entries will come.
    complete: bool,
    /// Something in it was found damaged, so no seal is believed before its media are checked.
    is_damaged: bool,
}

/// Whether a lap is being written.
enum Growing {
    /// It is; up to this fragment it is durable, if any is.
    Until(Option<u64>),
    /// It is not.
    NoMore,
}

impl RecordingCursor {
    /// Leases nothing yet.
    pub(crate) fn open(
        shared: Arc<DvrState>,
        boot: Identity,
        stream: &StreamName,
    ) -> Result<Self, DvrError> {
        Ok(Self {
            ring: shared.ring().ok_or(DvrError::NoSlot)?,
            shared,
            boot,
            stream: stream.clone(),
            open: Vec::new(),
            seen: Vec::new(),
            next: None,
            last: None,
            seam: true,
            needs_key: true,
        })
    }

    /// The dates from which and up to which anything is recorded.
    #[must_use]
    pub fn extent(&self) -> Option<(WallTime, WallTime)> {
        let facts = self.shared.facts();
        let table = self.shared.table();
        let held = table.held().map(|(_, held)| held).filter(|held| held.stream == self.stream);
        let dates: Vec<_> = held
            .flat_map(|held| held.stretches.iter().map(|s| s.placed(&facts.clock, held.boot)))
            .collect();
        Some((dates.iter().map(|d| d.0).min()?, dates.iter().map(|d| d.1).max()?))
    }

    /// Goes to where playing from `at` begins; returns whether there is such a place.
    ///
    /// Inside footage that is the key frame at or before `at`, or the one before that where a gradual
    /// refresh begins there; in a gap, the next section in this
    /// direction. A place without an earlier key frame is skipped forwards.
    pub fn seek(&mut self, at: WallTime, way: Direction) -> Result<bool, DvrError> {
        (self.next, self.last, self.seam, self.needs_key) = (None, None, true, true);
        self.seen = if way == Direction::Forward { self.laps(|_| true) } else { Vec::new() };
        let mut laps = self.laps(|dates| match way {
            Direction::Forward => dates.iter().any(|(_, end)| *end > at),
            Direction::Backward => dates.iter().any(|(start, _)| *start <= at),
        });
        if way == Direction::Backward {
            laps.reverse();
        }
        for (generation, slot) in laps {
            let lap = self.lap(generation, slot)?;
            let (header, entries) = (lap.reader.header().clone(), lap.entries.clone());
            let found = match way {
                Direction::Forward => {
                    entries.iter().position(|entry| self.dates(&header, entry).1 > at)
                }
                Direction::Backward => {
                    entries.iter().rposition(|entry| self.dates(&header, entry).0 <= at)
                }
            };
            if let Some(index) = found {
                let place = FragmentPlace { generation, slot, at: index };
                let inside =
                    way == Direction::Forward && self.dates(&header, &entries[index]).0 <= at;
                let key = if inside { self.key_before(place)? } else { None };
                let key = key.map(|key| self.before_refresh(key)).transpose()?;
                self.next = Some(key.unwrap_or(place));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next fragment; with `keys` only those that begin with a key frame. `None` when there
    /// is none yet: the call after that looks again.
    pub fn forward(&mut self, keys: bool) -> Result<Option<FragmentRead>, DvrError> {
        loop {
            let Some(place) = self.upcoming()? else { return Ok(None) };
            let (boot, entry) = self.entry(place)?;
            let before = self.last.replace((place, boot, entry));
            self.next = None;
            self.seam |= !before.is_some_and(|(_, b, e)| b == boot && continues(&e, &entry));
            if (keys || self.needs_key) && !entry.starts_with_key {
                continue;
            }
            if let Some(clip) = self.read(place)? {
                self.needs_key = false;
                let seam = std::mem::take(&mut self.seam);
                return self.with_neighbour(place, FragmentRead { seam, ..clip }).map(Some);
            }
            // Damaged: what was before does not lead up to what follows.
            (self.seam, self.needs_key) = (true, true);
        }
    }

    /// The place of the next fragment forwards. `None` when there is none yet.
    fn upcoming(&mut self) -> Result<Option<FragmentPlace>, DvrError> {
        if self.next.is_none()
            && let Some((place, ..)) = self.last
        {
            self.next = self.after(place)?;
        }
        Ok(self.next)
    }

    /// The group of pictures at the cursor, which moves to the one before: fragments in their
    /// order, of which the first begins with a key frame. With `keys` only that one. `None` at the
    /// beginning of everything.
    pub fn backward(&mut self, keys: bool) -> Result<Option<Vec<FragmentRead>>, DvrError> {
        while let Some(end) = self.next {
            let Some(begin) = self.key_before(end)? else {
                // No key frame in this section: the next one is what is before it.
                self.next = self.section_before(end)?;
                self.seam = true;
                continue;
            };
            self.next = self.before(begin)?;
            let clips = self.group(begin, end, keys)?;
            let seam = std::mem::take(&mut self.seam);
            let (first_boot, first) = self.entry(begin)?;
            if let Some(before) = self.next {
                let (boot, entry) = self.entry(before)?;
                self.seam = boot != first_boot || !continues(&entry, &first);
            }
            if clips.is_empty() {
                self.seam = true;
                continue;
            }
            let (nothing_older, section_ends) = (self.next.is_none(), self.seam);
            let told = clips.into_iter().map(|clip| FragmentRead {
                seam,
                ends_section: nothing_older || section_ends,
                ..clip
            });
            return Ok(Some(told.collect()));
        }
        Ok(None)
    }

    /// The fragments from `begin` to `end`, as many as fit; none when one is damaged.
    fn group(
        &mut self,
        begin: FragmentPlace,
        end: FragmentPlace,
        keys: bool,
    ) -> Result<Vec<FragmentRead>, DvrError> {
        let (mut clips, mut bytes) = (Vec::new(), 0);
        let mut place = Some(begin);
        while let Some(at) = place {
            let Some(clip) = self.read(at)? else { break };
            bytes += clip.bytes.len();
            if bytes > REPLAY_GOP_BYTES_MAX && !clips.is_empty() {
                break;
            }
            clips.push(clip);
            place = if keys || at == end { None } else { self.after(at)? };
        }
        Ok(clips)
    }

    /// The newest fragment at or before `from` that begins with a key frame, in its section.
    fn key_before(&mut self, from: FragmentPlace) -> Result<Option<FragmentPlace>, DvrError> {
        let (mut at, (mut boot, mut entry)) = (from, self.entry(from)?);
        while !entry.starts_with_key {
            let Some(before) = self.before(at)? else { return Ok(None) };
            let (before_boot, before_entry) = self.entry(before)?;
            if before_boot != boot || !continues(&before_entry, &entry) {
                return Ok(None);
            }
            (at, boot, entry) = (before, before_boot, before_entry);
        }
        Ok(Some(at))
    }

    /// The last fragment of the section before the one that holds `from`.
    fn section_before(&mut self, from: FragmentPlace) -> Result<Option<FragmentPlace>, DvrError> {
        let (mut at, mut found) = (from, self.entry(from)?);
        loop {
            let Some(before) = self.before(at)? else { return Ok(None) };
            let (boot, entry) = self.entry(before)?;
            if boot != found.0 || !continues(&entry, &found.1) {
                return Ok(Some(before));
            }
            (at, found) = (before, (boot, entry));
        }
    }

    fn with_neighbour(
        &mut self,
        place: FragmentPlace,
        clip: FragmentRead,
    ) -> Result<FragmentRead, DvrError> {
        // What follows may be reused at this very moment; the read that gets there returns the
        // error.
        let Ok(Some(next)) = self.after(place) else {
            let ends_section = self.lap(place.generation, place.slot)?.complete;
            return Ok(FragmentRead { ends_section, ..clip });
        };
        let Ok((boot, entry)) = self.entry(next) else { return Ok(clip) };
        let header = self.lap(next.generation, next.slot)?.reader.header().clone();
        let next_start = Some(self.dates(&header, &entry).0);
        let ends_section = boot != clip.boot || !continues(&clip.entry, &entry);
        Ok(FragmentRead { next_start, ends_section, ..clip })
    }

    /// The place behind `place`.
    fn after(&mut self, place: FragmentPlace) -> Result<Option<FragmentPlace>, DvrError> {
        let next = FragmentPlace { at: place.at + 1, ..place };
        match self.lap(place.generation, place.slot) {
            Ok(lap) if next.at < lap.entries.len() => return Ok(Some(next)),
            Ok(lap) if !lap.complete => return Ok(None),
            // What was read of it is done with.
            Ok(_) | Err(DvrError::Reused { .. } | DvrError::Removed { .. }) => {}
            Err(error) => return Err(error),
        }
        self.seen.extend(self.laps(|_| true));
        self.seen.retain(|(generation, _)| *generation > place.generation);
        self.seen.sort_unstable();
        self.seen.dedup();
        for (generation, slot) in self.seen.clone() {
            if !self.lap(generation, slot)?.entries.is_empty() {
                return Ok(Some(FragmentPlace { generation, slot, at: 0 }));
            }
        }
        Ok(None)
    }

    /// The place before `place`.
    fn before(&mut self, place: FragmentPlace) -> Result<Option<FragmentPlace>, DvrError> {
        if let Some(at) = place.at.checked_sub(1) {
            return Ok(Some(FragmentPlace { at, ..place }));
        }
        for (generation, slot) in self.laps(|_| true).into_iter().rev() {
            if generation < place.generation {
                let count = self.lap(generation, slot)?.entries.len();
                if let Some(at) = count.checked_sub(1) {
                    return Ok(Some(FragmentPlace { generation, slot, at }));
                }
            }
        }
        Ok(None)
    }

    fn entry(&mut self, place: FragmentPlace) -> Result<(Identity, FragmentEntry), DvrError> {
        let lap = self.lap(place.generation, place.slot)?;
        let entry = lap.entries.get(place.at).copied();
        let boot = lap.reader.header().boot;
        entry.map(|entry| (boot, entry)).ok_or(DvrError::Reused { slot: place.slot })
    }

    /// Reads a fragment. `None` when it is damaged.
    fn read(&mut self, place: FragmentPlace) -> Result<Option<FragmentRead>, DvrError> {
        let failed = DvrError::disk("read", self.ring.slot_path(place.slot));
        let (boot, entry) = self.entry(place)?;
        let lap = self.lap(place.generation, place.slot)?;
        let reader = lap.reader.clone();
        let (file, header, init) = (reader.file(), reader.header(), reader.init().clone());
        let read = slot::read_fragment(file, header, &entry).and_then(|read| match read {
            Some(bytes) => Ok(Ok(Some(bytes))),
            // Damaged, or not this lap's any more.
            None => self.ring.read_front(file, place.slot).map(|front| match front {
                SlotFront::Held { header: now, .. } if now == *header => Ok(None),
                _ => Err(DvrError::Reused { slot: place.slot }),
            }),
        });
        let Some(bytes) = read.map_err(failed)?? else { return Ok(None) };
        let start = self.dates(header, &entry).0;
        Ok(Some(FragmentRead {
            init,
            bytes,
            entry,
            boot,
            this_boot: boot == self.boot,
            start,
            seam: false,
            next_start: None,
            ends_section: false,
        }))
    }

    /// When a fragment begins and ends, by what is known of the clock.
    fn dates(&self, header: &SlotHeader, entry: &FragmentEntry) -> (WallTime, WallTime) {
        let start = self.shared.facts().clock.place(header.boot, entry.boot_time, entry.wall);
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        (start, start.offset_nanos(span))
    }

    /// The laps of the stream whose dates `are_wanted`, or are not known yet, the oldest first.
    fn laps(&self, are_wanted: impl Fn(&[(WallTime, WallTime)]) -> bool) -> Vec<(u64, u32)> {
        let facts = self.shared.facts();
        let table = self.shared.table();
        let wanted = |held: &LapInfo| {
            let placed = held.stretches.iter().map(|s| s.placed(&facts.clock, held.boot));
            held.stream == self.stream && (!held.known || are_wanted(&placed.collect::<Vec<_>>()))
        };
        let held = table.held().filter(|(_, held)| wanted(held));
        let mut laps: Vec<_> = held.map(|(slot, held)| (held.generation, slot)).collect();
        laps.sort_unstable();
        laps
    }

    /// A lap with all of its fragments that are durable by now.
    fn lap(&mut self, generation: u64, slot: u32) -> Result<&mut CursorLap, DvrError> {
        let found = self.open.iter().position(|lap| lap.reader.generation() == generation);
        if self.shared.table().is_removed(slot) {
            if let Some(index) = found {
                self.open.remove(index);
            }
            return Err(DvrError::Removed { slot });
        }
        let index = if let Some(index) = found {
            index
        } else {
            let lap = self.open_lap(generation, slot)?;
            if self.open.len() >= LAPS_OPEN_MAX {
                self.open.remove(0);
            }
            self.open.push(lap);
            self.open.len() - 1
        };
        let growing = match self.shared.table().lap_mut(slot, generation) {
            Some(held) if held.active => Growing::Until(held.last.map(|last| last.sequence)),
            _ => Growing::NoMore,
        };
        let failed = DvrError::disk("read", self.ring.slot_path(slot));
        let lap = &mut self.open[index];
        lap.grow(growing).map_err(failed)?;
        Ok(lap)
    }

    fn open_lap(&self, generation: u64, slot: u32) -> Result<CursorLap, DvrError> {
        // Given to newer footage, or its file went in a shrink.
        let damaged = self.shared.table().lap_mut(slot, generation).map(|held| held.damaged > 0);
        let is_damaged = damaged.ok_or(DvrError::Reused { slot })?;
        let lease = Lease::new(&self.shared, generation);
        let reader = LapReader::open(&self.ring, slot, lease)?.ok_or(DvrError::Reused { slot })?;
        Ok(CursorLap { reader, entries: Vec::new(), complete: false, is_damaged })
    }
}

impl CursorLap {
    /// Takes note of further fragments. Their bytes are not read; they are checked when they are.
    fn grow(&mut self, growing: Growing) -> std::io::Result<()> {
        let Growing::Until(durable) = growing else {
            if !self.complete {
                let whole = !self.is_damaged && self.outline(u64::MAX)?;
                if !whole {
                    // Damage, or a torn end: every seal is checked.
                    let found =
                        slot::scan(self.reader.file(), self.reader.header(), Strictness::Finished)?;
                    self.entries = found.entries;
                }
                self.complete = true;
            }
            return Ok(());
        };
        // A stream that comes back after a pause may continue in its last slot.
        self.complete = false;
        match durable {
            Some(until) if self.entries.last().is_none_or(|entry| entry.sequence < until) => {
                self.outline(until).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn outline(&mut self, until: u64) -> std::io::Result<bool> {
        slot::outline(self.reader.file(), self.reader.header(), until, &mut self.entries)
    }
}
