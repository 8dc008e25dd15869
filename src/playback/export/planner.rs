//! The first walk: finds out where the file begins and ends, how long it is, and what its front
//! says.
//!
//! Owns: the edit lists and the tag. Reads no media. Blocks on the disk, step by step.

use std::ops::Range;

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::fragment_walk::{FragmentWalk, LapMark};
use super::plan::{ExportPlan, FrontPart};
use super::timeline::{ExportRange, PlannedFragment, nanos_between, ticks_of};
use super::tracks::{ExportTracks, TEXT};
use super::{ExportError, ExportRequest, LastPicture};
use crate::base::limits::{EXPORT_GAPS_MAX, EXPORT_STEP_FRAGMENTS};
use crate::base::time::{MediaTime, WallTime};
use crate::dvr::{Depth, Direction, FragmentMeta, FragmentPlace, RecordingCursor};
use crate::wire::mp4::{Edit, FilmTrack, HeaderPart, MOVIE_RATE, Tally, TooLong, front};

/// Of the bytes that are written: another version of the same footage is another file.
const FORMAT_VERSION: u8 = 4;

/// A plan in the making.
#[derive(Debug)]
pub(super) struct ExportPlanner {
    request: ExportRequest,
    range: ExportRange,
    walk: FragmentWalk,
    /// Where the first picture is in the file, and its date.
    start: (i64, WallTime),
    tallies: Vec<Tally>,
    keeps_rows: bool,
    table_bytes_max: usize,
    marks: Vec<LapMark>,
    last: Option<FragmentPlace>,
    gaps: Vec<(WallTime, WallTime)>,
    gaps_total: u64,
    hash: Sha256,
}

/// Where the file begins.
struct ExportStart {
    /// Of the picture on show at the start, or else of the first one: its time in the file.
    nanos: i64,
    date: WallTime,
    /// There was a picture on show.
    on_show: bool,
    /// The last fragment from which that can be decoded.
    from: FragmentPlace,
}

/// A fragment with which a file can begin.
struct KeyPlace {
    begins_nanos: i64,
    /// When its own picture is shown: those that lead it cannot be decoded from here.
    shown_nanos: i64,
    place: FragmentPlace,
    /// Pictures that have passed before what it leads to is whole, and those that have by the start.
    roll: u16,
    pictures: u32,
}

impl KeyPlace {
    fn of(fragment: &PlannedFragment, place: FragmentPlace, tracks: &ExportTracks) -> Self {
        let begins_nanos = fragment.begins_nanos;
        let run = fragment.pieces.iter().find(|piece| Some(piece.track) == tracks.lead());
        let roll = run.and_then(|run| run.rows.first()).map_or(0, |row| row.roll);
        let shown = run.and_then(|run| {
            let ticks = run.shown_ticks().next()?;
            Some(MediaTime { ticks, rate: tracks.rate(run.track) }.as_nanos())
        });
        let shown_nanos = shown.unwrap_or(begins_nanos);
        Self { begins_nanos, shown_nanos, place, roll, pictures: 0 }
    }
}

impl ExportPlanner {
    /// Finds the beginning.
    pub(super) fn begin(
        mut cursor: RecordingCursor,
        mut request: ExportRequest,
        zone: TimeZone,
        table_bytes_max: usize,
    ) -> Result<Self, ExportError> {
        let nothing =
            |cursor: &RecordingCursor| ExportError::NothingThere { extent: cursor.extent() };
        let mut range = ExportRange {
            start_nanos: 0,
            end: request.end,
            last: LastPicture::Begun,
            zone,
            clock: cursor.clock(),
        };
        if !cursor.seek(request.start, Direction::Forward)? {
            return Err(nothing(&cursor));
        }
        let mut walk = FragmentWalk::first(cursor);
        let Some(begin) = beginning(&mut walk, &range, request.start)? else {
            return Err(nothing(&walk.cursor));
        };
        if begin.on_show && request.keeps_length {
            request.end = begin.date.offset_nanos(nanos_between(request.start, request.end));
        }
        if begin.date >= request.end {
            return Err(nothing(&walk.cursor));
        }
        (range.start_nanos, range.end, range.last) = (begin.nanos, request.end, request.last);
        let mut cursor = walk.cursor;
        cursor.go_to(&[begin.from]);
        let mut hash = Sha256::new();
        hash.update([FORMAT_VERSION]);
        hash.update(cursor.ring());
        hash.update(request.stream.as_str());
        hash.update(range.zone.iana_name().unwrap_or_default());
        Ok(Self {
            request,
            range,
            walk: FragmentWalk::first(cursor),
            start: (begin.nanos, begin.date),
            tallies: Vec::new(),
            keeps_rows: true,
            table_bytes_max,
            marks: Vec::new(),
            last: None,
            gaps: Vec::new(),
            gaps_total: 0,
            hash,
        })
    }

