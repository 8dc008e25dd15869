//! What is recorded of a stream: runs, and the gaps between them with the reason of each.
//!
//! Owns: when two fragments belong together, and their dates by the clock table. Pure.

use serde::Serialize;

use crate::base::limits::GAP_SPAN_MIN;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::catalogue::continuity::{Extent, LapExtents, date_breaks, nanos};
use crate::dvr::catalogue::facts::{End, RingFacts};
use crate::dvr::catalogue::pin::Pin;
use crate::dvr::format::journal_record::Cause;
use crate::dvr::format::journal_record::Mark;
use crate::dvr::format::seal::Identity;

/// Reasons listed for one gap at most; the first ones count.
const REASONS_MAX: usize = 8;

/// An uninterrupted stretch of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Recording {
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Gap {
    /// Where the run before ends.
    pub start: WallTime,
    /// Where the run behind begins.
    pub end: WallTime,
    /// Why, for programs; the first of `reasons`.
    pub reason: Cause,
    /// Why, for people.
    pub message: String,
    /// All that is known about why, in the order in which it happened.
    pub reasons: Vec<Reason>,
}

/// One reason of a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Reason {
    /// For programs.
    pub reason: Cause,
    /// For people.
    pub message: String,
}

/// A moment at which the date leapt during recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Discontinuity {
    /// The date behind it.
    pub at: WallTime,
    /// How far the date leapt in milliseconds; negative when it went back, so that the runs
    /// on both sides overlap.
    pub step_ms: i64,
}

/// The kind of marks of which none is known.
const MANUAL: &str = "manual";

/// A marked moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct MarkView {
    /// Its name for programs.
    pub id: String,
    /// The moment.
    pub at: WallTime,
    /// Of one stream, or of all.
    pub stream: Option<StreamName>,
    /// Of which kind; `manual` where nothing was said.
    pub kind: String,
    /// What it is.
    pub text: String,
}

/// A protected range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PinView {
    /// Its name for programs.
    pub id: String,
    /// The stream.
    pub stream: StreamName,
    /// From when.
    pub from: WallTime,
    /// Until when.
    pub to: WallTime,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub owner: String,
    /// When it ends by itself.
    pub expires: Option<WallTime>,
    /// When it was made.
    pub made: WallTime,
}

impl From<&Pin> for PinView {
    fn from(pin: &Pin) -> Self {
        Self {
            id: format!("{:016x}", pin.id),
            stream: pin.stream.clone(),
            from: pin.from,
            to: pin.until,
            reason: pin.reason.clone(),
            owner: pin.owner.clone(),
            expires: pin.expires,
            made: pin.made,
        }
    }
}

/// What is recorded of one stream, in the order in which it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Listing {
    /// The uninterrupted stretches.
    pub runs: Vec<Recording>,
    /// What separates them.
    pub gaps: Vec<Gap>,
    /// Where the date leapt.
    pub seams: Vec<Discontinuity>,
    /// Marked moments.
    pub marks: Vec<MarkView>,
    /// Protected ranges.
    pub pins: Vec<PinView>,
    /// False while slots are still being read after a start: what they hold comes later.
    pub complete: bool,
}

impl Listing {
    /// Keeps only what overlaps the range between two dates.
    #[must_use]
    pub fn between(mut self, from: WallTime, until: WallTime) -> Self {
        let meets = |start: WallTime, end: WallTime| start < until && end > from;
        self.runs.retain(|run| meets(run.start, run.end));
        self.gaps.retain(|gap| meets(gap.start, gap.end));
        self.seams.retain(|seam| from <= seam.at && seam.at < until);
        self.marks.retain(|mark| from <= mark.at && mark.at < until);
        self.pins.retain(|pin| meets(pin.from, pin.to));
        self
    }
}

/// A stretch where the clock table puts it.
struct PlacedExtent {
    boot: Identity,
    /// Lap and slot of its first and its last fragment.
    first: (u64, u32),
    last: (u64, u32),
    start: WallTime,
    end: WallTime,
    stretch: Extent,
}

impl PlacedExtent {
    /// Whether `next` is of the same run. What a camera or network held back for seconds moves
    /// the dates as well, so a leap counts only where the clock is known to have leapt, or by
    /// more than anything could hold back.
    fn goes_on_in(&self, next: &Self, clock: &ClockTable) -> bool {
        if self.boot != next.boot || !self.stretch.goes_on_in(&next.stretch) {
            return false;
        }
        let passed = next.start.as_unix_nanos().saturating_sub(self.end.as_unix_nanos());
        let away_nanos = passed.saturating_sub(self.stretch.hole_nanos(&next.stretch));
        let stepped = || clock.is_stepped(self.boot, self.stretch.last, next.stretch.first);
        !date_breaks(away_nanos, GAP_SPAN_MIN, stepped)
    }

    fn run(&self) -> Recording {
        let (bytes, fragments) = (self.stretch.bytes, self.stretch.fragments);
        Recording { start: self.start, end: self.end, bytes, fragments }
    }
}

