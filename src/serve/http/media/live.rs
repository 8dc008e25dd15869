//! `/live/{stream}/…`: HLS playlists, init sections and segments.
//!
//! Owns: names, content types and how long each may be cached.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::access::Right;
use crate::base::name::StreamName;
use crate::live::StreamOutputs;
use crate::live::hls::{Directives, Hls, HlsError};
use crate::playback::hls::{StoredSegment, init_by_fingerprint, init_of_lap};
use crate::serve::http::byte_range;
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Caller, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, FileName, Named, StreamPath};
use crate::serve::http::operation::Parameter;
use crate::serve::http::origin::Reached;
use crate::serve::http::response::PLAYLIST_TYPE;
use crate::wire::hls::{
    KEY_FRAME_ENDING, Part, StoredRange, Variant, multivariant as variants_told,
};

/// What a media playlist is called.
const MEDIA: &str = "media.m3u8";

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("video/mp4");
/// A live playlist is old after a second.
const PLAYLIST_CACHE: HeaderValue = HeaderValue::from_static("max-age=1");
/// Numbers and places are never reused, so the content behind one never changes.
const MEDIA_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=3600, immutable");
/// Says why a stream's sound is left out.
const AUDIO_DROPPED: HeaderName = HeaderName::from_static("x-audio-dropped");

/// What playlists are.
const PLAYLIST: &[&str] = &["application/vnd.apple.mpegurl"];
const LIVE: Access = Access::Viewer(Object::Stream(Right::Live));

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get_media("/live/{stream}/index.m3u8", LIVE, multivariant)
        .says("HLS: the variants of a stream.")
        .answers_media(200, PLAYLIST)
        .refuses(&[410])
        .get_media("/live/{stream}/media.m3u8", LIVE, media)
        .says("HLS: the live list.")
        .hears(Parameter::text("_HLS_msn", "Waits until this segment is listed."))
        .hears(Parameter::text("_HLS_part", "Or this part of it."))
        .hears(Parameter::text("_HLS_skip", "What the player has may be left out."))
        .answers_media(200, PLAYLIST)
        .refuses(&[410])
        .get_media("/live/{stream}/iframes.m3u8", LIVE, key_frames)
        .says("HLS: the key frames of the live list.")
        .answers_media(200, PLAYLIST)
        .refuses(&[410])
        .get_media("/live/{stream}/{file}", Access::Viewer(Object::LookedUp), file)
        .says("HLS: a segment, a part, or an init section.")
        .answers_media(200, &["video/mp4"])
        .answers_media(206, &["video/mp4"])
        .answers_empty(416)
        .refuses(&[410])
}

/// `GET index.m3u8`: the multivariant playlist, of the stream and of its sub-stream.
pub(crate) async fn multivariant(
    State(context): At,
    Named(outputs): Named,
) -> Result<Response, ApiError> {
    let sub_outputs = outputs.sub.load_full().and_then(|name| context.streams.get(name.as_str()));
    if let Some(sub) = &sub_outputs {
        outputs.hls.prefer_target(sub.hls.target());
    }
    let main = outputs.hls.variant(MEDIA.to_owned());
    let sub = async {
        let sub = sub_outputs.as_ref()?;
        sub.hls.prefer_target(outputs.hls.target());
        sub.hls.variant_at_once(beside(sub)).await.ok()
    };
    let (main, first) = tokio::join!(main, sub);
    let sub = match (&sub_outputs, first) {
        // What was not known when this began may be by now.
        (Some(sub), None) if main.is_ok() => sub.hls.variant_at_once(beside(sub)).await.ok(),
        (_, known) => known,
    };
    if let Some(sub) = &sub_outputs {
        sub.hls.prefer_target(outputs.hls.target());
    }
    let variants: Vec<Variant> = match (main, sub) {
        (Err(error), None) => return Err(error.into()),
        (main, sub) => main.into_iter().chain(sub).collect(),
    };
    let mut response = playlist(variants_told(&variants));
    let mut dropped = variants.iter().filter_map(|variant| variant.audio_dropped.as_deref());
    if let Some(value) = dropped.next().and_then(|reason| HeaderValue::from_str(reason).ok()) {
        response.headers_mut().insert(AUDIO_DROPPED, value);
    }
    Ok(response)
}

/// The media playlist of another stream, relative to your own.
fn beside(other: &StreamOutputs) -> String {
    format!("../{}/{MEDIA}", other.stream.name())
}

