//! `/api/v1/accounts`: the accounts of people, for administrators.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::access::blocking;
use super::credentials::{refuse_heirs, remove_owned};
use crate::access::{AccessError, Account, AccountChange, NewAccount, Role, StreamAccess};
use crate::base::secret::Secret;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::peers::Peer;
use crate::serve::http::response::NO_STORE;

#[derive(Serialize, schemars::JsonSchema)]
struct AccountReport {
    name: String,
    role: Role,
    streams: StreamAccess,
    past: bool,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Accounts {
    accounts: Vec<AccountReport>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountRequest {
    name: String,
    password: Secret,
    #[serde(default)]
    role: Role,
    #[serde(default)]
    streams: StreamAccess,
    #[serde(default = "yes")]
    past: bool,
}

fn yes() -> bool {
    true
}

/// Fields left out stay unchanged.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountPatch {
    password: Option<Secret>,
    role: Option<Role>,
    streams: Option<StreamAccess>,
    past: Option<bool>,
}

impl From<Account> for AccountReport {
    fn from(account: Account) -> Self {
        let Account { name, role, streams, past, .. } = account;
        Self { name, role, streams, past }
    }
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/accounts", Access::Admin, list)
        .says("The accounts of people.")
        .answers::<Accounts>(200)
        .post("/api/v1/accounts", Access::Admin, create)
        .says("Makes an account.")
        .takes::<AccountRequest>()
        .answers::<AccountReport>(201)
        .refuses(&[409, 422, 429])
        .get("/api/v1/accounts/{name}", Access::Admin, one)
        .says("One account.")
        .answers::<AccountReport>(200)
        .patch("/api/v1/accounts/{name}", Access::Admin, alter)
        .says("Changes an account and ends its sessions.")
        .takes::<AccountPatch>()
        .answers::<AccountReport>(200)
        .refuses(&[409, 422, 429])
        .delete("/api/v1/accounts/{name}", Access::Admin, remove)
        .says("Deletes an account, with its sessions and the stream accounts that belong to it.")
        .answers_empty(204)
        .refuses(&[409])
}

/// `GET /api/v1/accounts`.
pub(crate) async fn list(State(context): At) -> Response {
    let accounts = context.access.accounts().into_iter().map(AccountReport::from).collect();
    (NO_STORE, Json(Accounts { accounts })).into_response()
}

/// `POST /api/v1/accounts`: 201 with the account; 409 when there is one of this name, 422 for a name
/// or a password that is refused.
pub(crate) async fn create(
    State(context): At,
    JsonBody(body): JsonBody<AccountRequest>,
) -> Result<Response, ApiError> {
    let AccountRequest { name, password, role, streams, past } = body;
    refuse_heirs(&context, &name)?;
    let new = NewAccount { name, role, streams, past, password };
    let account = blocking(&context, move |access| access.add(&new)).await?;
    let place = HeaderValue::from_str(&format!("/api/v1/accounts/{}", account.name));
    let mut response =
        (StatusCode::CREATED, NO_STORE, Json(AccountReport::from(account))).into_response();
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

type Name = Result<Path<String>, PathRejection>;

fn named(name: Name) -> Result<String, ApiError> {
    name.map(|Path(name)| name).map_err(|_| AccessError::Unknown.into())
}

/// `GET /api/v1/accounts/{name}`.
pub(crate) async fn one(State(context): At, name: Name) -> Result<Response, ApiError> {
    let name = named(name)?;
    let account = context.access.accounts().into_iter().find(|account| account.name == name);
    let account = account.ok_or(AccessError::Unknown)?;
    Ok((NO_STORE, Json(AccountReport::from(account))).into_response())
}

/// `PATCH /api/v1/accounts/{name}`: 200 with the account, whose sessions end; 409 for the last
/// administrator.
pub(crate) async fn alter(
    State(context): At,
    name: Name,
    JsonBody(body): JsonBody<AccountPatch>,
) -> Result<Response, ApiError> {
    let AccountPatch { password, role, streams, past } = body;
    let (name, change) = (named(name)?, AccountChange { role, streams, past, password });
    let account = blocking(&context, move |access| access.alter(&name, &change)).await?;
    Ok((NO_STORE, Json(AccountReport::from(account))).into_response())
}

/// `DELETE /api/v1/accounts/{name}`: 204; its sessions end, and its stream accounts go. 409 for the last administrator.
pub(crate) async fn remove(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    name: Name,
) -> Result<Response, ApiError> {
    let name = named(name)?;
    let gone = name.clone();
    blocking(&context, move |access| access.remove(&gone)).await?;
    remove_owned(&context, &peer, name).await;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}
