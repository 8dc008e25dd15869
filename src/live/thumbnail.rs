//! Pictures of one stream as JPEG: the newest one here, those of the past in [`past`].
//!
//! Owns: the newest decoded picture in each requested width, and the rule that concurrent requests
//! share one decode. Nothing is decoded without a request, and of each width never more than once a
//! second.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::base::limits::{
    MJPEG_VIEWERS_MAX, SNAPSHOT_AGE_MAX, SNAPSHOT_AGE_MIN, SNAPSHOT_CACHE_TIME, SNAPSHOT_GRACE,
    SNAPSHOT_WAIT_MAX, SNAPSHOT_WIDTHS_MAX,
};
use crate::base::time::{BootTime, SharedClock, WallTime};
use crate::encode::still::{Form, KeyFrame, StillDecoder, StillError};
use crate::media::{AccessUnit, Entry, Kind};
use crate::stream::{Allowance, Next, Stream, StreamState, Viewing};

/// The newest picture of one stream as JPEG.
#[derive(Debug)]
pub struct Thumbnail {
    stream: Arc<Stream>,
    clock: SharedClock,
    decoder: StillDecoder,
    /// The newest pictures, the one asked for last at the end; locked while one is decoded, so
    /// that all who ask wait for that one.
    newest: Mutex<Vec<DecodedStill>>,
    viewers: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct DecodedStill {
    width: Option<u16>,
    jpeg: Bytes,
    arrived: BootTime,
    captured: WallTime,
    made: BootTime,
}

/// A picture and when it was taken.
#[derive(Clone, Debug)]
pub struct StillPicture {
    /// A JPEG file.
    pub jpeg: Bytes,
    /// When the camera took it.
    pub captured: WallTime,
    /// When it arrived here.
    pub arrived: BootTime,
    /// How long ago that is; at most twice the time between two key frames and a little more.
    pub age: Duration,
}

/// Why there is no picture, in words for people.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// Nothing arrived yet, or nothing with video.
    #[error("stream '{stream}' has no key frame yet ({why})")]
    NoKeyFrame {
        /// The stream.
        stream: String,
        /// Its state in words.
        why: String,
    },
    /// What there is would not be a live picture.
    #[error("the newest picture of stream '{stream}' is {age_secs} s old ({why})")]
    TooOld {
        /// The stream.
        stream: String,
        /// Its age in seconds.
        age_secs: u64,
        /// The stream's state in words.
        why: String,
    },
    /// As many watch as may.
    #[error("stream '{stream}' has {MJPEG_VIEWERS_MAX} MJPEG viewers already")]
    TooMany {
        /// The stream.
        stream: String,
    },
    /// The decoder failed.
    #[error(transparent)]
    Decode(#[from] StillError),
}

impl Thumbnail {
    /// Makes the outputs of `stream`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, clock: SharedClock, decoder: StillDecoder) -> Self {
        let viewers = Arc::new(Semaphore::new(MJPEG_VIEWERS_MAX));
        Self { stream, clock, decoder, newest: Mutex::default(), viewers }
    }

    /// The newest key frame as JPEG, at most `width` pixels across, from the cache when that is
    /// younger than [`SNAPSHOT_CACHE_TIME`].
    ///
    /// Cancel safe: a decode whose callers have gone is not begun.
    pub async fn picture(&self, width: Option<u16>) -> Result<StillPicture, ThumbnailError> {
        let _viewing = self.stream.view();
        self.first_key_frame().await;
        let mut newest = self.newest.lock().await;
        let unit = self.newest_key_frame()?;
        let now = self.clock.boot();
        let known = newest.iter().position(|old| old.width == width);
        let known = known.map(|at| newest.remove(at));
        let fresh = known
            .filter(|old| old.arrived == unit.arrived || now.since(old.made) < SNAPSHOT_CACHE_TIME);
        let decoded = match fresh {
            Some(decoded) => decoded,
            None => self.decode(&unit, width).await?,
        };
        if newest.len() >= SNAPSHOT_WIDTHS_MAX {
            newest.remove(0);
        }
        newest.push(decoded.clone());
        let DecodedStill { jpeg, arrived, captured, .. } = decoded;
        Ok(StillPicture { jpeg, captured, arrived, age: self.clock.boot().since(arrived) })
    }

    /// The stream's newest key frame, if it is a live picture and was taken at `at` or before. Entry
    /// points that are no whole pictures are none.
    pub fn key_frame_at(&self, at: WallTime) -> Option<Arc<AccessUnit>> {
        let newest = self.newest_key_frame().ok();
        newest.filter(|unit| unit.is_sync() && unit.captured.wall <= at)
    }

    /// Waits for the first key frame of a camera that is pulled on demand.
    async fn first_key_frame(&self) {
        if !self.stream.demand().is_on_demand() || self.newest_key_frame().is_ok() {
            return;
        }
        let mut units = self.stream.bus().subscribe(Allowance::Viewer);
        let waiting = async {
            while self.newest_key_frame().is_err() {
                if let Next::Ended = units.next().await {
                    return;
                }
            }
        };
        // When it does not come, the answer says why.
        let _ = tokio::time::timeout(SNAPSHOT_WAIT_MAX, waiting).await;
    }

