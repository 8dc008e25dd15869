//! Puts fragments on the timeline of the file, one behind the other.
//!
//! Owns: which samples of a fragment are taken, their times, and the text that goes with them. A
//! walk that begins with the same [`ExportTimeline`] at the same place gives the same
//! [`PlannedFragment`]s again: nothing here reads a clock.

use std::num::NonZeroU32;

use jiff::tz::TimeZone;

use super::tracks::{ExportTracks, TEXT};
use super::{ExportError, LastPicture};
use crate::base::limits::{CLOCK_STEP_MIN, GAP_SPAN_MIN};
use crate::base::time::{MediaTime, WallTime};
use crate::dvr::{ClockTable, FragmentEntry, FragmentMeta, Identity, date_breaks};
use crate::wire::mp4::{Chunk, Row, SampleRun, read_runs, text_sample};

const SECOND_NANOS: i64 = 1_000_000_000;
/// How far the last samples of a section may reach into the next one.
const OVERHANG_NANOS_MAX: i64 = SECOND_NANOS / 4;
/// Longest gap in the file: a little less than fits into the 31 bits of a sample's length that all
/// players understand, in ticks. What is longer is shortened: an empty edit in the middle would say it, but
/// ffmpeg 5.1 then shows pictures twice, and GStreamer 1.22 nothing at all.
const GAP_SAMPLE_NANOS_MAX: i64 = 6 * 3_600 * SECOND_NANOS;

/// What is cut out of the recording, by its dates.
#[derive(Clone, Debug)]
pub(super) struct ExportRange {
    /// Time in the file at which the first picture is shown. The text begins there: not all
    /// players cut a line of text in two.
    pub(super) start_nanos: i64,
    /// Where it ends.
    pub(super) end: WallTime,
    /// What of the last picture must lie before that.
    pub(super) last: LastPicture,
    /// The zone of the text.
    pub(super) zone: TimeZone,
    /// Dates as they were known when the file was planned.
    pub(super) clock: ClockTable,
}

/// An uninterrupted stretch, and where it is in the file.
#[derive(Clone, Debug)]
struct ExportSection {
    /// Media time minus time in the file.
    base_nanos: i64,
    /// The date at time zero of the file, by this section.
    zero: WallTime,
}

/// How far the file has come.
#[derive(Clone, Debug, Default)]
pub(super) struct ExportTimeline {
    section: Option<ExportSection>,
    last: Option<(Identity, FragmentEntry)>,
    /// Where what was taken ends.
    end_nanos: i64,
    /// The second since 1970 that the text tells next.
    second: i64,
    /// Of each track, the first tick behind the decoding time of its newest sample.
    free_ticks: Vec<i64>,
}

/// Samples of one track, or a stretch of its text.
#[derive(Clone, Debug)]
pub(super) struct SampleRunPiece {
    pub(super) track: usize,
    entry: u32,
    decode_ticks: i64,
    pub(super) rows: Vec<Row>,
    pub(super) source: PieceSource,
}

/// Where the bytes of a piece come from.
#[derive(Clone, Debug)]
pub(super) enum PieceSource {
    /// From here.
    Text(Vec<u8>),
    /// From the fragment: where they begin in it, and how many.
    Media(u32, u64),
}

/// What a fragment gives to the file, in the order in which it is there.
#[derive(Clone, Debug, Default)]
pub(super) struct PlannedFragment {
    pub(super) pieces: Vec<SampleRunPiece>,
    /// Where the fragment begins.
    pub(super) begins_nanos: i64,
    /// The date of time zero.
    pub(super) zero: WallTime,
    /// A section begins here, and this was the gap before it, if there was one before.
    pub(super) gap: Option<(WallTime, WallTime)>,
}

impl SampleRunPiece {
    /// Its bytes.
    pub(super) fn bytes(&self) -> u64 {
        match &self.source {
            PieceSource::Text(text) => text.len() as u64,
            PieceSource::Media(_, bytes) => *bytes,
        }
    }