    /// The date of the first picture.
    pub(super) fn starts(&self) -> WallTime {
        self.start.1
    }

    /// Takes some more fragments; returns whether that was all.
    pub(super) fn step(&mut self) -> Result<bool, ExportError> {
        for _ in 0..EXPORT_STEP_FRAGMENTS {
            let (timeline, media_at) = (self.walk.timeline.clone(), self.walk.media_at);
            let Some((head, fragment)) = self.walk.next(Depth::Head, &self.range)? else {
                self.tallies.iter_mut().for_each(Tally::finish);
                self.bound();
                return Ok(true);
            };
            if self.marks.last().is_none_or(|mark| mark.place.lap() != head.place.lap()) {
                self.marks.push(LapMark { place: head.place, media_at, timeline });
            }
            self.take(&head, &fragment, media_at);
        }
        self.bound();
        Ok(false)
    }

    /// Keeps no more of the tables than is allowed.
    fn bound(&mut self) {
        let kept: usize = self.tallies.iter().map(Tally::kept_bytes).sum();
        if self.keeps_rows && kept > self.table_bytes_max {
            self.keeps_rows = false;
            self.tallies.iter_mut().for_each(Tally::keep_none);
        }
    }

    fn take(&mut self, head: &FragmentMeta, fragment: &PlannedFragment, mut media_at: u64) {
        while self.tallies.len() < self.walk.tracks.tracks.len() {
            let mut tally = Tally::default();
            if !self.keeps_rows {
                tally.keep_none();
            }
            self.tallies.push(tally);
        }
        self.hash.update(head.place.lap().to_be_bytes());
        self.hash.update(head.entry.sequence.to_be_bytes());
        for piece in &fragment.pieces {
            let chunk = piece.chunk(media_at);
            self.hash.update(chunk.decode_ticks.to_be_bytes());
            self.tallies[piece.track].push(&chunk);
            media_at += piece.bytes();
        }
        if let Some(gap) = fragment.gap {
            self.gaps_total += 1;
            if self.gaps.len() < EXPORT_GAPS_MAX {
                self.gaps.push(gap);
            }
        }
        self.last = Some(head.place);
    }

    /// The plan, when all was taken.
    pub(super) fn plan(mut self) -> Result<ExportPlan, ExportError> {
        let nothing = ExportError::NothingThere { extent: self.walk.cursor.extent() };
        let Some(last) = self.last else { return Err(nothing) };
        // Less than one whole picture may have been asked for.
        let lead = self.walk.tracks.lead();
        let shows = lead.is_some_and(|lead| {
            let start_ticks = ticks_of(self.start.0, self.walk.tracks.rate(lead));
            self.tallies[lead].shown_end_ticks() > start_ticks
        });
        if !shows {
            return Err(nothing);
        }
        let (end_nanos, end) = self.walk.timeline.end();
        let shown = self.start.0..end_nanos;
        // Media first, so that players that show one track show the right one.
        let count = self.tallies.len();
        let order: Vec<usize> = (TEXT + 1..count).chain([TEXT]).collect();
        let order: Vec<usize> =
            order.into_iter().filter(|&index| self.tallies[index].samples() > 0).collect();
        let tracks = order.iter().map(|&index| {
            let track = &self.walk.tracks.tracks[index];
            let tally = &self.tallies[index];
            let edits = edits(&shown, tally, track.rate);
            let (content, rate, entries) = (track.content, track.rate, &track.entries[..]);
            FilmTrack { content, rate, entries, edits, tally }
        });
        let tracks: Vec<_> = tracks.collect();
        let media_bytes = self.walk.media_at;
        let begun_secs = self.start.1.as_unix_millis().div_euclid(1_000);
        let front = front(&tracks, media_bytes, begun_secs)
            .map_err(|TooLong { .. }| ExportError::TooLong)?;
        drop(tracks);
        let mut parts = Vec::with_capacity(front.parts.len());
        for part in front.parts {
            parts.push(match part {
                HeaderPart::Bytes(bytes) => {
                    self.hash.update(&bytes);
                    FrontPart::Bytes(bytes)
                }
                HeaderPart::Rows { track, table, .. } if self.keeps_rows => {
                    let rows = self.tallies[order[track]].kept(table, front.bytes);
                    FrontPart::Bytes(rows.into())
                }
                HeaderPart::Rows { track, table, bytes } => {
                    FrontPart::Rows(order[track], table, bytes)
                }
            });
        }
        let digest = self.hash.finalize();
        Ok(ExportPlan {
            stream: self.request.stream,
            range: self.range,
            tracks: self.walk.tracks,
            marks: self.marks,
            last,
            front: parts,
            front_bytes: front.bytes,
            media_bytes,
            tag: format!("{:032x}", u128::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 16]))),
            start: self.start.1,
            end,
            shown_nanos: end_nanos - self.start.0,
            gaps: self.gaps,
            gaps_total: self.gaps_total,
        })
    }
}

