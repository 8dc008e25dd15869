//! `/export/{stream}.mp4` and `/clip/{id}.mp4`: stretches of the recording as files.
//!
//! Owns: what a query asks for, and the headers of the answer. A clip is a protected range, named
//! by the id of its pin. On the ring `start` and `end` are dates; on a clip they are seconds from
//! its beginning and mean what they mean to nginx's `ngx_http_mp4_module` with
//! `mp4_start_key_frame on`.

mod query;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tracing::debug;

use query::Seconds;

use crate::access::Right;
use crate::dvr::PinView;
use crate::playback::export::{ExportError, ExportPlan, ExportRequest, LastPicture};
use crate::serve::http::byte_range::{self, ByteRange};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Caller, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::error::sentence;
use crate::serve::http::extract::{At, FileName, known_stream};
use crate::serve::http::operation::Parameter;
use crate::serve::http::plan_cache::may_grow;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("video/mp4");
/// May be kept, but must be revalidated each time: the tag shows whether it is the same.
const CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");
/// Date of the first picture, date at which the last ends, and stretches without footage.
const START: HeaderName = HeaderName::from_static("x-footage-start");
const END: HeaderName = HeaderName::from_static("x-footage-end");
const GAPS: HeaderName = HeaderName::from_static("x-footage-gaps");

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let export_of = Access::Operator(Object::File(Right::Past));
    door.get("/export/{file}", export_of, export)
        .says("A range of the recording as one MP4 file.")
        .hears(Parameter::date("start", "From when.").required())
        .hears(Parameter::date("end", "To when; else now."))
        .answers_media(200, &["video/mp4"])
        .answers_media(206, &["video/mp4"])
        .answers_empty(304)
        .answers_empty(416)
        .refuses(&[409, 410, 413])
        .get("/clip/{file}", Access::Operator(Object::LookedUp), clip)
        .says("A protected range as an MP4 file.")
        .hears(Parameter::text("start", "Seconds from its beginning."))
        .hears(Parameter::text("end", "Seconds from its beginning."))
        .answers_media(200, &["video/mp4"])
        .answers_media(206, &["video/mp4"])
        .answers_empty(304)
        .answers_empty(416)
        .refuses(&[409, 410, 413])
}

/// `GET /export/{stream}.mp4?start=&end=`.
pub(crate) async fn export(
    State(context): At,
    FileName(file): FileName,
    uri: Uri,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let name = file.strip_suffix(".mp4").ok_or_else(ApiError::not_found)?;
    let stream = known_stream(&context, name)?;
    let now = context.clock.wall();
    let (start, end) = query::range(uri.query().unwrap_or_default(), now)?;
    let wish = ExportRequest::new(stream, start, end);
    answer(&context, &uri, &request, wish).await
}

/// `GET /clip/{id}.mp4?start=&end=`.
pub(crate) async fn clip(
    State(context): At,
    caller: Caller,
    FileName(file): FileName,
    uri: Uri,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let id = file.strip_suffix(".mp4").ok_or_else(ApiError::not_found)?;
    let pin = context.dvr.pins().into_iter().find(|pin| pin.id == id).ok_or_else(|| {
        let message = "No clip has this id. GET /api/v1/pins lists the protected ranges.";
        caller.unknown(ApiError::new(StatusCode::NOT_FOUND, "clip_unknown", message))
    })?;
    caller.check(Right::Past, pin.stream.as_str())?;
    let seconds = Seconds::read(uri.query().unwrap_or_default());
    let wish = clip_wish(&context, pin, seconds).await?;
    answer(&context, &uri, &request, wish).await
}

/// What of a clip is asked for. Seconds count from the first picture that the whole clip shows.
async fn clip_wish(
    context: &HttpContext,
    pin: PinView,
    seconds: Seconds,
) -> Result<ExportRequest, ApiError> {
    let whole = ExportRequest::new(pin.stream, pin.from, pin.to);
    let Some(start_millis) = seconds.start_millis else { return Ok(whole) };
    let zero = context.exports.first_picture(&whole).await?;
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
    context: &Arc<HttpContext>,
    uri: &Uri,
    request: &HeaderMap,
    wish: ExportRequest,
) -> Result<Response, ApiError> {
    let key = uri.path_and_query().map(|all| all.as_str().to_owned()).unwrap_or_default();
    let now = context.clock.boot();
    // A client that resumes continues in the same file that it began.
    let known = byte_range::continues(request).then(|| context.plans.get(&key, now)).flatten();
    let is_new = known.is_none();
    let plan = match known {
        Some(plan) => plan,
        None => context.exports.plan(&wish).await?,
    };
    context.plans.put(key, &plan, now);
    let tag = format!("\"{}\"", plan.tag());
    if byte_range::is_known(request, &tag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        tell(&mut response, &plan, &tag);
        return Ok(response);
    }
    let asked = match byte_range::requested(request, plan.len(), Some(&tag)) {
        // Without the tag it is unknown whether the first part was of this version.
        ByteRange::Part(part)
            if is_new
                && part.start > 0
                && may_grow(wish.end, context.clock.wall())
                && !request.contains_key(header::IF_RANGE) =>
        {
            ByteRange::All
        }
        asked => asked,
    };
    let mut response = match asked {
        ByteRange::Outside => return Ok(byte_range::outside(plan.len())),
        ByteRange::All => body(context, &plan, 0..plan.len())?,
        ByteRange::Part(part) => {
            let mut response = body(context, &plan, part.clone())?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let told = format!("bytes {}-{}/{}", part.start, part.end - 1, plan.len());
            put(&mut response, header::CONTENT_RANGE, &told);
            response
        }
    };
    tell(&mut response, &plan, &tag);
    Ok(response)
}

fn body(
    context: &HttpContext,
    plan: &Arc<ExportPlan>,
    range: std::ops::Range<u64>,
) -> Result<Response, ApiError> {
    let range_bytes = range.end - range.start;
    let reading = context.exports.read(plan, range)?;
    let mut download = context.stats.download(plan.stream(), range_bytes);
    let pieces = reading.stream().inspect(move |piece| download.sends(piece));
    let mut response = Body::from_stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(range_bytes));
    debug!(part = "http", stream = %plan.stream(), bytes = plan.len(), "download begins");
    Ok(response)
}

/// Says what the file is.
fn tell(response: &mut Response, plan: &ExportPlan, tag: &str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::ACCEPT_RANGES, byte_range::BYTES);
    headers.insert(GAPS, HeaderValue::from(plan.gaps_total()));
    put(response, header::ETAG, tag);
    put(response, START, &plan.start().to_rfc3339());
    put(response, END, &plan.end().to_rfc3339());
    let name = format!("attachment; filename=\"{}\"", plan.file_name());
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
        Self::new(status, code, sentence(&error.to_string()) + &extent)
    }
}
