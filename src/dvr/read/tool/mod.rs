//! `holdfast ring status`, `ls` and `verify`: the state of the ring from its files alone.
//!
//! Owns: what they print. They work while no daemon runs, and on another computer.

pub(crate) mod error;
mod extract;
pub(crate) mod reader;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

pub use self::error::ToolError;
#[cfg(test)]
pub(crate) use self::extract::chosen;
pub use self::extract::{Extract, ExtractedPart, extract};
pub use self::reader::{FoundLap, RingReader};
use crate::base::name::StreamName;
use crate::dvr::catalogue::continuity::{Extent, LapExtents, absorb};
use crate::dvr::catalogue::listing::{Listing, join};
use crate::dvr::format::seal::{FragmentEntry, Identity};
use crate::dvr::format::slot::Tail;
pub use crate::dvr::store::shrink::shrink;

/// What `verify` found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Fragments whose seal matches.
    pub fragments: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Slots whose last write was cut short: what a power cut leaves, not damage.
    pub torn_tails: u64,
    /// Stretches of damaged bytes, damaged fronts, and slots that cannot be read.
    pub damaged: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong beyond what a power cut leaves.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged == 0
    }
}

/// Prints the runs and gaps of every stream in the ring under `data_dir`.
pub fn ls(data_dir: &Path, out: &mut dyn Write) -> Result<(), ToolError> {
    for (stream, listing) in listings(&RingReader::open(data_dir)?)? {
        writeln!(out, "{stream}")?;
        for (at, run) in listing.runs.iter().enumerate() {
            let secs = (run.end.as_unix_millis() - run.start.as_unix_millis()) / 1_000;
            writeln!(
                out,
                "  run  {} to {}  {secs} s  {} fragments  {} bytes",
                run.start.to_rfc3339(),
                run.end.to_rfc3339(),
                run.fragments,
                run.bytes
            )?;
            if let Some(gap) = listing.gaps.get(at) {
                let ms = gap.end.as_unix_millis() - gap.start.as_unix_millis();
                writeln!(out, "  gap  {ms} ms  {}", gap.message)?;
            }
        }
    }
    Ok(())
}

/// Prints what the ring under `data_dir` is and holds, and what its journal says.
pub fn status(data_dir: &Path, out: &mut dyn Write) -> Result<(), ToolError> {
    let reader = RingReader::open(data_dir)?;
    let (slot_bytes, slots) = reader.geometry();
    let held = reader.laps().len();
    writeln!(
        out,
        "ring: {slots} slots of {slot_bytes} bytes, {held} with footage, {} blank, {} damaged, {} \
         unusable, {} foreign files",
        reader.blank(),
        reader.damaged().len(),
        reader.bad().len(),
        reader.foreign().len()
    )?;
    for (stream, listing) in listings(&reader)? {
        let bytes: u64 = listing.runs.iter().map(|run| run.bytes).sum();
        let oldest = listing.runs.iter().map(|run| run.start).min().unwrap_or_default();
        let newest = listing.runs.iter().map(|run| run.end).max().unwrap_or_default();
        writeln!(
            out,
            "{stream}: {} to {}, {bytes} bytes, {} runs",
            oldest.to_rfc3339(),
            newest.to_rfc3339(),
            listing.runs.len()
        )?;
    }
    journal(&reader, out)
}

fn journal(reader: &RingReader, out: &mut dyn Write) -> Result<(), ToolError> {
    let facts = reader.facts();
    let clean = match facts.sessions.last() {
        None => "no life of the program noted",
        Some(last) if last.stopped.is_some() => "the last life ended cleanly",
        Some(_) => "the last run is still going, or was cut off",
    };
    writeln!(
        out,
        "journal: {clean}; {} lives, {} clock rows, {} marks, {} torn bytes, {} damaged records",
        facts.sessions.len(),
        facts.clock.rows().count(),
        facts.marks.len(),
        reader.journal().torn_bytes,
        reader.journal().damaged
    )?;
    for pin in facts.pins.values() {
        let (from, until) = (pin.from.to_rfc3339(), pin.until.to_rfc3339());
        let (stream, reason) = (&pin.stream, &pin.reason);
        writeln!(out, "protected: {stream} {from} to {until} by {}: {reason}", pin.owner)?;
    }
    Ok(())
}