/// Finds the picture on show at `start`, or else the first one, in the first section.
fn beginning(
    walk: &mut FragmentWalk,
    range: &ExportRange,
    start: WallTime,
) -> Result<Option<ExportStart>, ExportError> {
    let (mut on_show, mut first, mut zero) = (None, None, None);
    let mut keys: Vec<KeyPlace> = Vec::new();
    while let Some((head, fragment)) = walk.next(Depth::Head, range)? {
        if *zero.get_or_insert(fragment.zero) != fragment.zero || fragment.gap.is_some() {
            break;
        }
        let start_nanos = nanos_between(fragment.zero, start);
        if head.entry.starts_with_key {
            // Of those before the start only the last one matters, of a start in the middle of a
            // picture the one before, and of one within a gradual refresh that before it.
            if keys.len() > 2 && fragment.begins_nanos <= start_nanos {
                keys.remove(0);
            }
            keys.push(KeyPlace::of(&fragment, head.place, &walk.tracks));
        }
        let lead = walk.tracks.lead();
        for piece in fragment.pieces.iter().filter(|piece| Some(piece.track) == lead) {
            let rate = walk.tracks.rate(piece.track);
            for ticks in piece.shown_ticks() {
                let nanos = MediaTime { ticks, rate }.as_nanos();
                if ticks <= ticks_of(start_nanos, rate) {
                    on_show = on_show.max(Some(nanos));
                    for key in &mut keys {
                        key.pictures += 1;
                    }
                }
                first = Some(first.map_or(nanos, |first: i64| first.min(nanos)));
            }
        }
        if fragment.begins_nanos > start_nanos && first.is_some() {
            break;
        }
    }
    let Some((nanos, zero)) = on_show.or(first).zip(zero) else { return Ok(None) };
    let date = zero.offset_nanos(nanos);
    let mut before = keys.iter().rev().filter(|key| key.shown_nanos <= nanos);
    let whole = before.clone().find(|key| key.pictures > u32::from(key.roll));
    let key = whole.or_else(|| before.next()).or(keys.first());
    let Some(&KeyPlace { begins_nanos, place: from, .. }) = key else { return Ok(None) };
    // The file begins there.
    let nanos = nanos - begins_nanos;
    Ok(Some(ExportStart { nanos, date, on_show: on_show.is_some(), from }))
}

/// What of a track is shown in the stretch of the file's timeline that is. A track that begins late,
/// because its codec came late, begins behind an empty edit.
fn edits(shown: &Range<i64>, tally: &Tally, rate: std::num::NonZeroU32) -> Vec<Edit> {
    let movie = |nanos: i64| ticks_of(nanos, MOVIE_RATE);
    let nanos = |ticks: i64| MediaTime { ticks, rate }.as_nanos();
    let first_ticks = tally.first_ticks();
    let from_nanos = shown.start.max(nanos(first_ticks));
    let until_nanos = shown.end.min(nanos(tally.shown_end_ticks()));
    if from_nanos >= until_nanos {
        return Vec::new();
    }
    let mut edits = Vec::with_capacity(2);
    if let Ok(movie_ticks @ 1..) = u64::try_from(movie(from_nanos) - movie(shown.start)) {
        edits.push(Edit { movie_ticks, media_ticks: None });
    }
    let media = ticks_of(from_nanos, rate).saturating_sub(first_ticks);
    edits.push(Edit {
        movie_ticks: u64::try_from(movie(until_nanos) - movie(from_nanos)).unwrap_or(0),
        media_ticks: Some(u64::try_from(media).unwrap_or(0)),
    });
    edits
}
