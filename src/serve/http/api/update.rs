//! `/api/v1/update`: an update of the image is uploaded, inspected, installed.
//!
//! Owns: the shapes, and how an upload is read: piece by piece onto the disk.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Serialize;
use tokio::time::timeout;

use crate::base::fault::chain;
use crate::base::limits::{UPDATE_SILENCE_MAX, UPDATE_UPLOAD_TIME_MAX};
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::{ApiError, sentence};
use crate::serve::http::extract::At;
use crate::serve::http::response::NO_STORE;
use crate::update::{Running, Update, UpdateError, Updates, Upload};

#[derive(Serialize, schemars::JsonSchema)]
struct Answer {
    /// The image that runs.
    running: Option<Running>,
    #[serde(flatten)]
    update: Update,
}

impl Answer {
    fn of(updates: &Updates) -> Self {
        Self { running: updates.running(), update: updates.update() }
    }
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/update", Access::Admin, state)
        .says("How far the update is, and which image runs.")
        .answers::<Answer>(200)
        .refuses(&[501])
        .post_stream("/api/v1/update", Access::Admin, upload)
        .says("Uploads an update; the body is the bundle.")
        .takes_media(&["application/octet-stream"])
        .answers::<Answer>(202)
        .refuses(&[408, 409, 413, 501, 507])
        .delete("/api/v1/update", Access::Admin, discard)
        .says("Forgets the uploaded update.")
        .answers_empty(204)
        .refuses(&[409, 501])
        .post("/api/v1/update/install", Access::Admin, install)
        .says("Installs the uploaded update and starts the box into it.")
        .answers::<Answer>(202)
        .refuses(&[409, 501])
}

/// `GET /api/v1/update`: how far the update is, and which image runs.
pub(crate) async fn state(State(context): At) -> Result<Response, ApiError> {
    context.updates.supported()?;
    Ok((NO_STORE, Json(Answer::of(&context.updates))).into_response())
}

/// `POST /api/v1/update`: the body is the update. 202 when all of it is here and is inspected.
pub(crate) async fn upload(
    State(context): At,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let upload = context.updates.begin(length)?;
    let received = timeout(UPDATE_UPLOAD_TIME_MAX, receive(upload, body)).await;
    received.map_err(|_| too_slow(UPDATE_UPLOAD_TIME_MAX))??;
    Ok((StatusCode::ACCEPTED, NO_STORE, Json(Answer::of(&context.updates))).into_response())
}

/// `POST /api/v1/update/install`: 202; what was inspected is installed, and the box starts into it.
pub(crate) async fn install(State(context): At) -> Result<Response, ApiError> {
    context.updates.install()?;
    Ok((StatusCode::ACCEPTED, NO_STORE, Json(Answer::of(&context.updates))).into_response())
}

/// `DELETE /api/v1/update`: 204; the uploaded update is forgotten.
pub(crate) async fn discard(State(context): At) -> Result<Response, ApiError> {
    context.updates.discard()?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// Writes the body as it comes.
async fn receive(mut upload: Upload, body: Body) -> Result<(), ApiError> {
    let mut pieces = body.into_data_stream();
    loop {
        let piece = timeout(UPDATE_SILENCE_MAX, pieces.next()).await;
        match piece.map_err(|_| too_slow(UPDATE_SILENCE_MAX))? {
            Some(Ok(piece)) => upload = on_disk(upload, piece).await?,
            Some(Err(_)) => return Err(ApiError::bad_request("The upload broke off.")),
            None => break,
        }
    }
    on_storage(move || upload.finish()).await
}

async fn on_disk(mut upload: Upload, piece: Bytes) -> Result<Upload, ApiError> {
    on_storage(move || upload.write(&piece).map(|()| upload)).await
}

/// Work that waits for the medium.
async fn on_storage<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UpdateError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ApiError::unavailable("storage_unavailable", "The upload was given up.")),
    }
}

fn too_slow(bound: Duration) -> ApiError {
    let message = format!("The update did not arrive within {} seconds.", bound.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        let (status, code) = match error {
            UpdateError::Unsupported => (StatusCode::NOT_IMPLEMENTED, "updates_unsupported"),
            UpdateError::NoReset => (StatusCode::NOT_IMPLEMENTED, "reset_unsupported"),
            UpdateError::Busy => (StatusCode::CONFLICT, "update_busy"),
            UpdateError::NotReady => (StatusCode::CONFLICT, "update_not_ready"),
            UpdateError::OnTrial => (StatusCode::CONFLICT, "image_on_trial"),
            UpdateError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            UpdateError::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "no_room"),
            UpdateError::Io(_) => (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable"),
        };
        Self::new(status, code, sentence(&chain(&error)))
    }
}
