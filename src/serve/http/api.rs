//! `/api/v1`: streams, health, storage, recordings, pins, marks, exports, RTSP sessions, cameras, board.
//!
//! Owns: the JSON shapes of streams and health.

pub(super) mod config;
pub(super) mod devices;
pub(super) mod exports;
mod health;
pub(super) mod note;
pub(super) mod recordings;
pub(super) mod recovery;
pub(super) mod rtsp;
pub(super) mod storage;
mod stream;
pub(super) mod system;
pub(super) mod try_camera;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;

use self::health::HealthReport;
use self::stream::{DisabledReport, StreamReport};
use super::extract::At;
use super::origin::{Reached, host_of};
use super::response::NO_STORE;

#[derive(Serialize)]
struct Streams {
    streams: Vec<StreamReport>,
    /// Those that are switched off.
    disabled: Vec<DisabledReport>,
}

/// `GET /api/v1/streams`.
pub(super) async fn streams(
    State(context): At,
    Extension(reached): Extension<Reached>,
) -> impl IntoResponse {
    let host = host_of(&reached.authority);
    let outlets = context.streams.all();
    let streams =
        outlets.values().map(|outlet| StreamReport::new(&context, outlet, host)).collect();
    let disabled = DisabledReport::all(&context.labels);
    (NO_STORE, Json(Streams { streams, disabled }))
}

/// `GET /api/v1/health`: 200 while the box does its work, even if a camera is away; 503 when
/// something that must never stop has stopped.
pub(super) async fn health(State(context): At) -> Response {
    let report = HealthReport::new(&context);
    let status = if report.has_failed() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, NO_STORE, Json(report)).into_response()
}
