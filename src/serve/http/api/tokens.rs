//! `/api/v1/tokens`: what programs show in place of a person's session, for administrators.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::access::blocking;
use crate::access::{AccessError, ApiToken, NewToken, Role, StreamAccess, TokenScope};
use crate::base::time::WallTime;
use crate::serve::http::door::{Access, Caller, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::request::date;
use crate::serve::http::response::NO_STORE;

#[derive(Serialize, schemars::JsonSchema)]
struct TokenReport {
    id: String,
    label: String,
    maker: Option<String>,
    role: Role,
    streams: StreamAccess,
    past: bool,
    scope: TokenScope,
    expires: Option<WallTime>,
    /// Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Tokens {
    tokens: Vec<TokenReport>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    label: String,
    #[serde(default)]
    role: Role,
    #[serde(default)]
    streams: StreamAccess,
    #[serde(default = "yes")]
    past: bool,
    #[serde(default)]
    scope: TokenScope,
    expires: Option<String>,
}

fn yes() -> bool {
    true
}

impl From<ApiToken> for TokenReport {
    fn from(token: ApiToken) -> Self {
        let expires = token.expires_unix_ms;
        let expires = expires.map(|ms| WallTime::from_unix_nanos(ms.saturating_mul(1_000_000)));
        let ApiToken { id, label, maker, role, streams, past, scope, .. } = token;
        Self { id, label, maker, role, streams, past, scope, expires, token: None }
    }
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/tokens", Access::Admin, list)
        .says("The API tokens, without their text.")
        .answers::<Tokens>(200)
        .post("/api/v1/tokens", Access::Admin, create)
        .says("Makes a token; its text is in this answer and nowhere else.")
        .takes::<TokenRequest>()
        .answers::<TokenReport>(201)
        .refuses(&[409, 422])
        .delete("/api/v1/tokens/{id}", Access::Admin, remove)
        .says("Revokes a token.")
        .answers_empty(204)
}

/// `GET /api/v1/tokens`.
pub(crate) async fn list(State(context): At) -> Response {
    let tokens = context.access.tokens().into_iter().map(TokenReport::from).collect();
    (NO_STORE, Json(Tokens { tokens })).into_response()
}

/// `POST /api/v1/tokens`: 201 with the token, whose text is shown now and never again.
pub(crate) async fn create(
    State(context): At,
    caller: Caller,
    JsonBody(body): JsonBody<TokenRequest>,
) -> Result<Response, ApiError> {
    let TokenRequest { label, role, streams, past, scope, expires } = body;
    let expires = expires.map(|text| date(&text, "expires")).transpose()?;
    let new = NewToken { label, role, streams, past, scope, expires };
    let maker = caller.account_name();
    let made = blocking(&context, move |access| access.add_token(&new, maker.as_deref())).await;
    let (token, text) = made?;
    let place = HeaderValue::from_str(&format!("/api/v1/tokens/{}", token.id));
    let report = TokenReport { token: Some(text.reveal().to_owned()), ..token.into() };
    let mut response = (StatusCode::CREATED, NO_STORE, Json(report)).into_response();
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

/// `DELETE /api/v1/tokens/{id}`: 204; what runs with it ends.
pub(crate) async fn remove(
    State(context): At,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = id.map(|Path(id)| id).map_err(|_| AccessError::TokenUnknown)?;
    blocking(&context, move |access| access.remove_token(&id)).await?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}
