//! What making a ring smaller takes: the slots that go, and the words for it. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::catalogue::geometry::RingSize;
use crate::dvr::catalogue::lap::{LapInfo, SlotView};
use crate::dvr::catalogue::table::Catalogue;
use crate::dvr::config::Retention;

/// What shrinking the ring to its configured size would delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Proposal {
    /// Agrees to exactly this; `None` while there is nothing to agree to.
    pub token: Option<String>,
    /// Bytes that the ring has.
    pub size_bytes: u64,
    /// Bytes that it should have.
    pub wanted_bytes: u64,
    /// Bytes that it would have: more where protected footage, or what is being written, stays.
    pub left_bytes: u64,
    /// Bytes of footage that would be deleted.
    pub footage_bytes: u64,
    /// What would be deleted of each stream.
    pub streams: BTreeMap<StreamName, Loss>,
    /// Bytes of slots that stay because they are protected.
    pub protected_bytes: u64,
    /// All of it for people.
    pub message: String,
}

/// What would be deleted of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Loss {
    /// Slots.
    pub slots: u64,
    /// Bytes of footage.
    pub bytes: u64,
    /// Date of the oldest footage of it.
    pub from: Option<WallTime>,
    /// Date at which the newest of it ends.
    pub until: Option<WallTime>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Shrunk {
    /// Bytes that the ring has now.
    pub size_bytes: u64,
    /// Slots that went.
    pub slots: u64,
    /// Bytes of footage that went with them.
    pub footage_bytes: u64,
}

/// Why a ring is not made smaller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShrinkError {
    /// The deletion differs from the one the token was issued for.
    #[error(
        "the footage that would be deleted has changed since this token was issued; ask for the proposal again"
    )]
    Changed,
    /// The ring is not open, another shrink continues, or the disk does not take it.
    #[error("{0}")]
    NotNow(String),
}

impl Proposal {
    /// All of it in sentences.
    fn told(&self) -> String {
        let (has, wanted) = (size(self.size_bytes), size(self.wanted_bytes));
        let mut told = vec![format!("The ring has {has} and should have {wanted}.")];
        if self.left_bytes == self.size_bytes {
            let why = "It cannot be made smaller now: what it holds is protected or in use.";
            told.push(why.to_owned());
            return told.join(" ");
        }
        if self.streams.is_empty() {
            told.push("Making it smaller deletes no footage.".to_owned());
        } else {
            let losses: Vec<_> = self.streams.iter().map(|(name, loss)| loss.told(name)).collect();
            let (bytes, losses) = (size(self.footage_bytes), losses.join("; "));
            told.push(format!(
                "Making it smaller deletes {bytes} of the oldest footage: {losses}."
            ));
            told.push("Nothing of it is protected.".to_owned());
        }
        if self.protected_bytes > 0 {
            told.push(format!("Protected ranges keep {}.", size(self.protected_bytes)));
        }
        if self.left_bytes > self.wanted_bytes {
            let left = size(self.left_bytes);
            told.push(format!("It will have {left}: the rest is protected or in use."));
        }
        told.join(" ")
    }
}

impl Loss {
    fn told(&self, stream: &StreamName) -> String {
        let date = |date: Option<WallTime>| date.map_or_else(String::new, WallTime::to_rfc3339);
        let (from, until) = (date(self.from), date(self.until));
        format!("{stream} from {from} to {until} ({})", size(self.bytes))
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, name) =
        if bytes >= 1_000_000_000 { (1_000_000_000, "GB") } else { (1_000_000, "MB") };
    let tenths = bytes / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// The slots that a shrink takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShrinkPlan {
    pub(crate) extent: RingSize,
    /// Slots that were never made.
    unmade: u32,
    /// Slots with the laps in them; `None` for those without footage.
    pub(crate) going: Vec<(u32, Option<u64>)>,
}

