//! What is known of every slot, and which one comes next.
//!
//! Owns: the view that listings, status and the choice are made from. Written by the storage and
//! index threads, under one lock that is held for moments only; files are never read under it.

use std::collections::{BTreeMap, BTreeSet};

use super::Keep;
use super::listing::{Stretch, absorb};
use super::seal::{Entry, Identity, SlotHeader};
use crate::base::name::StreamName;

/// What is known of one slot.
#[derive(Clone, Debug)]
pub(super) enum SlotView {
    /// It can be taken at once.
    Blank,
    /// Its front is torn: free as well, but a check tells of it.
    Damaged,
    /// It cannot be read, failed while being written, or belongs to another ring: left alone.
    Bad,
    /// It holds a lap of a stream.
    Held(Box<Held>),
}

/// A lap of a stream.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) stream: StreamName,
    pub(super) generation: u64,
    pub(super) boot: Identity,
    /// Being written now.
    pub(super) active: bool,
    /// Whether `stretches` says what is in it; else only its header was read.
    pub(super) known: bool,
    pub(super) bytes: u64,
    pub(super) damaged: u64,
    pub(super) stretches: Vec<Stretch>,
    /// The newest good fragment.
    pub(super) last: Option<Entry>,
}

impl SlotView {
    pub(super) fn unread(header: SlotHeader) -> Self {
        Self::Held(Box::new(Held {
            stream: header.stream,
            generation: header.generation,
            boot: header.boot,
            active: false,
            known: false,
            bytes: 0,
            damaged: 0,
            stretches: Vec::new(),
            last: None,
        }))
    }
}

impl Held {
    /// Takes note of one more good fragment.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.bytes += u64::from(entry.length);
        self.last = Some(*entry);
        absorb(&mut self.stretches, Stretch::of(entry), true);
    }

    /// Takes note of all good fragments at once.
    pub(super) fn learn(&mut self, entries: &[Entry], damaged: u64) {
        (self.bytes, self.damaged, self.known, self.last) = (0, damaged, true, None);
        self.stretches.clear();
        for entry in entries {
            self.add(entry);
        }
    }
}

/// Every slot that has a file.
#[derive(Debug, Default)]
pub(super) struct SlotTable {
    pub(super) slots: BTreeMap<u32, SlotView>,
    /// The lap that the next opened slot gets.
    pub(super) next_generation: u64,
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
        let old = std::mem::replace(self, read);
        self.next_generation = next_generation;
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

    /// The lowest number below `slots` that has no file.
    pub(super) fn missing(&self, slots: u32) -> Option<u32> {
        (0..slots).find(|number| !self.slots.contains_key(number))
    }

    /// The next slot for `stream`: a free one; else the oldest of a stream that holds more
    /// than its guaranteed share; else its own oldest; else the oldest, because footage of now
    /// is worth more than a share that cannot be met. `missing` is
    /// a slot whose file may be made.
    pub(super) fn choose(
        &self,
        stream: &StreamName,
        keep_of: impl Fn(&StreamName) -> Keep,
        slot_bytes: u64,
        missing: Option<u32>,
    ) -> Option<Choice> {
        let mut slots_of: BTreeMap<&StreamName, u64> = BTreeMap::new();
        for (_, held) in self.held() {
            *slots_of.entry(&held.stream).or_default() += 1;
        }
        let bytes_of = |name: &StreamName| slots_of.get(name).copied().unwrap_or(0) * slot_bytes;
        let oldest = |eligible: &dyn Fn(&Held) -> bool| {
            let idle = self.held().filter(|(_, held)| !held.active && eligible(held));
            let (number, _) = idle.min_by_key(|(_, held)| held.generation)?;
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT_BYTES: u64 = 100;

    fn name(text: &str) -> StreamName {
        StreamName::parse(text).unwrap()
    }

    fn held(stream: &str, generation: u64, active: bool) -> SlotView {
        SlotView::Held(Box::new(Held {
            stream: name(stream),
            generation,
            boot: [0; 16],
            active,
            known: true,
            bytes: 0,
            damaged: 0,
            stretches: Vec::new(),
            last: None,
        }))
    }

    fn table(slots: impl IntoIterator<Item = SlotView>) -> SlotTable {
        SlotTable { slots: (0u32..).zip(slots).collect(), next_generation: 100 }
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
        let table =
            table([SlotView::Bad, held("a", 1, true), held("b", 5, false), held("a", 3, false)]);
        let none = |_: &StreamName| Keep::default();
        assert_eq!(table.choose(&name("b"), none, SLOT_BYTES, None), Some(Choice::Reuse(3)));
        let busy = self::table([held("a", 1, true), SlotView::Bad]);
        assert_eq!(busy.choose(&name("b"), none, SLOT_BYTES, None), None);
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
}
