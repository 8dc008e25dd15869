//! `/snap/<stream>.jpg`: the newest picture, or with `?at=` the one of a moment of the past.
//!
//! Owns: what may be asked for, and the headers. A picture that is not live is refused, never
//! shown as one, and one of the past says when it was taken.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::access::Right;
use crate::base::fault::chain;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::DvrError;
use crate::encode::still::StillError;
use crate::live::thumbnail::ThumbnailError;
use crate::playback::pictures::PastError;
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Caller, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::error::sentence;
use crate::serve::http::extract::{At, FileName};
use crate::serve::http::operation::Parameter;
use crate::serve::http::request::{Query, picture_width, width};
use crate::serve::http::response::http_date;

/// Seconds since the picture arrived, with three decimals.
const FRAME_AGE: HeaderName = HeaderName::from_static("x-frame-age");
/// When the picture was taken, in RFC 3339.
const FRAME_TIME: HeaderName = HeaderName::from_static("x-frame-time");
/// Where the next footage begins, in RFC 3339, in an answer that there is none.
const NEXT_FOOTAGE: HeaderName = HeaderName::from_static("x-next-footage");

const LIVE_CACHE: HeaderValue = HeaderValue::from_static("no-store");
/// A moment keeps its picture, unless the clock turns out to have been wrong.
const PAST_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=600");
/// The newest moments may still get a better one.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// A picture with what its headers say.
struct Shown {
    jpeg: Bytes,
    captured: WallTime,
    width: Option<u16>,
    /// How long ago it arrived; only for a live picture.
    age: Option<Duration>,
    cache: HeaderValue,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get_media("/snap/{file}", Access::Viewer(Object::LookedUp), picture)
        .says("The newest picture, or the one of a moment.")
        .hears(Parameter::date("at", "The moment; else now."))
        .hears(width())
        .answers_media(200, &["image/jpeg"])
        .answers_empty(304)
        .refuses(&[415])
}

