//! `/sprites/<stream>/…`: sheets of small pictures and the map of them, for scrubbing.
//!
//! Owns: names, what may be asked for, and how long each may be kept.

use axum::extract::rejection::PathRejection;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Door;
use super::error::ApiError;
use super::route::At;
use super::snapshot::moment;
use crate::base::limits::SPRITE_RANGE_MAX;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::playback::sprite::{Sheet, SheetStart, SpriteError};

/// The map.
const MAP: &str = "index.vtt";
const MAP_TYPE: HeaderValue = HeaderValue::from_static("text/vtt; charset=utf-8");
/// A sheet whose minutes are over stays as it is until its footage goes.
const FINISHED_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");
/// The others grow by a tile every ten seconds.
const GROWING_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=5");
/// How far back a map reaches that does not say.
const DEFAULT_RANGE_NANOS: i64 = 3_600 * 1_000_000_000;

/// What may stand behind the question mark of the map.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    start: Option<String>,
    end: Option<String>,
}

/// `GET /sprites/<stream>/index.vtt` and `/sprites/<stream>/<seconds since 1970>.jpg`: also for
/// streams that the configuration no longer names.
pub(super) async fn file(
    State(door): At,
    path: Result<Path<(String, String)>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let Path((name, file)) = path.map_err(|_| ApiError::not_found())?;
    let stream = StreamName::parse(&name).map_err(|_| ApiError::stream_unknown(&name))?;
    let known = door.streams.get(&name).is_some() || door.dvr.recorded_streams().contains(&stream);
    if !known {
        return Err(ApiError::stream_unknown(&name));
    }
    if file == MAP {
        let only = "Only `start` and `end` may stand behind the question mark, once each.";
        let Query(asked) = asked.map_err(|_| ApiError::bad_request(only))?;
        return map(&door, &stream, &asked);
    }
    let start = sheet_start(&file).ok_or_else(ApiError::not_found)?;
    Ok(answer(door.sprites.sheet(&stream, start).await?, start, &request))
}

/// The sheet of this name, written as the map writes it.
fn sheet_start(file: &str) -> Option<SheetStart> {
    let secs: i64 = file.strip_suffix(".jpg")?.parse().ok()?;
    SheetStart::new(secs).filter(|_| file == format!("{secs}.jpg"))
}

fn map(door: &Door, stream: &StreamName, asked: &Asked) -> Result<Response, ApiError> {
    let (from, until) = range(asked, door.clock.wall())?;
    let headers = [(header::CONTENT_TYPE, MAP_TYPE), (header::CACHE_CONTROL, GROWING_CACHE)];
    Ok((headers, door.sprites.map(stream, from, until)).into_response())
}

fn range(asked: &Asked, now: WallTime) -> Result<(WallTime, WallTime), ApiError> {
    let until = asked.end.as_deref().map_or(Ok(now), |text| moment(text, "end"))?;
    let default = until.offset_nanos(-DEFAULT_RANGE_NANOS);
    let from = asked.start.as_deref().map_or(Ok(default), |text| moment(text, "start"))?;
    if until <= from {
        return Err(ApiError::bad_request("`end` must be later than `start`."));
    }
    let span = i128::from(until.as_unix_nanos()) - i128::from(from.as_unix_nanos());
    if span > i128::try_from(SPRITE_RANGE_MAX.as_nanos()).unwrap_or(i128::MAX) {
        let hours = SPRITE_RANGE_MAX.as_secs() / 3_600;
        let message = format!("From `start` to `end` there may be {hours} hours at most.");
        return Err(ApiError::bad_request(message));
    }
    Ok((from, until))
}

fn answer(sheet: Sheet, start: SheetStart, request: &HeaderMap) -> Response {
    let cache = if sheet.finished { FINISHED_CACHE } else { GROWING_CACHE };
    let sum = crc32c::crc32c(&sheet.jpeg);
    let etag = format!("\"{:x}-{:x}-{sum:x}\"", start.as_secs(), sheet.jpeg.len());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(header::CACHE_CONTROL, cache);
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    let known = request.get(header::IF_NONE_MATCH);
    if known.is_some() && known == headers.get(header::ETAG) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, sheet.jpeg).into_response()
}

impl From<SpriteError> for ApiError {
    fn from(error: SpriteError) -> Self {
        match error {
            SpriteError::Nothing(error) => error.into(),
            SpriteError::Busy => {
                let text = "The sheet is still being made; ask again to get it.";
                Self::unavailable("busy", text)
            }
            SpriteError::NoFootage { sheet } => {
                let (from, to) = (sheet.start().to_rfc3339(), sheet.end().to_rfc3339());
                let text = format!("Nothing is recorded from {from} to {to}.");
                Self::new(StatusCode::NOT_FOUND, "no_footage", text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_map_writes_are_known() {
        assert_eq!(sheet_start("1795363200.jpg"), SheetStart::new(1_795_363_200));
        for name in ["1795363201.jpg", "+600.jpg", "0600.jpg", "600.png", ".jpg", "9e9.jpg"] {
            assert_eq!(sheet_start(name), None, "{name}");
        }
    }

    #[test]
    fn a_range_is_bounded_and_runs_forwards() {
        let now = WallTime::from_unix_nanos(1_795_363_200_000_000_000);
        let asked = |start: &str, end: &str| {
            let part = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            range(&Asked { start: part(start), end: part(end) }, now)
        };
        let hour = now.offset_nanos(-DEFAULT_RANGE_NANOS);
        assert_eq!(asked("", "").unwrap(), (hour, now));
        assert!(asked("1795276800", "1795363200").is_ok());
        for (start, end) in [
            ("1795276799", "1795363200"),
            ("1795363200", "1795363200"),
            ("1795363201", ""),
            ("then", ""),
            ("", "0"),
            ("1677-09-22T00:00:00Z", "2262-04-11T00:00:00Z"),
        ] {
            let wrong = asked(start, end);
            // An hour before 1970 is as good as any.
            assert_eq!(wrong.is_err(), end != "0", "{start} {end}");
        }
    }
}