    /// As sample tables know it, when it begins `at` in the media of the file.
    pub(super) fn chunk(&self, at: u64) -> Chunk<'_> {
        Chunk { at, entry: self.entry, decode_ticks: self.decode_ticks, rows: &self.rows }
    }

    /// Leaves out the samples that end before the file begins; returns their bytes. Sound does
    /// not depend on what was before it, and players differ in how much of it they hide.
    fn drop_before(&mut self, start_ticks: i64) -> u32 {
        let mut bytes = 0;
        let mut dropped = 0;
        for row in &self.rows {
            let ends = self.decode_ticks.saturating_add(i64::from(row.ticks));
            if ends > start_ticks {
                break;
            }
            self.decode_ticks = ends;
            bytes += row.bytes;
            dropped += 1;
        }
        self.rows.drain(..dropped);
        bytes
    }

    /// When each of its samples is shown, in ticks on the file's timeline.
    pub(super) fn shown_ticks(&self) -> impl Iterator<Item = i64> + '_ {
        let mut at = self.decode_ticks;
        self.rows.iter().map(move |row| {
            let shown = at + i64::from(row.composition);
            at += i64::from(row.ticks);
            shown
        })
    }
}

impl PlannedFragment {
    pub(super) fn bytes(&self) -> u64 {
        self.pieces.iter().map(SampleRunPiece::bytes).sum()
    }
}

impl ExportTimeline {
    /// Where what was taken ends on the file's timeline, and the date there.
    pub(super) fn end(&self) -> (i64, WallTime) {
        let zero = self.section.as_ref().map_or(WallTime::default(), |section| section.zero);
        (self.end_nanos, zero.offset_nanos(self.end_nanos))
    }

    /// Places the next fragment. `None` when it and all behind it lie behind the end.
    pub(super) fn place(
        &mut self,
        head: &FragmentMeta,
        tracks: &mut ExportTracks,
        range: &ExportRange,
    ) -> Result<Option<PlannedFragment>, ExportError> {
        let runs = read_runs(&head.bytes).map_err(|_| ExportError::Unreadable)?;
        if runs.iter().any(|run| run.end() > u64::from(head.entry.length)) {
            return Err(ExportError::Unreadable);
        }
        let places = tracks.tracks_of(&head.init)?;
        let date = range.clock.place(head.boot, head.entry.boot_time, head.entry.wall);
        let present_nanos = first_presented(&runs, &head.entry, |run| tracks.rate_of(&places, run));
        let mut next = self.clone();
        let mut fragment = next.enter(head, date, present_nanos, range);
        let Some(section) = next.section.clone() else { return Ok(None) };
        let end_nanos = nanos_between(section.zero, range.end);
        for run in runs {
            let Some((track, entry)) = ExportTracks::find(&places, run.track) else { continue };
            let rate = tracks.rate(track);
            let base_ticks = ticks_of(section.base_nanos, rate);
            let decode_ticks = run.decode_ticks.saturating_sub(base_ticks);
            let end_ticks = ticks_of(end_nanos, rate);
            let rows = kept(run.rows, decode_ticks, end_ticks, range.last);
            let mut piece = SampleRunPiece {
                track,
                entry,
                decode_ticks,
                rows,
                source: PieceSource::Media(0, 0),
            };
            let mut at = run.at;
            if tracks.is_sound(track) {
                at += piece.drop_before(ticks_of(range.start_nanos, rate));
            }
            if !piece.rows.is_empty() {
                let bytes = piece.rows.iter().map(|row| u64::from(row.bytes)).sum();
                next.follow(&mut piece);
                fragment
                    .pieces
                    .push(SampleRunPiece { source: PieceSource::Media(at, bytes), ..piece });
            }
        }
        if fragment.pieces.is_empty() && date >= range.end {
            return Ok(None);
        }
        let span_nanos = i64::try_from(head.entry.span_nanos).unwrap_or(i64::MAX);
        let ends_nanos = fragment.begins_nanos.saturating_add(span_nanos).min(end_nanos);
        let told_from = self.end_nanos;
        next.end_nanos = next.end_nanos.max(ends_nanos);
        next.tell(told_from, &mut fragment, range);
        *self = next;
        Ok(Some(fragment))
    }

