//! What is recorded of a stream: runs, and the gaps between them with the reason of each.
//!
//! Owns: when two fragments belong together, and where they stand by the clock table. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::base::limits::{CLOCK_STEP_MIN, GAP_SPAN_MIN};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::catalogue::facts::{End, Facts};
use crate::dvr::catalogue::pin::Pin;
use crate::dvr::format::journal_record::Cause;
use crate::dvr::format::journal_record::Mark;
use crate::dvr::format::seal::{Entry, Identity};

/// Behind a fragment that tells of a loss, a shorter hole shows as a gap.
const LOSS_GAP_NANOS_MIN: i64 = 250_000_000;
/// A leap of the clock is seen within this, unless the disk hangs.
const STEP_SEEN_WITHIN: Duration = Duration::from_secs(5);
/// Units that arrive together were not held back for longer than this.
const HELD_BACK_MAX: Duration = Duration::from_secs(60);
/// Reasons told of one gap at most; the first ones count.
const REASONS_MAX: usize = 8;

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
    /// Why, for programs; the first of `reasons`.
    pub reason: Cause,
    /// Why, for people.
    pub message: String,
    /// All that is known about why, in the order in which it happened.
    pub reasons: Vec<Reason>,
}

/// One reason of a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// For programs.
    pub reason: Cause,
    /// For people.
    pub message: String,
}

/// A moment at which the date leapt while recording went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seam {
    /// The date behind it.
    pub at: WallTime,
    /// How far the date leapt in milliseconds; negative when it went back, so that the runs
    /// on both sides overlap.
    pub step_ms: i64,
}

/// A marked moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarkView {
    /// Its name for programs.
    pub id: String,
    /// The moment.
    pub at: WallTime,
    /// Of one stream, or of all.
    pub stream: Option<StreamName>,
    /// What it is.
    pub text: String,
}

/// A protected range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The uninterrupted stretches.
    pub runs: Vec<Run>,
    /// What lies between them.
    pub gaps: Vec<Gap>,
    /// Where the date leapt.
    pub seams: Vec<Seam>,
    /// Marked moments.
    pub marks: Vec<MarkView>,
    /// Protected ranges.
    pub pins: Vec<PinView>,
    /// False while slots are still being read after a start: what they hold comes later.
    pub complete: bool,
}

impl Listing {
    /// Leaves only what lies between two dates, at least in part.
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

/// A run, or the part of one that one slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Dates as they were believed when it was recorded.
    start: WallTime,
    end: WallTime,
    /// When its first unit arrived, and the first unit of its last fragment.
    first: BootTime,
    last: BootTime,
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
    pub(crate) fn of(entry: &Entry) -> Self {
        let span = i64::try_from(entry.span_nanos).unwrap_or(i64::MAX);
        Self {
            start: entry.wall,
            end: entry.wall.offset_nanos(span),
            first: entry.boot_time,
            last: entry.boot_time,
            from_nanos: entry.decode_nanos,
            until_nanos: entry.decode_nanos.saturating_add(span),
            bytes: u64::from(entry.length),
            fragments: 1,
            run_start: entry.run_start,
            loss_before: entry.loss_before,
        }
    }

    /// Its dates by what is known of the clock now.
    pub(crate) fn placed(&self, clock: &ClockTable, boot: Identity) -> (WallTime, WallTime) {
        let start = clock.place(boot, self.first, self.start);
        let span = self.end.as_unix_nanos().saturating_sub(self.start.as_unix_nanos());
        (start, start.offset_nanos(span))
    }

    /// Whether anybody vouches for these dates.
    pub(crate) fn is_vouched(&self, clock: &ClockTable, boot: Identity) -> bool {
        clock.is_vouched(boot, self.first, self.start)
    }

    /// Bytes, and seconds that they play.
    pub(crate) fn measure(&self) -> (u64, f64) {
        let nanos = self.until_nanos.saturating_sub(self.from_nanos).max(0);
        (self.bytes, Duration::from_nanos(nanos.unsigned_abs()).as_secs_f64())
    }

    /// Where a fragment ends on its stream's timeline, in nanoseconds since boot.
    pub(crate) fn end_nanos_of(entry: &Entry) -> i64 {
        Self::of(entry).until_nanos
    }

    /// Whether `next` goes on where this one ends, both being of one boot.
    pub(crate) fn goes_on_in(&self, next: &Self) -> bool {
        let hole_nanos = next.from_nanos.saturating_sub(self.until_nanos);
        !next.run_start && is_joined(hole_nanos, next.loss_before)
    }

    /// Whether the believed date leapt between this one and `next`.
    fn leaps_to(&self, next: &Self) -> bool {
        let media_nanos = next.from_nanos.saturating_sub(self.until_nanos);
        let date_nanos = next.start.as_unix_nanos().saturating_sub(self.end.as_unix_nanos());
        let leap_nanos = date_nanos.saturating_sub(media_nanos);
        leap_nanos.unsigned_abs() > nanos(CLOCK_STEP_MIN).unsigned_abs()
    }

    fn swallow(&mut self, next: &Self) {
        (self.end, self.last, self.until_nanos) = (next.end, next.last, next.until_nanos);
        self.bytes += next.bytes;
        self.fragments += next.fragments;
    }
}

