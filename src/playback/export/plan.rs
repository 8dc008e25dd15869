//! A planned file.
//!
//! Owns: its length, its tag, its front, and where in the ring each part of its media begins.

use bytes::Bytes;

use super::fragment_walk::LapMark;
use super::timeline::{ExportRange, local};
use super::tracks::ExportTracks;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::FragmentPlace;
use crate::wire::mp4::Table;

/// A file that can be read, see [`Exports`](super::Exports).
#[derive(Debug)]
pub struct ExportPlan {
    pub(super) stream: StreamName,
    pub(super) range: ExportRange,
    pub(super) tracks: ExportTracks,
    /// One for each lap, in order; never empty.
    pub(super) marks: Vec<LapMark>,
    /// The last fragment.
    pub(super) last: FragmentPlace,
    pub(super) front: Vec<FrontPart>,
    pub(super) front_bytes: u64,
    pub(super) media_bytes: u64,
    pub(super) tag: String,
    pub(super) start: WallTime,
    pub(super) end: WallTime,
    pub(super) shown_nanos: i64,
    pub(super) gaps: Vec<(WallTime, WallTime)>,
    pub(super) gaps_total: u64,
}

/// A piece of what is in front of the media.
#[derive(Clone, Debug)]
pub(super) enum FrontPart {
    /// These bytes.
    Bytes(Bytes),
    /// So many bytes of a table, which are rewritten: track and table.
    Rows(usize, Table, u64),
}

impl FrontPart {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Rows(_, _, bytes) => *bytes,
        }
    }
}

impl ExportPlan {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// Bytes of the file.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.front_bytes + self.media_bytes
    }

    /// Whether there are none, which never happens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names these bytes: two films with the same tag are the same byte for byte. 32 hexadecimal
    /// digits.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Date of the first picture that is shown.
    #[must_use]
    pub fn start(&self) -> WallTime {
        self.start
    }

    /// Date at which the last one ends.
    #[must_use]
    pub fn end(&self) -> WallTime {
        self.end
    }

    /// How long it plays, in nanoseconds. More than from start to end where the clock was set
    /// back meanwhile, less where a gap was longer than six hours.
    #[must_use]
    pub fn shown_nanos(&self) -> i64 {
        self.shown_nanos
    }

    /// The stretches of it without footage, in order; of very many only the first, and
    /// [`ExportPlan::gaps_total`] says how many there are.
    #[must_use]
    pub fn gaps(&self) -> &[(WallTime, WallTime)] {
        &self.gaps
    }

    /// How many gaps there are.
    #[must_use]
    pub fn gaps_total(&self) -> u64 {
        self.gaps_total
    }

    /// A name for the file: stream, and date and time of its beginning on the clocks of the site
    /// with their offset, without anything that a file system minds.
    #[must_use]
    pub fn file_name(&self) -> String {
        let at = local(self.start, &self.range.zone).replace(':', "-").replacen(' ', "_", 1);
        format!("{}_{}.mp4", self.stream, at.replace(' ', ""))
    }

    pub(super) fn mark_before(&self, media_at: u64) -> usize {
        self.marks.partition_point(|mark| mark.media_at <= media_at).saturating_sub(1)
    }
}