    fn newest_key_frame(&self) -> Result<Arc<AccessUnit>, ThumbnailError> {
        let stream = || self.stream.name().to_string();
        let unit = self.stream.bus().newest_start();
        let unit = unit.filter(|unit| unit.params.kind() == Kind::Video);
        let Some(unit) = unit else {
            return Err(ThumbnailError::NoKeyFrame { stream: stream(), why: self.why() });
        };
        let age = self.clock.boot().since(unit.arrived);
        if age > self.age_max() {
            let age_secs = age.as_secs();
            return Err(ThumbnailError::TooOld { stream: stream(), age_secs, why: self.why() });
        }
        Ok(unit)
    }

    /// How old the newest key frame may be: with a long time between two of them an old one is the
    /// newest picture there is.
    fn age_max(&self) -> Duration {
        let interval = self.stream.entry_interval().unwrap_or_default();
        let most = interval.saturating_mul(2).saturating_add(SNAPSHOT_GRACE);
        most.clamp(SNAPSHOT_AGE_MIN, SNAPSHOT_AGE_MAX)
    }

    fn why(&self) -> String {
        match self.stream.state().0 {
            StreamState::Offline { reason } | StreamState::Waiting { reason } => reason,
            StreamState::Starting => "it is still starting".to_owned(),
            StreamState::Live => "the next key frame is awaited".to_owned(),
        }
    }

    async fn decode(
        &self,
        unit: &AccessUnit,
        width: Option<u16>,
    ) -> Result<DecodedStill, ThumbnailError> {
        if matches!(unit.entry, Some(Entry::Gradual(_))) {
            return self.decode_refresh(unit, width).await;
        }
        if !unit.is_sync() {
            return Err(self.no_key_pictures(unit));
        }
        let frame = KeyFrame::new(&unit.params, unit.data.clone());
        let no_video = || self.no_key_frame("it has no video");
        let still = self.decoder.still(frame.ok_or_else(no_video)?, Form::Jpeg { width }).await?;
        let (arrived, captured) = (unit.arrived, unit.captured.wall);
        Ok(DecodedStill { width, jpeg: still.bytes, arrived, captured, made: self.clock.boot() })
    }

    /// Draws the newest picture of a stream without key pictures, once a whole refresh is in the window.
    async fn decode_refresh(
        &self,
        unit: &AccessUnit,
        width: Option<u16>,
    ) -> Result<DecodedStill, ThumbnailError> {
        let mut units = self.stream.bus().since_start();
        units.retain(|one| one.track == unit.track);
        let pictures = || units.iter().map(|one| one.data.clone());
        let (Some(first), Some(last)) = (units.first(), units.last()) else {
            return Err(self.no_key_frame("it has no video"));
        };
        let is_whole =
            matches!(first.entry, Some(Entry::Gradual(n)) if units.len() > usize::from(n));
        if !is_whole {
            return Err(self.no_key_frame("a whole refresh of the picture is awaited"));
        }
        let Some(frame) = KeyFrame::of_refresh(&first.params, pictures()) else {
            return Err(self.no_key_pictures(unit));
        };
        let still = self.decoder.still(frame, Form::Jpeg { width }).await?;
        let (arrived, captured) = (last.arrived, last.captured.wall);
        Ok(DecodedStill { width, jpeg: still.bytes, arrived, captured, made: self.clock.boot() })
    }

    fn no_key_frame(&self, why: &str) -> ThumbnailError {
        let (stream, why) = (self.stream.name().to_string(), why.to_owned());
        ThumbnailError::NoKeyFrame { stream, why }
    }

    fn no_key_pictures(&self, unit: &AccessUnit) -> ThumbnailError {
        let words = format!(
            "stream '{}' sends no key pictures (entry: {}): set the camera to send I-frames",
            self.stream.name(),
            unit.entry.map_or("none", Entry::as_str),
        );
        ThumbnailError::Decode(StillError::NoDecoder { words })
    }

    /// Current viewers of motion JPEG.
    #[must_use]
    pub fn viewers(&self) -> usize {
        MJPEG_VIEWERS_MAX - self.viewers.available_permits()
    }

    /// Admits a viewer of motion JPEG, one of [`MJPEG_VIEWERS_MAX`] at most.
    pub fn watch(self: &Arc<Self>, width: Option<u16>) -> Result<Watcher, ThumbnailError> {
        let place = Arc::clone(&self.viewers).try_acquire_owned();
        let stream = || self.stream.name().to_string();
        let place = place.map_err(|_| ThumbnailError::TooMany { stream: stream() })?;
        let units = self.stream.bus().subscribe(Allowance::Viewer);
        let viewing = self.stream.view();
        let thumbnail = Arc::clone(self);
        Ok(Watcher { thumbnail, width, units, seen: None, _place: place, _viewing: viewing })
    }
}

/// A viewer of motion JPEG: key frames, at most one a second.
#[derive(Debug)]
pub struct Watcher {
    thumbnail: Arc<Thumbnail>,
    width: Option<u16>,
    units: crate::stream::Subscriber<AccessUnit>,
    seen: Option<BootTime>,
    _place: OwnedSemaphorePermit,
    _viewing: Viewing,
}

impl Watcher {
    /// Waits for a picture not seen yet, skipping those that came between calls and those that
    /// cannot be decoded. `None` when the stream is gone for good. Cancel safe.
    pub async fn next(&mut self) -> Option<StillPicture> {
        loop {
            match self.units.next().await {
                Next::Item(unit) if unit.random_access() => {}
                Next::Item(_) | Next::Lagged(_) => continue,
                Next::Ended => return None,
            }
            let Ok(picture) = self.thumbnail.picture(self.width).await else { continue };
            if self.seen.is_none_or(|seen| picture.arrived > seen) {
                self.seen = Some(picture.arrived);
                return Some(picture);
            }
        }
    }
}