/// The listings of every stream, from the slots alone.
pub fn listings(reader: &RingReader) -> Result<BTreeMap<StreamName, Listing>, ToolError> {
    let mut found: BTreeMap<StreamName, Vec<(FoundLap, Identity, Vec<Extent>)>> = BTreeMap::new();
    for &lap in reader.laps() {
        let Some((header, contents)) = reader.contents(lap)? else { continue };
        let slots = found.entry(header.stream).or_default();
        slots.push((lap, header.boot, stretches(&contents.entries)));
    }
    let joined = |stream: &StreamName, slots: Vec<(FoundLap, Identity, Vec<Extent>)>| {
        let slots = slots.iter().map(|(lap, boot, extents)| LapExtents {
            slot: lap.slot,
            generation: lap.generation,
            boot: *boot,
            extents,
        });
        join(slots, stream, reader.facts(), true)
    };
    let listings = found.into_iter().map(|(stream, slots)| {
        let listing = joined(&stream, slots);
        (stream, listing)
    });
    Ok(listings.collect())
}

fn stretches(entries: &[FragmentEntry]) -> Vec<Extent> {
    let mut list = Vec::new();
    for entry in entries {
        absorb(&mut list, Extent::of(entry), true);
    }
    list
}

/// Checks every seal of every slot of the ring under `data_dir` and prints what is wrong.
pub fn verify(data_dir: &Path, out: &mut dyn Write) -> Result<VerifyReport, ToolError> {
    let reader = RingReader::open(data_dir)?;
    let mut verdict = VerifyReport::default();
    for &lap in reader.laps() {
        verify_lap(&reader, lap, &mut verdict, out)?;
    }
    verify_slots(&reader, &mut verdict, out)?;
    let journal = reader.journal();
    if journal.damaged > 0 {
        verdict.damaged += journal.damaged;
        writeln!(out, "journal: {} damaged stretches", journal.damaged)?;
    }
    if journal.torn_bytes > 0 {
        writeln!(out, "journal: torn tail of {} bytes", journal.torn_bytes)?;
    }
    let (slot_bytes, slots) = reader.geometry();
    writeln!(
        out,
        "{slots} slots of {slot_bytes} bytes: {} with footage, {} blank; {} fragments with {} \
         bytes are whole; {} torn tails, {} faults, {} foreign files",
        reader.laps().len(),
        reader.blank(),
        verdict.fragments,
        verdict.bytes,
        verdict.torn_tails,
        verdict.damaged,
        reader.foreign().len(),
    )?;
    Ok(verdict)
}

/// Names what is wrong with whole slots, and with the files beside them.
fn verify_slots(
    reader: &RingReader,
    verdict: &mut VerifyReport,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    if let Some(why) = reader.recovered() {
        verdict.damaged += 1;
        writeln!(out, "{why}; the next start makes it again from the slots")?;
    }
    for (slots, what) in [
        (reader.damaged(), "its front is lost"),
        (reader.damaged_fronts(), "its front is damaged; what it holds can be read"),
        (reader.copies(), "it is a copy of another slot"),
        (reader.bad(), "it cannot be read, or belongs to another ring"),
        (reader.missing(), "it is missing, with what it held"),
    ] {
        for slot in slots {
            verdict.damaged += 1;
            writeln!(out, "slot {slot:06}: {what}")?;
        }
    }
    for (slot, own) in reader.swapped() {
        verdict.damaged += 1;
        writeln!(out, "slot {slot:06}: it is slot {own:06} under another name; it can be read")?;
    }
    for slot in reader.wiped() {
        writeln!(
            out,
            "slot {slot:06}: nothing but zeros, as a power cut leaves one that was being made; \
             footage that was in it is gone"
        )?;
    }
    for name in reader.foreign() {
        writeln!(out, "{name}: not a file of this ring; it is left alone")?;
    }
    Ok(())
}

fn verify_lap(
    reader: &RingReader,
    lap: FoundLap,
    verdict: &mut VerifyReport,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let slot = lap.slot;
    let contents = match reader.contents(lap) {
        Ok(Some((_, contents))) => contents,
        Ok(None) => return Ok(writeln!(out, "slot {slot:06}: reused while it was being read")?),
        Err(error) => {
            verdict.damaged += 1;
            return Ok(writeln!(out, "slot {slot:06}: {error}")?);
        }
    };
    verdict.fragments += contents.entries.len() as u64;
    verdict.bytes += contents.entries.iter().map(|entry| u64::from(entry.length)).sum::<u64>();
    verdict.damaged += contents.damaged.len() as u64;
    for (from, to) in contents.damaged {
        writeln!(out, "slot {slot:06}: bytes {from} to {to} are damaged")?;
    }
    if contents.tail == Tail::Torn {
        verdict.torn_tails += 1;
        let end = contents.end;
        writeln!(out, "slot {slot:06}: torn tail at byte {end}, as a power cut leaves it")?;
    }
    Ok(())
}
