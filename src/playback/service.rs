//! The playback service: opens sessions on recordings, at most so many at once.
//!
//! Owns: the places that sessions take, and the playlists of each recorded stream, which must keep
//! to the numbers they announced. Does not own: the ring (`dvr`), the sessions themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::PlaybackError;
use super::hls::RecordedHls;
use super::request::{PlayRange, PlayRequest};
use super::session::PlaybackSession;
use super::unpack::Unpacker;
use crate::base::limits::REPLAY_SESSIONS_MAX;
use crate::base::name::StreamName;
use crate::base::sync::lock;
use crate::base::time::SharedClock;
use crate::dvr::{Direction, Dvr};
use crate::media::Tracks;
use crate::stream::Stream;

/// Opens recordings for playback. Clones share the places, at most [`REPLAY_SESSIONS_MAX`].
#[derive(Clone, Debug)]
pub struct Playback {
    dvr: Dvr,
    places: Arc<Semaphore>,
    hls: Arc<Mutex<BTreeMap<StreamName, Arc<RecordedHls>>>>,
}

/// The tracks of a recording, once the disk has been read.
pub type TracksProbe = tokio::task::JoinHandle<Result<Arc<Tracks>, PlaybackError>>;

impl Playback {
    /// Plays the recordings in `dvr`.
    #[must_use]
    pub fn new(dvr: Dvr) -> Self {
        let places = Arc::new(Semaphore::new(REPLAY_SESSIONS_MAX));
        Self { dvr, places, hls: Arc::default() }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, PlaybackError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| PlaybackError::TooMany)
    }

    /// The playlists of what is recorded of `stream`, which the caller knows to be configured or
    /// recorded: they are kept from then on.
    #[must_use]
    pub fn hls(&self, stream: &StreamName, clock: &SharedClock) -> Arc<RecordedHls> {
        let mut all = lock(&self.hls);
        let new = || Arc::new(RecordedHls::new(self.dvr.footage(stream), Arc::clone(clock)));
        Arc::clone(all.entry(stream.clone()).or_insert_with(new))
    }

    /// Opens a session on `stream`; it becomes [`ready`](PlaybackSession::ready) once the disk
    /// has been read.
    pub fn open(
        &self,
        stream: &Arc<Stream>,
        clock: &SharedClock,
        request: &PlayRequest,
    ) -> Result<PlaybackSession, PlaybackError> {
        let place = self.place()?;
        let cursor =
            self.dvr.recording_cursor(stream.name()).map_err(|_| PlaybackError::Unreadable)?;
        let (stream, clock) = (Arc::clone(stream), Arc::clone(clock));
        Ok(PlaybackSession::new(stream, clock, (self.dvr.clone(), cursor), request, place))
    }

    /// Reads the tracks that `stream` had at the beginning of `range`.
    pub fn describe(
        &self,
        stream: &StreamName,
        range: PlayRange,
    ) -> Result<TracksProbe, PlaybackError> {
        let place = self.place()?;
        let mut cursor =
            self.dvr.recording_cursor(stream).map_err(|_| PlaybackError::Unreadable)?;
        Ok(tokio::task::spawn_blocking(move || {
            let _place = place;
            let found = cursor
                .seek(range.from, Direction::Forward)
                .map_err(|_| PlaybackError::Unreadable)?;
            let fragment = if found { cursor.forward(false) } else { Ok(None) };
            let fragment = fragment.map_err(|_| PlaybackError::Unreadable)?;
            let fragment =
                fragment.filter(|fragment| range.until.is_none_or(|until| fragment.start < until));
            let nothing =
                || PlaybackError::NothingThere { from: range.from, extent: cursor.extent() };
            let fragment = fragment.ok_or_else(nothing)?;
            Unpacker::default().tracks(&fragment).map_err(|_| PlaybackError::Unreadable)
        }))
    }
}
