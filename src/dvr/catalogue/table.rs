//! What is known of every slot.
//!
//! Owns: the view that listings, status and the choice of the next slot are made from. Written by the
//! storage and index threads, under one lock that is held for moments only; files are never read
//! under it.

use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::catalogue::lap::PinnedRange;
use crate::dvr::catalogue::lap::SlotView;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::limits::CACHED_SEGMENTS_MAX;
use crate::base::name::StreamName;

/// How far lap numbers are advanced at each start, and once more for each slot of which the lap is not
/// known: the number of a lap that no front tells is never reused, and none is lower than that of a lap
/// that comes back. More than one commit interval can open.
pub(crate) const GENERATIONS_SKIPPED: u64 = 1 << 10;

/// Every slot that has a file.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) slots: BTreeMap<u32, SlotView>,
    /// The lap that the next opened slot gets.
    pub(crate) next_generation: u64,
    /// What is protected.
    pub(crate) protections: Vec<PinnedRange>,
    /// Upper bound of the cached segments; may include those of evicted laps.
    segments: usize,
    /// Laps that are being read, and by how many: skipped among the older half.
    pub(crate) leases: BTreeMap<u64, u32>,
}

impl Catalogue {
    pub(crate) fn held(&self) -> impl Iterator<Item = (u32, &LapInfo)> {
        self.slots.iter().filter_map(|(&number, view)| match view {
            SlotView::Held(held) => Some((number, &**held)),
            _ => None,
        })
    }

    /// Takes over what was just read from the fronts of all slots, and keeps what was known of
    /// laps that are still there; the indexer has to look whether it is still so.
    pub(crate) fn replace(&mut self, read: Self) {
        let next_generation = self.next_generation.max(read.next_generation);
        let protections = std::mem::take(&mut self.protections);
        let leases = std::mem::take(&mut self.leases);
        let segments = self.segments;
        let old = std::mem::replace(self, read);
        (self.next_generation, self.protections, self.leases) =
            (next_generation, protections, leases);
        self.segments = segments;
        for (number, known) in old.held().filter(|(_, held)| held.known) {
            if let Some(held) = self.lap_mut(number, known.generation) {
                let is_front_damaged = held.is_front_damaged;
                *held = LapInfo { active: false, known: false, is_front_damaged, ..known.clone() };
            }
        }
    }

    /// The slot if it holds this lap.
    pub(crate) fn lap_mut(&mut self, number: u32, generation: u64) -> Option<&mut LapInfo> {
        match self.slots.get_mut(&number)? {
            SlotView::Held(held) if held.generation == generation => Some(held),
            _ => None,
        }
    }

    /// Stores a lap's content, caching its segments if there is room. Laps are indexed from the
    /// newest on, so what finds no room is the oldest.
    pub(crate) fn count_segments(&mut self, number: u32, generation: u64) {
        let room = CACHED_SEGMENTS_MAX.saturating_sub(self.segments);
        let Some(held) = self.lap_mut(number, generation) else { return };
        let count = held.segments.as_ref().map_or(0, |segments| segments.len());
        if count > room {
            held.forget_segments();
        } else {
            self.segments += count;
        }
    }

    /// Forgets the segments of the oldest laps that are too many. Called when a lap begins.
    pub(crate) fn bound_segments(&mut self, most: usize) {
        let kept = |held: &LapInfo| held.segments.as_ref().map_or(0, |segments| segments.len());
        let mut laps: Vec<_> =
            self.held().map(|(slot, held)| (held.generation, slot, kept(held))).collect();
        self.segments = laps.iter().map(|(_, _, count)| count).sum();
        if self.segments <= most {
            return;
        }
        laps.sort_unstable();
        for (generation, slot, count) in laps {
            if self.segments <= most {
                break;
            }
            if let Some(held) = self.lap_mut(slot, generation).filter(|held| !held.active) {
                held.forget_segments();
                self.segments -= count;
            }
        }
    }

    /// Numbers of laps and slots whose content is unknown, though they are not being written.
    pub(crate) fn unread(&self) -> Vec<u32> {
        let is_unread = |view: &SlotView| match view {
            SlotView::Unreadable | SlotView::Damaged => true,
            SlotView::Held(held) => !held.known && !held.active,
            _ => false,
        };
        let unread = self.slots.iter().filter(|(_, view)| is_unread(view));
        unread.map(|(&number, _)| number).collect()
    }

