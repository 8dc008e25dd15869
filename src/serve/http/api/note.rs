//! `/api/v1/pins` and `/api/v1/marks`: what people want kept and found again.
//!
//! Owns: the shapes of the requests. An answer of success means that it is on the disk.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::NO_STORE;
use super::recordings::{bad_request, instant};
use crate::base::name::StreamName;
use crate::dvr::{PinError, PinView, PinWish};
use crate::serve::http::HttpDoor;
use crate::serve::http::error::ApiError;
use crate::serve::http::route::At;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinRequest {
    stream: String,
    from: String,
    to: String,
    reason: String,
    #[serde(default)]
    owner: String,
    expires: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkRequest {
    text: String,
    stream: Option<String>,
    at: Option<String>,
}

#[derive(Serialize)]
struct Pins {
    pins: Vec<PinView>,
}

/// `GET /api/v1/pins`.
pub(crate) async fn pins(State(door): At) -> impl IntoResponse {
    (NO_STORE, Json(Pins { pins: door.dvr.pins() }))
}

/// `POST /api/v1/pins`: 201 with the range, 409 when too much would be protected.
pub(crate) async fn pin(
    State(door): At,
    body: Result<Json<PinRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let asked = read(body)?;
    let wish = PinWish {
        stream: known_stream(&door, &asked.stream)?,
        from: instant(&asked.from, "from")?,
        until: instant(&asked.to, "to")?,
        reason: asked.reason,
        owner: asked.owner,
        expires: asked.expires.map(|text| instant(&text, "expires")).transpose()?,
    };
    let made = door.dvr.pin(wish).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(made)).into_response())
}

/// `DELETE /api/v1/pins/{id}`: 204.
pub(crate) async fn unpin(
    State(door): At,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = id.ok().filter(|id| id.len() == 16);
    let id = id.and_then(|id| u64::from_str_radix(&id, 16).ok()).ok_or(PinError::Unknown)?;
    door.dvr.unpin(id).await?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// `POST /api/v1/marks`: 201 with the mark. Without `at` it is now, without `stream` of all.
pub(crate) async fn mark(
    State(door): At,
    body: Result<Json<MarkRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let asked = read(body)?;
    let stream = asked.stream.map(|name| known_stream(&door, &name)).transpose()?;
    let at = asked.at.map(|text| instant(&text, "at")).transpose()?;
    let made = door.dvr.mark(stream, at.unwrap_or_else(|| door.clock.wall()), asked.text).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(made)).into_response())
}

pub(super) fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, ApiError> {
    let Json(body) = body.map_err(|rejection| match rejection {
        JsonRejection::MissingJsonContentType(_) => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "The request must say `Content-Type: application/json`.",
        ),
        JsonRejection::BytesRejection(rejection) => {
            ApiError::new(rejection.status(), "bad_request", "The request could not be read.")
        }
        rejection => bad_request(&format!("{}.", rejection.body_text().trim_end_matches('.'))),
    })?;
    Ok(body)
}

/// A stream that is configured, or of which anything is recorded.
pub(crate) fn known_stream(door: &HttpDoor, name: &str) -> Result<StreamName, ApiError> {
    let stream = StreamName::parse(name).map_err(|_| ApiError::stream_unknown(name))?;
    let known = door.streams.get(name).is_some() || door.dvr.recorded_streams().contains(&stream);
    known.then_some(stream).ok_or_else(|| ApiError::stream_unknown(name))
}

impl From<PinError> for ApiError {
    fn from(error: PinError) -> Self {
        let (status, code) = match error {
            PinError::Wrong(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            PinError::Empty { .. } => (StatusCode::NOT_FOUND, "nothing_recorded"),
            PinError::Full { .. } | PinError::TooMany => (StatusCode::CONFLICT, "protected_full"),
            PinError::Unknown => (StatusCode::NOT_FOUND, "pin_unknown"),
            PinError::NotNow(_) => (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable"),
        };
        Self::new(status, code, sentence(&error.to_string()))
    }
}

/// The text of an error as a sentence for people.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