/// Joins what the slots of `stream` hold, oldest lap first.
pub(crate) fn join<'a>(
    laps: impl IntoIterator<Item = LapExtents<'a>>,
    stream: &StreamName,
    facts: &RingFacts,
    complete: bool,
) -> Listing {
    let mut joined: Vec<PlacedExtent> = Vec::new();
    for LapExtents { slot, generation, boot, extents } in laps {
        for stretch in extents {
            let (start, end) = stretch.placed(&facts.clock, boot);
            let (first, last) = ((generation, slot), (generation, slot));
            let next = PlacedExtent { boot, first, last, start, end, stretch: stretch.clone() };
            match joined.last_mut().filter(|newest| newest.goes_on_in(&next, &facts.clock)) {
                Some(newest) => {
                    (newest.end, newest.last) = (next.end, next.last);
                    newest.stretch.swallow(&next.stretch);
                }
                None => joined.push(next),
            }
        }
    }
    let mut listing = Listing { complete, ..Listing::default() };
    for pair in joined.windows(2) {
        between(&pair[0], &pair[1], stream, facts, &mut listing);
    }
    listing.runs = joined.iter().map(PlacedExtent::run).collect();
    let of_stream = |of: &Option<StreamName>| of.as_ref().is_none_or(|of| of == stream);
    listing.marks = facts.marks.iter().filter(|mark| of_stream(&mark.stream)).map(mark).collect();
    let pins = facts.pins.values().filter(|pin| pin.stream == *stream);
    listing.pins = pins.map(PinView::from).collect();
    listing
}

pub(crate) fn mark(mark: &Mark) -> MarkView {
    let (id, text) = (format!("{:016x}", mark.id), mark.text.clone());
    let kind = mark.kind.clone().unwrap_or_else(|| MANUAL.to_owned());
    MarkView { id, at: mark.at, stream: mark.stream.clone(), kind, text }
}

/// Tells the gap or the seam between two runs.
fn between(
    a: &PlacedExtent,
    b: &PlacedExtent,
    stream: &StreamName,
    facts: &RingFacts,
    listing: &mut Listing,
) {
    let by_nanos = b.start.as_unix_nanos().saturating_sub(a.end.as_unix_nanos());
    let leap = a.boot == b.boot && a.stretch.goes_on_in(&b.stretch);
    if leap {
        listing.seams.push(Discontinuity { at: b.start, step_ms: by_nanos / 1_000_000 });
    }
    if by_nanos <= -nanos(GAP_SPAN_MIN) {
        if !leap {
            listing.seams.push(Discontinuity { at: b.start, step_ms: by_nanos / 1_000_000 });
        }
        return;
    }
    let mut reasons = if leap { vec![told(Cause::ClockStep, "")] } else { Vec::new() };
    if !leap {
        reasons_of(a, b, stream, facts, &mut reasons);
    }
    let (reason, message) = (reasons[0].reason, reasons[0].message.clone());
    listing.gaps.push(Gap { start: a.end, end: b.start.max(a.end), reason, message, reasons });
}

/// All that the journal knows about why there is no footage between `a` and `b`.
fn reasons_of(
    a: &PlacedExtent,
    b: &PlacedExtent,
    stream: &StreamName,
    facts: &RingFacts,
    out: &mut Vec<Reason>,
) {
    let ends = BootTime::from_nanos(u64::MAX);
    let (before, behind) = (a.stretch.last, b.stretch.first);
    let until = if a.boot == b.boot { behind } else { ends };
    let mut push = |cause: Cause, text: &str| {
        let reason = told(cause, text);
        if out.len() < REASONS_MAX && !out.contains(&reason) {
            out.push(reason);
        }
    };
    // What was sealed and is not there any more needs no other reason.
    if let Some(slot) = damaged_between(a, b) {
        push(Cause::Damaged, &format!("slot {slot:06}"));
    }
    // A trouble without an end was still present when the life ended, so it comes first.
    for trouble in facts.troubles_between(stream, a.boot, before, until) {
        push(trouble.cause, &trouble.text);
    }
    match facts.end_between((a.boot, before), (b.boot, behind)) {
        Some(End::Clean) => push(Cause::Restarted, ""),
        Some(End::Crashed) => push(Cause::Crashed, ""),
        Some(End::PowerLost) => push(Cause::PowerLost, ""),
        None => {}
    }
    if a.boot != b.boot {
        for trouble in facts.troubles_between(stream, b.boot, BootTime::default(), behind) {
            push(trouble.cause, &trouble.text);
        }
    }
    if out.is_empty() && a.boot == b.boot && facts.clock.is_stepped(a.boot, before, behind) {
        out.push(told(Cause::ClockStep, ""));
    }
    if out.is_empty() {
        let cause = if is_taken_between(a, b) { Cause::Overwritten } else { Cause::Unknown };
        out.push(told(cause, ""));
    }
}

/// The slot in which fragments between `a` and `b` were sealed that are not whole any more: their
/// numbers are missing in it.
fn damaged_between(a: &PlacedExtent, b: &PlacedExtent) -> Option<u32> {
    let first = b.stretch.sequences.0;
    let expected = if a.last.0 == b.first.0 { a.stretch.sequences.1 + 1 } else { 1 };
    (first > expected).then_some(b.first.1)
}

/// Whether a lap between `a` and `b` is gone: `b` is the beginning of another lap, not the next
/// one, and its seal says that recording continued into it without a loss.
fn is_taken_between(a: &PlacedExtent, b: &PlacedExtent) -> bool {
    a.last.0 + 1 < b.first.0 && a.boot == b.boot && !b.stretch.run_start && !b.stretch.loss_before
}

fn told(cause: Cause, text: &str) -> Reason {
    Reason { reason: cause, message: cause.sentence(text) }
}

#[cfg(test)]
mod tests;
