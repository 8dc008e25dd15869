//! `/api/v1/pins` and `/api/v1/marks`: what people want kept and found again.
//!
//! Owns: the shapes of the requests. An answer of success means that it is on the disk.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::access::Right;
use crate::dvr::{MarkView, NewPin, PinError, PinView};
use crate::serve::http::door::{Access, Caller, Door, Object, forbidden};
use crate::serve::http::error::{ApiError, sentence};
use crate::serve::http::extract::At;
use crate::serve::http::extract::known_stream;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::request::date;
use crate::serve::http::response::NO_STORE;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinRequest {
    stream: String,
    #[serde(alias = "from")]
    start: String,
    #[serde(alias = "to")]
    end: String,
    reason: String,
    #[serde(default)]
    owner: String,
    expires: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkRequest {
    text: String,
    stream: Option<String>,
    at: Option<String>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Pins {
    pins: Vec<PinView>,
}

/// Keeping footage is for operators of its stream, which the handler looks up.
const KEEP: Access = Access::Operator(Object::LookedUp);

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/pins", KEEP, pins)
        .says("The protected ranges.")
        .answers::<Pins>(200)
        .post("/api/v1/pins", KEEP, pin)
        .says("Protects a range from being overwritten.")
        .takes::<PinRequest>()
        .answers::<PinView>(201)
        .refuses(&[404, 409])
        .delete("/api/v1/pins/{id}", KEEP, unpin)
        .says("Ends a protection.")
        .answers_empty(204)
        .post("/api/v1/marks", KEEP, mark)
        .says("Marks a moment.")
        .takes::<MarkRequest>()
        .answers::<MarkView>(201)
        .refuses(&[404, 409])
}

/// `GET /api/v1/pins`.
pub(crate) async fn pins(State(context): At, caller: Caller) -> impl IntoResponse {
    let mut pins = context.dvr.pins();
    pins.retain(|pin| caller.may(Right::Past, pin.stream.as_str()));
    (NO_STORE, Json(Pins { pins }))
}

/// `POST /api/v1/pins`: 201 with the range, 409 when too much would be protected.
pub(crate) async fn pin(
    State(context): At,
    caller: Caller,
    JsonBody(body): JsonBody<PinRequest>,
) -> Result<Response, ApiError> {
    let asked = body;
    caller.check(Right::Past, &asked.stream)?;
    let wish = NewPin {
        stream: known_stream(&context, &asked.stream)?,
        from: date(&asked.start, "start")?,
        until: date(&asked.end, "end")?,
        reason: asked.reason,
        owner: asked.owner,
        expires: asked.expires.map(|text| date(&text, "expires")).transpose()?,
    };
    let made = context.dvr.pin(wish).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(made)).into_response())
}

/// `DELETE /api/v1/pins/{id}`: 204.
pub(crate) async fn unpin(
    State(context): At,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let known =
        id.ok().and_then(|Path(id)| context.dvr.pins().into_iter().find(|pin| pin.id == id));
    let pin = known.ok_or_else(|| caller.unknown(PinError::Unknown))?;
    caller.check(Right::Past, pin.stream.as_str())?;
    let id = u64::from_str_radix(&pin.id, 16).map_err(|_| PinError::Unknown)?;
    context.dvr.unpin(id).await?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// `POST /api/v1/marks`: 201 with the mark. Without `at` it is now, without `stream` of all.
pub(crate) async fn mark(
    State(context): At,
    caller: Caller,
    JsonBody(body): JsonBody<MarkRequest>,
) -> Result<Response, ApiError> {
    let asked = body;
    match &asked.stream {
        Some(stream) => caller.check(Right::Live, stream)?,
        // A mark on all streams is for those who see them all.
        None if caller.sees_all() => {}
        None => return Err(forbidden()),
    }
    let stream = asked.stream.map(|name| known_stream(&context, &name)).transpose()?;
    let at = asked.at.map(|text| date(&text, "at")).transpose()?;
    let made = context
        .dvr
        .mark(stream, at.unwrap_or_else(|| context.clock.wall()), asked.text, None)
        .await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(made)).into_response())
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