    /// How many slots could not be read: what is in them may be protected.
    pub(crate) fn unreadable(&self) -> u64 {
        let unreadable = |view: &&SlotView| matches!(view, SlotView::Unreadable);
        self.slots.values().filter(unreadable).count() as u64
    }

    /// Stores what was read at the front of one of [`Catalogue::unread`].
    pub(crate) fn found(&mut self, number: u32, view: SlotView) {
        match (self.slots.get(&number), &view) {
            (Some(SlotView::Unreadable | SlotView::Damaged), _) => {}
            (Some(SlotView::Held(old)), SlotView::Held(new))
                if old.generation == new.generation =>
            {
                return;
            }
            (Some(SlotView::Held(old)), _) if !old.known && !old.active => {}
            // It was taken for new footage meanwhile, or given up.
            _ => return,
        }
        self.slots.insert(number, view);
        if self.newest_generation() >= self.next_generation {
            self.next_generation = self.newest_generation() + GENERATIONS_SKIPPED;
        }
    }

    /// Slots under a wrong number whose lap is in its own slot as well, with that slot and the lap.
    pub(crate) fn copies(&self) -> Vec<(u32, u32, u64)> {
        let own = self.held().filter(|(_, held)| !held.is_front_damaged);
        let lap = |held: &LapInfo| (held.generation, held.boot, held.stream.clone());
        let own: BTreeMap<_, u32> = own.map(|(slot, held)| (lap(held), slot)).collect();
        let copies = self.held().filter(|(_, held)| held.is_front_damaged && !held.active);
        copies
            .filter_map(|(slot, held)| Some((slot, *own.get(&lap(held))?, held.generation)))
            .collect()
    }

    /// Slots of which the stream is known, by the newest lap first: any of them can say what a lap of the
    /// same stream needs to be played.
    pub(crate) fn known_streams(&self) -> Vec<(u32, StreamName)> {
        let mut laps: Vec<_> = self.held().filter(|(_, held)| !held.is_front_damaged).collect();
        laps.sort_unstable_by_key(|(_, held)| std::cmp::Reverse(held.generation));
        laps.into_iter().map(|(slot, held)| (slot, held.stream.clone())).collect()
    }

    /// What is damaged and still held, in sentences; at most `most`.
    pub(crate) fn damage(&self, most: usize) -> Vec<String> {
        let sentence = |(number, view): (&u32, &SlotView)| match view {
            SlotView::Held(held) if held.is_front_damaged => Some(format!(
                "The front of slot {number:06} is damaged. Its {} bytes of {} can be played and are \
                 overwritten last.",
                held.bytes, held.stream
            )),
            SlotView::Damaged => Some(format!(
                "The front of slot {number:06} is lost. It is being searched for footage."
            )),
            SlotView::Unreadable => Some(format!(
                "Slot {number:06} cannot be read; it is left alone and tried again. Look whether it is a \
                 file, and whether the disk is failing."
            )),
            SlotView::Nameless { fragments } => Some(format!(
                "The front of slot {number:06} is lost. It holds {fragments} fragments of a stream \
                 whose name is not known, and is overwritten last."
            )),
            _ => None,
        };
        self.slots.iter().filter_map(sentence).take(most).collect()
    }

    /// Whether the slot was removed when the ring was made smaller. A file that is still open can
    /// be read to the end, but takes its space until it is closed.
    pub(crate) fn is_removed(&self, number: u32) -> bool {
        !self.slots.contains_key(&number)
    }

    /// Whether the lap is protected.
    pub(crate) fn is_protected(&self, held: &LapInfo) -> bool {
        self.protections.iter().any(|protection| {
            let (first, last) = protection.laps;
            protection.stream == held.stream && (first..=last).contains(&held.generation)
        })
    }

    /// A reader leases the lap.
    pub(crate) fn lease(&mut self, generation: u64) {
        *self.leases.entry(generation).or_default() += 1;
    }

    /// A reader returns its lease.
    pub(crate) fn release(&mut self, generation: u64) {
        if let Some(count) = self.leases.get_mut(&generation) {
            *count -= 1;
            if *count == 0 {
                self.leases.remove(&generation);
            }
        }
    }

    pub(crate) fn newest_generation(&self) -> u64 {
        self.held().map(|(_, held)| held.generation).max().unwrap_or(0)
    }

