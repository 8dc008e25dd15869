//! What a list is made of: segments, their parts and what must be read first.
//!
//! Owns: their names.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::limits::CLOCK_STEP_MIN;
use crate::base::time::{BootTime, WallTime};
use crate::wire::mp4::Fragment;

/// How the name of a key frame ends, behind what its segment is called.
pub const KEY_FRAME_ENDING: &str = ".key.m4s";

/// What must be read before the segments that name it.
#[derive(Debug)]
pub struct Init {
    /// The number of the first segment that names it.
    pub number: u64,
    /// The lap of the ring at whose front it is; `None` when it exists only here.
    pub lap: Option<u64>,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
}

impl Init {
    /// What it is called in a playlist.
    #[must_use]
    pub fn name(&self) -> String {
        self.lap.map_or_else(|| format!("init-{}.mp4", self.number), |lap| format!("{lap}.mp4"))
    }
}

/// Whole fragments with their seals in one lap of the ring, from `from` up to `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRange {
    /// Which lap.
    pub lap: u64,
    /// Where in its slot the first one begins, in bytes.
    pub from: u64,
    /// Where the last one ends.
    pub until: u64,
}

impl StoredRange {
    /// Its name in a playlist: by its place, so that the name means the same bytes for as long as
    /// they exist, whenever it was listed.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}-{}.m4s", self.lap, self.from, self.until)
    }
}

/// Where a segment's bytes are.
#[derive(Clone, Debug)]
pub enum SegmentBody {
    /// In memory: all its parts, one unless the list tells parts.
    Held(Vec<Arc<Part>>),
    /// On the disk, where the recorder wrote them.
    Stored(StoredRange),
}

impl SegmentBody {
    /// Bytes of the segment.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Held(_) => self.held_bytes() as u64,
            Self::Stored(place) => place.until - place.from,
        }
    }

    /// Its parts, if it is in memory.
    #[must_use]
    pub fn parts(&self) -> &[Arc<Part>] {
        match self {
            Self::Held(parts) => parts,
            Self::Stored(_) => &[],
        }
    }

    pub(super) fn lap(&self) -> Option<u64> {
        match self {
            Self::Held(_) => None,
            Self::Stored(place) => Some(place.lap),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Held(parts) => parts.iter().map(|part| part.fragment.len()).sum(),
            Self::Stored(_) => 0,
        }
    }
}

/// One fragment of a segment in memory: a part, where the list tells parts.
#[derive(Debug)]
pub struct Part {
    /// Its bytes.
    pub fragment: Fragment,
    /// Media time that it covers.
    pub span: Duration,
    /// A picture in it can be decoded without any before.
    pub independent: bool,
}

/// The segment in the making, as far as its parts have ended.
#[derive(Debug)]
pub struct OpenSegment {
    /// `ftyp` and `moov` that it needs.
    pub init: Bytes,
    /// When its first unit was captured.
    pub wall: WallTime,
    /// It does not continue its predecessor.
    pub discontinuity: bool,
    /// It can be decoded without its predecessor.
    pub independent: bool,
    /// What has ended of it.
    pub parts: Vec<Arc<Part>>,
}

/// A segment that has ended.
#[derive(Debug)]
pub struct FinishedSegment {
    /// `ftyp` and `moov` that it needs; others than its predecessor's mean a new map.
    pub init: Bytes,
    /// Its bytes.
    pub body: SegmentBody,
    /// Media time that it covers.
    pub span: Duration,
    /// Where that begins on the stream's timeline, in nanoseconds after boot.
    pub from_nanos: i64,
    /// When its first unit was captured.
    pub wall: WallTime,
    /// Its times, or its tracks, do not continue those of its predecessor.
    pub discontinuity: bool,
    /// It can be decoded without its predecessor.
    pub independent: bool,
}

/// How far a segment may begin beside the end of the one before it and still continue it.
pub(super) const SEAM_NANOS_MAX: u64 = 1_000_000;

impl FinishedSegment {
    /// Whether media that begin at `at_nanos` on the stream's timeline, captured at `wall`,
    /// continue where this segment ends: nothing is missing in between and the date does not leap.
    #[must_use]
    pub fn is_continued_at(&self, at_nanos: i64, wall: WallTime) -> bool {
        let span = self.until_nanos().saturating_sub(self.from_nanos);
        let expected = self.wall.offset_nanos(span).as_unix_nanos();
        self.until_nanos().abs_diff(at_nanos) <= SEAM_NANOS_MAX
            && u128::from(expected.abs_diff(wall.as_unix_nanos())) <= CLOCK_STEP_MIN.as_nanos()
    }

    /// Where it ends on the stream's timeline, in nanoseconds after boot.
    #[must_use]
    pub fn until_nanos(&self) -> i64 {
        let span = i64::try_from(self.span.as_nanos()).unwrap_or(i64::MAX);
        self.from_nanos.saturating_add(span)
    }
}

/// One segment of the list.
#[derive(Debug)]
pub struct Segment {
    /// Its media sequence number.
    pub number: u64,
    /// What must be read first.
    pub init: Arc<Init>,
    /// What it is.
    pub cut: FinishedSegment,
    pub(super) listed_at: BootTime,
}

impl Segment {
    /// What it is called in a playlist. What is on the disk is named by its place.
    #[must_use]
    pub fn name(&self) -> String {
        match self.cut.body {
            SegmentBody::Held(_) => format!("{}.m4s", self.number),
            SegmentBody::Stored(place) => place.name(),
        }
    }

    /// What its key frame is called in a playlist of key frames.
    #[must_use]
    pub fn key_frame_name(&self) -> String {
        let name = self.name();
        format!("{}{KEY_FRAME_ENDING}", name.strip_suffix(".m4s").unwrap_or(&name))
    }

    pub(super) fn bits_per_sec(&self) -> u64 {
        let millis = u64::try_from(self.cut.span.as_millis()).unwrap_or(u64::MAX).max(1);
        self.cut.body.bytes().saturating_mul(8_000) / millis
    }
}
