//! `/export/{stream}.mp4` and `/clip/{id}.mp4`: stretches of the recording as files.
//!
//! Owns: what a query asks for, and the headers of the answer. A clip is a protected range, named
//! by the id of its pin. On the ring `start` and `end` are dates; on a clip they are seconds from
//! its beginning and mean what they mean to nginx's `ngx_http_mp4_module` with
//! `mp4_start_key_frame on`.

mod kept;
mod query;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tracing::debug;

pub(super) use kept::Kept;
use query::{Query, Seconds};

use super::Door;
use super::api::note::known_stream;
use super::error::ApiError;
use super::range::{self, Asked};
use super::route::{At, FileName};
use crate::dvr::PinView;
use crate::playback::export::{ExportError, ExportPlan, ExportRequest, LastPicture};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("video/mp4");
/// May be kept, but is to be asked for again each time: the tag tells whether it is the same.
const CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");
/// Date of the first picture, date at which the last ends, and stretches without footage.
const START: HeaderName = HeaderName::from_static("x-footage-start");
const END: HeaderName = HeaderName::from_static("x-footage-end");
const GAPS: HeaderName = HeaderName::from_static("x-footage-gaps");

/// `GET /export/{stream}.mp4?start=&end=`.
pub(super) async fn export(
    State(door): At,
    FileName(file): FileName,
    uri: Uri,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let name = file.strip_suffix(".mp4").ok_or_else(ApiError::not_found)?;
    let stream = known_stream(&door, name)?;
    let now = door.clock.wall();
    let query = Query::read(uri.query().unwrap_or_default(), now)?;
    let wish = ExportRequest::new(stream, query.start, query.end);
    answer(&door, &uri, &request, wish).await
}

/// `GET /clip/{id}.mp4?start=&end=`.
pub(super) async fn clip(
    State(door): At,
    FileName(file): FileName,
    uri: Uri,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let id = file.strip_suffix(".mp4").ok_or_else(ApiError::not_found)?;
    let pin = door.dvr.pins().into_iter().find(|pin| pin.id == id).ok_or_else(|| {
        let message = "There is no clip of this id. GET /api/v1/pins lists the protected ranges.";
        ApiError::new(StatusCode::NOT_FOUND, "clip_unknown", message)
    })?;
    let seconds = Seconds::read(uri.query().unwrap_or_default());
    let wish = clip_wish(&door, pin, seconds).await?;
    answer(&door, &uri, &request, wish).await
}

/// What of a clip is asked for. Seconds count from the first picture that the whole clip shows.
async fn clip_wish(door: &Door, pin: PinView, seconds: Seconds) -> Result<ExportRequest, ApiError> {
    let whole = ExportRequest::new(pin.stream, pin.from, pin.to);
    let Some(start_millis) = seconds.start_millis else { return Ok(whole) };
    let zero = door.exports.first_picture(&whole).await?;
    let start = zero.offset_nanos(start_millis.saturating_mul(1_000_000));
    if start >= whole.end {
        return Err(ExportError::NothingThere { extent: Some((zero, whole.end)) }.into());
    }
    let Some(length_millis) = seconds.length_millis else {
        return Ok(ExportRequest { start, ..whole });
    };
    let end = start.offset_nanos(length_millis.saturating_mul(1_000_000));
    if end >= whole.end {
        return Ok(ExportRequest { start, ..whole });
    }
    Ok(ExportRequest { start, end, last: LastPicture::Whole, keeps_length: true, ..whole })
}

async fn answer(
    door: &Arc<Door>,
    uri: &Uri,
    request: &HeaderMap,
    wish: ExportRequest,
) -> Result<Response, ApiError> {
    let key = uri.path_and_query().map(|all| all.as_str().to_owned()).unwrap_or_default();
    let now = door.clock.boot();
    // Whoever goes on where he was goes on in the file that he was told of.
    let known = range::goes_on(request).then(|| door.kept.get(&key, now)).flatten();
    let is_new = known.is_none();
    let film = match known {
        Some(film) => film,
        None => door.exports.plan(&wish).await?,
    };
    door.kept.put(key, &film, now);
    let tag = format!("\"{}\"", film.tag());
    if range::is_known(request, &tag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        tell(&mut response, &film, &tag);
        return Ok(response);
    }
    let asked = match range::asked(request, film.len(), Some(&tag)) {
        // Without the tag nobody can say that the first part was of this version.
        Asked::Part(part)
            if is_new
                && part.start > 0
                && kept::may_grow(wish.end, door.clock.wall())
                && !request.contains_key(header::IF_RANGE) =>
        {
            Asked::All
        }
        asked => asked,
    };
    let mut response = match asked {
        Asked::Outside => return Ok(range::outside(film.len())),
        Asked::All => body(door, &film, 0..film.len())?,
        Asked::Part(part) => {
            let mut response = body(door, &film, part.clone())?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let told = format!("bytes {}-{}/{}", part.start, part.end - 1, film.len());
            put(&mut response, header::CONTENT_RANGE, &told);
            response
        }
    };
    tell(&mut response, &film, &tag);
    Ok(response)
}

fn body(
    door: &Door,
    film: &Arc<ExportPlan>,
    range: std::ops::Range<u64>,
) -> Result<Response, ApiError> {
    let range_bytes = range.end - range.start;
    let reading = door.exports.read(film, range)?;
    let mut download = door.audience.download(film.stream(), range_bytes);
    let pieces = reading.stream().inspect(move |piece| download.sends(piece));
    let mut response = Body::from_stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(range_bytes));
    debug!(part = "http", stream = %film.stream(), bytes = film.len(), "download begins");
    Ok(response)
}

/// Says what the file is.
fn tell(response: &mut Response, film: &ExportPlan, tag: &str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::ACCEPT_RANGES, range::BYTES);
    headers.insert(GAPS, HeaderValue::from(film.gaps_total()));
    put(response, header::ETAG, tag);
    put(response, START, &film.start().to_rfc3339());
    put(response, END, &film.end().to_rfc3339());
    let name = format!("attachment; filename=\"{}\"", film.file_name());
    put(response, header::CONTENT_DISPOSITION, &name);
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        use ExportError as E;
        let (status, code) = match &error {
            E::NothingThere { .. } => (StatusCode::NOT_FOUND, "nothing_recorded"),
            E::TooMany => (StatusCode::SERVICE_UNAVAILABLE, "downloads_full"),
            E::TooLong | E::TooManyChanges => (StatusCode::BAD_REQUEST, "range_too_long"),
            E::Unreadable => (StatusCode::INTERNAL_SERVER_ERROR, "recording_unreadable"),
            E::Changed => (StatusCode::SERVICE_UNAVAILABLE, "recording_changed"),
            E::Dvr(_) => (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable"),
        };
        let extent = match &error {
            E::NothingThere { extent: Some((from, until)) } => {
                let (from, until) = (from.to_rfc3339(), until.to_rfc3339());
                format!(" There are recordings from {from} to {until}.")
            }
            _ => String::new(),
        };
        Self::new(status, code, super::api::note::sentence(&error.to_string()) + &extent)
    }
}
