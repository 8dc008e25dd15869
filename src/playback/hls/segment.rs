//! Reads what a playlist names out of the ring, once for all who ask.
//!
//! Owns: what a player is announced when it is not there any more, and the fragments that were asked for
//! last, as they are shown: the players of one stream ask for the same ones within a second, of
//! whom one has them read and checked. Of what a player is sent one fragment is held at a time, so
//! that slow ones hold little.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{iter, try_unfold};
use futures::{Stream, TryStreamExt};

use crate::base::cache::Shelf;
use crate::base::limits::{DISK_READ_WAIT_MAX, HLS_FRAGMENTS_BYTES_MAX};
use crate::dvr::{DvrError, Footage, LapLease, LapReader};
use crate::wire::hls::StoredRange;
use crate::wire::web::Shown;

/// Why a segment cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Its footage was overwritten.
    #[error("The footage of this segment was overwritten. Reload the playlist.")]
    Expired,
    /// Nothing was ever listed under this name.
    #[error("There is no such segment.")]
    Unknown,
    /// The disk cannot be read.
    #[error("The recording cannot be read: {0}.")]
    Disk(#[from] DvrError),
}

/// How long somebody else's reading is waited for: for a turn and for the disk.
const READ_BY_OTHERS_WAIT_MAX: Duration = DISK_READ_WAIT_MAX.saturating_mul(2);

/// The ring, a lap of it, and where in its slot a fragment begins.
type FragmentKey = ([u8; 16], u64, u64);

/// FragmentCache of the ring as they are shown, at most [`HLS_FRAGMENTS_BYTES_MAX`]. Clones are handles
/// to the same.
#[derive(Clone, Debug)]
pub struct FragmentCache(Shelf<FragmentKey, Option<Arc<CachedFragment>>>);

impl Default for FragmentCache {
    fn default() -> Self {
        Self(Shelf::new(HLS_FRAGMENTS_BYTES_MAX))
    }
}

/// A fragment as it is shown.
#[derive(Debug)]
struct CachedFragment {
    /// Bytes that it takes in its slot, with its seal.
    recorded_bytes: u64,
    /// Whether as many are shown.
    keeps_length: bool,
    pieces: Vec<Bytes>,
}

impl CachedFragment {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// A segment of the ring: its lap is leased as long as this lives.
#[derive(Debug)]
pub struct StoredSegment {
    fragments: FragmentCache,
    lap: LapLease,
    /// Open once something had to be read.
    open: Option<(LapReader, Shown)>,
    place: StoredRange,
    /// The first fragment, fetched already, so that one that is not there gets an answer of its
    /// own.
    first: Option<Arc<CachedFragment>>,
    keeps_length: bool,
}

impl StoredSegment {
    /// Opens a segment for reading.
    pub async fn open(
        fragments: &FragmentCache,
        footage: &Footage,
        place: StoredRange,
    ) -> Result<Self, SegmentError> {
        let lap = hold(footage, place.lap)?;
        let mut open = None;
        let Some(first) = fragments.get(&lap, &mut open, place).await? else {
            // Either nobody ever listed this, or the slot was reused this very moment.
            hold(footage, place.lap)?;
            return Err(SegmentError::Unknown);
        };
        let (fragments, keeps_length) = (fragments.clone(), first.keeps_length);
        Ok(Self { fragments, lap, open, place, first: Some(first), keeps_length })
    }

    /// How many bytes it has as it is shown. Sound that becomes FLAC on the way has another
    /// length than in the ring, so that all of it is fetched for this, a fragment at a time.
    pub async fn length(&mut self) -> Result<u64, SegmentError> {
        let StoredRange { from, until, .. } = self.place;
        if self.keeps_length {
            return Ok(until - from);
        }
        let (mut at, mut bytes) = (from, 0);
        while at < until {
            let fragment = self.fragment(at).await?;
            at += fragment.recorded_bytes;
            bytes += fragment.bytes() as u64;
        }
        Ok(bytes)
    }

