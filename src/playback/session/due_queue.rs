//! Units that wait for their time.
//!
//! Owns: how much is read ahead, and the pace. Pure: `now` is passed in.

use std::collections::VecDeque;
use std::time::Duration;

use super::TimedUnit;
use crate::base::limits::REPLAY_LEAD;
use crate::base::time::BootTime;

/// Units that may wait for their time while more is read.
const AHEAD_UNITS_MAX: usize = 1_024;
/// Bytes of them.
const AHEAD_BYTES_MAX: usize = 8 << 20;
/// Play time of them.
const AHEAD_NANOS_MAX: i64 = 1_500_000_000;

/// The units that were read and not yet sent, oldest first.
#[derive(Debug)]
pub(super) struct DueQueue {
    units: VecDeque<TimedUnit>,
    bytes: usize,
    /// Units wait for their time.
    paced: bool,
    /// A moment, and the play time that was due at it.
    anchor: Option<(BootTime, i64)>,
}

impl DueQueue {
    /// An empty queue whose units wait for their time if it is `paced`.
    pub(super) fn new(paced: bool) -> Self {
        Self { units: VecDeque::new(), bytes: 0, paced, anchor: None }
    }

    /// Hands out units as fast as they are taken from now on.
    pub(super) fn stop_pacing(&mut self) {
        self.paced = false;
    }

    /// The next unit is due at once, and those behind it as far apart as before.
    pub(super) fn restart_pace(&mut self) {
        self.anchor = None;
    }

    pub(super) fn push(&mut self, timed: TimedUnit) {
        self.bytes += timed.selected.unit.data.len();
        self.units.push_back(timed);
    }

    pub(super) fn pop(&mut self) -> Option<TimedUnit> {
        let timed = self.units.pop_front()?;
        self.bytes -= timed.selected.unit.data.len();
        Some(timed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    pub(super) fn front(&self) -> Option<&TimedUnit> {
        self.units.front()
    }

    pub(super) fn back(&self) -> Option<&TimedUnit> {
        self.units.back()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TimedUnit> {
        self.units.iter()
    }

    /// Until the next unit is due; `None` when there is none.
    pub(super) fn due_in(&mut self, now: BootTime) -> Option<Duration> {
        let due_nanos = self.front()?.due_nanos;
        if !self.paced {
            return Some(Duration::ZERO);
        }
        let (at, nanos) = *self.anchor.get_or_insert((now, due_nanos));
        let after = u64::try_from(due_nanos.saturating_sub(nanos)).unwrap_or(0);
        Some(at.after(Duration::from_nanos(after)).before(REPLAY_LEAD).since(now))
    }

    /// Whether more is to be read.
    pub(super) fn is_hungry(&self) -> bool {
        let span_nanos = match (self.front(), self.back()) {
            (Some(front), Some(back)) => back.due_nanos.saturating_sub(front.due_nanos),
            _ => 0,
        };
        self.units.len() < AHEAD_UNITS_MAX
            && self.bytes < AHEAD_BYTES_MAX
            && span_nanos < AHEAD_NANOS_MAX
    }
}
