//! Pictures of any recorded stream at a moment of the past.
//!
//! Owns: the pictures made lately, and how many are looked for at once.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::base::cache::Cache;
use crate::base::limits::{PAST_PICTURE_CACHE_BYTES_MAX, PAST_PICTURES_AT_ONCE, PICTURE_WAIT_MAX};
use crate::base::name::StreamName;
use crate::base::time::{SharedClock, WallTime};
use crate::dvr::{Dvr, DvrError, FragmentRead, Identity, KeyFrameAt};
use crate::encode::still::{Form, KeyFrame, StillDecoder, StillError};
use crate::media::AccessUnit;
use crate::playback::unpack::Unpacker;

/// Which picture: of a stream, the boot and time of its fragment, and how wide.
type Key = (StreamName, Identity, i64, Option<u16>);

/// Pictures of the past. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct PastPictures {
    dvr: Dvr,
    clock: SharedClock,
    decoder: StillDecoder,
    made: Cache<Key, Option<Bytes>>,
    turns: Arc<Semaphore>,
}

/// A picture of the past.
#[derive(Clone, Debug)]
pub struct PastPicture {
    /// A JPEG file.
    pub jpeg: Bytes,
    /// When the camera took it: at the moment asked for, or before.
    pub captured: WallTime,
}

/// Why there is no picture of a moment.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The moment is still to come.
    #[error("{} is in the future", at.to_rfc3339())]
    Future {
        /// The moment.
        at: WallTime,
    },
    /// Nothing is recorded there.
    #[error("nothing is recorded at {}{}", at.to_rfc3339(), neighbours(*before, *next))]
    Gap {
        /// The moment.
        at: WallTime,
        /// Where the footage before ends.
        before: Option<WallTime>,
        /// Where the next footage begins.
        next: Option<WallTime>,
    },
    /// The footage there is not readable as written.
    #[error("the footage at {} is damaged", at.to_rfc3339())]
    Damaged {
        /// The moment.
        at: WallTime,
    },
    /// The footage went while it was looked for.
    #[error("the footage at {} has just been overwritten by newer footage", at.to_rfc3339())]
    Gone {
        /// The moment.
        at: WallTime,
    },
    /// Too many look for pictures of the past.
    #[error("too many recorded pictures are being searched for")]
    Busy,
    /// The disk does not give it.
    #[error(transparent)]
    Disk(DvrError),
    /// The decoder failed.
    #[error(transparent)]
    Decode(#[from] StillError),
}

fn neighbours(before: Option<WallTime>, next: Option<WallTime>) -> String {
    match (before, next) {
        (_, Some(next)) => format!("; the next footage begins at {}", next.to_rfc3339()),
        (Some(before), None) => format!("; the newest footage ends at {}", before.to_rfc3339()),
        (None, None) => String::new(),
    }
}

impl PastError {
    /// `error` of a read of footage at `at`.
    pub(crate) fn disk(at: WallTime) -> impl Fn(DvrError) -> Self {
        move |error| match error {
            DvrError::Reused { .. } | DvrError::Removed { .. } => Self::Gone { at },
            error => Self::Disk(error),
        }
    }
}

impl PastPictures {
    /// Pictures out of `dvr`.
    #[must_use]
    pub fn new(dvr: Dvr, clock: SharedClock, decoder: StillDecoder) -> Self {
        let (made, turns) = (Cache::new(PAST_PICTURE_CACHE_BYTES_MAX), PAST_PICTURES_AT_ONCE);
        Self { dvr, clock, decoder, made, turns: Arc::new(Semaphore::new(turns)) }
    }

    /// What was on the screen of `stream` at `at`: the newest key frame at or before it, at most
    /// `width` pixels across. `live`: that key frame where the stream's window still holds it,
    /// which may be before the ring does.
    ///
    /// Cancel safe.
    pub async fn at(
        &self,
        stream: &StreamName,
        live: Option<Arc<AccessUnit>>,
        at: WallTime,
        width: Option<u16>,
    ) -> Result<PastPicture, PastError> {
        if at > self.clock.wall() {
            return Err(PastError::Future { at });
        }
        if let Some(unit) = live {
            return self.live(&unit, width).await;
        }
        let turn = tokio::time::timeout(PICTURE_WAIT_MAX, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| PastError::Busy)?.map_err(|_| PastError::Busy)?;
        let moment = self.dvr.key_frame_lookup(stream).at(at).await.map_err(PastError::disk(at))?;
        let clip = match moment {
            KeyFrameAt::Key(clip) => clip,
            KeyFrameAt::Gap { before, next } => return Err(PastError::Gap { at, before, next }),
        };
        let (frame, captured) = key_frame(&clip, at)?;
        let key = (stream.clone(), clip.boot, clip.entry.decode_nanos, width);
        let mut made = self.made.take(&key).await;
        let jpeg = if let Some(jpeg) = &*made {
            jpeg.clone()
        } else {
            let still = self.decoder.still(frame, Form::Jpeg { width }).await;
            let jpeg = still.inspect_err(|_| self.made.weigh(&key, 0))?.bytes;
            *made = Some(jpeg.clone());
            self.made.weigh(&key, jpeg.len());
            jpeg
        };
        Ok(PastPicture { jpeg, captured })
    }

    async fn live(&self, unit: &AccessUnit, width: Option<u16>) -> Result<PastPicture, PastError> {
        let captured = unit.captured.wall;
        let frame = KeyFrame::new(&unit.params, unit.data.clone());
        let frame = frame.ok_or(PastError::Damaged { at: captured })?;
        let jpeg = self.decoder.still(frame, Form::Jpeg { width }).await?.bytes;
        Ok(PastPicture { jpeg, captured })
    }
}

/// The key frame that `clip` begins with, and its date; it is what was on the screen at `at`.
pub(crate) fn key_frame(
    clip: &FragmentRead,
    at: WallTime,
) -> Result<(KeyFrame, WallTime), PastError> {
    let damaged = || PastError::Damaged { at };
    let units = Unpacker::default().units(clip).map_err(|_| damaged())?;
    let unit = units.into_iter().find(AccessUnit::random_access).ok_or_else(damaged)?;
    if !unit.is_sync() {
        let words = "the recording has no key pictures there: set the camera to send I-frames";
        return Err(PastError::Decode(StillError::NoDecoder { words: words.to_owned() }));
    }
    let frame = KeyFrame::new(&unit.params, unit.data).ok_or_else(damaged)?;
    Ok((frame, unit.captured.wall))
}