    /// The last lap of each stream in each boot: the only ones that power can have cut off in
    /// a write.
    pub(crate) fn last_of_boots(&self) -> BTreeSet<u64> {
        let mut last = BTreeMap::new();
        for (_, held) in self.held() {
            let newest = last.entry((&held.stream, held.boot)).or_insert(0);
            *newest = held.generation.max(*newest);
        }
        last.into_values().collect()
    }

    /// The newest lap of each stream.
    pub(crate) fn newest_laps(&self) -> BTreeSet<u64> {
        let mut last = BTreeMap::new();
        for (_, held) in self.held() {
            let newest = last.entry(&held.stream).or_insert(0);
            *newest = held.generation.max(*newest);
        }
        last.into_values().collect()
    }

    /// The slot that `stream` wrote last.
    pub(crate) fn newest_of(&self, stream: &StreamName) -> Option<(u32, &LapInfo)> {
        self.held().filter(|(_, h)| h.stream == *stream).max_by_key(|(_, h)| h.generation)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::dvr::format::seal::FragmentEntry;
    use std::sync::Arc;

    pub(crate) fn name(text: &str) -> StreamName {
        StreamName::parse(text).unwrap()
    }

    pub(crate) fn held(stream: &str, generation: u64, active: bool) -> SlotView {
        SlotView::Held(Box::new(LapInfo {
            stream: name(stream),
            generation,
            boot: [0; 16],
            init: 0,
            active,
            known: true,
            bytes: 0,
            damaged: 0,
            is_front_damaged: false,
            stretches: Vec::new(),
            segments: None,
            efforts: crate::dvr::catalogue::activity::EffortSeries::default(),
            last: None,
        }))
    }

    pub(crate) fn table(slots: impl IntoIterator<Item = SlotView>) -> Catalogue {
        Catalogue {
            slots: (0u32..).zip(slots).collect(),
            next_generation: 100,
            ..Catalogue::default()
        }
    }

    pub(crate) fn footage(generation: u64, at_secs: u64) -> SlotView {
        let entry = FragmentEntry {
            run_start: true,
            ..FragmentEntry::example(i64::try_from(at_secs).unwrap() * 1_000, 1_000)
        };
        let SlotView::Held(mut held) = held("a", generation, false) else { unreachable!() };
        held.learn(&[entry], 0);
        SlotView::Held(held)
    }

    #[test]
    fn a_slot_that_can_be_read_again_is_what_it_is_unless_it_was_taken_meanwhile() {
        let unread = |generation: u64| match held("a", generation, false) {
            SlotView::Held(lap) => SlotView::Held(Box::new(LapInfo { known: false, ..*lap })),
            other => other,
        };
        let slots = [SlotView::Unreadable, unread(3), held("a", 4, true), SlotView::Unreadable];
        let mut table = self::table(slots);
        assert_eq!((table.unread(), table.unreadable()), (vec![0, 1, 3], 2));
        table.found(0, SlotView::Blank);
        // A volume that came back older.
        table.found(1, unread(2));
        table.found(2, SlotView::Blank);
        // The lap that is begun next comes after it.
        table.found(3, unread(5_000));
        assert!(matches!(table.slots[&0], SlotView::Blank));
        let laps: Vec<_> = table.held().map(|(slot, held)| (slot, held.generation)).collect();
        assert_eq!(laps, [(1, 2), (2, 4), (3, 5_000)]);
        assert!(table.next_generation > 5_000);
        assert_eq!((table.unread(), table.unreadable()), (vec![1, 3], 0));
    }

    #[test]
    fn the_segments_of_the_oldest_laps_are_forgotten_when_there_are_too_many() {
        let mut table = table((0..10).map(|at| footage(at + 1, at * 100)));
        let kept = |table: &Catalogue| {
            let kept = table.held().filter(|(_, held)| held.segments.is_some());
            kept.map(|(_, held)| held.generation).collect::<Vec<_>>()
        };
        table.lap_mut(0, 1).unwrap().active = true;
        table.bound_segments(10);
        assert_eq!(kept(&table).len(), 10);
        table.bound_segments(4);
        assert_eq!(kept(&table), [1, 8, 9, 10]);
        table.lap_mut(4, 5).unwrap().segments = Some(Arc::default());
        table.count_segments(4, 5);
        assert_eq!(kept(&table), [1, 5, 8, 9, 10]);
    }
}