    /// Lets `piece` be decoded behind what its track has. Pictures that are shown out of order are
    /// decoded before the time at which they are shown, and so a section may begin to be decoded
    /// before the one before it ends: then its pictures are decoded as fast as can be, and shown
    /// when they were.
    fn follow(&mut self, piece: &mut SampleRunPiece) {
        if self.free_ticks.len() <= piece.track {
            self.free_ticks.resize(piece.track + 1, i64::MIN);
        }
        let free = &mut self.free_ticks[piece.track];
        let is_late = piece.decode_ticks < *free;
        let (mut meant, mut begins) = (piece.decode_ticks, Vec::with_capacity(piece.rows.len()));
        for row in &mut piece.rows {
            let at = meant.max(*free);
            let late = at - meant;
            if late > 0 {
                let composition = i64::from(row.composition).saturating_sub(late).max(0);
                row.composition = i32::try_from(composition).unwrap_or(i32::MAX);
            }
            begins.push(at);
            *free = at + 1;
            meant += i64::from(row.ticks);
        }
        if is_late {
            piece.decode_ticks = begins[0];
            let ends = begins.iter().skip(1).copied().chain([meant.max(*free)]);
            for ((row, begins), ends) in piece.rows.iter_mut().zip(&begins).zip(ends) {
                row.ticks = u32::try_from(ends - begins).unwrap_or(1);
            }
        }
    }

    /// Continues the section, or begins another.
    fn enter(
        &mut self,
        head: &FragmentMeta,
        date: WallTime,
        present_nanos: i64,
        range: &ExportRange,
    ) -> PlannedFragment {
        let mut fragment = PlannedFragment::default();
        if !self.continues(head, date, present_nanos, range) {
            let mut begins_nanos = 0;
            if let Some(before) = &self.section {
                let ended = before.zero.offset_nanos(self.end_nanos);
                let gap_nanos = nanos_between(ended, date);
                // Sound that reaches a little further than the pictures moves nothing.
                let gap_nanos = if gap_nanos < -OVERHANG_NANOS_MAX { 0 } else { gap_nanos };
                begins_nanos = self.end_nanos + gap_nanos.min(GAP_SAMPLE_NANOS_MAX);
                fragment.gap = (gap_nanos > 0).then_some((ended, date));
            }
            let zero = date.offset_nanos(-begins_nanos);
            let told_from = zero.offset_nanos(begins_nanos.max(range.start_nanos));
            self.second = told_from.as_unix_nanos().div_euclid(SECOND_NANOS);
            self.section = Some(ExportSection {
                base_nanos: present_nanos.saturating_sub(begins_nanos),
                zero,
            });
        }
        self.last = Some((head.boot, head.entry));
        if let Some(section) = &self.section {
            fragment.begins_nanos = present_nanos.saturating_sub(section.base_nanos);
            fragment.zero = section.zero;
        }
        fragment
    }

    /// Whether `head` is of the same section. What a camera or network held back moves its dates
    /// as well, so a leap counts only where the clock is known to have leapt, or by more than
    /// anything could hold back.
    fn continues(
        &self,
        head: &FragmentMeta,
        date: WallTime,
        present_nanos: i64,
        range: &ExportRange,
    ) -> bool {
        let (Some(last), Some(section)) = (&self.last, &self.section) else { return false };
        if !head.continues(last) {
            return false;
        }
        let expected = section.zero.offset_nanos(present_nanos.saturating_sub(section.base_nanos));
        let away_nanos = nanos_between(expected, date);
        let stepped = || range.clock.is_stepped(head.boot, last.1.boot_time, head.entry.boot_time);
        !date_breaks(away_nanos, CLOCK_STEP_MIN, stepped)
    }

