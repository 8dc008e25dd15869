//! `/live/{stream}/…`: HLS playlists, init sections and segments.
//!
//! Owns: names, content types and how long each may be cached.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::error::ApiError;
use super::listener::Slot;
use super::range;
use super::route::{At, FileName, Named, StreamPath};
use crate::base::name::StreamName;
use crate::sink::hls::{Hls, HlsError, StoredSegment, past_init};
use crate::wire::hls::{Body, Place};

pub(super) const PLAYLIST_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.apple.mpegurl");
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("video/mp4");
/// A live playlist is old after a second.
const PLAYLIST_CACHE: HeaderValue = HeaderValue::from_static("max-age=1");
/// Numbers and places are never used twice, so what stands behind one never changes.
const MEDIA_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=3600, immutable");
/// Says why a stream's sound is left out.
const AUDIO_DROPPED: HeaderName = HeaderName::from_static("x-audio-dropped");

/// `GET index.m3u8`: the multivariant playlist.
pub(super) async fn multivariant(Named(outlet): Named) -> Result<Response, ApiError> {
    let (text, audio_dropped) = outlet.hls.multivariant().await?;
    let mut response = playlist(text);
    if let Some(value) = audio_dropped.and_then(|reason| HeaderValue::from_str(&reason).ok()) {
        response.headers_mut().insert(AUDIO_DROPPED, value);
    }
    Ok(response)
}

/// `GET media.m3u8`: the live list.
pub(super) async fn media(
    Named(outlet): Named,
    Extension(slot): Extension<Arc<Slot>>,
) -> Result<Response, ApiError> {
    Ok(playlist(outlet.hls.media(slot.peer.ip()).await?))
}

fn playlist(text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, PLAYLIST_CACHE)];
    (headers, text).into_response()
}

/// What a file name asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// `init-<n>.mp4`, held in memory.
    HeldInit(u64),
    /// `<n>.m4s`, held in memory.
    Held(u64),
    /// `<lap>.mp4`, at the front of a lap.
    StoredInit(u64),
    /// `p<fingerprint>.mp4`, at the front of every lap that has it.
    PastInit(u64),
    /// `<lap>-<from>-<until>.m4s`, in a lap.
    Stored(Place),
}

impl Asked {
    fn parse(name: &str) -> Option<Self> {
        if let Some(name) = name.strip_suffix(".mp4") {
            return match (name.strip_prefix("init-"), name.strip_prefix('p')) {
                (Some(number), _) => whole(number).map(Self::HeldInit),
                (_, Some(digits)) => fingerprint(digits).map(Self::PastInit),
                _ => whole(name).map(Self::StoredInit),
            };
        }
        let mut numbers = name.strip_suffix(".m4s")?.splitn(3, '-').map(whole);
        match (numbers.next()??, numbers.next(), numbers.next()) {
            (number, None, None) => Some(Self::Held(number)),
            (lap, Some(from), Some(until)) => {
                let (from, until) = (from?, until?);
                (from < until).then_some(Self::Stored(Place { lap, from, until }))
            }
            _ => None,
        }
    }
}

/// A number as a playlist writes it: digits only, no more than needed.
fn whole(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A fingerprint as a playlist writes it: sixteen hexadecimal digits.
fn fingerprint(text: &str) -> Option<u64> {
    let number = u64::from_str_radix(text, 16).ok()?;
    (format!("{number:016x}") == text).then_some(number)
}

/// `GET` of what a media playlist names: live, of the past, or of a range.
pub(super) async fn file(
    State(door): At,
    StreamPath(stream): StreamPath,
    FileName(name): FileName,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = Asked::parse(&name).ok_or_else(ApiError::not_found)?;
    let unknown = || ApiError::stream_unknown(&stream);
    let footage = door.dvr.footage(&StreamName::parse(&stream).map_err(|_| unknown())?);
    let outlet = door.streams.get(&stream);
    // The ring may hold a stream that the configuration no longer names.
    if outlet.is_none() && footage.laps().is_empty() {
        return Err(unknown());
    }
    let mut response = match asked {
        Asked::Stored(place) => {
            let segment = StoredSegment::open(&footage, place).await?;
            range::answer(&request, segment.length().await?, segment.read())
        }
        Asked::PastInit(fingerprint) => init(&request, past_init(&footage, fingerprint).await?),
        live => held(&request, &live, &outlet.ok_or_else(unknown)?.hls).await?,
    };
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(header::CACHE_CONTROL, MEDIA_CACHE);
    }
    Ok(response)
}

/// What the live list names and holds.
async fn held(request: &HeaderMap, asked: &Asked, hls: &Hls) -> Result<Response, HlsError> {
    Ok(match *asked {
        Asked::HeldInit(number) => init(request, hls.held_init(number)?),
        Asked::StoredInit(lap) => init(request, hls.stored_init(lap).await?),
        Asked::Held(number) => {
            let segment = hls.held(number)?;
            let length = segment.cut.body.bytes();
            let Body::Held(fragment) = &segment.cut.body else {
                return Err(HlsError::Unknown);
            };
            // Without a copy: the pieces are the bytes that the bus holds.
            range::answer(request, length, range::held(fragment.pieces().cloned().collect()))
        }
        Asked::Stored(_) | Asked::PastInit(_) => return Err(HlsError::Unknown),
    })
}

fn init(request: &HeaderMap, bytes: Bytes) -> Response {
    range::answer(request, bytes.len() as u64, range::held(vec![bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_playlist_writes_are_known() {
        assert_eq!(Asked::parse("17.m4s"), Some(Asked::Held(17)));
        assert_eq!(Asked::parse("init-17.mp4"), Some(Asked::HeldInit(17)));
        assert_eq!(Asked::parse("17.mp4"), Some(Asked::StoredInit(17)));
        assert_eq!(Asked::parse("p00000000000000ab.mp4"), Some(Asked::PastInit(0xab)));
        let place = Place { lap: 17, from: 900, until: 1_000 };
        assert_eq!(Asked::parse("17-900-1000.m4s"), Some(Asked::Stored(place)));
        for name in [
            "017.m4s",
            "+1.m4s",
            "-1.m4s",
            ".m4s",
            "99999999999999999999.m4s",
            "init-.mp4",
            "1-2.m4s",
            "1-2-3-4.m4s",
            "1-3-2.m4s",
            "1-2-2.m4s",
            "1-2-03.m4s",
            "1--2.m4s",
            "1-2-3.mp4",
            "p1.mp4",
            "p00000000000000AB.mp4",
            "p+000000000000001.mp4",
        ] {
            assert_eq!(Asked::parse(name), None, "{name}");
        }
    }
}
