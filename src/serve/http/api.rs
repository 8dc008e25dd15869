//! `/api/v1`: the claim, sessions, accounts, streams, health, storage, recordings, events, pins, marks, exports, RTSP sessions, cameras, board.
//!
//! Owns: the JSON shapes of streams and health.

mod access;
pub(super) mod accounts;
pub(super) mod audit;
pub(super) mod claim;
pub(super) mod config;
pub(super) mod credentials;
pub(super) mod devices;
pub(super) mod event_stream;
pub(super) mod events;
pub(super) mod exports;
pub(super) mod note;
pub(super) mod preview;
pub(super) mod recordings;
pub(super) mod recovery;
pub(super) mod routes;
pub(super) mod rtsp;
pub(super) mod session;
pub(super) mod storage;
mod stream;
pub(super) mod system;
pub(super) mod tokens;
pub(super) mod try_camera;
pub(super) mod update;
pub(super) mod webhooks;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;

use self::stream::{DisabledReport, StreamReport};
use super::door::{Access, Caller, Door, Object};
use super::extract::At;
use super::origin::{Reached, host_of};
use super::response::NO_STORE;
use crate::access::Right;
use crate::serve::health::{HealthReport, HealthWord};

#[derive(Serialize, schemars::JsonSchema)]
struct Streams {
    streams: Vec<StreamReport>,
    /// Those that are switched off.
    disabled: Vec<DisabledReport>,
}

/// What `health` answers: everything to administrators, a word to others.
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)] // a form, for the document of the API
enum Health {
    Everything(HealthReport),
    Word(HealthWord),
}

/// The routes of streams and health.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/streams", Access::Viewer(Object::LookedUp), streams)
        .says("The streams that the caller may see.")
        .answers::<Streams>(200)
        .get("/api/v1/health", Access::Public, health)
        .says("Whether the box does its work; 503 when it does not.")
        .answers::<Health>(200)
        .answers::<Health>(503)
}

/// `GET /api/v1/streams`.
pub(super) async fn streams(
    State(context): At,
    Extension(reached): Extension<Reached>,
    caller: Caller,
) -> impl IntoResponse {
    let host = host_of(&reached.authority);
    let streams = context.streams.all();
    let seen = streams.iter().filter(|(name, _)| caller.may(Right::Live, name.as_str()));
    let streams = seen.map(|(_, outputs)| StreamReport::new(&context, outputs, host)).collect();
    let mut disabled = DisabledReport::all(&context.labels);
    disabled.retain(|stream| caller.may(Right::Live, stream.name()));
    (NO_STORE, Json(Streams { streams, disabled }))
}

/// `GET /api/v1/health`: 200 while the box does its work, even if a camera is away; 503 when
/// something that must never stop has stopped. Administrators get everything, others one word.
pub(super) async fn health(State(context): At, caller: Caller) -> Response {
    let report = HealthReport::new(&context);
    let status = if report.has_failed() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    if caller.is_admin() {
        return (status, NO_STORE, Json(report)).into_response();
    }
    (status, NO_STORE, Json(report.word())).into_response()
}