impl ShrinkPlan {
    /// What has to go so that the ring has the slots that it should have: first what was never
    /// made, then slots without footage, then the oldest laps as eviction takes them. What is
    /// protected stays, and is at most half of what is left.
    pub(crate) fn of(
        table: &Catalogue,
        extent: RingSize,
        keep_of: impl Fn(&StreamName) -> Retention,
    ) -> Option<Self> {
        let fewer = extent.slots.checked_sub(extent.wanted_slots).filter(|&fewer| fewer > 0)?;
        let made = u32::try_from(table.slots.len()).unwrap_or(u32::MAX);
        let unmade = extent.slots.saturating_sub(made).min(fewer);
        let protected = u32::try_from(protected_slots(table)).unwrap_or(u32::MAX);
        let most = (extent.slots - unmade).saturating_sub(protected.saturating_mul(2));
        let going = table.victims((fewer - unmade).min(most), keep_of, extent.slot_bytes);
        Some(Self { extent, unmade, going })
    }

    /// Slots that are left of those there are.
    pub(crate) fn slots_after(&self) -> u32 {
        let going = u32::try_from(self.going.len()).unwrap_or(u32::MAX);
        self.extent.slots.saturating_sub(self.unmade).saturating_sub(going)
    }

    /// Removes the planned slots from the table, as far as they are still there; returns them, and
    /// the ring's number of slots afterwards. `None` when the plan no longer holds.
    pub(crate) fn carry_out(
        &self,
        table: &mut Catalogue,
    ) -> Option<(BTreeMap<u32, SlotView>, u32)> {
        let mut going = Vec::new();
        for &(number, lap) in &self.going {
            match (table.slots.get(&number), lap) {
                (Some(SlotView::Held(held)), Some(lap)) if held.generation == lap => {
                    if held.active || table.is_protected(held) {
                        return None;
                    }
                    going.push(number);
                }
                (Some(SlotView::Blank), None) => going.push(number),
                // Reused for newer footage: not part of what was agreed to, so it stays.
                _ => {}
            }
        }
        let made = u32::try_from(table.slots.len()).unwrap_or(u32::MAX);
        let unmade = self.extent.slots.saturating_sub(made).min(self.unmade);
        let slots = Self { unmade, going: vec![(0, None); going.len()], ..*self }.slots_after();
        let take = |number| Some((number, table.slots.remove(&number)?));
        let gone: BTreeMap<_, _> = going.into_iter().filter_map(take).collect();
        (slots < self.extent.slots).then_some((gone, slots))
    }

    /// The plan in numbers and words; `token` agrees to it.
    pub(crate) fn proposal(
        &self,
        table: &Catalogue,
        clock: &ClockTable,
        token: Option<u64>,
    ) -> Proposal {
        let slot_bytes = self.extent.slot_bytes;
        let mut streams: BTreeMap<StreamName, Loss> = BTreeMap::new();
        for held in self.laps(table) {
            let loss = streams.entry(held.stream.clone()).or_default();
            (loss.slots, loss.bytes) = (loss.slots + 1, loss.bytes + held.bytes);
            for (from, until) in held.stretches.iter().map(|s| s.placed(clock, held.boot)) {
                loss.from = Some(loss.from.map_or(from, |known| known.min(from)));
                loss.until = loss.until.max(Some(until));
            }
        }
        let bytes = |slots: u32| u64::from(slots) * slot_bytes;
        let mut proposal = Proposal {
            token: token.map(|token| format!("{token:016x}")),
            size_bytes: bytes(self.extent.slots),
            wanted_bytes: bytes(self.extent.wanted_slots),
            left_bytes: bytes(self.slots_after()),
            footage_bytes: streams.values().map(|loss| loss.bytes).sum(),
            streams,
            protected_bytes: protected_slots(table) as u64 * slot_bytes,
            message: String::new(),
        };
        proposal.message = proposal.told();
        proposal
    }

    pub(crate) fn laps<'a>(&'a self, table: &'a Catalogue) -> impl Iterator<Item = &'a LapInfo> {
        self.going.iter().filter_map(|(number, _)| match table.slots.get(number) {
            Some(SlotView::Held(held)) => Some(&**held),
            _ => None,
        })
    }
}

pub(crate) fn protected_slots(table: &Catalogue) -> usize {
    table.held().filter(|(_, held)| table.is_protected(held)).count()
}
