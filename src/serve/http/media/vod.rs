//! HLS of the past: `/live/{stream}/dvr.m3u8` and `/vod/{stream}/index.m3u8`.
//!
//! Owns: the parameters of a window and a range, how long an answer may be cached, and the answer
//! where there is no footage. The segments are those of `live`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::access::Right;
use crate::base::limits::HLS_WINDOW_MAX;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::{Gap, Listing};
use crate::playback::hls::{PlaylistError, RecordedHls, RecordedPlaylist};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, Named, StreamPath};
use crate::serve::http::operation::Parameter;
use crate::serve::http::origin::Reached;
use crate::serve::http::request::{Query, duration};
use crate::serve::http::response::{PLAYLIST_TYPE, http_date};

/// A list that slides is old after a second.
const WINDOW_CACHE: HeaderValue = HeaderValue::from_static("max-age=1");
/// What is over does not change while its footage is there; a setting of the clock may move it.
const CLOSED_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=60");
/// Something may still come into it.
const OPEN_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// How far a window reaches back that does not say.
const WINDOW_DEFAULT: Duration = HLS_WINDOW_MAX;

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let past = Access::Viewer(Object::Stream(Right::Past));
    let playlist: &[&str] = &["application/vnd.apple.mpegurl"];
    door.get_media("/live/{stream}/dvr.m3u8", past, window)
        .says("HLS: from now back, without end.")
        .hears(Parameter::text("window", "How far back, such as 30m; at most 24h."))
        .hears(Parameter::text("_HLS_skip", "What the player has may be left out."))
        .answers_media(200, playlist)
        .answers_empty(304)
        .refuses(&[410])
        .get_media("/vod/{stream}/index.m3u8", past, range)
        .says("HLS: a range of the recording.")
        .hears(Parameter::date("start", "From when.").required())
        .hears(Parameter::date("end", "To when; else now."))
        .answers_media(200, playlist)
        .answers_empty(304)
        .refuses(&[410])
}

/// `GET /live/{stream}/dvr.m3u8?window=24h`: from now back, without end.
pub(crate) async fn window(
    State(context): At,
    Named(outputs): Named,
    Extension(reached): Extension<Reached>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref());
    let window = match query.get("window") {
        None => WINDOW_DEFAULT,
        Some(text) => window_of(text, outputs.stream.name())?,
    };
    // `v2` may leave out date ranges too, of which there are none.
    let delta = matches!(query.get("_HLS_skip"), Some("YES" | "v2"));
    let name = outputs.stream.name();
    outputs.hls.count_reader(reached.client);
    if outputs.recorder.is_none() {
        return Err(nothing(&context, name, None));
    }
    let list = context.playback.hls(name, &context.clock).window(window, delta).await;
    let list = list.map_err(|error| refused(error, || nothing(&context, name, None)))?;
    context.stats.asks(name, reached.client, context.clock.boot());
    Ok(answer(&request, list, WINDOW_CACHE, String::new()))
}

fn window_of(text: &str, stream: &StreamName) -> Result<Duration, ApiError> {
    let hours = HLS_WINDOW_MAX.as_secs() / 3_600;
    let window = duration(text).filter(|window| !window.is_zero());
    let window = window.ok_or_else(|| {
        ApiError::bad_request(format!(
            "`window` must be a duration with a unit, such as 90s, 30m or {hours}h."
        ))
    })?;
    if window > HLS_WINDOW_MAX {
        return Err(ApiError::bad_request(format!(
            "`window` may be {hours}h at most. Longer ranges are at \
             /vod/{stream}/index.m3u8?start=…&end=…"
        )));
    }
    Ok(window)
}

/// `GET /vod/{stream}/index.m3u8?start=…&end=…`: a range, also of a stream that the configuration
/// no longer names. Without `end` it reaches to now.
pub(crate) async fn range(
    State(context): At,
    StreamPath(name): StreamPath,
    Extension(reached): Extension<Reached>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::stream_unknown(&name);
    let stream = StreamName::parse(&name).map_err(|_| unknown())?;
    let query = Query::parse(query.as_deref());
    let now = context.clock.wall();
    let start = query.date("start")?.ok_or_else(|| {
        ApiError::bad_request("`start` is missing: /vod/<stream>/index.m3u8?start=…&end=…")
    })?;
    let end = query.date("end")?.unwrap_or(now);
    if end <= start && query.get("end").is_some() {
        return Err(ApiError::bad_request("`end` must be later than `start`."));
    }
    let past = RecordedHls::new(context.dvr.footage(&stream), Arc::clone(&context.clock));
    let list = past.range(start, end).await;
    let list =
        list.map_err(|error| refused(error, || nothing(&context, &stream, Some((start, end)))))?;
    context.stats.asks(&stream, reached.client, context.clock.boot());
    let cache = if list.closed { CLOSED_CACHE } else { OPEN_CACHE };
    let prefix = format!("../../live/{stream}/");
    Ok(answer(&request, list, cache, prefix))
}

