//! The newest durable fragments of a stream, without their media, so that a live playlist costs no
//! reading.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::limits::{RECENT_FRAGMENTS_MAX, RECENT_SPAN_MAX};
use crate::dvr::catalogue::continuity;
use crate::dvr::format::seal::{FragmentEntry, Identity};
use crate::dvr::format::slot;

/// A fragment that is on the medium.
#[derive(Clone, Debug)]
pub struct DurableFragment {
    /// Which lap of the ring holds it.
    pub lap: u64,
    /// The boot in which it was recorded.
    pub boot: Identity,
    /// The `ftyp` and `moov` that it needs.
    pub init: Bytes,
    /// What its seal says.
    pub entry: FragmentEntry,
}

impl DurableFragment {
    /// Lap, and sequence number within it: both only grow.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.lap, self.entry.sequence)
    }

    /// Where it begins in its slot, and where it ends with its seal.
    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        (u64::from(self.entry.offset), slot::end(&self.entry))
    }

    /// Whether its media continue those of `before`.
    #[must_use]
    pub fn continues(&self, before: &Self) -> bool {
        self.boot == before.boot && continuity::continues(&before.entry, &self.entry)
    }
}

/// The newest fragments of a stream that became durable since the process started, oldest
/// first: those of [`RECENT_SPAN_MAX`], at most
/// [`RECENT_FRAGMENTS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<DurableFragment>);

impl Recent {
    /// Takes note of a fragment that became durable.
    pub(crate) fn push(&mut self, stored: DurableFragment) {
        let newest = stored.entry.boot_time;
        self.0.push_back(stored);
        let is_old = |one: &DurableFragment| newest.since(one.entry.boot_time) > RECENT_SPAN_MAX;
        while self.0.len() > RECENT_FRAGMENTS_MAX || self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    /// Those behind a position, oldest first.
    pub(crate) fn after(&self, position: (u64, u64)) -> Vec<DurableFragment> {
        let first = self.0.partition_point(|stored| stored.position() <= position);
        self.0.range(first..).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::WallTime;
    use crate::dvr::catalogue::recent::Recent;

    fn stored(lap: u64, sequence: u64, at_secs: u64) -> DurableFragment {
        let entry = FragmentEntry {
            sequence,
            wall: WallTime::default(),
            run_start: true,
            ..FragmentEntry::example(i64::try_from(at_secs).unwrap() * 1_000, 1_000)
        };
        DurableFragment { lap, boot: [0; 16], init: Bytes::new(), entry }
    }

    #[test]
    fn the_newest_fragments_are_kept_in_mind_and_no_others() {
        let mut recent = Recent::default();
        for n in 1..=100 {
            recent.push(stored(1, n, n));
        }
        recent.push(stored(2, 1, 101));
        let positions: Vec<_> =
            recent.after((0, 0)).iter().map(DurableFragment::position).collect();
        assert_eq!((positions.len(), positions[0]), (61, (1, 41)));
        let behind: Vec<_> = recent.after((1, 99)).iter().map(DurableFragment::position).collect();
        assert_eq!(behind, [(1, 100), (2, 1)]);
        // Where every picture is a fragment the number is the bound.
        for n in 2..10_000 {
            recent.push(stored(2, n, 101));
        }
        assert_eq!(recent.after((0, 0)).len(), RECENT_FRAGMENTS_MAX);
    }
}