/// `GET media.m3u8`: the live list.
pub(crate) async fn media(
    State(context): At,
    Named(outputs): Named,
    RawQuery(query): RawQuery,
    Extension(reached): Extension<Reached>,
) -> Result<Response, ApiError> {
    let asked = directives(query.as_deref().unwrap_or_default())?;
    let reports =
        || siblings(&context, &outputs).filter_map(|it| it.hls.report(beside(&it))).collect();
    Ok(playlist(outputs.hls.media(reached.client, asked, reports).await?))
}

/// `GET iframes.m3u8`: the key frames of the live list by themselves.
pub(crate) async fn key_frames(
    Named(outputs): Named,
    Extension(reached): Extension<Reached>,
) -> Result<Response, ApiError> {
    outputs.hls.count_reader(reached.client);
    Ok(playlist(outputs.hls.key_frame_list().await?))
}

/// The other variants of the stream: its sub-stream, or those whose sub-stream it is.
fn siblings(
    context: &HttpContext,
    outputs: &StreamOutputs,
) -> impl Iterator<Item = Arc<StreamOutputs>> {
    let (own, sub) = (outputs.stream.name().clone(), outputs.sub.load_full());
    let all = context.streams.all();
    let names = all.iter().filter(|(name, other)| {
        sub.as_deref() == Some(*name) || other.sub.load().as_deref() == Some(&own)
    });
    names.map(|(_, other)| Arc::clone(other)).collect::<Vec<_>>().into_iter()
}

/// The directives of 8216bis §6.2.5 in a query; whatever else is in it is not ours.
fn directives(query: &str) -> Result<Directives, ApiError> {
    let number = |value: &str| {
        whole(value).map(Some).ok_or_else(|| {
            let message = "_HLS_msn and _HLS_part are whole numbers.";
            ApiError::new(StatusCode::BAD_REQUEST, "directive_wrong", message)
        })
    };
    let mut asked = Directives::default();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("_HLS_msn", value)) => asked.segment = number(value)?,
            Some(("_HLS_part", value)) => asked.part = number(value)?,
            Some(("_HLS_skip", value)) => asked.skip = matches!(value, "YES" | "v2"),
            _ => {}
        }
    }
    Ok(asked)
}

fn playlist(text: impl Into<Body>) -> Response {
    let headers = [(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, PLAYLIST_CACHE)];
    (headers, text.into()).into_response()
}

/// What a file name asks for.
#[derive(Debug, PartialEq, Eq)]
enum MediaFile {
    /// `init-<n>.mp4`, held in memory.
    HeldInit(u64),
    /// `<n>.m4s`, held in memory.
    Held(u64),
    /// `<n>.<p>.m4s`, held in memory or about to be.
    HeldPart(u64, u64),
    /// `<lap>.mp4`, at the front of a lap.
    StoredInit(u64),
    /// `p<fingerprint>.mp4`, at the front of every lap that has it.
    PastInit(u64),
    /// `<lap>-<from>-<until>.m4s`, in a lap.
    Stored(StoredRange),
    /// `<n>.key.m4s`: the key frame of what is held in memory.
    HeldKey(u64),
    /// `<lap>-<from>-<until>.key.m4s`: that of what is in a lap.
    StoredKey(StoredRange),
}

