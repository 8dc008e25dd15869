//! Reads what a playlist names out of the ring, once for all who ask.
//!
//! Owns: what a player is announced when it is not there any more, and the fragments that were asked for
//! last, as they are shown: the players of one stream ask for the same ones within a second, of
//! whom one has them read and checked. Of what a player is sent one fragment is held at a time, so
//! that slow ones hold little.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{iter, try_unfold};
use futures::{Stream, TryStreamExt};

use super::sound_holes::SoundHoles;
use crate::base::cache::Cache;
use crate::base::limits::{DISK_READ_WAIT_MAX, HLS_FRAGMENTS_BYTES_MAX};
use crate::dvr::{DvrError, Footage, LapLease, LapReader};
use crate::wire::hls::{StoredRange, key_frame};
use crate::wire::web::{Coverage, Shown};

/// Why there is no such segment.
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

/// How long another reader's work is waited for: for a turn and for the disk.
const READ_BY_OTHERS_WAIT_MAX: Duration = DISK_READ_WAIT_MAX.saturating_mul(2);

/// Fragments behind a segment in which its sound may continue.
const AHEAD_FRAGMENTS: usize = 4;
/// A range up to the end of the slot.
const NO_END: u64 = u64::MAX;

/// The ring, a lap of it, and where in its slot a fragment begins.
type FragmentKey = ([u8; 16], u64, u64);

/// FragmentCache of the ring as they are shown, at most [`HLS_FRAGMENTS_BYTES_MAX`]. Clones are handles
/// to the same.
#[derive(Clone, Debug)]
pub struct FragmentCache(Cache<FragmentKey, Option<Arc<CachedFragment>>>);

impl Default for FragmentCache {
    fn default() -> Self {
        Self(Cache::new(HLS_FRAGMENTS_BYTES_MAX))
    }
}

