//! `/api/v1/rtsp`: who is connected, and who tried and failed.
//!
//! Owns: the shapes; the figures are the reception's.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::response::NO_STORE;
use crate::serve::rtsp::registry::{FailureReport, SessionReport};

#[derive(Serialize, schemars::JsonSchema)]
struct Sessions {
    sessions: Vec<SessionReport>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Failures {
    failures: Vec<FailureReport>,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/rtsp/sessions", Access::Admin, sessions)
        .says("Who is connected over RTSP.")
        .answers::<Sessions>(200)
        .delete("/api/v1/rtsp/sessions/{id}", Access::Admin, end_session)
        .says("Ends an RTSP session.")
        .answers_empty(204)
        .get("/api/v1/rtsp/failures", Access::Admin, failures)
        .says("The last RTSP clients that failed, the newest first.")
        .answers::<Failures>(200)
        .get("/api/v1/rtsp/failures/{id}", Access::Admin, transcript)
        .says("What was said with a client that failed.")
        .answers_media(200, &["text/plain"])
}

/// `GET /api/v1/rtsp/sessions`.
pub(crate) async fn sessions(State(context): At) -> impl IntoResponse {
    let newest = |stream: &str| context.streams.get(stream)?.stream.newest_arrival();
    (NO_STORE, Json(Sessions { sessions: context.rtsp.sessions(newest) }))
}

/// `DELETE /api/v1/rtsp/sessions/{id}`: 204; its connection is closed.
pub(crate) async fn end_session(
    State(context): At,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    if !context.rtsp.end(&id) {
        let message = "No such session. GET /api/v1/rtsp/sessions lists them.";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "session_unknown", message));
    }
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// `GET /api/v1/rtsp/failures`: the last clients that failed, newest first.
pub(crate) async fn failures(State(context): At) -> impl IntoResponse {
    (NO_STORE, Json(Failures { failures: context.rtsp.failed() }))
}

/// `GET /api/v1/rtsp/failures/{id}`: the messages, as text to download.
pub(crate) async fn transcript(
    State(context): At,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    let Some(failure) = context.rtsp.failed().into_iter().find(|failure| failure.id == id) else {
        let message = "No such failure. GET /api/v1/rtsp/failures lists the latest.";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "failure_unknown", message));
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"rtsp-failure.txt\""),
        ),
    ];
    Ok((NO_STORE, headers, whole(&failure)).into_response())
}

/// The transcript below what is known of the client.
fn whole(failure: &FailureReport) -> String {
    let unknown = || "unknown".to_owned();
    format!(
        "{} at {}\npeer {}, program {}, account {}\n\n{}",
        failure.reason,
        failure.at.to_rfc3339(),
        failure.peer,
        failure.user_agent.clone().unwrap_or_else(unknown),
        failure.user.clone().unwrap_or_else(unknown),
        failure.transcript
    )
}