/// Whether a hole of this length in the media shows as none.
pub(crate) fn is_joined(hole_nanos: i64, loss_before: bool) -> bool {
    let gap_nanos = nanos(GAP_SPAN_MIN);
    let shown_nanos = if loss_before { LOSS_GAP_NANOS_MIN } else { gap_nanos };
    hole_nanos < shown_nanos && hole_nanos > -gap_nanos
}

/// Puts `next` behind the last of `list`: as part of it, or as a stretch of its own.
pub(crate) fn absorb(list: &mut Vec<Stretch>, next: Stretch, same_boot: bool) {
    let goes_on = |newest: &Stretch| newest.goes_on_in(&next) && !newest.leaps_to(&next);
    match list.last_mut().filter(|newest| same_boot && goes_on(newest)) {
        Some(newest) => newest.swallow(&next),
        None => list.push(next),
    }
}

/// A stretch where the clock table puts it.
struct Placed {
    boot: Identity,
    start: WallTime,
    end: WallTime,
    stretch: Stretch,
}

impl Placed {
    /// Whether `next` is of the same run. What a camera or network held back for seconds moves
    /// the dates as well, so a leap counts only where the clock is known to have leapt, or by
    /// more than anything could hold back.
    fn goes_on_in(&self, next: &Self, clock: &ClockTable) -> bool {
        if self.boot != next.boot || !self.stretch.goes_on_in(&next.stretch) {
            return false;
        }
        let hole_nanos = next.start.as_unix_nanos().saturating_sub(self.end.as_unix_nanos());
        let is_longer = |than| hole_nanos.unsigned_abs() > nanos(than).unsigned_abs();
        let from = self.stretch.last.before(STEP_SEEN_WITHIN);
        let until = next.stretch.first.after(STEP_SEEN_WITHIN);
        let stepped =
            || clock.steps(self.boot).iter().any(|step| from <= step.at && step.at <= until);
        !(is_longer(HELD_BACK_MAX) || is_longer(GAP_SPAN_MIN) && stepped())
    }

    fn run(&self) -> Run {
        let (bytes, fragments) = (self.stretch.bytes, self.stretch.fragments);
        Run { start: self.start, end: self.end, bytes, fragments }
    }
}

/// Joins what the slots of `stream` hold, oldest lap first.
pub(crate) fn join<'a>(
    slots: impl IntoIterator<Item = (Identity, &'a [Stretch])>,
    stream: &StreamName,
    facts: &Facts,
    complete: bool,
) -> Listing {
    let mut joined: Vec<Placed> = Vec::new();
    for (boot, stretches) in slots {
        for stretch in stretches {
            let (start, end) = stretch.placed(&facts.clock, boot);
            let next = Placed { boot, start, end, stretch: stretch.clone() };
            match joined.last_mut().filter(|newest| newest.goes_on_in(&next, &facts.clock)) {
                Some(newest) => {
                    newest.end = next.end;
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
    listing.runs = joined.iter().map(Placed::run).collect();
    let of_stream = |of: &Option<StreamName>| of.as_ref().is_none_or(|of| of == stream);
    listing.marks = facts.marks.iter().filter(|mark| of_stream(&mark.stream)).map(mark).collect();
    let pins = facts.pins.values().filter(|pin| pin.stream == *stream);
    listing.pins = pins.map(PinView::from).collect();
    listing
}

pub(crate) fn mark(mark: &Mark) -> MarkView {
    let (id, text) = (format!("{:016x}", mark.id), mark.text.clone());
    MarkView { id, at: mark.at, stream: mark.stream.clone(), text }
}

/// Tells the gap or the seam between two runs.
fn between(a: &Placed, b: &Placed, stream: &StreamName, facts: &Facts, listing: &mut Listing) {
    let by_nanos = b.start.as_unix_nanos().saturating_sub(a.end.as_unix_nanos());
    let leap = a.boot == b.boot && a.stretch.goes_on_in(&b.stretch);
    if leap {
        listing.seams.push(Seam { at: b.start, step_ms: by_nanos / 1_000_000 });
    }
    if by_nanos <= -nanos(GAP_SPAN_MIN) {
        if !leap {
            listing.seams.push(Seam { at: b.start, step_ms: by_nanos / 1_000_000 });
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

/// All that the journal knows about why nothing stands between `a` and `b`.
fn reasons_of(a: &Placed, b: &Placed, stream: &StreamName, facts: &Facts, out: &mut Vec<Reason>) {
    let ends = BootTime::from_nanos(u64::MAX);
    let (before, behind) = (a.stretch.last, b.stretch.first);
    let until = if a.boot == b.boot { behind } else { ends };
    let mut push = |cause: Cause, text: &str| {
        let reason = told(cause, text);
        if out.len() < REASONS_MAX && !out.contains(&reason) {
            out.push(reason);
        }
    };
    // A trouble that goes on was going on when the life ended, so it comes first.
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
    if out.is_empty() {
        out.push(told(Cause::Unknown, ""));
    }
}

fn told(cause: Cause, text: &str) -> Reason {
    Reason { reason: cause, message: cause.sentence(text) }
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
