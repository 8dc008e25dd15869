//! `/snap/<stream>.jpg`: the newest picture.
//!
//! Owns: its headers. A picture that is not live is refused, never shown as one.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::route::{At, FileName};
use crate::base::fault::chain;
use crate::base::time::WallTime;
use crate::sink::thumbnail::Picture;

/// Seconds since the picture arrived, with three decimals.
const FRAME_AGE: HeaderName = HeaderName::from_static("x-frame-age");

/// `GET /snap/<stream>.jpg`.
pub(super) async fn picture(
    State(door): At,
    FileName(file): FileName,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let name = file.strip_suffix(".jpg").ok_or_else(ApiError::not_found)?;
    let outlet = door.streams.get(name).ok_or_else(|| ApiError::stream_unknown(name))?;
    let picture = outlet.thumbnail.picture().await;
    let picture = picture.map_err(|error| ApiError::unavailable("no_picture", chain(&error)))?;
    let headers = headers(&picture);
    let known = asked.get(header::IF_NONE_MATCH);
    if known.is_some() && known == headers.get(header::ETAG) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, picture.jpeg).into_response())
}

fn headers(picture: &Picture) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let told = [
        (header::LAST_MODIFIED, http_date(picture.captured)),
        (header::ETAG, etag(picture)),
        (FRAME_AGE, seconds(picture.age)),
    ];
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, text) in told {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Two pictures of one stream are never captured in the same nanosecond.
fn etag(picture: &Picture) -> String {
    format!("\"{:x}-{:x}\"", picture.captured.as_unix_nanos(), picture.jpeg.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_ages_have_the_form_that_http_wants() {
        let at = WallTime::from_unix_nanos(784_111_777_900_000_000);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(seconds(Duration::from_millis(1_042)), "1.042");
    }
}
