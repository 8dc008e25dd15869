//! What is known of every slot, and which one comes next.
//!
//! Owns: the view that listings, status and the choice are made from. Written by the storage and
//! index threads, under one lock that is held for moments only; files are never read under it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Keep;
use super::chapter::{self, Chapter};
use super::clock::ClockTable;
use super::listing::{Stretch, absorb};
use super::seal::{Entry, Identity, SlotHeader, fingerprint};
use crate::base::limits::{CHAPTERS_MAX, FAILING_PAUSE};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};

/// How far laps are counted on at each start, so that a lap whose header was torn off by a
/// power cut is never given out again: more than one commit interval can open.
pub(super) const GENERATIONS_SKIPPED: u64 = 1 << 10;

/// What is known of one slot.
#[derive(Clone, Debug)]
pub(super) enum SlotView {
    /// It can be taken at once.
    Blank,
    /// Its front is torn: free as well, but a check tells of it.
    Damaged,
    /// It belongs to another ring: left alone.
    Foreign,
    /// It could not be read when the ring was opened: left alone, and read again until it can be.
    Unreadable,
    /// It gave an error when it was to be written, at this time: tried again after a while, and
    /// when there is no other, because most troubles end.
    Failing(BootTime),
    /// It holds a lap of a stream.
    Held(Box<Held>),
}

/// A lap of a stream.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) stream: StreamName,
    pub(super) generation: u64,
    pub(super) boot: Identity,
    /// Fingerprint of its `ftyp` and `moov`.
    pub(super) init: u64,
    /// Being written now.
    pub(super) active: bool,
    /// Whether `stretches` says what is in it; else only its header was read.
    pub(super) known: bool,
    pub(super) bytes: u64,
    pub(super) damaged: u64,
    pub(super) stretches: Vec<Stretch>,
    /// As `stretches`, in pieces of some seconds; `None` where they are not kept in mind.
    pub(super) chapters: Option<Arc<Vec<Chapter>>>,
    /// The newest good fragment.
    pub(super) last: Option<Entry>,
}

impl SlotView {
    pub(super) fn unread(header: SlotHeader, init: &[u8]) -> Self {
        Self::Held(Box::new(Held {
            stream: header.stream,
            generation: header.generation,
            boot: header.boot,
            init: fingerprint(init),
            active: false,
            known: false,
            bytes: 0,
            damaged: 0,
            stretches: Vec::new(),
            chapters: None,
            last: None,
        }))
    }
}

impl Held {
    /// Takes note of one more good fragment.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.bytes += u64::from(entry.length);
        if let Some(chapters) = &mut self.chapters {
            chapter::absorb(Arc::make_mut(chapters), self.last.as_ref(), entry);
        }
        self.last = Some(*entry);
        absorb(&mut self.stretches, Stretch::of(entry), true);
    }

    /// Takes note of all good fragments at once.
    pub(super) fn learn(&mut self, entries: &[Entry], damaged: u64) {
        (self.bytes, self.damaged, self.known, self.last) = (0, damaged, true, None);
        self.stretches.clear();
        self.chapters = Some(Arc::default());
        for entry in entries {
            self.add(entry);
        }
    }
}

/// Laps of a stream that are never given to newer footage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protection {
    pub(super) stream: StreamName,
    /// The first and the last.
    pub(super) laps: (u64, u64),
}

/// Every slot that has a file.
#[derive(Debug, Default)]
pub(super) struct SlotTable {
    pub(super) slots: BTreeMap<u32, SlotView>,
    /// The lap that the next opened slot gets.
    pub(super) next_generation: u64,
    /// What is protected.
    pub(super) protections: Vec<Protection>,
    /// Chapters that are kept in mind, or were before a lap of them went.
    chapters: usize,
    /// Laps that are being read, and by how many: passed over among the older half.
    leases: BTreeMap<u64, u32>,
}

/// A slot to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Its file is to be made.
    Make(u32),
    /// Its file is there; what it holds, if anything, goes.
    Reuse(u32),
}

