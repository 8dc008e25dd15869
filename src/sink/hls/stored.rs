//! Reads what a playlist names out of the ring.
//!
//! Owns: what a player is told when it is not there any more.
//! One fragment of a segment is in memory at a time.

use bytes::Bytes;
use futures::stream::{iter, try_unfold};
use futures::{Stream, TryStreamExt};

use super::HlsError;
use crate::dvr::{Footage, OpenLap};
use crate::media::TrackId;
use crate::wire::hls::Place;
use crate::wire::mp4;
use crate::wire::web::Shown;

/// A segment of the ring, opened: its lap is leased as long as this lives.
#[derive(Debug)]
pub struct StoredSegment {
    lap: OpenLap,
    place: Place,
    shown: Shown,
    /// The first fragment, read already, so that one that is not there gets an answer of its own.
    first: Option<Vec<u8>>,
}

impl StoredSegment {
    /// Opens a segment for reading.
    pub async fn open(footage: &Footage, place: Place) -> Result<Self, HlsError> {
        let lap = open(footage, place.lap).await?;
        let first = lap.fragment(place.from, place.until).await?;
        if first.is_none() {
            // Either nobody ever listed this, or the slot was reused this very moment.
            open(footage, place.lap).await?;
            return Err(HlsError::Unknown);
        }
        let shown = Shown::of(lap.init());
        Ok(Self { lap, place, shown, first })
    }

    /// How many bytes it has as it is shown. Sound that becomes FLAC on the way has another
    /// length than in the ring, so that all of it is read for this, a fragment at a time.
    pub async fn length(&self) -> Result<u64, HlsError> {
        let Place { from, until, .. } = self.place;
        if self.shown.keeps_length() {
            return Ok(until - from);
        }
        let (mut at, mut bytes) = (from, 0);
        while at < until {
            let fragment = self.lap.fragment(at, until).await?.ok_or(HlsError::Expired)?;
            at += fragment.len() as u64;
            bytes += self.shown.fragment(fragment).iter().map(|it| it.len() as u64).sum::<u64>();
        }
        Ok(bytes)
    }

    /// Its bytes, fragment by fragment, as they are read. Ends with an error when the lap goes
    /// to newer footage meanwhile.
    pub fn read(self) -> impl Stream<Item = Result<Bytes, HlsError>> {
        try_unfold(self, |mut segment| async move {
            let next = segment.next().await?;
            let pieces = next.map(|bytes| segment.shown.fragment(bytes));
            Ok::<_, HlsError>(pieces.map(|pieces| (iter(pieces.into_iter().map(Ok)), segment)))
        })
        .try_flatten()
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, HlsError> {
        let Place { from, until, .. } = self.place;
        let bytes = match self.first.take() {
            Some(first) => first,
            None if from == until => return Ok(None),
            None => self.lap.fragment(from, until).await?.ok_or(HlsError::Expired)?,
        };
        self.place.from += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// Samples of a track in all of it; `None` when it cannot be read.
    pub(super) async fn samples(mut self, track: TrackId) -> Option<u32> {
        let mut samples = 0;
        while let Some(bytes) = self.next().await.ok()? {
            samples += mp4::samples(&bytes, track);
        }
        Some(samples)
    }
}

/// The initialisation section of a lap.
pub(super) async fn init(footage: &Footage, lap: u64) -> Result<Bytes, HlsError> {
    Ok(Shown::of(open(footage, lap).await?.init()).init)
}

/// The initialisation section of this fingerprint, out of the newest lap that has it.
pub async fn past_init(footage: &Footage, fingerprint: u64) -> Result<Bytes, HlsError> {
    let lap = footage.lap_of_init(fingerprint).ok_or(HlsError::Expired)?;
    init(footage, lap).await
}

async fn open(footage: &Footage, lap: u64) -> Result<OpenLap, HlsError> {
    match footage.open(lap).await? {
        Some(open) => Ok(open),
        None if footage.was_begun(lap) => Err(HlsError::Expired),
        None => Err(HlsError::Unknown),
    }
}
