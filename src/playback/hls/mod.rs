//! The recorded hours of one stream as playlists: a window from now back, and ranges of dates.
//!
//! Owns: which segments of the ring are listed, and under which numbers, and the bytes of what is
//! listed (`segment`), for the live list too. The DVR caches segments, so that a list of a day reads
//! nothing.

mod listed_segment;
mod plan;
mod range;
mod segment;
mod sequence;
mod sound_holes;
mod window;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;

use self::plan::PlaylistPlan;
pub use self::segment::{
    FragmentCache, SegmentError, StoredSegment, init_by_fingerprint, init_of_lap,
};
use self::sequence::SequenceNumbers;
use crate::base::limits::HLS_WINDOWS_MAX;
use crate::base::sync::lock;
use crate::base::time::{SharedClock, WallTime};
use crate::dvr::{DvrError, Footage};
use crate::wire::hls::PastKind;

/// Why there is no playlist.
#[derive(Debug, thiserror::Error)]
pub enum PlaylistError {
    /// Nothing is recorded there.
    #[error("nothing is recorded there")]
    Nothing,
    /// A lap went to newer footage while it was listed.
    #[error("the recording was overwritten while it was listed")]
    Gone,
    /// The disk that holds it cannot be read.
    #[error("the recording cannot be read: {0}")]
    Disk(#[from] DvrError),
}

/// A playlist that is about to be written.
#[derive(Debug)]
pub struct RecordedPlaylist {
    plan: PlaylistPlan,
    kind: PastKind,
    independent: bool,
    target: Duration,
    footage: Footage,
    /// A name for exactly this text.
    pub tag: u64,
    /// Date at which its last segment ends.
    pub end: WallTime,
    /// Nothing can come into it any more.
    pub closed: bool,
}

impl RecordedPlaylist {
    /// Its text, piece by piece; segments are found below `prefix`.
    pub fn text(
        self,
        prefix: String,
    ) -> impl Stream<Item = Result<Bytes, PlaylistError>> + Send + 'static {
        self.plan.text(self.footage, self.target, (self.kind, self.independent), prefix)
    }
}

/// The past of one stream.
#[derive(Debug)]
pub struct RecordedHls {
    footage: Footage,
    clock: SharedClock,
    announced: Mutex<AnnouncedState>,
}

/// What was announced and must be kept to.
#[derive(Debug, Default)]
struct AnnouncedState {
    target: Option<Duration>,
    numbers: SequenceNumbers,
    /// The first number announced of each window: it never decreases, whatever the clock does.
    firsts: BTreeMap<Duration, u64>,
}

impl AnnouncedState {
    /// The first number that a list of `window` may begin with.
    fn least(&self, window: Duration) -> u64 {
        self.firsts.get(&window).copied().unwrap_or(0)
    }

    /// A list of `window` begins with `number`.
    fn begins(&mut self, window: Duration, number: u64) {
        if self.firsts.len() >= HLS_WINDOWS_MAX && !self.firsts.contains_key(&window) {
            self.firsts.pop_first();
        }
        self.firsts.insert(window, number);
    }
}

impl RecordedHls {
    /// The past of the stream of `footage`.
    #[must_use]
    pub fn new(footage: Footage, clock: SharedClock) -> Self {
        Self { footage, clock, announced: Mutex::default() }
    }

    fn announced(&self) -> MutexGuard<'_, AnnouncedState> {
        lock(&self.announced)
    }

    fn back(&self, by: Duration) -> WallTime {
        let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.clock.wall().offset_nanos(nanos.saturating_neg())
    }
}

fn tag(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
