//! Feeds the list from the ring.
//!
//! Owns: how far the ring was listed, where the media break, and the numbers. Runs only on request,
//! and reads nothing from the disk.

use std::time::Duration;

use bytes::Bytes;

use crate::base::time::{BootTime, WallTime};
use crate::dvr::{DurableFragment, Footage, date_leaps};
use crate::wire::hls::{Gather, Playlist, RecordedFragment, Segment, SegmentBody, StoredRange};
use crate::wire::web::Shown;

/// The open segment ends when nothing came for so long, so that what was seen last can be seen.
/// Longer than a fragment with its commit may take.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Numbers reserved for a lap: more than it can have segments, so that a list that restarts, in
/// this life of the daemon or a later one, continues above all earlier numbers.
const NUMBERS_PER_LAP: u64 = 1 << 16;

/// The recorded side of the list.
#[derive(Debug)]
pub(super) struct RingFeed {
    footage: Footage,
    gather: Gather,
    /// The fragment taken last, and its date.
    last: Option<(DurableFragment, WallTime)>,
    /// When something new was found last.
    heard_at: BootTime,
    /// What is before this on the stream's timeline was listed from memory.
    from_nanos: i64,
    /// What comes next follows what was listed from memory.
    follows: bool,
}

impl RingFeed {
    pub(super) fn new(footage: Footage) -> Self {
        let gather = Gather::default();
        let heard_at = BootTime::default();
        Self { footage, gather, last: None, heard_at, from_nanos: i64::MIN, follows: false }
    }

    /// Whether the disk takes what comes.
    pub(super) fn is_good(&self) -> bool {
        !self.footage.is_failing()
    }

    /// Continues where segments in memory end, which were listed while the disk failed.
    pub(super) fn take_over(&mut self, playlist: &Playlist) {
        let Some(newest) = playlist.newest() else { return };
        self.from_nanos = newest.cut.until_nanos();
        self.follows = true;
        self.gather.leap();
    }

    /// Lists what became durable since the last time.
    pub(super) fn feed(&mut self, playlist: &mut Playlist, now: BootTime) {
        self.feed_until(playlist, now, i64::MAX);
    }

    /// Lists what is before `seam` and says whether memory can continue from there without a hole;
    /// `None`: that is not known yet, the medium may still get what comes before.
    pub(super) fn hand_over(
        &mut self,
        playlist: &mut Playlist,
        now: BootTime,
        seam: &JoinPoint,
    ) -> Option<bool> {
        self.feed_until(playlist, now, seam.at_nanos);
        if let Some(cut) = self.gather.end_at(seam.at_nanos, playlist.span_max()) {
            playlist.push(now, cut);
            playlist.settle(now);
        }
        if playlist.newest().is_some_and(|newest| seam.continues(newest)) {
            return Some(true);
        }
        // The medium has what comes behind: nothing more comes before.
        let beyond = self.fresh().into_iter().find(|it| it.entry.decode_nanos >= seam.at_nanos)?;
        let is_first = playlist.newest().is_none();
        if is_first {
            self.leap(playlist, &beyond);
        }
        Some(is_first)
    }

    /// What became durable since the last time.
    fn fresh(&self) -> Vec<DurableFragment> {
        let position = self.last.as_ref().map_or((0, 0), |(last, _)| last.position());
        let mut fresh = self.footage.after(position);
        fresh.retain(|stored| stored.entry.decode_nanos >= self.from_nanos);
        fresh
    }

    fn feed_until(&mut self, playlist: &mut Playlist, now: BootTime, until_nanos: i64) {
        let mut fresh = self.fresh();
        fresh.retain(|stored| stored.entry.decode_nanos < until_nanos);
        if let Some(first) = fresh.first() {
            if std::mem::take(&mut self.follows) {
                self.follow(playlist, first);
            } else if !self.is_behind_last(first) {
                self.leap(playlist, first);
            }
        }
        if !fresh.is_empty() {
            self.heard_at = now;
        }
        for stored in fresh {
            self.take(stored, playlist);
        }
        // Where pictures come seldom, more is waited for.
        let span = self.last.as_ref().map_or(0, |(last, _)| last.entry.span_nanos);
        if now.since(self.heard_at) > SILENCE_MAX.max(Duration::from_nanos(span) * 3)
            && let Some(cut) = self.gather.interrupt(playlist.span_max())
        {
            playlist.push(now, cut);
        }
        playlist.settle(now);
    }

    /// Whether no recorded footage separates the fragment taken last from `first`, as far as known;
    /// anything else between them is a gap.
    fn is_behind_last(&self, first: &DurableFragment) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| {
            let (lap, sequence) = last.position();
            first.position() == (lap, sequence + 1) || first.position() == (first.lap, 1)
        })
    }

    /// Continues after segments in memory, without a discontinuity if nothing is missing in
    /// between.
    fn follow(&mut self, playlist: &Playlist, first: &DurableFragment) {
        let seam = JoinPoint {
            at_nanos: first.entry.decode_nanos,
            wall: self.footage.date(first),
            init: Shown::of(&first.init).init,
        };
        let joins = playlist.newest().is_some_and(|newest| seam.continues(newest));
        if joins && first.entry.starts_with_key {
            self.gather = Gather::default();
        }
    }

    /// The list was idle for so long that the footage since has left memory.
    fn leap(&mut self, playlist: &mut Playlist, first: &DurableFragment) {
        let (lap, sequence) = first.position();
        playlist.leap(lap.saturating_mul(NUMBERS_PER_LAP).saturating_add(sequence), lap);
        if self.last.take().is_some() {
            self.gather.leap();
        }
    }

    fn take(&mut self, stored: DurableFragment, playlist: &mut Playlist) {
        let wall = self.footage.date(&stored);
        let breaks = self.last.as_ref().is_some_and(|(last, date)| {
            !stored.continues(last) || steps((last, *date), (&stored, wall))
        });
        let (from, until) = stored.place();
        let piece = RecordedFragment {
            init: stored.init.clone(),
            place: StoredRange { lap: stored.lap, from, until },
            from_nanos: stored.entry.decode_nanos,
            span: Duration::from_nanos(stored.entry.span_nanos),
            wall,
            starts_with_key: stored.entry.starts_with_key,
            breaks,
        };
        if let Some(cut) = self.gather.push(piece, playlist.span_max()) {
            playlist.push(stored.entry.boot_time, cut);
        }
        self.last = Some((stored, wall));
    }
}

/// Where segments of the one kind are to continue behind those of the other.
#[derive(Debug)]
pub(super) struct JoinPoint {
    /// Where the first unit behind it is on the stream's timeline.
    pub(super) at_nanos: i64,
    /// When that was captured.
    pub(super) wall: WallTime,
    /// Its requirements, as sent.
    pub(super) init: Bytes,
}

impl JoinPoint {
    /// Whether what is behind continues where `newest` ends.
    pub(super) fn continues(&self, newest: &Segment) -> bool {
        let init = match newest.cut.body {
            SegmentBody::Held(_) => newest.cut.init.clone(),
            SegmentBody::Stored(_) => Shown::of(&newest.cut.init).init,
        };
        init == self.init && newest.cut.is_continued_at(self.at_nanos, self.wall)
    }
}

/// Whether the date leaps between two fragments by other than their media tell.
fn steps(
    (last, last_date): (&DurableFragment, WallTime),
    (next, date): (&DurableFragment, WallTime),
) -> bool {
    let media = next.entry.decode_nanos.saturating_sub(last.entry.decode_nanos);
    date_leaps(media, date.as_unix_nanos().saturating_sub(last_date.as_unix_nanos()))
}