impl SlotTable {
    pub(super) fn held(&self) -> impl Iterator<Item = (u32, &Held)> {
        self.slots.iter().filter_map(|(&number, view)| match view {
            SlotView::Held(held) => Some((number, &**held)),
            _ => None,
        })
    }

    /// Takes over what was just read from the fronts of all slots, and keeps what was known of
    /// laps that are still there; the keeper has to look whether it is still so.
    pub(super) fn replace(&mut self, read: Self) {
        let next_generation = self.next_generation.max(read.next_generation);
        let protections = std::mem::take(&mut self.protections);
        let leases = std::mem::take(&mut self.leases);
        let chapters = self.chapters;
        let old = std::mem::replace(self, read);
        (self.next_generation, self.protections, self.leases) =
            (next_generation, protections, leases);
        self.chapters = chapters;
        for (number, known) in old.held().filter(|(_, held)| held.known) {
            if let Some(held) = self.lap_mut(number, known.generation) {
                *held = Held { active: false, known: false, ..known.clone() };
            }
        }
    }

    /// The slot if it holds this lap.
    pub(super) fn lap_mut(&mut self, number: u32, generation: u64) -> Option<&mut Held> {
        match self.slots.get_mut(&number)? {
            SlotView::Held(held) if held.generation == generation => Some(held),
            _ => None,
        }
    }

    /// A lap's content was learnt: keeps its chapters in mind if there is room. Laps are learnt
    /// from the newest on, so what has none is the oldest.
    pub(super) fn count_chapters(&mut self, number: u32, generation: u64) {
        let room = CHAPTERS_MAX.saturating_sub(self.chapters);
        let Some(held) = self.lap_mut(number, generation) else { return };
        let count = held.chapters.as_ref().map_or(0, |chapters| chapters.len());
        if count > room {
            held.chapters = None;
        } else {
            self.chapters += count;
        }
    }

    /// Forgets the chapters of the oldest laps that are too many. Called when a lap begins.
    pub(super) fn bound_chapters(&mut self, most: usize) {
        let kept = |held: &Held| held.chapters.as_ref().map_or(0, |chapters| chapters.len());
        let mut laps: Vec<_> =
            self.held().map(|(slot, held)| (held.generation, slot, kept(held))).collect();
        self.chapters = laps.iter().map(|(_, _, count)| count).sum();
        if self.chapters <= most {
            return;
        }
        laps.sort_unstable();
        for (generation, slot, count) in laps {
            if self.chapters <= most {
                break;
            }
            if let Some(held) = self.lap_mut(slot, generation).filter(|held| !held.active) {
                held.chapters = None;
                self.chapters -= count;
            }
        }
    }

    /// Laps and slots of which nothing is known, though nobody writes them: their numbers.
    pub(super) fn unread(&self) -> Vec<u32> {
        let is_unread = |view: &SlotView| match view {
            SlotView::Unreadable => true,
            SlotView::Held(held) => !held.known && !held.active,
            _ => false,
        };
        let unread = self.slots.iter().filter(|(_, view)| is_unread(view));
        unread.map(|(&number, _)| number).collect()
    }

    /// How many slots could not be read: what is in them may be protected.
    pub(super) fn unreadable(&self) -> u64 {
        let unreadable = |view: &&SlotView| matches!(view, SlotView::Unreadable);
        self.slots.values().filter(unreadable).count() as u64
    }

