//! Which slot comes next, and which laps go.
//!
//! Owns: shares, ages, protection and readers, as far as they decide that. Decides under the
//! table's lock and changes nothing but the table.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::limits::FAILING_PAUSE;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::catalogue::continuity::Extent;
use crate::dvr::catalogue::lap::{LapInfo, SlotView};
use crate::dvr::catalogue::table::Catalogue;
use crate::dvr::config::Retention;

/// A slot to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextSlot {
    /// Its file has yet to be made.
    Make(u32),
    /// Its file is there; what it holds, if anything, goes.
    Reuse(u32),
}

impl Catalogue {
    /// Whether the slot holds this lap and it may be given up for its age.
    pub(crate) fn may_expire(&self, number: u32, generation: u64) -> bool {
        let Some(SlotView::Held(held)) = self.slots.get(&number) else { return false };
        held.generation == generation
            && !held.active
            && !self.is_protected(held)
            && !self.leases.contains_key(&generation)
    }

    /// Slots, oldest lap first and at most `most`, whose whole footage is older than its stream may
    /// keep. The date of footage is the clock table's; a lap whose content is not known yet stays,
    /// and so does one that seems to be in the future. An untrusted date makes nothing old: such
    /// footage counts as too old once a later lap of the stream does.
    pub(crate) fn expired(
        &self,
        now: WallTime,
        age_max: impl Fn(&StreamName) -> Option<Duration>,
        clock: &ClockTable,
        most: usize,
    ) -> Vec<(u32, u64)> {
        let vouched = |held: &LapInfo, stretch: &Extent| stretch.is_vouched(clock, held.boot);
        // All of it of which the date is known is older.
        let is_older = |held: &LapInfo| {
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
        let is_older = |held: &LapInfo| {
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

    /// The lowest number that has no file, as long as fewer than `slots` have one.
    pub(crate) fn missing(&self, slots: u32) -> Option<u32> {
        let made = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let is_free = |number: &u32| !self.slots.contains_key(number);
        if made < slots { (0..slots).find(is_free) } else { None }
    }

    /// Laps that may go, the oldest first: those that are neither being written nor protected.
    fn idle(&self) -> Vec<(u32, &LapInfo)> {
        let may_go = |(_, held): &(u32, &LapInfo)| !held.active && !self.is_protected(held);
        let mut idle: Vec<_> = self.held().filter(may_go).collect();
        // What is damaged cannot be had again elsewhere: it stays as long as anything else can go.
        idle.sort_unstable_by_key(|(_, held)| (held.is_front_damaged, held.generation));
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
    /// those without footage, the highest number first; then, as in [`Catalogue::choose`], the
    /// oldest laps of streams that hold more than their shares, and the oldest of all. What is
    /// protected or being written stays, so there may be fewer; what is being read does not.
    pub(crate) fn victims(
        &self,
        count: u32,
        keep_of: impl Fn(&StreamName) -> Retention,
        slot_bytes: u64,
    ) -> Vec<(u32, Option<u64>)> {
        let is_free = |view: &SlotView| matches!(view, SlotView::Blank);
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
    pub(crate) fn forgive(&mut self, now: BootTime) {
        let failed = self.slots.iter().filter_map(|(&number, view)| match view {
            SlotView::Failing(since) => Some((*since, number)),
            _ => None,
        });
        let (first, last) = (failed.clone().min(), failed.max());
        if let (Some((_, number)), Some((since, _))) = (first, last)
            && now.since(since) >= FAILING_PAUSE
        {
            self.slots.insert(number, SlotView::Blank);
        }
    }

    /// Of the slots that gave an error, the one that did so first: its trouble is the likeliest to
    /// be over.
    fn failed_first(&self) -> Option<NextSlot> {
        let failed = self.slots.iter().filter_map(|(&number, view)| match view {
            SlotView::Failing(since) => Some((since, number)),
            _ => None,
        });
        failed.min().map(|(_, number)| NextSlot::Reuse(number))
    }

    /// A slot with footage of a stream whose name is lost.
    fn nameless(&self) -> Option<NextSlot> {
        let is_nameless = |(_, view): &(&u32, &SlotView)| matches!(view, SlotView::Nameless { .. });
        self.slots.iter().find(is_nameless).map(|(&number, _)| NextSlot::Reuse(number))
    }

    /// The next slot for `stream`: a free one; else the oldest of a stream that holds more
    /// than its guaranteed share; else its own oldest; else the oldest, because footage of now
    /// is worth more than a share that cannot be met; else one that gave an error before. What is
    /// protected never goes, and what is being read only when all of the older half is. `missing`
    /// is a slot whose file may be made.
    pub(crate) fn choose(
        &self,
        stream: &StreamName,
        keep_of: impl Fn(&StreamName) -> Retention,
        slot_bytes: u64,
        missing: Option<u32>,
    ) -> Option<NextSlot> {
        let (slots_of, idle) = (self.slots_by_stream(), self.idle());
        let bytes_of = |name: &StreamName| slots_of.get(name).copied().unwrap_or(0) * slot_bytes;
        let oldest = |eligible: &dyn Fn(&LapInfo) -> bool| {
            let idle: Vec<_> = idle.iter().copied().filter(|(_, held)| eligible(held)).collect();
            // What is read is skipped, but never so far that new footage goes instead.
            let unread = |(_, held): &&(u32, &LapInfo)| !self.leases.contains_key(&held.generation);
            let older_half = idle.iter().take(idle.len().div_ceil(2));
            let (number, _) =
                older_half.copied().find(|one| unread(&one)).or(idle.first().copied())?;
            Some(NextSlot::Reuse(number))
        };
        let own = |held: &LapInfo| held.stream == *stream;
        if keep_of(stream).max_bytes.is_some_and(|max| bytes_of(stream) + slot_bytes > max)
            && let Some(choice) = oldest(&own)
        {
            return Some(choice);
        }
        let free = self.slots.iter().find(|(_, view)| matches!(view, SlotView::Blank));
        free.map(|(&number, _)| NextSlot::Reuse(number))
            .or(missing.map(NextSlot::Make))
            .or_else(|| {
                oldest(&|held| {
                    // Overwriting its own footage takes nothing from a stream's share.
                    let taken = if own(held) { 0 } else { slot_bytes };
                    let left = bytes_of(&held.stream).saturating_sub(taken);
                    left >= keep_of(&held.stream).min_bytes
                })
            })
            .or_else(|| oldest(&own))
            .or_else(|| oldest(&|_| true))
            .or_else(|| self.nameless())
            .or_else(|| self.failed_first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Trust;
    use crate::dvr::catalogue::clock::ClockRow;
    use crate::dvr::catalogue::lap::{PinnedRange, SlotView};
    use crate::dvr::catalogue::table::Catalogue;
    use crate::dvr::catalogue::table::tests::{footage, held, name, table};

    const SLOT_BYTES: u64 = 100;

    fn keep(min_bytes: u64) -> Retention {
        Retention { min_bytes, ..Retention::default() }
    }

    #[test]
    fn a_free_slot_comes_first_then_a_new_one() {
        let table = table([held("a", 1, false), SlotView::Blank]);
        let none = |_: &StreamName| Retention::default();
        assert_eq!(table.choose(&name("a"), none, SLOT_BYTES, Some(2)), Some(NextSlot::Reuse(1)));
        let table = self::table([held("a", 1, false)]);
        assert_eq!(table.choose(&name("a"), none, SLOT_BYTES, Some(1)), Some(NextSlot::Make(1)));
    }

    #[test]
    fn the_oldest_goes_but_not_what_is_written_or_bad() {
        let table = table([
            SlotView::Foreign,
            held("a", 1, true),
            held("b", 5, false),
            held("a", 3, false),
        ]);
        let none = |_: &StreamName| Retention::default();
        assert_eq!(table.choose(&name("b"), none, SLOT_BYTES, None), Some(NextSlot::Reuse(3)));
        let busy = self::table([held("a", 1, true), SlotView::Unreadable]);
        assert_eq!(busy.choose(&name("b"), none, SLOT_BYTES, None), None);
    }

    #[test]
    fn a_slot_that_gave_an_error_is_the_last_resort() {
        let failing = |secs: u64| SlotView::Failing(BootTime::from_millis(secs * 1_000));
        let none = |_: &StreamName| Retention::default();
        let table = table([failing(2), held("a", 1, false), failing(1)]);
        assert_eq!(table.choose(&name("b"), none, SLOT_BYTES, None), Some(NextSlot::Reuse(1)));
        let table = self::table([failing(2), held("a", 1, true), failing(1), SlotView::Unreadable]);
        assert_eq!(table.choose(&name("b"), none, SLOT_BYTES, None), Some(NextSlot::Reuse(2)));
    }

    #[test]
    fn slots_that_gave_an_error_are_tried_again_one_by_one() {
        let at = |secs: u64| BootTime::from_millis(secs * 1_000);
        let none = |_: &StreamName| Retention::default();
        let failing = |secs: u64| SlotView::Failing(at(secs));
        let mut table = table([failing(9), held("a", 1, false), failing(5)]);
        let next = |table: &mut Catalogue, now: BootTime| {
            table.forgive(now);
            table.choose(&name("b"), none, SLOT_BYTES, None)
        };
        let due = at(9).after(FAILING_PAUSE);
        assert_eq!(next(&mut table, at(10)), Some(NextSlot::Reuse(1)));
        assert_eq!(next(&mut table, due), Some(NextSlot::Reuse(2)));
        // It fails again: the other one waits as long.
        table.slots.insert(2, SlotView::Failing(due));
        assert_eq!(next(&mut table, due), Some(NextSlot::Reuse(1)));
        assert_eq!(next(&mut table, due.after(FAILING_PAUSE)), Some(NextSlot::Reuse(0)));
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
        assert_eq!(table.choose(&name("b"), keeps, SLOT_BYTES, None), Some(NextSlot::Reuse(2)));
        // Its owner turns over its own.
        assert_eq!(table.choose(&name("a"), keeps, SLOT_BYTES, None), Some(NextSlot::Reuse(0)));
        // Where shares cannot all be met, the oldest goes.
        let greedy = |_: &StreamName| keep(1_000);
        assert_eq!(table.choose(&name("c"), greedy, SLOT_BYTES, None), Some(NextSlot::Reuse(0)));
    }

    #[test]
    fn a_stream_at_its_ceiling_turns_over_its_own() {
        let table = table([held("b", 1, false), held("a", 2, false), held("a", 3, true)]);
        let keeps = |_: &StreamName| Retention { max_bytes: Some(250), ..Retention::default() };
        assert_eq!(table.choose(&name("a"), keeps, SLOT_BYTES, Some(9)), Some(NextSlot::Reuse(1)));
        assert_eq!(table.choose(&name("b"), keeps, SLOT_BYTES, Some(9)), Some(NextSlot::Make(9)));
    }

    #[test]
    fn what_is_protected_never_goes_and_what_is_read_goes_later() {
        let mut table = table((1..=5).map(|lap| held("a", lap, false)));
        let none = |_: &StreamName| Retention::default();
        let next = |table: &Catalogue| table.choose(&name("b"), none, SLOT_BYTES, None);
        table.protections = vec![PinnedRange { stream: name("a"), laps: (1, 1) }];
        assert_eq!(next(&table), Some(NextSlot::Reuse(1)));
        table.lease(2);
        assert_eq!(next(&table), Some(NextSlot::Reuse(2)));
        // A reader holds all of the older half: the oldest goes all the same.
        table.lease(3);
        assert_eq!(next(&table), Some(NextSlot::Reuse(1)));
        table.release(2);
        assert_eq!(next(&table), Some(NextSlot::Reuse(1)));
        table.protections[0].laps = (1, 5);
        assert_eq!(next(&table), None);
        table.protections[0].stream = name("c");
        assert_eq!(next(&table), Some(NextSlot::Reuse(0)));
    }

    #[test]
    fn an_age_limit_takes_the_oldest_and_no_more_than_it_may() {
        let mut table = table((0..10).map(|at| footage(at + 1, at * 100)));
        let limit = |_: &StreamName| Some(Duration::from_secs(300));
        let (clock, now) = (vouched(Trust::Ntp), WallTime::from_unix_nanos(1_000_000_000_000));
        let old = |table: &Catalogue, most| table.expired(now, limit, &clock, most);
        assert_eq!(old(&table, 9).len(), 7);
        assert_eq!(old(&table, 2), [(0, 1), (1, 2)]);
        table.protections = vec![PinnedRange { stream: name("a"), laps: (1, 2) }];
        table.lease(3);
        assert_eq!(old(&table, 2), [(3, 4), (4, 5)]);
        assert!(table.expired(now, |_: &StreamName| None, &clock, 9).is_empty());
    }

    #[test]
    fn a_date_for_which_nobody_vouches_makes_nothing_old() {
        let mut table = table((0..4).map(|at| footage(at + 1, at * 100)));
        let limit = |_: &StreamName| Some(Duration::from_secs(300));
        let now = WallTime::from_unix_nanos(1_000_000_000_000);
        assert!(table.expired(now, limit, &ClockTable::default(), 9).is_empty());
        assert!(table.expired(now, limit, &vouched(Trust::None), 9).is_empty());
        assert_eq!(table.expired(now, limit, &vouched(Trust::Rtc), 9).len(), 4);
        // The second boot knows its date, and the first was before it.
        for generation in [1, 2, 4] {
            let slot = u32::try_from(generation).unwrap() - 1;
            table.lap_mut(slot, generation).unwrap().boot = [9; 16];
        }
        assert_eq!(table.expired(now, limit, &vouched(Trust::Ntp), 9), [(0, 1), (1, 2), (2, 3)]);
    }

    /// A boot whose date is the time since boot.
    fn vouched(trust: Trust) -> ClockTable {
        let mut clock = ClockTable::default();
        let (at, utc) = (BootTime::default(), WallTime::default());
        clock.add(ClockRow { boot: [0; 16], at, utc, trust, error_ms: None });
        clock
    }
}
