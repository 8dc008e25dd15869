//! `holdfast ring shrink`: a shrink without the daemon.
//!
//! Owns: what it prints, and the same steps as in a ring that takes footage. Streams' shares are
//! not known here: the oldest footage goes, whosever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crate::base::time::{Clock, SystemClock};
use crate::dvr::catalogue::facts::RingFacts;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::catalogue::shrink_plan::{ShrinkPlan, size};
use crate::dvr::config::Retention;
use crate::dvr::disk;
use crate::dvr::disk::{Disk, RealDisk};
use crate::dvr::format::journal_record::{JournalRecord, Resize};
use crate::dvr::read::tool::error::ToolError;
use crate::dvr::read::tool::reader::RingReader;
use crate::dvr::store::journal;
use crate::dvr::store::ring::{Found, Ring};
use crate::dvr::{DvrError, RingSizing};

/// Makes the ring under `data_dir` as small as `size`, if `agree` confirms after it printed what
/// that deletes. Returns whether the ring is as small as it can be.
pub fn shrink(
    data_dir: &Path,
    size: RingSizing,
    agree: &mut dyn FnMut() -> bool,
    out: &mut dyn Write,
) -> Result<bool, ToolError> {
    shrink_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), data_dir, size, agree, out)
}

/// As [`shrink`], on any disk.
pub(crate) fn shrink_on(
    disk: &Arc<dyn Disk>,
    data_dir: &Path,
    wanted: RingSizing,
    agree: &mut dyn FnMut() -> bool,
    out: &mut dyn Write,
) -> Result<bool, ToolError> {
    let gone = || DvrError::Gone { path: data_dir.join("ring/ring.toml") };
    let ring = Ring::find(&**disk, data_dir)?.ok_or_else(gone)?;
    let lock = disk::lock(&**disk, data_dir).map_err(DvrError::disk("lock", data_dir))?;
    let _held = lock.ok_or_else(|| DvrError::InUse { path: data_dir.to_owned() })?;
    ring.check_place(&**disk)?;
    let mut found = ring.measured(&**disk, wanted)?.read_fronts(&**disk)?;
    let (mut facts, parsed) = journal::read_facts(&**disk, data_dir)?;
    if parsed.damaged > 0 {
        writeln!(out, "The journal is damaged: a protected range may be missing in it.")?;
    }
    if !found.ring.leaving.is_empty() {
        writeln!(out, "An interrupted shrink continues: the slots it removed are deleted.")?;
        let before = found.ring.slots_with_leaving();
        note_resize(&mut facts, &found.ring, before);
        journal::rewrite(&**disk, data_dir, &facts, parsed.number)?;
        found = delete(&**disk, found)?;
    }
    found.table.protections = facts.protections();
    let extent = found.ring.extent();
    let Some(plan) = ShrinkPlan::of(&found.table, extent, |_| Retention::default()) else {
        let wanted = size(u64::from(extent.wanted_slots) * extent.slot_bytes);
        writeln!(
            out,
            "The ring has {}, which is not more than {wanted}.",
            size(found.ring.bytes())
        )?;
        return Ok(true);
    };
    learn(disk, data_dir, &plan, &mut found)?;
    writeln!(out, "{}", plan.proposal(&found.table, &facts.clock, None).message)?;
    if plan.slots_after() == extent.slots || !agree() {
        writeln!(out, "Nothing was deleted.")?;
        return Ok(false);
    }
    let ring = carry_out(&**disk, data_dir, &plan, found, (facts, parsed.number))?;
    let has = size(ring.bytes());
    let hint = "Give [ring] size the same, or the program makes it larger again.";
    writeln!(out, "The ring has {has} now. {hint}")?;
    Ok(true)
}

/// Reads what is in the slots that would go.
fn learn(
    disk: &Arc<dyn Disk>,
    data_dir: &Path,
    plan: &ShrinkPlan,
    found: &mut Found,
) -> Result<(), DvrError> {
    let reader = RingReader::open_on(Arc::clone(disk), data_dir)?;
    let going: BTreeSet<_> = plan.going.iter().copied().collect();
    for &lap in reader.laps() {
        let is_going = going.contains(&(lap.slot, Some(lap.generation)));
        if let Some(held) = found.table.lap_mut(lap.slot, lap.generation).filter(|_| is_going)
            && let Some((_, contents)) = reader.contents(lap)?
        {
            held.learn(&contents.entries, contents.damaged.len() as u64);
        }
    }
    Ok(())
}

/// The same steps as in `apply`. `last` is the number of the journal's last record.
fn carry_out(
    disk: &dyn Disk,
    data_dir: &Path,
    plan: &ShrinkPlan,
    mut found: Found,
    (mut facts, last): (RingFacts, u64),
) -> Result<Ring, DvrError> {
    let (gone, slots) = plan.carry_out(&mut found.table).ok_or(DvrError::NoSlot)?;
    let before = found.ring.slots;
    found.ring = found.ring.without(disk, slots, gone.keys().copied().collect())?;
    note_resize(&mut facts, &found.ring, before);
    for record in evicted(gone) {
        facts.apply(record);
    }
    journal::rewrite(disk, data_dir, &facts, last)?;
    Ok(delete(disk, found)?.ring)
}

fn note_resize(facts: &mut RingFacts, ring: &Ring, from_slots: u32) {
    let (utc, to_slots, slot_bytes) = (SystemClock.wall(), ring.slots, ring.slot_bytes);
    facts.apply(JournalRecord::Resized(Resize { utc, from_slots, to_slots, slot_bytes }));
}

/// What goes, as the journal notes it.
fn evicted(gone: BTreeMap<u32, SlotView>) -> Vec<JournalRecord> {
    let record = |view| match view {
        SlotView::Held(held) => {
            Some(JournalRecord::Evicted { stream: held.stream, slots: 1, bytes: held.bytes })
        }
        _ => None,
    };
    gone.into_values().filter_map(record).collect()
}

/// Deletes the files of all slots that leave.
fn delete(disk: &dyn Disk, found: Found) -> Result<Found, DvrError> {
    for &number in &*found.ring.leaving {
        found.ring.remove_slot(disk, number)?;
    }
    let highest = found.table.slots.keys().next_back().copied();
    let ring = found.ring.left(disk, highest)?;
    Ok(Found { ring, ..found })
}
