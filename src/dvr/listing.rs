//! What is recorded of a stream: runs, and the gaps between them.
//!
//! Owns: when two fragments belong together. Does not own: why a gap is there; that is a fact
//! for the journal, which is the next step.

use serde::Serialize;

use super::seal::{Entry, Identity};
use crate::base::limits::GAP_SPAN_MIN;
use crate::base::time::WallTime;

/// Behind a fragment that tells of a loss, a shorter hole shows as a gap.
const LOSS_GAP_NANOS_MIN: i64 = 250_000_000;

/// An uninterrupted stretch of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Date of its first unit.
    pub start: WallTime,
    /// Date at which its last unit ends.
    pub end: WallTime,
    /// Bytes of media.
    pub bytes: u64,
    /// Fragments.
    pub fragments: u64,
}

/// A stretch of time without footage, between two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Where the run before ends.
    pub start: WallTime,
    /// Where the run behind begins.
    pub end: WallTime,
}

/// What is recorded of one stream, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The uninterrupted stretches.
    pub runs: Vec<Run>,
    /// What lies between them.
    pub gaps: Vec<Gap>,
    /// False while slots are still being read after a start: what they hold comes later.
    pub complete: bool,
}

/// A run, or the part of one that one slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    start: WallTime,
    end: WallTime,
    /// Media time since boot, in nanoseconds.
    from_nanos: i64,
    until_nanos: i64,
    bytes: u64,
    fragments: u64,
    run_start: bool,
    loss_before: bool,
}

impl Stretch {
    /// The stretch that is one fragment.
    pub(super) fn of(entry: &Entry) -> Self {
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        Self {
            start: entry.wall,
            end: entry.wall.offset_nanos(span),
            from_nanos: entry.decode_nanos,
            until_nanos: entry.decode_nanos.saturating_add(span),
            bytes: u64::from(entry.length),
            fragments: 1,
            run_start: entry.run_start,
            loss_before: entry.loss_before,
        }
    }

    /// Whether `next` goes on where this one ends, both being of one boot.
    fn goes_on_in(&self, next: &Self) -> bool {
        let hole_nanos = next.from_nanos.saturating_sub(self.until_nanos);
        let gap_nanos = i64::try_from(GAP_SPAN_MIN.as_nanos()).unwrap_or(i64::MAX);
        let shown_nanos = if next.loss_before { LOSS_GAP_NANOS_MIN } else { gap_nanos };
        !next.run_start && hole_nanos < shown_nanos && hole_nanos > -gap_nanos
    }
}

/// Puts `next` behind the last of `list`: as part of it, or as a stretch of its own.
pub(super) fn absorb(list: &mut Vec<Stretch>, next: Stretch, same_boot: bool) {
    match list.last_mut().filter(|newest| same_boot && newest.goes_on_in(&next)) {
        Some(newest) => {
            newest.end = next.end;
            newest.until_nanos = next.until_nanos;
            newest.bytes += next.bytes;
            newest.fragments += next.fragments;
        }
        None => list.push(next),
    }
}

/// Joins what the slots of one stream hold, oldest lap first.
pub(super) fn join<'a>(
    slots: impl IntoIterator<Item = (Identity, &'a [Stretch])>,
    complete: bool,
) -> Listing {
    let mut joined: Vec<Stretch> = Vec::new();
    let mut last_boot = None;
    for (boot, stretches) in slots {
        for stretch in stretches {
            absorb(&mut joined, stretch.clone(), last_boot == Some(boot));
            last_boot = Some(boot);
        }
    }
    let gaps = joined.windows(2).map(|pair| Gap { start: pair[0].end, end: pair[1].start });
    let gaps = gaps.collect();
    let run =
        |s: Stretch| Run { start: s.start, end: s.end, bytes: s.bytes, fragments: s.fragments };
    Listing { runs: joined.into_iter().map(run).collect(), gaps, complete }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::BootTime;

    fn entry(at_ms: i64, span_ms: u64) -> Entry {
        Entry {
            offset: 0,
            length: 10,
            sequence: 1,
            boot_time: BootTime::default(),
            wall: WallTime::from_unix_nanos(at_ms * 1_000_000),
            decode_nanos: at_ms * 1_000_000,
            span_nanos: span_ms * 1_000_000,
            samples: 1,
            starts_with_key: true,
            loss_before: false,
            run_start: false,
        }
    }

    fn listed(entries: &[Entry]) -> (usize, usize) {
        let mut list = Vec::new();
        for entry in entries {
            absorb(&mut list, Stretch::of(entry), true);
        }
        let listing = join([([1; 16], &list[..])], true);
        (listing.runs.len(), listing.gaps.len())
    }

    #[test]
    fn fragments_that_follow_each_other_are_one_run() {
        assert_eq!(listed(&[entry(0, 1_000), entry(1_000, 1_000), entry(2_300, 1_000)]), (1, 0));
    }

    #[test]
    fn a_hole_a_new_run_and_a_loss_are_gaps() {
        assert_eq!(listed(&[entry(0, 1_000), entry(4_000, 1_000)]), (2, 1));
        let run = Entry { run_start: true, ..entry(1_000, 1_000) };
        assert_eq!(listed(&[entry(0, 1_000), run]), (2, 1));
        let loss = Entry { loss_before: true, ..entry(1_500, 1_000) };
        assert_eq!(listed(&[entry(0, 1_000), loss]), (2, 1));
        let counted = Entry { loss_before: true, ..entry(1_000, 1_000) };
        assert_eq!(listed(&[entry(0, 1_000), counted]), (1, 0));
    }

    #[test]
    fn a_run_goes_on_in_the_next_slot_but_not_over_a_boot() {
        let (a, b) = (vec![Stretch::of(&entry(0, 1_000))], vec![Stretch::of(&entry(1_000, 1_000))]);
        assert_eq!(join([([1; 16], &a[..]), ([1; 16], &b[..])], true).runs.len(), 1);
        let over_boot = join([([1; 16], &a[..]), ([2; 16], &b[..])], true);
        assert_eq!((over_boot.runs.len(), over_boot.gaps.len()), (2, 1));
    }
}
