//! Feeds the list from the ring.
//!
//! Owns: how far the ring was listed, where the media break, and the numbers. Runs only when
//! somebody asks, and reads nothing from the disk.

use std::time::Duration;

use crate::base::time::{BootTime, WallTime};
use crate::dvr::{Footage, Stored};
use crate::wire::hls::{Gather, Piece, Place, Playlist};

/// The open segment ends when nothing came for so long, so that what was seen last can be seen.
/// Longer than a fragment with its commit may take.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How far the date may drift against the media within a discontinuity.
const WALL_STEP_NANOS_MAX: u64 = 500_000_000;
/// Numbers that a lap gets: more than it can have segments, so that a list that begins anew,
/// in this life of the daemon or a later one, goes on above all numbers told before.
const NUMBERS_PER_LAP: u64 = 1 << 16;

/// The recorded side of the list.
#[derive(Debug)]
pub(super) struct Recorded {
    footage: Footage,
    gather: Gather,
    /// The fragment taken last, and its date.
    last: Option<(Stored, WallTime)>,
    /// What is before this on the stream's timeline was listed from memory.
    from_nanos: i64,
    /// What comes next joins what was listed from memory.
    joins: bool,
}

impl Recorded {
    pub(super) fn new(footage: Footage) -> Self {
        let gather = Gather::default();
        Self { footage, gather, last: None, from_nanos: i64::MIN, joins: false }
    }

    /// Whether the disk takes what comes.
    pub(super) fn is_good(&self) -> bool {
        !self.footage.is_failing()
    }

    /// Goes on where segments in memory end, which were listed while the disk failed.
    pub(super) fn take_over(&mut self, playlist: &Playlist) {
        let Some(newest) = playlist.newest() else { return };
        self.from_nanos = newest.cut.until_nanos();
        self.joins = true;
        self.gather.leap();
    }

    /// Lists what became durable since the last time.
    pub(super) fn feed(&mut self, playlist: &mut Playlist, now: BootTime) {
        let position = self.last.as_ref().map_or((0, 0), |(last, _)| last.position());
        let mut fresh = self.footage.after(position);
        fresh.retain(|stored| stored.entry.decode_nanos >= self.from_nanos);
        if let Some(first) = fresh.first()
            && !std::mem::take(&mut self.joins)
            && !self.is_behind_last(first)
        {
            self.leap(playlist, first);
        }
        for stored in fresh {
            self.take(stored, playlist);
        }
        let is_silent = |(last, _): &(Stored, WallTime)| {
            let end = last.entry.boot_time.after(Duration::from_nanos(last.entry.span_nanos));
            now.since(end) > SILENCE_MAX
        };
        if self.last.as_ref().is_some_and(is_silent)
            && let Some(cut) = self.gather.interrupt(playlist.target())
        {
            playlist.push(now, cut);
        }
        playlist.settle(now);
    }

    /// Whether nothing that was recorded lies between the fragment taken last and `first`, as
    /// far as can be said; what else is between them is a gap.
    fn is_behind_last(&self, first: &Stored) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| {
            let (lap, sequence) = last.position();
            first.position() == (lap, sequence + 1) || first.position() == (first.lap, 1)
        })
    }

    /// Nobody asked for so long that what came meanwhile is not in mind any more.
    fn leap(&mut self, playlist: &mut Playlist, first: &Stored) {
        let (lap, sequence) = first.position();
        playlist.leap(lap.saturating_mul(NUMBERS_PER_LAP).saturating_add(sequence));
        if self.last.take().is_some() {
            self.gather.leap();
        }
    }

    fn take(&mut self, stored: Stored, playlist: &mut Playlist) {
        let wall = self.footage.date(&stored);
        let breaks = self.last.as_ref().is_some_and(|(last, date)| {
            !stored.continues(last) || steps((last, *date), (&stored, wall))
        });
        let (from, until) = stored.place();
        let piece = Piece {
            init: stored.init.clone(),
            place: Place { lap: stored.lap, from, until },
            from_nanos: stored.entry.decode_nanos,
            span: Duration::from_nanos(stored.entry.span_nanos),
            wall,
            starts_with_key: stored.entry.starts_with_key,
            breaks,
        };
        if let Some(cut) = self.gather.push(piece, playlist.target()) {
            playlist.push(stored.entry.boot_time, cut);
        }
        self.last = Some((stored, wall));
    }
}

/// Whether the date leaps between two fragments by other than their media tell.
fn steps((last, last_date): (&Stored, WallTime), (next, date): (&Stored, WallTime)) -> bool {
    let media = next.entry.decode_nanos.saturating_sub(last.entry.decode_nanos);
    let expected = last_date.offset_nanos(media).as_unix_nanos();
    expected.abs_diff(date.as_unix_nanos()) > WALL_STEP_NANOS_MAX
}