fn answer(
    request: &HeaderMap,
    list: RecordedPlaylist,
    cache: HeaderValue,
    prefix: String,
) -> Response {
    let tag = format!("W/\"{:x}\"", list.tag);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, PLAYLIST_TYPE);
    headers.insert(header::CACHE_CONTROL, cache);
    for (name, text) in [(header::ETAG, tag.clone()), (header::LAST_MODIFIED, http_date(list.end))]
    {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Body::from_stream(list.text(prefix))).into_response()
}

fn refused(error: PlaylistError, nothing: impl FnOnce() -> ApiError) -> ApiError {
    match error {
        PlaylistError::Nothing => nothing(),
        PlaylistError::Gone => ApiError::unavailable(
            "footage_moving",
            "The recording was overwritten while it was listed. Try again.",
        ),
        PlaylistError::Disk(error) => {
            ApiError::unavailable("disk_failing", format!("The recording cannot be read: {error}."))
        }
    }
}

/// Why there is nothing in a range, or in a window up to now, and what to ask for instead.
fn nothing(
    context: &HttpContext,
    stream: &StreamName,
    range: Option<(WallTime, WallTime)>,
) -> ApiError {
    let list = context.dvr.listing(stream);
    let outputs = context.streams.get(stream.as_str());
    if list.runs.is_empty() {
        return match outputs {
            None => ApiError::stream_unknown(stream.as_str()),
            Some(outputs) if outputs.recorder.is_none() => ApiError::new(
                StatusCode::NOT_FOUND,
                "not_recorded",
                format!(
                    "Stream '{stream}' is not recorded. The live stream is at /live/{stream}/index.m3u8"
                ),
            ),
            Some(_) => ApiError::unavailable(
                "stream_starting",
                format!(
                    "Nothing of '{stream}' is recorded yet, or the ring is still being opened. Try \
                     again in a moment."
                ),
            ),
        };
    }
    let now = context.clock.wall();
    let (start, end) = range.unwrap_or((now, now));
    let (code, message) = why_nothing(&list, stream, (start, end), now);
    ApiError::new(StatusCode::NOT_FOUND, code, message)
}

fn why_nothing(
    list: &Listing,
    stream: &StreamName,
    (start, end): (WallTime, WallTime),
    now: WallTime,
) -> (&'static str, String) {
    let oldest = list.runs.iter().map(|run| run.start).min().unwrap_or(now);
    let newest = list.runs.iter().map(|run| run.end).max().unwrap_or(now);
    let behind = list.runs.iter().map(|run| run.start).filter(|from| *from >= end).min();
    let from = |at: WallTime| format!("/vod/{stream}/index.m3u8?start={}", at.to_rfc3339());
    if start > now {
        let text = format!(
            "The range begins in the future; it is {} now. The live stream is at /live/{stream}/dvr.m3u8",
            now.to_rfc3339()
        );
        return ("range_in_future", text);
    }
    if start >= newest {
        let text = format!(
            "The recording of '{stream}' ends at {}, before the range begins.",
            newest.to_rfc3339()
        );
        return ("no_footage", text);
    }
    let Some(next) = behind else {
        let text = format!("Nothing of '{stream}' is recorded there; ask for more.");
        return ("no_footage", text);
    };
    let next = format!("The next footage begins at {}: {}", next.to_rfc3339(), from(next));
    if end <= oldest {
        return ("no_footage", format!("The recording of '{stream}' begins later. {next}"));
    }
    let within = |gap: &&Gap| gap.start <= start && gap.end >= end;
    let why = list.gaps.iter().find(within).map(|gap| gap.message.as_str());
    let why = why.unwrap_or("Nothing is recorded there.");
    ("no_footage", format!("The range is in a gap. {why} {next}"))
}
