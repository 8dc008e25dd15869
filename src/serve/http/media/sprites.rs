//! `/sprites/<stream>/…`: sheets of small pictures and the map of them, for scrubbing.
//!
//! Owns: names, what may be asked for, and how long each may be kept.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::access::Right;
use crate::base::limits::SPRITE_RANGE_MAX;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::playback::sprite::{Sheet, SheetStart, SpriteError};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, known_stream};
use crate::serve::http::operation::Parameter;
use crate::serve::http::request::Query;

/// The map.
const MAP: &str = "index.vtt";
const MAP_TYPE: HeaderValue = HeaderValue::from_static("text/vtt; charset=utf-8");
/// A sheet whose minutes are over stays unchanged until its footage goes.
const FINISHED_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");
/// The others grow by a tile every ten seconds.
const GROWING_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=5");
/// How far back a map reaches that does not say.
const DEFAULT_RANGE_NANOS: i64 = 3_600 * 1_000_000_000;

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let past = Access::Viewer(Object::Stream(Right::Past));
    door.get_media("/sprites/{stream}/{file}", past, file)
        .says("Sheets of small pictures, and `index.vtt`, the map of them.")
        .hears(Parameter::date("start", "Of the map: from when."))
        .hears(Parameter::date("end", "Of the map: to when; else now."))
        .answers_media(200, &["image/jpeg", "text/vtt"])
        .answers_empty(304)
}

/// `GET /sprites/<stream>/index.vtt` and `/sprites/<stream>/<seconds since 1970>.jpg`: also for
/// streams that the configuration no longer names.
pub(crate) async fn file(
    State(context): At,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let Path((name, file)) = path.map_err(|_| ApiError::not_found())?;
    let stream = known_stream(&context, &name)?;
    if file == MAP {
        let query = Query::parse(query.as_deref()).only(&["start", "end"], &[])?;
        return map(&context, &stream, &query);
    }
    let start = sheet_start(&file).ok_or_else(ApiError::not_found)?;
    Ok(answer(context.sprites.sheet(&stream, start).await?, start, &request))
}

/// The sheet of this name, written as the map writes it.
fn sheet_start(file: &str) -> Option<SheetStart> {
    let secs: i64 = file.strip_suffix(".jpg")?.parse().ok()?;
    SheetStart::new(secs).filter(|_| file == format!("{secs}.jpg"))
}

fn map(context: &HttpContext, stream: &StreamName, query: &Query) -> Result<Response, ApiError> {
    let (from, until) = range(query, context.clock.wall())?;
    let headers = [(header::CONTENT_TYPE, MAP_TYPE), (header::CACHE_CONTROL, GROWING_CACHE)];
    Ok((headers, context.sprites.map(stream, from, until)).into_response())
}

fn range(query: &Query, now: WallTime) -> Result<(WallTime, WallTime), ApiError> {
    let until = query.date("end")?.unwrap_or(now);
    let default = until.offset_nanos(-DEFAULT_RANGE_NANOS);
    let from = query.date("start")?.unwrap_or(default);
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
            let part = |name: &str, text: &str| match text {
                "" => String::new(),
                text => format!("{name}={text}&"),
            };
            let query = part("start", start) + &part("end", end);
            range(&Query::parse(Some(&query)), now)
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