    /// Adds the text that begins within the fragment: one line for each second, and one that
    /// announces a gap, which began `from_nanos`.
    fn tell(&mut self, from_nanos: i64, fragment: &mut PlannedFragment, range: &ExportRange) {
        let mut lines: Vec<(i64, String)> = Vec::new();
        if let Some((from, until)) = fragment.gap
            && u128::from(nanos_between(from, until).max(0).unsigned_abs())
                >= GAP_SPAN_MIN.as_nanos()
        {
            let text = format!("no footage until {}", local(until, &range.zone));
            lines.push((from_nanos, text));
        }
        let zero_nanos = fragment.zero.as_unix_nanos();
        loop {
            let at_nanos = self.second.saturating_mul(SECOND_NANOS).saturating_sub(zero_nanos);
            if at_nanos >= self.end_nanos {
                break;
            }
            let text = local(WallTime::from_unix_nanos(self.second * SECOND_NANOS), &range.zone);
            lines.push((at_nanos.max(fragment.begins_nanos).max(range.start_nanos), text));
            self.second += 1;
        }
        if let Some(piece) = text_piece(&lines) {
            fragment.pieces.insert(0, piece);
        }
    }
}

fn text_piece(lines: &[(i64, String)]) -> Option<SampleRunPiece> {
    let millis = |nanos: i64| nanos.div_euclid(1_000_000);
    let (mut rows, mut bytes) = (Vec::with_capacity(lines.len()), Vec::new());
    for (at, (nanos, text)) in lines.iter().enumerate() {
        let until = lines.get(at + 1).map_or(millis(*nanos) + 1_000, |(next, _)| millis(*next));
        let sample = text_sample(text);
        rows.push(Row {
            ticks: u32::try_from((until - millis(*nanos)).max(1)).unwrap_or(1_000),
            bytes: u32::try_from(sample.len()).unwrap_or(0),
            composition: 0,
            is_sync: true,
            roll: 0,
        });
        bytes.extend_from_slice(&sample);
    }
    let decode_ticks = millis(lines.first()?.0);
    Some(SampleRunPiece {
        track: TEXT,
        entry: 0,
        decode_ticks,
        rows,
        source: PieceSource::Text(bytes),
    })
}

/// The date and time on the clocks of `zone`, with its offset.
pub(super) fn local(at: WallTime, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at.as_unix_nanos())).unwrap_or_default();
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// From `from` to `until`, negative when that is earlier.
pub(super) fn nanos_between(from: WallTime, until: WallTime) -> i64 {
    until.as_unix_nanos().saturating_sub(from.as_unix_nanos())
}

/// The tick that is nearest to a time: times come from ticks, rounded down to nanoseconds.
pub(super) fn ticks_of(nanos: i64, rate: NonZeroU32) -> i64 {
    let half = SECOND_NANOS / i64::from(rate.get()) / 2;
    MediaTime::from_nanos(nanos.saturating_add(half), rate).ticks
}

/// Media time at which the first unit of a fragment is shown; the fragment's date belongs to it:
/// the seal has the time at which it is decoded.
fn first_presented(
    runs: &[SampleRun],
    entry: &FragmentEntry,
    rate_of: impl Fn(&SampleRun) -> Option<NonZeroU32>,
) -> i64 {
    let shown = runs.iter().find_map(|run| {
        let rate = rate_of(run)?;
        let decode = MediaTime { ticks: run.decode_ticks, rate };
        let ticks = run.decode_ticks.saturating_add(i64::from(run.rows.first()?.composition));
        (decode.as_nanos() == entry.decode_nanos).then(|| MediaTime { ticks, rate }.as_nanos())
    });
    shown.unwrap_or(entry.decode_nanos)
}

/// What of `rows` is needed for what is shown before the end: all up to the last that is.
fn kept(mut rows: Vec<Row>, decode_ticks: i64, end_ticks: i64, last: LastPicture) -> Vec<Row> {
    let (mut at, mut count) = (decode_ticks, 0);
    for (index, row) in rows.iter().enumerate() {
        let shown = at.saturating_add(i64::from(row.composition));
        let is_shown = match last {
            LastPicture::Begun => shown < end_ticks,
            LastPicture::Whole => shown.saturating_add(i64::from(row.ticks)) <= end_ticks,
        };
        if is_shown {
            count = index + 1;
        }
        at = at.saturating_add(i64::from(row.ticks));
    }
    rows.truncate(count);
    rows
}
