//! `/api/v1/exports`: export jobs.
//!
//! Owns: the shapes of requests and the words for refusals. An answer of success means that the
//! job is on the disk and its footage protected.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use serde::{Deserialize, Serialize};

use crate::access::Right;
use crate::base::name::StreamName;
use crate::playback::export_jobs::{ExportJobRequest, JobError, JobView};
use crate::serve::http::byte_range;
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Caller, Door, Object, forbidden};
use crate::serve::http::error::{ApiError, sentence};
use crate::serve::http::extract::At;
use crate::serve::http::extract::known_stream;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::request::date;
use crate::serve::http::response::NO_STORE;

/// Bytes of a file that are read, and in memory, at once.
const READ_BYTES: u64 = 256 << 10;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportRequest {
    streams: Vec<String>,
    start: String,
    end: Option<String>,
    #[serde(default)]
    note: String,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Exports {
    exports: Vec<JobView>,
}

/// Keeping footage is for operators of its stream, which the handler looks up.
const KEEP: Access = Access::Operator(Object::LookedUp);

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/exports", KEEP, list)
        .says("The exports, the oldest first.")
        .answers::<Exports>(200)
        .post("/api/v1/exports", KEEP, create)
        .says("Begins an export.")
        .takes::<ExportRequest>()
        .answers::<JobView>(202)
        .refuses(&[404, 409, 507])
        .get("/api/v1/exports/{id}", KEEP, one)
        .says("One export.")
        .answers::<JobView>(200)
        .delete("/api/v1/exports/{id}", KEEP, remove)
        .says("Ends an export, or removes its file.")
        .answers_empty(204)
        .get("/api/v1/exports/{id}/file", KEEP, file)
        .says("The archive of an export, also in ranges.")
        .answers_media(200, &["application/zip"])
        .answers_media(206, &["application/zip"])
        .answers_empty(304)
        .answers_empty(416)
        .refuses(&[409])
}

/// `GET /api/v1/exports`: the oldest first.
pub(crate) async fn list(State(context): At, caller: Caller) -> impl IntoResponse {
    let jobs = context.export_jobs.list().into_iter();
    let exports = jobs.filter(|job| may(&caller, job)).map(told).collect();
    (NO_STORE, Json(Exports { exports }))
}

/// `POST /api/v1/exports`: 202 with the job; 409 when too many are kept or too much is protected,
/// 507 when the disk is too full. `end` defaults to now.
pub(crate) async fn create(
    State(context): At,
    caller: Caller,
    JsonBody(body): JsonBody<ExportRequest>,
) -> Result<Response, ApiError> {
    let asked = body;
    for stream in &asked.streams {
        caller.check(Right::Past, stream)?;
    }
    let streams = asked.streams.iter().map(|name| known_stream(&context, name));
    let wish = ExportJobRequest {
        streams: streams.collect::<Result<_, _>>()?,
        start: date(&asked.start, "start")?,
        end: match asked.end {
            Some(end) => date(&end, "end")?,
            None => context.clock.wall(),
        },
        note: asked.note,
    };
    let job = context.export_jobs.create(wish).await?;
    let place = HeaderValue::from_str(&format!("/api/v1/exports/{}", job.id));
    let mut answer = (StatusCode::ACCEPTED, NO_STORE, Json(told(job))).into_response();
    answer.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(answer)
}

/// `GET /api/v1/exports/{id}`.
pub(crate) async fn one(State(context): At, caller: Caller, id: Id) -> Result<Response, ApiError> {
    let job = found(&context, &caller, id)?;
    Ok((NO_STORE, Json(told(job))).into_response())
}

/// `DELETE /api/v1/exports/{id}`: 204; ends it, or removes its file.
pub(crate) async fn remove(
    State(context): At,
    caller: Caller,
    id: Id,
) -> Result<Response, ApiError> {
    let job = found(&context, &caller, id)?;
    context.export_jobs.remove(&job.id).await?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// `GET /api/v1/exports/{id}/file`: the archive, also in ranges; it never changes.
pub(crate) async fn file(
    State(context): At,
    caller: Caller,
    id: Id,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let job = found(&context, &caller, id)?;
    let id = job.id.clone();
    let (file, bytes) = context.export_jobs.file(&id).await?;
    let tag = format!("\"{id}\"");
    let mut answer =
        byte_range::answer_at(&request, bytes, Some(&tag), move |part| pieces(file, part));
    let streams: Vec<&str> = job.streams.iter().map(StreamName::as_str).take(4).collect();
    let start = job.start.to_rfc3339().replace([':', '-'], "");
    let called = format!("attachment; filename=\"{}-{start}.zip\"", streams.join("_"));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.extend(
        [(header::CONTENT_DISPOSITION, called), (header::ETAG, tag)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, HeaderValue::from_str(&value).ok()?))),
    );
    Ok(answer)
}

/// The bytes of `file` from `part.start` to `part.end`.
fn pieces(
    file: File,
    part: std::ops::Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let file = Arc::new(file);
    futures::stream::try_unfold(part, move |part| {
        let file = Arc::clone(&file);
        async move {
            if part.is_empty() {
                return Ok(None);
            }
            let length = (part.end - part.start).min(READ_BYTES);
            let at = part.start;
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
                file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
            });
            let piece = read.await.map_err(io::Error::other)??;
            Ok(Some((piece, at + length..part.end)))
        }
    })
}

type Id = Result<Path<String>, PathRejection>;

/// The job of this id, if the caller may have all its streams.
fn found(context: &HttpContext, caller: &Caller, id: Id) -> Result<JobView, ApiError> {
    let job = id.map_err(|_| JobError::Unknown).and_then(|Path(id)| context.export_jobs.get(&id));
    let job = job.map_err(|error| caller.unknown(error))?;
    if may(caller, &job) { Ok(job) } else { Err(forbidden()) }
}

fn may(caller: &Caller, job: &JobView) -> bool {
    job.streams.iter().all(|stream| caller.may(Right::Past, stream.as_str()))
}

/// The job with its reason as a sentence.
fn told(job: JobView) -> JobView {
    JobView { reason: job.reason.as_deref().map(sentence), ..job }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let (status, code) = match error {
            JobError::Pin(ref why) => {
                let Self { status, code, .. } = Self::from(why.clone());
                (status, code)
            }
            JobError::Wrong(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            JobError::Nothing => (StatusCode::NOT_FOUND, "nothing_recorded"),
            JobError::TooMany => (StatusCode::CONFLICT, "exports_full"),
            JobError::NoRoom { .. } => (StatusCode::INSUFFICIENT_STORAGE, "no_room"),
            JobError::Unknown => (StatusCode::NOT_FOUND, "export_unknown"),
            JobError::NotDone => (StatusCode::CONFLICT, "export_not_done"),
            JobError::NotNow(_) => (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable"),
        };
        Self::new(status, code, sentence(&error.to_string()))
    }
}
