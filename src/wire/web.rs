//! What a player in a browser can be given of a stream: which tracks, as which fMP4.
//!
//! Owns: the choice of tracks for HLS and MSE, and what is said about a track left out.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;

use super::mp4;
use crate::media::{AccessUnit, CodecParams, Shape, Track, TrackId, Tracks};

/// One stretch of a stream in which nothing about its tracks changes, as fMP4.
#[derive(Debug)]
pub struct WebFormat {
    /// All tracks of the stream, also those left out.
    all: Tracks,
    carried: Vec<Track>,
    /// `ftyp` + `moov` of the carried tracks.
    pub init: Bytes,
    /// Value for `codecs=`, RFC 6381 §3.3.
    pub codecs: String,
    /// Why the sound was left out, for people; `None` if there is none or it is carried.
    pub audio_dropped: Option<String>,
}

impl WebFormat {
    /// Chooses the first video and the first audio track. A codec without a registered
    /// `codecs=` string cannot be announced to a browser, so its track is left out; `None`
    /// when nothing remains.
    #[must_use]
    pub fn new(all: Tracks) -> Option<Self> {
        Self::choose(all, true)
    }

    /// The same of pictures that are not shown at the pace of life: without the sound, but where
    /// there is nothing else.
    #[must_use]
    pub fn silent(all: Tracks) -> Option<Self> {
        let has_sound = all.video().is_none();
        Self::choose(all, has_sound)
    }

    fn choose(all: Tracks, with_sound: bool) -> Option<Self> {
        let playable = |track: &&Track| track.params.rfc6381.is_some();
        let video = all.video().filter(playable).cloned();
        let audio = all.audio().filter(playable).filter(|_| with_sound).cloned();
        let audio_dropped = all.audio().filter(|track| !playable(track)).map(|track| {
            format!(
                "The sound is {}, which browsers do not play; the picture is shown without it.",
                track.params.codec_name()
            )
        });
        let carried: Vec<Track> = video.into_iter().chain(audio).collect();
        if carried.is_empty() {
            return None;
        }
        let codecs: Vec<&str> =
            carried.iter().filter_map(|track| track.params.rfc6381.as_deref()).collect();
        let codecs = codecs.join(",");
        let init = mp4::init_segment(&Tracks { run: all.run, list: carried.clone() });
        Some(Self { all, carried, init, codecs, audio_dropped })
    }

    /// The tracks with the parameters that `unit` brought, if they differ from these.
    #[must_use]
    pub fn differs(&self, unit: &AccessUnit) -> bool {
        self.all.run != unit.run
            || self.all.get(unit.track).is_none_or(|track| !same(&track.params, &unit.params))
    }

    /// Whether this describes exactly `tracks`.
    #[must_use]
    pub fn describes(&self, tracks: &Tracks) -> bool {
        self.all == *tracks
    }

    /// Whether units of `track` belong into it.
    #[must_use]
    pub fn carries(&self, track: TrackId) -> bool {
        self.carried.iter().any(|carried| carried.id == track)
    }

    /// The carried tracks, video first.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.carried
    }

    /// The track that cuts and clocks the others: the video, or the sound of a stream without.
    #[must_use]
    pub fn lead(&self) -> TrackId {
        // `carried` is not empty, see `new`.
        self.carried.first().map_or(TrackId(0), |track| track.id)
    }

    /// A name for the init segment, the same for the same bytes.
    #[must_use]
    pub fn init_id(&self) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.init);
        format!("{:016x}", hasher.finish())
    }

    /// Width and height in pixels, if there is video.
    #[must_use]
    pub fn picture(&self) -> Option<(u16, u16)> {
        self.carried.iter().find_map(|track| match track.params.shape {
            Shape::Video { width, height, .. } => Some((width, height)),
            Shape::Audio { .. } => None,
        })
    }

    /// Whether sound is carried.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.carried.iter().any(|track| matches!(track.params.shape, Shape::Audio { .. }))
    }

    /// The MIME type that a `SourceBuffer` is asked for.
    #[must_use]
    pub fn mime(&self) -> String {
        format!("{}/mp4; codecs=\"{}\"", self.major(), self.codecs)
    }

    fn major(&self) -> &'static str {
        if self.picture().is_some() { "video" } else { "audio" }
    }
}

fn same(a: &Arc<CodecParams>, b: &Arc<CodecParams>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