    /// Its bytes, fragment by fragment, as they are fetched. Ends with an error when the lap goes
    /// to newer footage meanwhile.
    pub fn read(self) -> impl Stream<Item = Result<Bytes, SegmentError>> {
        let from = self.place.from;
        try_unfold((self, from), |(mut segment, at)| async move {
            if at >= segment.place.until {
                return Ok::<_, SegmentError>(None);
            }
            let fragment = segment.fragment(at).await?;
            let pieces = iter(fragment.pieces.clone().into_iter().map(Ok));
            Ok(Some((pieces, (segment, at + fragment.recorded_bytes))))
        })
        .try_flatten()
    }

    async fn fragment(&mut self, at: u64) -> Result<Arc<CachedFragment>, SegmentError> {
        if let Some(first) = self.first.take_if(|_| at == self.place.from) {
            return Ok(first);
        }
        let place = StoredRange { from: at, ..self.place };
        let found = self.fragments.get(&self.lap, &mut self.open, place).await?;
        found.ok_or(SegmentError::Expired)
    }
}

impl FragmentCache {
    /// The fragment at the beginning of `place`, if one ends within it. `lap` is opened if it must
    /// be read.
    async fn get(
        &self,
        lap: &LapLease,
        open: &mut Option<(LapReader, Shown)>,
        place: StoredRange,
    ) -> Result<Option<Arc<CachedFragment>>, SegmentError> {
        let key = (lap.ring(), place.lap, place.from);
        let taken = tokio::time::timeout(READ_BY_OTHERS_WAIT_MAX, self.0.take(&key)).await;
        let stalled = |_| DvrError::Stalled { secs: READ_BY_OTHERS_WAIT_MAX.as_secs() };
        let mut known = taken.map_err(stalled)?;
        let found = match &*known {
            Some(known) => Ok(Some(Arc::clone(known))),
            None => read(lap, open, place).await,
        };
        if known.is_none() {
            let read = found.as_ref().ok().cloned().flatten();
            let bytes = read.as_ref().map_or(0, |read| read.bytes());
            *known = read;
            drop(known);
            self.0.weigh(&key, bytes);
        }
        let fits = |it: &Arc<CachedFragment>| place.from + it.recorded_bytes <= place.until;
        Ok(found?.filter(fits))
    }
}

async fn read(
    lap: &LapLease,
    open: &mut Option<(LapReader, Shown)>,
    place: StoredRange,
) -> Result<Option<Arc<CachedFragment>>, SegmentError> {
    let (lap, shown) = if let Some(open) = open {
        open
    } else {
        let lap = lap.open().await?.ok_or(SegmentError::Expired)?;
        let shown = Shown::of(lap.init());
        open.insert((lap, shown))
    };
    let bytes = lap.fragment(place.from, place.until).await?;
    Ok(bytes.map(|bytes| {
        let recorded_bytes = bytes.len() as u64;
        let (keeps_length, pieces) = (shown.keeps_length(), shown.fragment(bytes));
        Arc::new(CachedFragment { recorded_bytes, keeps_length, pieces })
    }))
}

/// The initialisation section of a lap.
pub async fn init_of_lap(footage: &Footage, lap: u64) -> Result<Bytes, SegmentError> {
    Ok(Shown::of(open(footage, lap).await?.init()).init)
}

/// The initialisation section of this fingerprint, out of the newest lap that has it.
pub async fn init_by_fingerprint(
    footage: &Footage,
    fingerprint: u64,
) -> Result<Bytes, SegmentError> {
    let lap = footage.lap_of_init(fingerprint).ok_or(SegmentError::Expired)?;
    init_of_lap(footage, lap).await
}

async fn open(footage: &Footage, lap: u64) -> Result<LapReader, SegmentError> {
    hold(footage, lap)?.open().await?.ok_or(SegmentError::Expired)
}

fn hold(footage: &Footage, lap: u64) -> Result<LapLease, SegmentError> {
    match footage.hold(lap)? {
        Some(held) => Ok(held),
        None if footage.was_begun(lap) => Err(SegmentError::Expired),
        None => Err(SegmentError::Unknown),
    }
}
