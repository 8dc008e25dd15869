//! `/live/{stream}/…`: HLS playlists, init sections and segments.
//!
//! Owns: names, content types and how long each may be cached.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::error::ApiError;
use super::listener::Slot;
use super::route::{FileName, Named};

const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("video/mp4");
/// A live playlist is old after a second.
const PLAYLIST_CACHE: HeaderValue = HeaderValue::from_static("max-age=1");
/// Numbers are never used twice, so what stands behind one never changes.
const MEDIA_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=3600, immutable");
/// Says why a stream's sound is left out.
const AUDIO_DROPPED: HeaderName = HeaderName::from_static("x-audio-dropped");

/// `GET index.m3u8`: the multivariant playlist.
pub(super) async fn multivariant(Named(outlet): Named) -> Result<Response, ApiError> {
    let text = outlet.hls.multivariant().await?;
    let mut response = playlist(text);
    let reason = outlet.hls.audio_dropped();
    if let Some(value) = reason.and_then(|reason| HeaderValue::from_str(&reason).ok()) {
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
    Init(u64),
    Segment(u64),
}

impl Asked {
    fn parse(name: &str) -> Option<Self> {
        if let Some(number) = name.strip_prefix("init-") {
            return number.strip_suffix(".mp4").and_then(whole).map(Self::Init);
        }
        name.strip_suffix(".m4s").and_then(whole).map(Self::Segment)
    }
}

/// A number as a playlist writes it: digits only, no more than needed.
fn whole(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// `GET init-<n>.mp4` and `GET <n>.m4s`.
pub(super) async fn file(
    Named(outlet): Named,
    FileName(name): FileName,
) -> Result<Response, ApiError> {
    match Asked::parse(&name).ok_or_else(ApiError::not_found)? {
        Asked::Init(number) => {
            let init = outlet.hls.init(number)?.format.init.clone();
            Ok(sent(init.len(), Body::from(init)))
        }
        Asked::Segment(number) => {
            let segment = outlet.hls.segment(number)?;
            let bytes = segment.fragment.len();
            // Without a copy: the pieces are the bytes that the bus holds.
            let pieces: Vec<Bytes> = segment.fragment.pieces().cloned().collect();
            let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
            Ok(sent(bytes, Body::from_stream(futures::stream::iter(pieces))))
        }
    }
}

fn sent(bytes: usize, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CACHE_CONTROL, MEDIA_CACHE),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_playlist_writes_are_known() {
        assert_eq!(Asked::parse("17.m4s"), Some(Asked::Segment(17)));
        assert_eq!(Asked::parse("init-17.mp4"), Some(Asked::Init(17)));
        for name in ["017.m4s", "+1.m4s", "-1.m4s", ".m4s", "1.mp4", "99999999999999999999.m4s"] {
            assert_eq!(Asked::parse(name), None, "{name}");
        }
    }
}
