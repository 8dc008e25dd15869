//! `/api/v1/session`: signing in and out, and changing your own password.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;

use super::access::{WhoReport, blocking, have_patience, note};
use crate::access::{AccessError, ClaimStatus, SessionKey};
use crate::base::secret::Secret;
use crate::serve::http::context::HttpContext;
use crate::serve::http::cookie;
use crate::serve::http::door::{Access, ActedAs, Caller, Door, closed};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::origin::Reached;
use crate::serve::http::response::NO_STORE;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInRequest {
    name: String,
    password: Secret,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordRequest {
    old: Secret,
    new: Secret,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.post("/api/v1/session", Access::Public, open)
        .says("Signs in.")
        .takes::<SignInRequest>()
        .answers::<WhoReport>(200)
        .refuses(&[401, 429])
        .get("/api/v1/session", Access::Account, who)
        .says("Who is signed in.")
        .answers::<Option<WhoReport>>(200)
        .delete("/api/v1/session", Access::Account, close)
        .says("Signs out.")
        .answers_empty(204)
        .put("/api/v1/session/password", Access::Account, change_password)
        .says("Changes the password of the account that is signed in.")
        .takes::<PasswordRequest>()
        .answers_empty(204)
        .refuses(&[409, 422, 429])
}

/// `POST /api/v1/session`: 200 and a session's cookie; 401 for a wrong name or password, 429 after
/// too many of them.
pub(crate) async fn open(
    State(context): At,
    Extension(reached): Extension<Reached>,
    caller: Caller,
    JsonBody(body): JsonBody<SignInRequest>,
) -> Response {
    let SignInRequest { name, password } = body;
    let acted = ActedAs::known(&context, &name);
    let told = signed_in(&context, &reached, &caller, name, password).await;
    let looked_at = told.as_ref().map_or_else(|error| error.code == "wrong_password", |_| true);
    let mut response = told.into_response();
    if looked_at {
        response.extensions_mut().insert(acted);
    }
    response
}

async fn signed_in(
    context: &Arc<HttpContext>,
    reached: &Reached,
    caller: &Caller,
    name: String,
    password: Secret,
) -> Result<Response, ApiError> {
    match context.access.claim_status() {
        ClaimStatus::Claimed => {}
        other => return Err(closed(other)),
    }
    have_patience(context, reached)?;
    let secure = reached.secure;
    let key = blocking(context, move |access| access.sign_in(&name, &password, secure)).await;
    note(context, reached, &key);
    let key = key?;
    // Signing in again ends the old session.
    if let Some(before) = caller.session() {
        context.access.sign_out(before);
    }
    with_session(context, reached, &key)
}

/// 200 with who they are now, and the cookie of their session.
pub(super) fn with_session(
    context: &HttpContext,
    reached: &Reached,
    key: &SessionKey,
) -> Result<Response, ApiError> {
    let identity = context.access.by_session(key.reveal(), reached.secure);
    let identity = identity.ok_or_else(|| ApiError::from(AccessError::WrongPassword))?;
    let cookie = cookie::session(reached, key.reveal());
    let mut response = (NO_STORE, Json(WhoReport::from(&identity))).into_response();
    response.headers_mut().extend(cookie.map(|value| (header::SET_COOKIE, value)));
    Ok(response)
}

/// `GET /api/v1/session`: the signed-in account; 401 without one.
pub(crate) async fn who(caller: Caller) -> Response {
    let who = caller.identity().map(WhoReport::from);
    (NO_STORE, Json(who)).into_response()
}

/// `DELETE /api/v1/session`: 204; sockets and downloads of the session end too.
pub(crate) async fn close(
    State(context): At,
    Extension(reached): Extension<Reached>,
    caller: Caller,
) -> Response {
    if let Some(session) = caller.session() {
        context.access.sign_out(session);
    }
    let mut response = (StatusCode::NO_CONTENT, NO_STORE).into_response();
    let gone = cookie::session(&reached, "").map(|value| (header::SET_COOKIE, value));
    response.headers_mut().extend(gone);
    response
}

/// `PUT /api/v1/session/password`: 204; all other sessions of the account end. 403 for a wrong old
/// password, 422 for a new one that is refused.
pub(crate) async fn change_password(
    State(context): At,
    Extension(reached): Extension<Reached>,
    caller: Caller,
    JsonBody(body): JsonBody<PasswordRequest>,
) -> Result<Response, ApiError> {
    let PasswordRequest { old, new } = body;
    let name = caller.account_name().ok_or_else(|| {
        let message = "Nobody is signed in, so there is no password to change.";
        ApiError::new(StatusCode::CONFLICT, "no_account", message)
    })?;
    have_patience(&context, &reached)?;
    let session = caller.session();
    let changed =
        blocking(&context, move |access| access.change_password(&name, (&old, &new), session));
    let changed = changed.await;
    note(&context, &reached, &changed);
    // Not 401, which a page takes for the end of its session.
    changed.map_err(|error| match error.code {
        "wrong_password" => ApiError { status: StatusCode::FORBIDDEN, ..error },
        _ => error,
    })?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}
