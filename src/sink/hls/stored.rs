//! Reads what a playlist names out of the ring.
//!
//! Owns: what a player is told when it is not there any more, and which tracks it is shown.
//! One fragment of a segment is in memory at a time.

use bytes::Bytes;
use futures::Stream;

use super::HlsError;
use crate::dvr::{Footage, OpenLap};
use crate::media::TrackId;
use crate::wire::hls::Place;
use crate::wire::mp4;

/// A segment of the ring, opened: its lap is leased as long as this lives.
#[derive(Debug)]
pub struct StoredSegment {
    lap: OpenLap,
    place: Place,
    /// Tracks that browsers do not play.
    hidden: Vec<u32>,
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
        let hidden = mp4::hidden_tracks(lap.init());
        Ok(Self { lap, place, hidden, first })
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.place.until - self.place.from
    }

    /// Whether there are no bytes, which never happens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, fragment by fragment, as they are read. Ends with an error when the lap goes
    /// to newer footage meanwhile.
    pub fn read(self) -> impl Stream<Item = Result<Bytes, HlsError>> {
        futures::stream::try_unfold(self, |mut segment| async move {
            let next = segment.next().await?;
            Ok(next.map(|bytes| (Bytes::from(bytes), segment)))
        })
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, HlsError> {
        let Place { from, until, .. } = self.place;
        let mut bytes = match self.first.take() {
            Some(first) => first,
            None if from == until => return Ok(None),
            None => self.lap.fragment(from, until).await?.ok_or(HlsError::Expired)?,
        };
        self.place.from += bytes.len() as u64;
        mp4::hide(&mut bytes, &self.hidden);
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
    Ok(shown(open(footage, lap).await?.init()))
}

/// The initialisation section of this fingerprint, out of the newest lap that has it.
pub async fn past_init(footage: &Footage, fingerprint: u64) -> Result<Bytes, HlsError> {
    let lap = footage.lap_of_init(fingerprint).ok_or(HlsError::Expired)?;
    init(footage, lap).await
}

/// An initialisation section as browsers are shown it.
pub(super) fn shown(init: &Bytes) -> Bytes {
    let hidden = mp4::hidden_tracks(init);
    if hidden.is_empty() {
        return init.clone();
    }
    let mut bytes = init.to_vec();
    mp4::hide(&mut bytes, &hidden);
    bytes.into()
}

async fn open(footage: &Footage, lap: u64) -> Result<OpenLap, HlsError> {
    match footage.open(lap).await? {
        Some(open) => Ok(open),
        None if footage.was_begun(lap) => Err(HlsError::Expired),
        None => Err(HlsError::Unknown),
    }
}