    /// Takes note of what stands at the front of one of [`SlotTable::unread`].
    pub(super) fn found(&mut self, number: u32, view: SlotView) {
        match (self.slots.get(&number), &view) {
            (Some(SlotView::Unreadable), _) => {}
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

    /// Whether the slot was given up when the ring was made smaller. What somebody has open of it
    /// can still be read, but takes its space until it is closed.
    pub(super) fn is_removed(&self, number: u32) -> bool {
        !self.slots.contains_key(&number)
    }

    /// Whether the lap is protected.
    pub(super) fn is_protected(&self, held: &Held) -> bool {
        self.protections.iter().any(|protection| {
            let (first, last) = protection.laps;
            protection.stream == held.stream && (first..=last).contains(&held.generation)
        })
    }

    /// Somebody reads the lap.
    pub(super) fn lease(&mut self, generation: u64) {
        *self.leases.entry(generation).or_default() += 1;
    }

    /// Somebody who read the lap is done.
    pub(super) fn release(&mut self, generation: u64) {
        if let Some(count) = self.leases.get_mut(&generation) {
            *count -= 1;
            if *count == 0 {
                self.leases.remove(&generation);
            }
        }
    }

    /// Whether the slot holds this lap and it may be given up for its age.
    pub(super) fn may_expire(&self, number: u32, generation: u64) -> bool {
        let Some(SlotView::Held(held)) = self.slots.get(&number) else { return false };
        held.generation == generation
            && !held.active
            && !self.is_protected(held)
            && !self.leases.contains_key(&generation)
    }

    /// Slots, oldest lap first and at most `most`, whose whole footage is older than its stream
    /// may keep. The date of footage is the clock table's; a lap whose content is not known yet
    /// stays, and so does one that seems to lie in the future. A date for which nobody vouches
    /// makes nothing old: such footage is older than its stream may keep when a later lap of the
    /// stream is.
    pub(super) fn older(
        &self,
        now: WallTime,
        age_max: impl Fn(&StreamName) -> Option<Duration>,
        clock: &ClockTable,
        most: usize,
    ) -> Vec<(u32, u64)> {
        let vouched = |held: &Held, stretch: &Stretch| stretch.is_vouched(clock, held.boot);
        // All of it of which the date is known is older.
        let is_older = |held: &Held| {
            let Some(age_max) = age_max(&held.stream) else { return false };
            let age_nanos = i64::try_from(age_max.as_nanos()).unwrap_or(i64::MAX);
            let oldest_kept = now.offset_nanos(age_nanos.saturating_neg());
            let mut dated = held.stretches.iter().filter(|stretch| vouched(held, stretch));
            held.known && dated.all(|stretch| stretch.placed(clock, held.boot).1 < oldest_kept)
        };
        let mut newest_old: BTreeMap<&StreamName, u64> = BTreeMap::new();
        for (_, held) in self.held() {
            let is_dated = held.stretches.last().is_some_and(|last| vouched(held, last));
            if is_dated && is_older(held) {
                let newest = newest_old.entry(&held.stream).or_default();
                *newest = held.generation.max(*newest);
            }
        }
        let is_older = |held: &Held| {
            let newest = newest_old.get(&held.stream);
            newest.is_some_and(|&newest| held.generation <= newest) && is_older(held)
        };
        let mut old: Vec<_> = self
            .held()
            .filter(|&(slot, held)| self.may_expire(slot, held.generation) && is_older(held))
            .map(|(slot, held)| (slot, held.generation))
            .collect();
        old.sort_by_key(|&(_, generation)| generation);
        old.truncate(most);
        old
    }

    pub(super) fn newest_generation(&self) -> u64 {
        self.held().map(|(_, held)| held.generation).max().unwrap_or(0)
    }

    /// The last lap of each stream in each boot: the only ones that power can have cut off in
    /// a write.
    pub(super) fn last_of_boots(&self) -> BTreeSet<u64> {
        let mut last = BTreeMap::new();
        for (_, held) in self.held() {
            let newest = last.entry((&held.stream, held.boot)).or_insert(0);
            *newest = held.generation.max(*newest);
        }
        last.into_values().collect()
    }

    /// The newest lap of each stream.
    pub(super) fn newest_laps(&self) -> BTreeSet<u64> {
        let mut last = BTreeMap::new();
        for (_, held) in self.held() {
            let newest = last.entry(&held.stream).or_insert(0);
            *newest = held.generation.max(*newest);
        }
        last.into_values().collect()
    }

    /// The slot that `stream` wrote last.
    pub(super) fn newest_of(&self, stream: &StreamName) -> Option<(u32, &Held)> {
        self.held().filter(|(_, h)| h.stream == *stream).max_by_key(|(_, h)| h.generation)
    }

    /// The lowest number that has no file, as long as fewer than `slots` have one.
    pub(super) fn missing(&self, slots: u32) -> Option<u32> {
        let made = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let is_free = |number: &u32| !self.slots.contains_key(number);
        if made < slots { (0..slots).find(is_free) } else { None }
    }

    /// Laps that may go, the oldest first: those that are neither being written nor protected.
    fn idle(&self) -> Vec<(u32, &Held)> {
        let may_go = |(_, held): &(u32, &Held)| !held.active && !self.is_protected(held);
        let mut idle: Vec<_> = self.held().filter(may_go).collect();
        idle.sort_unstable_by_key(|(_, held)| held.generation);
        idle
    }

    fn slots_by_stream(&self) -> BTreeMap<&StreamName, u64> {
        let mut slots_of: BTreeMap<&StreamName, u64> = BTreeMap::new();
        for (_, held) in self.held() {
            *slots_of.entry(&held.stream).or_default() += 1;
        }
        slots_of
    }

    /// The `count` slots that go when the ring is made smaller, with the laps in them: first
    /// those without footage, the highest number first; then, as in [`SlotTable::choose`], the
    /// oldest laps of streams that hold more than their shares, and the oldest of all. What is
    /// protected or being written stays, so there may be fewer; what is being read does not.
    pub(super) fn first_to_go(
        &self,
        count: u32,
        keep_of: impl Fn(&StreamName) -> Keep,
        slot_bytes: u64,
    ) -> Vec<(u32, Option<u64>)> {
        let is_free = |view: &SlotView| matches!(view, SlotView::Blank | SlotView::Damaged);
        let free = self.slots.iter().rev().filter(|(_, view)| is_free(view));
        let free = free.map(|(&number, _)| (number, None));
        let mut left = self.slots_by_stream();
        let (mut spare, mut shares) = (Vec::new(), Vec::new());
        for (number, held) in self.idle() {
            let left = left.entry(&held.stream).or_default();
            let is_spare = (*left - 1) * slot_bytes >= keep_of(&held.stream).min_bytes;
            *left -= u64::from(is_spare);
            let list = if is_spare { &mut spare } else { &mut shares };
            list.push((number, Some(held.generation)));
        }
        free.chain(spare).chain(shares).take(count as usize).collect()
    }

    /// Takes one of the slots that gave an error for a free one, when the last error was so long
    /// ago: one at a time, so that a disk that is worn costs one try.
    pub(super) fn forgive(&mut self, now: BootTime) {
        let failed = self.slots.iter().filter_map(|(&number, view)| match view {
            SlotView::Failing(since) => Some((*since, number)),
            _ => None,
        });
        let (first, last) = (failed.clone().min(), failed.max());
        if let (Some((_, number)), Some((since, _))) = (first, last)
            && now.since(since) >= FAILING_PAUSE
        {
            self.slots.insert(number, SlotView::Damaged);
        }
    }

    /// Of the slots that gave an error the one that did so first: the trouble may be over.
    fn failed_first(&self) -> Option<Choice> {
        let failed = self.slots.iter().filter_map(|(&number, view)| match view {
            SlotView::Failing(since) => Some((since, number)),
            _ => None,
        });
        failed.min().map(|(_, number)| Choice::Reuse(number))
    }

    /// The next slot for `stream`: a free one; else the oldest of a stream that holds more
    /// than its guaranteed share; else its own oldest; else the oldest, because footage of now
    /// is worth more than a share that cannot be met; else one that gave an error before. What is
    /// protected never goes, and what is being read only when all of the older half is. `missing`
    /// is a slot whose file may be made.
    pub(super) fn choose(
        &self,
        stream: &StreamName,
        keep_of: impl Fn(&StreamName) -> Keep,
        slot_bytes: u64,
        missing: Option<u32>,
    ) -> Option<Choice> {
        let (slots_of, idle) = (self.slots_by_stream(), self.idle());
        let bytes_of = |name: &StreamName| slots_of.get(name).copied().unwrap_or(0) * slot_bytes;
        let oldest = |eligible: &dyn Fn(&Held) -> bool| {
            let idle: Vec<_> = idle.iter().copied().filter(|(_, held)| eligible(held)).collect();
            // What is read is passed over, but never so far that new footage goes instead.
            let unread = |(_, held): &&(u32, &Held)| !self.leases.contains_key(&held.generation);
            let older_half = idle.iter().take(idle.len().div_ceil(2));
            let (number, _) =
                older_half.copied().find(|one| unread(&one)).or(idle.first().copied())?;
            Some(Choice::Reuse(number))
        };
        let own = |held: &Held| held.stream == *stream;
        if keep_of(stream).max_bytes.is_some_and(|max| bytes_of(stream) + slot_bytes > max)
            && let Some(choice) = oldest(&own)
        {
            return Some(choice);
        }
        let free =
            self.slots.iter().find(|(_, view)| matches!(view, SlotView::Blank | SlotView::Damaged));
        free.map(|(&number, _)| Choice::Reuse(number))
            .or(missing.map(Choice::Make))
            .or_else(|| {
                oldest(&|held| {
                    // Turning over one's own takes nothing from one's share.
                    let taken = if own(held) { 0 } else { slot_bytes };
                    let left = bytes_of(&held.stream).saturating_sub(taken);
                    left >= keep_of(&held.stream).min_bytes
                })
            })
            .or_else(|| oldest(&own))
            .or_else(|| oldest(&|_| true))
            .or_else(|| self.failed_first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Trust;
    use crate::dvr::clock::ClockRow;

    const SLOT_BYTES: u64 = 100;

    fn name(text: &str) -> StreamName {
        StreamName::parse(text).unwrap()
    }

    fn held(stream: &str, generation: u64, active: bool) -> SlotView {
        SlotView::Held(Box::new(Held {
            stream: name(stream),
            generation,
            boot: [0; 16],
            init: 0,
            active,
            known: true,
            bytes: 0,
            damaged: 0,
            stretches: Vec::new(),
            chapters: None,
            last: None,
        }))
    }

    fn table(slots: impl IntoIterator<Item = SlotView>) -> SlotTable {
        SlotTable {
            slots: (0u32..).zip(slots).collect(),
            next_generation: 100,
            ..SlotTable::default()
        }
    }

    fn keep(min_bytes: u64) -> Keep {
        Keep { min_bytes, ..Keep::default() }
    }

    #[test]
    fn a_free_slot_comes_first_then_a_new_one() {
        let table = table([held("a", 1, false), SlotView::Damaged]);
        let none = |_: &StreamName| Keep::default();
        assert_eq!(table.choose(&name("a"), none, SLOT_BYTES, Some(2)), Some(Choice::Reuse(1)));
        let table = self::table([held("a", 1, false)]);
        assert_eq!(table.choose(&name("a"), none, SLOT_BYTES, Some(1)), Some(Choice::Make(1)));
    }

    #[test]
    fn the_oldest_goes_but_not_what_is_written_or_bad() {
        let table = table([
            SlotView::Foreign,
            held("a", 1, true),
            held("b", 5, false),
            held("a", 3, false),
        ]);
        let none = |_: &StreamName| Keep::default();
        assert_eq!(table.choose(&name("b"), none, SLOT_BYTES, None), Some(Choice::Reuse(3)));
        let busy = self::table([held("a", 1, true), SlotView::Unreadable]);
        assert_eq!(busy.choose(&name("b"), none, SLOT_BYTES, None), None);
    }

    #[test]
    fn a_slot_that_gave_an_error_is_the_last_resort() {
        let failing = |secs: u64| SlotView::Failing(BootTime::from_millis(secs * 1_000));
        let none = |_: &StreamName| Keep::default();
        let table = table([failing(2), held("a", 1, false), failing(1)]);
        assert_eq!(table.choose(&name("b"), none, SLOT_BYTES, None), Some(Choice::Reuse(1)));
        let table = self::table([failing(2), held("a", 1, true), failing(1), SlotView::Unreadable]);
        assert_eq!(table.choose(&name("b"), none, SLOT_BYTES, None), Some(Choice::Reuse(2)));
    }

    #[test]
    fn slots_that_gave_an_error_are_tried_again_one_by_one() {
        let at = |secs: u64| BootTime::from_millis(secs * 1_000);
        let none = |_: &StreamName| Keep::default();
        let failing = |secs: u64| SlotView::Failing(at(secs));
        let mut table = table([failing(9), held("a", 1, false), failing(5)]);
        let next = |table: &mut SlotTable, now: BootTime| {
            table.forgive(now);
            table.choose(&name("b"), none, SLOT_BYTES, None)
        };
        let due = at(9).after(FAILING_PAUSE);
        assert_eq!(next(&mut table, at(10)), Some(Choice::Reuse(1)));
        assert_eq!(next(&mut table, due), Some(Choice::Reuse(2)));
        // It fails again: the other one waits as long.
        table.slots.insert(2, SlotView::Failing(due));
        assert_eq!(next(&mut table, due), Some(Choice::Reuse(1)));
        assert_eq!(next(&mut table, due.after(FAILING_PAUSE)), Some(Choice::Reuse(0)));
    }

    #[test]
    fn a_slot_that_can_be_read_again_is_what_it_is_unless_it_was_taken_meanwhile() {
        let unread = |generation: u64| match held("a", generation, false) {
            SlotView::Held(lap) => SlotView::Held(Box::new(Held { known: false, ..*lap })),
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
    fn a_guaranteed_share_is_not_taken_by_others() {
        let table = table([
            held("a", 1, false),
            held("a", 2, false),
            held("b", 3, false),
            held("b", 4, false),
        ]);
        let keeps = |stream: &StreamName| keep(if stream.as_str() == "a" { 200 } else { 0 });
        assert_eq!(table.choose(&name("b"), keeps, SLOT_BYTES, None), Some(Choice::Reuse(2)));
        // Its owner turns over its own.
        assert_eq!(table.choose(&name("a"), keeps, SLOT_BYTES, None), Some(Choice::Reuse(0)));
        // Where shares cannot all be met, the oldest goes.
        let greedy = |_: &StreamName| keep(1_000);
        assert_eq!(table.choose(&name("c"), greedy, SLOT_BYTES, None), Some(Choice::Reuse(0)));
    }

    #[test]
    fn a_stream_at_its_ceiling_turns_over_its_own() {
        let table = table([held("b", 1, false), held("a", 2, false), held("a", 3, true)]);
        let keeps = |_: &StreamName| Keep { max_bytes: Some(250), ..Keep::default() };
        assert_eq!(table.choose(&name("a"), keeps, SLOT_BYTES, Some(9)), Some(Choice::Reuse(1)));
        assert_eq!(table.choose(&name("b"), keeps, SLOT_BYTES, Some(9)), Some(Choice::Make(9)));
    }

    #[test]
    fn the_chapters_of_the_oldest_laps_are_forgotten_when_there_are_too_many() {
        let mut table = table((0..10).map(|at| footage(at + 1, at * 100)));
        let kept = |table: &SlotTable| {
            let kept = table.held().filter(|(_, held)| held.chapters.is_some());
            kept.map(|(_, held)| held.generation).collect::<Vec<_>>()
        };
        table.lap_mut(0, 1).unwrap().active = true;
        table.bound_chapters(10);
        assert_eq!(kept(&table).len(), 10);
        table.bound_chapters(4);
        assert_eq!(kept(&table), [1, 8, 9, 10]);
        table.lap_mut(4, 5).unwrap().chapters = Some(Arc::default());
        table.count_chapters(4, 5);
        assert_eq!(kept(&table), [1, 5, 8, 9, 10]);
    }

    fn footage(generation: u64, at_secs: u64) -> SlotView {
        let entry = Entry {
            offset: 0,
            length: 10,
            sequence: 1,
            boot_time: BootTime::from_millis(at_secs * 1_000),
            wall: WallTime::from_unix_nanos(i64::try_from(at_secs).unwrap() * 1_000_000_000),
            decode_nanos: 0,
            span_nanos: 1_000_000_000,
            samples: 1,
            starts_with_key: true,
            loss_before: false,
            run_start: true,
        };
        let SlotView::Held(mut held) = held("a", generation, false) else { unreachable!() };
        held.learn(&[entry], 0);
        SlotView::Held(held)
    }

    #[test]
    fn what_is_protected_never_goes_and_what_is_read_goes_later() {
        let mut table = table((1..=5).map(|lap| held("a", lap, false)));
        let none = |_: &StreamName| Keep::default();
        let next = |table: &SlotTable| table.choose(&name("b"), none, SLOT_BYTES, None);
        table.protections = vec![Protection { stream: name("a"), laps: (1, 1) }];
        assert_eq!(next(&table), Some(Choice::Reuse(1)));
        table.lease(2);
        assert_eq!(next(&table), Some(Choice::Reuse(2)));
        // Somebody reads all of the older half: the oldest goes all the same.
        table.lease(3);
        assert_eq!(next(&table), Some(Choice::Reuse(1)));
        table.release(2);
        assert_eq!(next(&table), Some(Choice::Reuse(1)));
        table.protections[0].laps = (1, 5);
        assert_eq!(next(&table), None);
        table.protections[0].stream = name("c");
        assert_eq!(next(&table), Some(Choice::Reuse(0)));
    }

    #[test]
    fn an_age_limit_takes_the_oldest_and_no_more_than_it_may() {
        let mut table = table((0..10).map(|at| footage(at + 1, at * 100)));
        let limit = |_: &StreamName| Some(Duration::from_secs(300));
        let (clock, now) = (vouched(Trust::Ntp), WallTime::from_unix_nanos(1_000_000_000_000));
        let old = |table: &SlotTable, most| table.older(now, limit, &clock, most);
        assert_eq!(old(&table, 9).len(), 7);
        assert_eq!(old(&table, 2), [(0, 1), (1, 2)]);
        table.protections = vec![Protection { stream: name("a"), laps: (1, 2) }];
        table.lease(3);
        assert_eq!(old(&table, 2), [(3, 4), (4, 5)]);
        assert!(table.older(now, |_: &StreamName| None, &clock, 9).is_empty());
    }

    #[test]
    fn a_date_for_which_nobody_vouches_makes_nothing_old() {
        let mut table = table((0..4).map(|at| footage(at + 1, at * 100)));
        let limit = |_: &StreamName| Some(Duration::from_secs(300));
        let now = WallTime::from_unix_nanos(1_000_000_000_000);
        assert!(table.older(now, limit, &ClockTable::default(), 9).is_empty());
        assert!(table.older(now, limit, &vouched(Trust::None), 9).is_empty());
        assert_eq!(table.older(now, limit, &vouched(Trust::Rtc), 9).len(), 4);
        // The second boot knows its date, and the first was before it.
        for generation in [1, 2, 4] {
            let slot = u32::try_from(generation).unwrap() - 1;
            table.lap_mut(slot, generation).unwrap().boot = [9; 16];
        }
        assert_eq!(table.older(now, limit, &vouched(Trust::Ntp), 9), [(0, 1), (1, 2), (2, 3)]);
    }

    /// A boot whose date is the time since boot.
    fn vouched(trust: Trust) -> ClockTable {
        let mut clock = ClockTable::default();
        let (at, utc) = (BootTime::default(), WallTime::default());
        clock.add(ClockRow { boot: [0; 16], at, utc, trust, error_ms: None });
        clock
    }
}