/// `GET /snap/<stream>.jpg`.
pub(crate) async fn picture(
    State(context): At,
    caller: Caller,
    FileName(file): FileName,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, Response> {
    let refused = |error: ApiError| error.into_response();
    let name = file.strip_suffix(".jpg").ok_or_else(|| refused(ApiError::not_found()))?;
    let query = Query::parse(query.as_deref()).only(&["at", "width"], &[("t", "at")]);
    let query = query.map_err(refused)?;
    let width = picture_width(query.get("width")).map_err(refused)?;
    let at = query.date("at").map_err(refused)?;
    let right = if at.is_some() { Right::Past } else { Right::Live };
    caller.check(right, name).map_err(refused)?;
    let shown = match at {
        None => live(&context, name, width).await.map_err(refused)?,
        Some(at) => past(&context, name, end_of_milli(at), width).await?,
    };
    Ok(shown.answer(&request))
}

/// The end of the millisecond that `at` begins: the API gives dates in milliseconds, and a
/// request for one of them must get what happened in it.
fn end_of_milli(at: WallTime) -> WallTime {
    let in_milli = at.as_unix_nanos().rem_euclid(1_000_000);
    if in_milli == 0 { at.offset_nanos(999_999) } else { at }
}

async fn live(context: &HttpContext, name: &str, width: Option<u16>) -> Result<Shown, ApiError> {
    let outputs = context.streams.get(name).ok_or_else(|| ApiError::stream_unknown(name))?;
    let picture = outputs.thumbnail.picture(width).await?;
    let (jpeg, captured, age) = (picture.jpeg, picture.captured, Some(picture.age));
    Ok(Shown { jpeg, captured, width, age, cache: LIVE_CACHE })
}

async fn past(
    context: &HttpContext,
    name: &str,
    at: WallTime,
    width: Option<u16>,
) -> Result<Shown, Response> {
    let unknown = || ApiError::stream_unknown(name).into_response();
    let stream = StreamName::parse(name).map_err(|_| unknown())?;
    let outputs = context.streams.get(name);
    let live = outputs.as_ref().and_then(|outputs| outputs.thumbnail.key_frame_at(at));
    let picture = context.past.at(&stream, live, at, width).await.map_err(|error| match error {
        PastError::Gap { before: None, next: None, .. } if outputs.is_none() => unknown(),
        error => refusal(error),
    })?;
    let ago = context.clock.wall().as_unix_nanos().saturating_sub(at.as_unix_nanos());
    let settled = i128::from(ago) > i128::try_from(SETTLED_AFTER.as_nanos()).unwrap_or(0);
    let cache = if settled { PAST_CACHE } else { LIVE_CACHE };
    Ok(Shown { jpeg: picture.jpeg, captured: picture.captured, width, age: None, cache })
}

/// The answer that there is no picture of a moment; in a gap it says where footage continues.
fn refusal(error: PastError) -> Response {
    let next = if let PastError::Gap { next, .. } = &error { *next } else { None };
    let mut response = ApiError::from(error).into_response();
    if let Some(value) = next.and_then(|at| HeaderValue::from_str(&at.to_rfc3339()).ok()) {
        response.headers_mut().insert(NEXT_FOOTAGE, value);
    }
    response
}

impl Shown {
    fn answer(self, request: &HeaderMap) -> Response {
        let headers = self.headers();
        let known = request.get(header::IF_NONE_MATCH);
        if known.is_some() && known == headers.get(header::ETAG) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.jpeg).into_response()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let told = [
            (header::LAST_MODIFIED, Some(http_date(self.captured))),
            (header::ETAG, Some(self.etag())),
            (FRAME_TIME, Some(self.captured.to_rfc3339())),
            (FRAME_AGE, self.age.map(seconds)),
        ];
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
        headers.insert(header::CACHE_CONTROL, self.cache.clone());
        for (name, text) in told {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Two pictures of one stream are never captured in the same nanosecond.
    fn etag(&self) -> String {
        let (at, width) = (self.captured.as_unix_nanos(), self.width.unwrap_or(0));
        format!("\"{at:x}-{width}-{:x}\"", self.jpeg.len())
    }
}

fn seconds(age: Duration) -> String {
    format!("{}.{:03}", age.as_secs(), age.subsec_millis())
}

impl From<ThumbnailError> for ApiError {
    fn from(error: ThumbnailError) -> Self {
        match error {
            ThumbnailError::Decode(error) => error.into(),
            ThumbnailError::TooMany { .. } => Self::unavailable("viewers_full", chain(&error)),
            error => Self::unavailable("no_picture", chain(&error)),
        }
    }
}

impl From<StillError> for ApiError {
    fn from(error: StillError) -> Self {
        let text = sentence(&chain(&error));
        match error {
            StillError::NoDecoder { .. } => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "no_decoder", text)
            }
            _ => Self::unavailable("no_picture", text),
        }
    }
}

impl From<PastError> for ApiError {
    fn from(error: PastError) -> Self {
        let text = sentence(&chain(&error));
        match error {
            PastError::Decode(error) => error.into(),
            PastError::Future { .. } => Self::new(StatusCode::BAD_REQUEST, "in_the_future", text),
            PastError::Gap { .. } => Self::new(StatusCode::NOT_FOUND, "no_footage", text),
            PastError::Gone { .. } => Self::new(StatusCode::GONE, "footage_gone", text),
            PastError::Damaged { .. } => Self::new(StatusCode::NOT_FOUND, "footage_damaged", text),
            PastError::Busy => Self::unavailable("busy", text),
            PastError::Disk(DvrError::NoSlot) => {
                Self::unavailable("disk_failing", "The ring is not open yet.")
            }
            PastError::Disk(_) => Self::unavailable("disk_failing", text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_three_decimals() {
        assert_eq!(seconds(Duration::from_millis(1_042)), "1.042");
    }
}