/// A fragment as sent.
#[derive(Debug)]
struct CachedFragment {
    /// Bytes that it takes in its slot, with its seal.
    recorded_bytes: u64,
    /// Whether as many are shown.
    keeps_length: bool,
    pieces: Vec<Bytes>,
    /// What it covers, where silence may have to be filled in.
    coverage: Option<Coverage>,
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
    /// Fragments of silence, and their places: before the fragment at that place, or after the last
    /// one.
    silence: VecDeque<(u64, Bytes)>,
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
            // Either it was never listed, or the slot was reused this very moment.
            hold(footage, place.lap)?;
            return Err(SegmentError::Unknown);
        };
        let keeps_length = first.keeps_length;
        let may_be_silent = first.coverage.is_some();
        let (fragments, first) = (fragments.clone(), Some(first));
        let silence = VecDeque::new();
        let mut segment = Self { fragments, lap, open, place, first, keeps_length, silence };
        if may_be_silent {
            segment.fill().await?;
        }
        Ok(segment)
    }

    /// Finds where the sound is missing that the init segment announces, and makes silence for it:
    /// players show no picture without.
    async fn fill(&mut self) -> Result<(), SegmentError> {
        let (mut at, mut found) = (self.place.from, Vec::new());
        while at < self.place.until {
            let fragment = match self.first.clone().filter(|_| at == self.place.from) {
                Some(first) => first,
                None => self.fragment(at).await?,
            };
            found.push((at, fragment.coverage.unwrap_or_default()));
            at += fragment.recorded_bytes;
        }
        let holes = SoundHoles::of(&found, self.place.until);
        let Some(holes) = holes.filter(|holes| !holes.list.is_empty()) else { return Ok(()) };
        let holes = if holes.is_open() { holes.closed_by(self.next_sound().await) } else { holes };
        for (at, stretch) in holes.list {
            let shown = &opened(&self.lap, &mut self.open).await?.1;
            self.silence.extend(shown.silence(stretch).map(|bytes| (at, bytes)));
        }
        Ok(())
    }

    /// Where the sound behind this segment begins, as far as the ring has it already.
    async fn next_sound(&mut self) -> Option<i64> {
        let mut at = self.place.until;
        for _ in 0..AHEAD_FRAGMENTS {
            let place = StoredRange { from: at, until: NO_END, ..self.place };
            let found = self.fragments.get(&self.lap, &mut self.open, place).await.ok()??;
            if let Some((begins, _)) = found.coverage?.sound {
                return Some(begins);
            }
            at += found.recorded_bytes;
        }
        None
    }

    /// Its length as sent. Sound converted to FLAC has another length than in the ring, so that all
    /// of it is fetched for this, a fragment at a time.
    pub async fn length(&mut self) -> Result<u64, SegmentError> {
        let StoredRange { from, until, .. } = self.place;
        let silence: u64 = self.silence.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        if self.keeps_length {
            return Ok(until - from + silence);
        }
        let (mut at, mut bytes) = (from, silence);
        while at < until {
            let fragment = self.fragment(at).await?;
            at += fragment.recorded_bytes;
            bytes += fragment.bytes() as u64;
        }
        Ok(bytes)
    }

    /// Its first key frame, as a segment of its own.
    pub async fn key_frame(&mut self) -> Result<Bytes, SegmentError> {
        let fragment = self.fragment(self.place.from).await?;
        let bytes = Bytes::from(fragment.pieces.concat());
        let init = opened(&self.lap, &mut self.open).await?.0.init().clone();
        key_frame(&init, &bytes).ok_or(SegmentError::Unknown)
    }

    /// Its bytes, fragment by fragment, as they are fetched. Ends with an error when the lap goes
    /// to newer footage meanwhile.
    pub fn read(self) -> impl Stream<Item = Result<Bytes, SegmentError>> {
        let from = self.place.from;
        try_unfold((self, from), |(mut segment, at)| async move {
            if let Some((_, silence)) = segment.silence.pop_front_if(|(before, _)| *before <= at) {
                return Ok::<_, SegmentError>(Some((iter(vec![Ok(silence)]), (segment, at))));
            }
            if at >= segment.place.until {
                return Ok(None);
            }
            let fragment = segment.fragment(at).await?;
            let pieces: Vec<_> = fragment.pieces.iter().cloned().map(Ok).collect();
            Ok(Some((iter(pieces), (segment, at + fragment.recorded_bytes))))
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
        let taken = self.0.take_within(&key, READ_BY_OTHERS_WAIT_MAX).await;
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
        let fits = |it: &Arc<CachedFragment>| it.recorded_bytes <= place.until - place.from;
        Ok(found?.filter(fits))
    }
}

async fn read(
    lap: &LapLease,
    open: &mut Option<(LapReader, Shown)>,
    place: StoredRange,
) -> Result<Option<Arc<CachedFragment>>, SegmentError> {
    let (lap, shown) = opened(lap, open).await?;
    let until = if place.until == NO_END { lap.slot_bytes() } else { place.until };
    let bytes = lap.fragment(place.from, until).await?;
    Ok(bytes.map(|bytes| {
        let (recorded_bytes, coverage) = (bytes.len() as u64, shown.coverage(&bytes));
        let begins = LapReader::begins(&bytes);
        let (keeps_length, pieces) = (shown.keeps_length(), shown.fragment(bytes, begins));
        Arc::new(CachedFragment { recorded_bytes, keeps_length, pieces, coverage })
    }))
}

async fn opened<'a>(
    lap: &LapLease,
    open: &'a mut Option<(LapReader, Shown)>,
) -> Result<&'a mut (LapReader, Shown), SegmentError> {
    if open.is_none() {
        let lap = lap.open().await?.ok_or(SegmentError::Expired)?;
        let shown = Shown::of(lap.init());
        *open = Some((lap, shown));
    }
    open.as_mut().ok_or(SegmentError::Expired)
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
