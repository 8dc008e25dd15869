//! The unit that flows through everything: one coded picture or audio frame with its times.
//!
//! Owns: [`AccessUnit`] and the list of a stream's tracks.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{CodecParams, Kind};
use super::entry_point::{Entry, Leading};
use crate::base::time::{BootTime, MediaTime, WallTime};

/// A track of a stream: its index in [`Tracks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u8);

/// Which uninterrupted stretch of a stream this is; grows by one with every new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u32);

/// How a capture time became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// The sender said so (RTCP sender report, RFC 3550 §6.4.1).
    Sender,
    /// The moment of arrival here replaces it.
    Arrival,
}

/// When a unit was captured, as far as anybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The date.
    pub wall: WallTime,
    /// Who says so.
    pub source: ClockSource,
}

/// One coded picture, or one frame of audio.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// Which track of the stream.
    pub track: TrackId,
    /// Which uninterrupted stretch of the stream.
    pub run: RunId,
    /// Decoding time on the stream's timeline, in ticks of the track; strictly growing.
    pub decode: MediaTime,
    /// Presentation time; differs from `decode` when there are B-frames, and is never before it.
    pub present: MediaTime,
    /// When the unit arrived or was made here.
    pub arrived: BootTime,
    /// When the camera took it.
    pub captured: Captured,
    /// Why a reader may begin here, if it may: the kind of picture, or any unit of a stream without
    /// video. Weak classes are reported only where the stream has nothing better.
    pub entry: Option<Entry>,
    /// Shown before the entry point that it follows.
    pub leading: Option<Leading>,
    /// Units of this track known to be lost directly before this one.
    pub lost_before: u16,
    /// What the codec says of itself; shared until it changes.
    pub params: Arc<CodecParams>,
    /// Video: NAL units, each behind its length in 4 bytes big-endian, byte-exact as sent.
    /// Audio: the raw frame (AAC without ADTS, G.711 octets).
    pub data: Bytes,
}

impl AccessUnit {
    /// A unit of the first track of the first run, shown when it is decoded, with no entry point
    /// and nothing lost before it. Set the fields that differ.
    #[must_use]
    pub fn new(params: Arc<CodecParams>, decode: MediaTime, data: Bytes) -> Self {
        Self {
            track: TrackId(0),
            run: RunId(1),
            decode,
            present: decode,
            arrived: BootTime::default(),
            captured: Captured { wall: WallTime::default(), source: ClockSource::Arrival },
            entry: None,
            leading: None,
            lost_before: 0,
            params,
            data,
        }
    }

    /// Whether a reader may begin here.
    #[must_use]
    pub fn random_access(&self) -> bool {
        self.entry.is_some()
    }

    /// Whether MP4 calls it a sync sample.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        self.entry.is_some_and(Entry::is_sync)
    }
}

/// One line of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its index.
    pub id: TrackId,
    /// What the codec says of itself, as of the newest change.
    pub params: Arc<CodecParams>,
}

/// The tracks of a stream as of the newest change of any parameter. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracks {
    /// The run that these describe.
    pub run: RunId,
    /// The tracks; `list[i].id == TrackId(i)`.
    pub list: Vec<Track>,
}

impl Tracks {
    /// The tracks of `run` with these parameters, in order.
    #[must_use]
    pub fn new(run: RunId, params: impl IntoIterator<Item = Arc<CodecParams>>) -> Self {
        let list =
            (0u8..).zip(params).map(|(i, params)| Track { id: TrackId(i), params }).collect();
        Self { run, list }
    }

    /// The track that `id` names.
    #[must_use]
    pub fn get(&self, id: TrackId) -> Option<&Track> {
        self.list.get(usize::from(id.0))
    }

    /// The first video track.
    #[must_use]
    pub fn video(&self) -> Option<&Track> {
        self.list.iter().find(|t| t.params.kind() == Kind::Video)
    }

    /// The first audio track.
    #[must_use]
    pub fn audio(&self) -> Option<&Track> {
        self.list.iter().find(|t| t.params.kind() == Kind::Audio)
    }
}
