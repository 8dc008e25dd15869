//! The newest picture of one stream as JPEG.
//!
//! Owns: the newest decoded picture and the rule that concurrent requests share one decode.
//! Nothing is decoded unless somebody asks, and never more than once a second.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::base::limits::{SNAPSHOT_AGE_MAX, SNAPSHOT_CACHE_TIME};
use crate::base::time::{BootTime, SharedClock, WallTime};
use crate::bus::{State, Stream};
use crate::encode::still::{StillDecoder, StillError};
use crate::media::{AccessUnit, Codec, Kind, nal};

/// The newest picture of one stream as JPEG.
#[derive(Debug)]
pub struct Thumbnail {
    stream: Arc<Stream>,
    clock: SharedClock,
    decoder: StillDecoder,
    /// The newest picture; locked while one is decoded, so that all who ask wait for that one.
    newest: Mutex<Option<Decoded>>,
}

#[derive(Clone, Debug)]
struct Decoded {
    jpeg: Bytes,
    arrived: BootTime,
    captured: WallTime,
    made: BootTime,
}

/// A picture and when it was taken.
#[derive(Clone, Debug)]
pub struct Picture {
    /// A JPEG file.
    pub jpeg: Bytes,
    /// When the camera took it.
    pub captured: WallTime,
    /// How long ago it arrived here; at most [`SNAPSHOT_AGE_MAX`].
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
    /// The codec has no decoder here.
    #[error("stream '{stream}' is {codec}: only H264 pictures can be decoded on this box")]
    Codec {
        /// The stream.
        stream: String,
        /// Its codec.
        codec: &'static str,
    },
    /// The decoder failed.
    #[error(transparent)]
    Decode(#[from] StillError),
}

impl Thumbnail {
    /// Makes the outlet of `stream`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, clock: SharedClock, decoder: StillDecoder) -> Self {
        Self { stream, clock, decoder, newest: Mutex::new(None) }
    }

    /// The newest key frame as JPEG, from the cache when that is younger than
    /// [`SNAPSHOT_CACHE_TIME`].
    ///
    /// Cancel safe: a decode that nobody waits for any more is ended.
    pub async fn picture(&self) -> Result<Picture, ThumbnailError> {
        let mut newest = self.newest.lock().await;
        let unit = self.newest_key_frame()?;
        let now = self.clock.boot();
        let fresh = newest
            .as_ref()
            .filter(|old| old.arrived == unit.arrived || now.since(old.made) < SNAPSHOT_CACHE_TIME);
        let decoded = match fresh {
            Some(decoded) => decoded.clone(),
            None => newest.insert(self.decode(&unit).await?).clone(),
        };
        let age = self.clock.boot().since(decoded.arrived);
        Ok(Picture { jpeg: decoded.jpeg, captured: decoded.captured, age })
    }

    fn newest_key_frame(&self) -> Result<Arc<AccessUnit>, ThumbnailError> {
        let stream = || self.stream.name().to_string();
        let unit = self.stream.bus().newest_start();
        let unit = unit.filter(|unit| unit.params.kind() == Kind::Video);
        let Some(unit) = unit else {
            return Err(ThumbnailError::NoKeyFrame { stream: stream(), why: self.why() });
        };
        let age = self.clock.boot().since(unit.arrived);
        if age > SNAPSHOT_AGE_MAX {
            let age_secs = age.as_secs();
            return Err(ThumbnailError::TooOld { stream: stream(), age_secs, why: self.why() });
        }
        match unit.params.codec {
            Codec::H264 { .. } => Ok(unit),
            _ => Err(ThumbnailError::Codec { stream: stream(), codec: unit.params.codec_name() }),
        }
    }

    fn why(&self) -> String {
        match self.stream.state().0 {
            State::Offline { reason } | State::Waiting { reason } => reason,
            State::Starting => "it is still starting".to_owned(),
            State::Live => "the next key frame is awaited".to_owned(),
        }
    }

    async fn decode(&self, unit: &AccessUnit) -> Result<Decoded, ThumbnailError> {
        let mut annex_b = Vec::with_capacity(unit.data.len() + 128);
        for set in unit.params.parameter_nals() {
            annex_b.extend_from_slice(&[0, 0, 0, 1]);
            annex_b.extend_from_slice(set);
        }
        annex_b.extend_from_slice(&nal::to_annex_b(&unit.data));
        let jpeg = self.decoder.jpeg(&annex_b).await?;
        let (arrived, captured) = (unit.arrived, unit.captured.wall);
        Ok(Decoded { jpeg, arrived, captured, made: self.clock.boot() })
    }
}
