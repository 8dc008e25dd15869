//! `/snap/<stream>.jpg`: the newest picture, or with `?t=` the one of a moment of the past.
//!
//! Owns: what may be asked for, and the headers. A picture that is not live is refused, never
//! shown as one, and one of the past says when it was taken.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;

use super::Door;
use super::error::ApiError;
use super::route::{At, FileName};
use super::span;
use crate::base::fault::chain;
use crate::base::limits::PICTURE_WIDTHS;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::DvrError;
use crate::encode::still::StillError;
use crate::live::thumbnail::ThumbnailError;
use crate::playback::pictures::PastError;

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

/// What may stand behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    t: Option<String>,
    width: Option<String>,
}

/// A picture with what its headers say.
struct Shown {
    jpeg: Bytes,
    captured: WallTime,
    width: Option<u16>,
    /// How long ago it arrived; only a live picture says so.
    age: Option<Duration>,
    cache: HeaderValue,
}

/// `GET /snap/<stream>.jpg`.
pub(super) async fn picture(
    State(door): At,
    FileName(file): FileName,
    asked: Result<Query<Asked>, QueryRejection>,
    request: HeaderMap,
) -> Result<Response, Response> {
    let refused = |error: ApiError| error.into_response();
    let name = file.strip_suffix(".jpg").ok_or_else(|| refused(ApiError::not_found()))?;
    let only = "Only `t` and `width` may stand behind the question mark, once each.";
    let Query(asked) = asked.map_err(|_| refused(ApiError::bad_request(only)))?;
    let width = width(asked.width.as_deref()).map_err(refused)?;
    let shown = match asked.t.as_deref() {
        None => live(&door, name, width).await.map_err(refused)?,
        Some(text) => {
            let at = whole(moment(text, "t").map_err(refused)?);
            past(&door, name, at, width).await?
        }
    };
    Ok(shown.answer(&request))
}

/// The picture's width as a request says it.
pub(super) fn width(text: Option<&str>) -> Result<Option<u16>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let width = text.parse().ok().filter(|width| digits && PICTURE_WIDTHS.contains(width));
    width.map(Some).ok_or_else(|| {
        let (least, most) = PICTURE_WIDTHS.into_inner();
        ApiError::bad_request(format!("`width` must be a number of pixels, {least} to {most}."))
    })
}

/// A moment as a request says it under `name`.
pub(super) fn moment(text: &str, name: &str) -> Result<WallTime, ApiError> {
    span::date(text).ok_or_else(|| {
        ApiError::bad_request(format!(
            "`{name}` must be a time in RFC 3339, such as 2026-11-22T14:05:00Z, or in seconds \
             since 1970."
        ))
    })
}

/// The end of the millisecond that `at` begins: dates are told in milliseconds here, and who asks
/// for one that was told must get what happened in it.
fn whole(at: WallTime) -> WallTime {
    let in_milli = at.as_unix_nanos().rem_euclid(1_000_000);
    if in_milli == 0 { at.offset_nanos(999_999) } else { at }
}

async fn live(door: &Door, name: &str, width: Option<u16>) -> Result<Shown, ApiError> {
    let outlet = door.streams.get(name).ok_or_else(|| ApiError::stream_unknown(name))?;
    let picture = outlet.thumbnail.picture(width).await?;
    let (jpeg, captured, age) = (picture.jpeg, picture.captured, Some(picture.age));
    Ok(Shown { jpeg, captured, width, age, cache: LIVE_CACHE })
}

async fn past(
    door: &Door,
    name: &str,
    at: WallTime,
    width: Option<u16>,
) -> Result<Shown, Response> {
    let unknown = || ApiError::stream_unknown(name).into_response();
    let stream = StreamName::parse(name).map_err(|_| unknown())?;
    let outlet = door.streams.get(name);
    let live = outlet.as_ref().and_then(|outlet| outlet.thumbnail.key_frame_at(at));
    let picture = door.past.at(&stream, live, at, width).await.map_err(|error| match error {
        PastError::Gap { before: None, next: None, .. } if outlet.is_none() => unknown(),
        error => refusal(error),
    })?;
    let ago = door.clock.wall().as_unix_nanos().saturating_sub(at.as_unix_nanos());
    let settled = i128::from(ago) > i128::try_from(SETTLED_AFTER.as_nanos()).unwrap_or(0);
    let cache = if settled { PAST_CACHE } else { LIVE_CACHE };
    Ok(Shown { jpeg: picture.jpeg, captured: picture.captured, width, age: None, cache })
}

/// The answer that there is no picture of a moment; in a gap it says where to go on.
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

/// An HTTP date, RFC 9110 §5.6.7.
pub(super) fn http_date(at: WallTime) -> String {
    let at = jiff::Timestamp::from_second(at.as_unix_nanos().div_euclid(1_000_000_000));
    let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
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

/// An error's words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_ages_have_the_form_that_http_wants() {
        let at = WallTime::from_unix_nanos(784_111_777_900_000_000);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(seconds(Duration::from_millis(1_042)), "1.042");
    }

    #[test]
    fn only_widths_that_make_sense_are_taken() {
        assert_eq!(width(None).unwrap(), None);
        assert_eq!(width(Some("320")).unwrap(), Some(320));
        for wrong in ["", "0", "15", "3841", "-320", "+320", "320px", "1e3", "99999999999", "٣٢٠"]
        {
            assert_eq!(width(Some(wrong)).unwrap_err().status, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }

    #[test]
    fn moments_are_dates_or_seconds() {
        let at = WallTime::from_unix_nanos(1_795_363_523_480_000_000);
        for text in ["1795363523.48", "2026-11-22T16:05:23.48Z", "2026-11-22T17:05:23.48 01:00"] {
            assert_eq!(moment(text, "t").unwrap(), at, "{text}");
        }
        for wrong in ["", "yesterday", "-1", "1e9", "99999999999999999999", "2026-13-01T00:00:00Z"]
        {
            assert!(moment(wrong, "t").is_err(), "{wrong}");
        }
    }
}
