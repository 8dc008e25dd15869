//! `/api/v1/storage`: the ring, and making it smaller.
//!
//! Owns: the shape of the request. The ring's status says what would be deleted; to agree, a client
//! sends back the token of exactly that.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;

use crate::dvr::{ShrinkError, Shrunk, StorageReport};
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::{ApiError, sentence};
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::response::NO_STORE;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShrinkRequest {
    token: String,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/storage", Access::Admin, storage)
        .says("The ring: what it holds, for how long, and what shrinking it would delete.")
        .answers::<StorageReport>(200)
        .post("/api/v1/storage/shrink", Access::Admin, shrink)
        .says("Makes the ring smaller, as was announced with the token.")
        .takes::<ShrinkRequest>()
        .answers::<Shrunk>(200)
        .refuses(&[409])
}

/// `GET /api/v1/storage`: the ring, what it holds and for how long, and in `shrink` what shrinking
/// it to its configured size would delete.
pub(crate) async fn storage(State(context): At) -> impl IntoResponse {
    (NO_STORE, Json(context.dvr.storage()))
}

/// `POST /api/v1/storage/shrink`: 200 with what was deleted, 409 when that is not what the token
/// was issued for.
pub(crate) async fn shrink(
    State(context): At,
    JsonBody(body): JsonBody<ShrinkRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let shrunk: Shrunk = context.dvr.shrink(&body.token).await?;
    Ok((NO_STORE, Json(shrunk)))
}

impl From<ShrinkError> for ApiError {
    fn from(error: ShrinkError) -> Self {
        let (status, code) = match error {
            ShrinkError::Changed => (StatusCode::CONFLICT, "proposal_changed"),
            ShrinkError::NotNow(_) => (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable"),
        };
        Self::new(status, code, sentence(&error.to_string()))
    }
}