impl MediaFile {
    /// What it takes to have it. An init section holds no picture, and the live list names those
    /// of the lap that it is recorded in.
    fn right(&self) -> Right {
        match self {
            Self::Stored(_) | Self::StoredKey(_) | Self::PastInit(_) => Right::Past,
            Self::HeldInit(_)
            | Self::Held(_)
            | Self::HeldPart(..)
            | Self::HeldKey(_)
            | Self::StoredInit(_) => Right::Live,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if let Some(name) = name.strip_suffix(".mp4") {
            return match (name.strip_prefix("init-"), name.strip_prefix('p')) {
                (Some(number), _) => whole(number).map(Self::HeldInit),
                (_, Some(digits)) => fingerprint(digits).map(Self::PastInit),
                _ => whole(name).map(Self::StoredInit),
            };
        }
        if let Some(segment) = name.strip_suffix(KEY_FRAME_ENDING) {
            return match Self::parse(&format!("{segment}.m4s"))? {
                Self::Held(number) => Some(Self::HeldKey(number)),
                Self::Stored(place) => Some(Self::StoredKey(place)),
                _ => None,
            };
        }
        if let Some((number, part)) = name.strip_suffix(".m4s")?.split_once('.') {
            return whole(number).zip(whole(part)).map(|(n, part)| Self::HeldPart(n, part));
        }
        let mut numbers = name.strip_suffix(".m4s")?.splitn(3, '-').map(whole);
        match (numbers.next()??, numbers.next(), numbers.next()) {
            (number, None, None) => Some(Self::Held(number)),
            (lap, Some(from), Some(until)) => {
                let (from, until) = (from?, until?);
                (from < until).then_some(Self::Stored(StoredRange { lap, from, until }))
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
pub(crate) async fn file(
    State(context): At,
    StreamPath(stream): StreamPath,
    FileName(name): FileName,
    Extension(reached): Extension<Reached>,
    caller: Caller,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = MediaFile::parse(&name).ok_or_else(ApiError::not_found)?;
    caller.check(asked.right(), &stream)?;
    let unknown = || ApiError::stream_unknown(&stream);
    let named = StreamName::parse(&stream).map_err(|_| unknown())?;
    let footage = context.dvr.footage(&named);
    let outputs = context.streams.get(&stream);
    // The ring may hold a stream that the configuration no longer names.
    if outputs.is_none() && footage.laps().is_empty() {
        return Err(unknown());
    }
    let mut response = match asked {
        MediaFile::Stored(place) => {
            context.stats.continues(&named, reached.client, context.clock.boot());
            let mut segment = StoredSegment::open(&context.fragments, &footage, place).await?;
            byte_range::answer(&request, segment.length().await?, segment.read())
        }
        MediaFile::StoredKey(place) => {
            let mut segment = StoredSegment::open(&context.fragments, &footage, place).await?;
            init(&request, segment.key_frame().await?)
        }
        MediaFile::StoredInit(lap) => {
            let listed = outputs.and_then(|outputs| outputs.hls.listed_init(lap));
            let bytes = match listed {
                Some(bytes) => bytes,
                None => init_of_lap(&footage, lap).await?,
            };
            init(&request, bytes)
        }
        MediaFile::PastInit(print) => init(&request, init_by_fingerprint(&footage, print).await?),
        live => held(&request, &live, &outputs.ok_or_else(unknown)?.hls).await?,
    };
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(header::CACHE_CONTROL, MEDIA_CACHE);
    }
    Ok(response)
}

/// What the live list names and holds.
async fn held(request: &HeaderMap, asked: &MediaFile, hls: &Hls) -> Result<Response, HlsError> {
    Ok(match *asked {
        MediaFile::HeldInit(number) => init(request, hls.held_init(number)?),
        MediaFile::Held(number) => {
            let segment = hls.held(number)?;
            pieces(request, segment.cut.body.parts())
        }
        MediaFile::HeldKey(number) => init(request, hls.held_key_frame(number)?),
        MediaFile::HeldPart(number, at) => pieces(request, &[hls.part(number, at).await?]),
        MediaFile::StoredInit(_)
        | MediaFile::Stored(_)
        | MediaFile::StoredKey(_)
        | MediaFile::PastInit(_) => {
            return Err(HlsError::Unknown);
        }
    })
}

/// Parts, without a copy: the pieces are the bytes that the bus holds.
fn pieces(request: &HeaderMap, parts: &[Arc<Part>]) -> Response {
    let length = parts.iter().map(|part| part.fragment.len() as u64).sum();
    let pieces = parts.iter().flat_map(|part| part.fragment.pieces().cloned()).collect();
    byte_range::answer(request, length, byte_range::held(pieces))
}

fn init(request: &HeaderMap, bytes: Bytes) -> Response {
    byte_range::answer(request, bytes.len() as u64, byte_range::held(vec![bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_playlist_writes_are_known() {
        assert_eq!(MediaFile::parse("17.m4s"), Some(MediaFile::Held(17)));
        assert_eq!(MediaFile::parse("17.3.m4s"), Some(MediaFile::HeldPart(17, 3)));
        assert_eq!(MediaFile::parse("init-17.mp4"), Some(MediaFile::HeldInit(17)));
        assert_eq!(MediaFile::parse("17.mp4"), Some(MediaFile::StoredInit(17)));
        assert_eq!(MediaFile::parse("p00000000000000ab.mp4"), Some(MediaFile::PastInit(0xab)));
        let place = StoredRange { lap: 17, from: 900, until: 1_000 };
        assert_eq!(MediaFile::parse("17-900-1000.m4s"), Some(MediaFile::Stored(place)));
        assert_eq!(MediaFile::parse("17.key.m4s"), Some(MediaFile::HeldKey(17)));
        assert_eq!(MediaFile::parse("17-900-1000.key.m4s"), Some(MediaFile::StoredKey(place)));
        for name in [
            "17.3.key.m4s",
            "key.m4s",
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
            assert_eq!(MediaFile::parse(name), None, "{name}");
        }
    }
}
