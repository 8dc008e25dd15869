//! What a stream has on the medium lap by lap, for who lists hours of it.
//!
//! Owns: the scan over the laps, and their segments: from memory, or from the seals of a lap whose
//! segments are not cached.

use std::sync::Arc;

use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::catalogue::segment;
use crate::dvr::catalogue::segment::RecordedSegment;
use crate::dvr::error::DvrError;
use crate::dvr::format::journal_record::SegmentNumber;
use crate::dvr::format::seal::Identity;
use crate::dvr::format::slot;
use crate::dvr::format::slot::Strictness;
use crate::dvr::read::footage::Footage;
use crate::dvr::read::lap_reader::blocking_read;

/// A lap of a stream, as far as is known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastLap {
    /// Which lap of the ring. Later ones have larger numbers.
    pub generation: u64,
    /// The slot that holds it.
    pub(crate) slot: u32,
    /// The boot in which it was recorded.
    pub boot: Identity,
    /// Fingerprint of the `ftyp` and `moov` that its fragments need.
    pub init: u64,
    /// It is being written.
    pub is_active: bool,
    /// From when to when it reaches, gaps included; `None` before it was looked into.
    pub dates: Option<(WallTime, WallTime)>,
}

/// The segments of a lap, oldest first.
#[derive(Clone, Debug)]
pub struct LapSegments {
    /// All of them.
    pub list: Arc<Vec<RecordedSegment>>,
    /// The last one may still grow.
    pub is_open: bool,
}

impl Footage {
    /// The laps of the stream, oldest first. Touches no disk.
    #[must_use]
    pub fn laps(&self) -> Vec<PastLap> {
        let facts = self.shared.facts();
        let table = self.shared.table();
        let look = |(slot, held): (u32, &LapInfo)| {
            let placed = held.stretches.iter().map(|s| s.placed(&facts.clock, held.boot));
            let reach = placed.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            PastLap {
                generation: held.generation,
                slot,
                boot: held.boot,
                init: held.init,
                is_active: held.active,
                dates: reach.filter(|_| held.known),
            }
        };
        let own = table.held().filter(|(_, held)| held.stream == self.log.name);
        let mut laps: Vec<_> = own.map(look).collect();
        laps.sort_unstable_by_key(|lap| lap.generation);
        laps
    }

    /// The segments of a lap. `None` when the ring does not hold that lap of this stream.
    pub async fn segments(&self, lap: &PastLap) -> Result<Option<LapSegments>, DvrError> {
        let now = self.shared.clock.boot();
        if let Some(known) = self.cached_segments(lap, now) {
            return Ok(Some(known));
        }
        let (of, generation) = (self.clone(), lap.generation);
        let list = blocking_read(&self.shared, move || of.read_segments(generation)).await?;
        Ok(list.map(|list| LapSegments { list: Arc::new(list), is_open: false }))
    }

    fn cached_segments(&self, lap: &PastLap, now: BootTime) -> Option<LapSegments> {
        let is_failing = self.is_failing();
        let mut table = self.shared.table();
        let held = table.lap_mut(lap.slot, lap.generation).filter(|held| held.known)?;
        let list = held.segments.as_ref()?;
        // What waits for a disk that hangs may continue where the segment ends.
        let rests = |last| segment::is_silent(last, now) && !is_failing;
        let is_open = held.active && !held.last.as_ref().is_some_and(rests);
        Some(LapSegments { list: Arc::clone(list), is_open })
    }

    fn read_segments(&self, generation: u64) -> Result<Option<Vec<RecordedSegment>>, DvrError> {
        let Some(lap) = self.open_now(generation)? else { return Ok(None) };
        let is_last = self.shared.table().last_of_boots().contains(&generation);
        let strictness = Strictness::of_lap(is_last);
        let entries = lap.entries(|file, header| {
            let mut entries = Vec::new();
            if slot::outline(file, header, u64::MAX, &mut entries)? {
                return Ok(entries);
            }
            // Damage, or a torn end: every seal is checked.
            slot::scan(file, header, strictness).map(|contents| contents.entries)
        })?;
        Ok(Some(segment::of_lap(&entries)))
    }

    /// Dates of a boot's segments by what is known of the clock now.
    #[must_use]
    pub fn dates(&self, boot: Identity, segments: &[RecordedSegment]) -> Vec<WallTime> {
        let facts = self.shared.facts();
        let place = |one: &RecordedSegment| facts.clock.place(boot, one.boot_time, one.wall);
        segments.iter().map(place).collect()
    }

    /// The newest lap of the stream with an init segment of this fingerprint.
    #[must_use]
    pub fn lap_of_init(&self, init: u64) -> Option<u64> {
        let laps = self.laps();
        laps.iter().rev().find(|lap| lap.init == init).map(|lap| lap.generation)
    }

    /// Where the numbers of its segments were noted last.
    #[must_use]
    pub fn numbered(&self) -> Option<SegmentNumber> {
        let noted = self.shared.numbered().get(&self.log.name).cloned();
        noted.or_else(|| self.shared.facts().numbered.get(&self.log.name).cloned())
    }

    /// Has the number of a lap's first segment noted, and how many discontinuities precede it, so
    /// that the numbers continue after a restart. The journal takes it within about a second.
    pub fn note_number(&self, lap: u64, number: u64, discontinuities: u64) {
        let stream = self.log.name.clone();
        let noted = SegmentNumber { stream: stream.clone(), lap, number, discontinuities };
        self.shared.numbered().insert(stream, noted);
    }
}
