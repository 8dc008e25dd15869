//! Slots that hold a copy of what another slot holds.
//!
//! Owns: when such a slot is freed: only after a look at the other one, because what is known of it may
//! be out of date just then.

use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::state::DvrState;

/// Frees the slots under a wrong number whose lap is in its own slot as well. Blocks on the disk.
pub(crate) fn free_copies(shared: &DvrState, ring: &Ring) {
    let copies = shared.table().copies();
    for (slot, own, generation) in copies {
        let is_there = match ring.read_view(&*shared.disk, own) {
            Ok(SlotView::Held(lap)) => lap.generation == generation && !lap.is_front_damaged,
            _ => false,
        };
        let mut table = shared.table();
        if is_there && table.lap_mut(slot, generation).is_some_and(|held| !held.active) {
            table.slots.insert(slot, SlotView::Blank);
        }
    }
}
