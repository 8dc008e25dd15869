//! `/api/v1/webhooks`: how webhooks do, and what could not be delivered. For administrators.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::response::NO_STORE;
use crate::webhook::{DeadLetter, WebhookView};

#[derive(Serialize, schemars::JsonSchema)]
struct WebhookList {
    webhooks: Vec<WebhookView>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct DeadLetters {
    dead: Vec<DeadLetter>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResendRequest {
    ids: Option<Vec<String>>,
}

type Name = Result<Path<String>, PathRejection>;

fn named(name: Name) -> Result<String, ApiError> {
    name.map(|Path(name)| name).map_err(|_| unknown())
}

fn unknown() -> ApiError {
    let message = "There is no webhook of this name. GET /api/v1/webhooks lists them.";
    ApiError::new(StatusCode::NOT_FOUND, "webhook_unknown", message)
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/webhooks", Access::Admin, list)
        .says("The webhooks, and how they do.")
        .answers::<WebhookList>(200)
        .get("/api/v1/webhooks/{name}/dead", Access::Admin, dead)
        .says("What could not be delivered, the oldest first.")
        .answers::<DeadLetters>(200)
        .delete("/api/v1/webhooks/{name}/dead", Access::Admin, forget)
        .says("Forgets what could not be delivered.")
        .answers_empty(204)
        .post("/api/v1/webhooks/{name}/resend", Access::Admin, resend)
        .says("Sends what could not be delivered again.")
        .takes::<ResendRequest>()
        .answers::<serde_json::Map<String, serde_json::Value>>(202)
        .post("/api/v1/webhooks/{name}/test", Access::Admin, test)
        .says("Sends an event that says nothing.")
        .answers::<serde_json::Map<String, serde_json::Value>>(202)
}

/// `GET /api/v1/webhooks`.
pub(crate) async fn list(State(context): At) -> Response {
    (NO_STORE, Json(WebhookList { webhooks: context.webhooks.list() })).into_response()
}

/// `GET /api/v1/webhooks/{name}/dead`: oldest first.
pub(crate) async fn dead(State(context): At, name: Name) -> Result<Response, ApiError> {
    let dead = context.webhooks.dead(&named(name)?).ok_or_else(unknown)?;
    Ok((NO_STORE, Json(DeadLetters { dead })).into_response())
}

/// `DELETE /api/v1/webhooks/{name}/dead`: 204.
pub(crate) async fn forget(State(context): At, name: Name) -> Result<Response, ApiError> {
    context.webhooks.forget_dead(&named(name)?).ok_or_else(unknown)?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// `POST /api/v1/webhooks/{name}/resend`: 202 with how many wait again.
pub(crate) async fn resend(
    State(context): At,
    name: Name,
    JsonBody(body): JsonBody<ResendRequest>,
) -> Result<Response, ApiError> {
    let resent = context.webhooks.resend(&named(name)?, body.ids.as_deref()).ok_or_else(unknown)?;
    Ok((StatusCode::ACCEPTED, NO_STORE, Json(json!({ "resent": resent }))).into_response())
}

/// `POST /api/v1/webhooks/{name}/test`: 202 with the id of an event that says nothing.
pub(crate) async fn test(State(context): At, name: Name) -> Result<Response, ApiError> {
    let id = context.webhooks.test(&named(name)?).ok_or_else(unknown)?;
    Ok((StatusCode::ACCEPTED, NO_STORE, Json(json!({ "id": id }))).into_response())
}
