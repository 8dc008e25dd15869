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
use crate::media::{AccessUnit, Entry, Kind};
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
        let mut moments = self.dvr.key_frame_lookup(stream);
        let fragment = match moments.at(at).await.map_err(PastError::disk(at))? {
            KeyFrameAt::Key(fragment) => fragment,
            KeyFrameAt::Gap { before, next } => return Err(PastError::Gap { at, before, next }),
        };
        let entry = entry_unit(&fragment, at)?;
        let (frame, captured, decode_nanos) = if matches!(entry.entry, Some(Entry::Gradual(_))) {
            let fragments = moments.groups_up_to(at).await.map_err(PastError::disk(at))?;
            refreshed(&fragments, at)?
        } else {
            let (frame, captured) = still_of(entry, at)?;
            (frame, captured, fragment.entry.decode_nanos)
        };
        let key = (stream.clone(), fragment.boot, decode_nanos, width);
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

/// The key frame that `fragment` begins with, and its date; it is what was on the screen at `at`.
pub(crate) fn key_frame(
    fragment: &FragmentRead,
    at: WallTime,
) -> Result<(KeyFrame, WallTime), PastError> {
    still_of(entry_unit(fragment, at)?, at)
}

/// The entry point that `fragment` begins with.
fn entry_unit(fragment: &FragmentRead, at: WallTime) -> Result<AccessUnit, PastError> {
    let damaged = || PastError::Damaged { at };
    let units = Unpacker::default().units(fragment).map_err(|_| damaged())?;
    units.into_iter().find(AccessUnit::random_access).ok_or_else(damaged)
}

/// An entry point as a picture, and its date.
fn still_of(unit: AccessUnit, at: WallTime) -> Result<(KeyFrame, WallTime), PastError> {
    if !unit.is_sync() {
        return Err(undrawable("the recording has no key pictures there"));
    }
    let frame = KeyFrame::new(&unit.params, unit.data);
    Ok((frame.ok_or(PastError::Damaged { at })?, unit.captured.wall))
}

/// The newest picture of `fragments` at or before `at`, which a whole refresh precedes, its date, and when
/// it is decoded.
fn refreshed(
    fragments: &[FragmentRead],
    at: WallTime,
) -> Result<(KeyFrame, WallTime, i64), PastError> {
    let mut unpacker = Unpacker::default();
    let mut pictures: Vec<AccessUnit> = Vec::new();
    for fragment in fragments {
        let units = unpacker.units(fragment).map_err(|_| PastError::Damaged { at })?;
        let shown = units.into_iter().filter(|unit| unit.params.kind() == Kind::Video);
        pictures.extend(shown.filter(|unit| unit.captured.wall <= at));
    }
    let begins = |&from: &usize| {
        let ahead = pictures.len() - from;
        matches!(pictures[from].entry, Some(Entry::Gradual(n)) if ahead > usize::from(n))
    };
    // The later it begins, the less has to be decoded.
    let from = (0..pictures.len()).rev().find(begins);
    let (Some(from), Some(last)) = (from, pictures.last()) else {
        return Err(undrawable("the picture was not refreshed as a whole there yet"));
    };
    let film = pictures[from..].iter().map(|unit| unit.data.clone());
    let frame = KeyFrame::of_refresh(&last.params, film).ok_or_else(|| {
        undrawable("the recording is H.265 with gradual refresh, which no decoder here draws")
    })?;
    Ok((frame, last.captured.wall, last.decode.as_nanos()))
}

/// No decoder makes a picture of it, now or later.
fn undrawable(why: &str) -> PastError {
    let words = format!("{why}: set the camera to send I-frames");
    PastError::Decode(StillError::NoDecoder { words })
}
