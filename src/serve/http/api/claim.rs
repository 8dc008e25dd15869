//! `/api/v1/claim`: how a new box gets its first account.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::access::{WhoReport, blocking};
use super::session::with_session;
use crate::access::{AccessError, ClaimError, ClaimStatus};
use crate::base::secret::Secret;
use crate::serve::http::door::{Access, ActedAs, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::origin::Reached;
use crate::serve::http::response::NO_STORE;
use crate::serve::http::settings::Access as Openness;

#[derive(Serialize, schemars::JsonSchema)]
struct ClaimReport {
    state: &'static str,
    /// Seconds until a code is checked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Where HTTPS is served, if it is.
    https_port: Option<u16>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimRequest {
    /// Empty while the button's window is open.
    #[serde(default)]
    code: String,
    name: String,
    password: Secret,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/claim", Access::Public, state)
        .says("How far the box is claimed.")
        .answers::<ClaimReport>(200)
        .post("/api/v1/claim", Access::Public, claim)
        .says("Makes the first account, an administrator's.")
        .takes::<ClaimRequest>()
        .answers::<WhoReport>(201)
        .refuses(&[409, 422, 429])
}

/// `GET /api/v1/claim`.
pub(crate) async fn state(State(context): At) -> Response {
    let settings = context.http.now();
    let window = context.access.claim_window().is_some();
    let (state, retry_after) = match (settings.access, context.access.claim_status()) {
        (Openness::OpenOnLoopback, _) => ("open", None),
        (Openness::Accounts, ClaimStatus::Unclaimed) if window => ("window", None),
        (Openness::Accounts, ClaimStatus::Unclaimed) => ("unclaimed", None),
        (Openness::Accounts, ClaimStatus::Locked(wait)) => ("locked", Some(wait.as_secs())),
        // An unreadable account may exist: such a box cannot be claimed.
        (Openness::Accounts, ClaimStatus::Claimed | ClaimStatus::Damaged) => ("claimed", None),
    };
    (NO_STORE, Json(ClaimReport { state, retry_after, https_port: settings.https_port }))
        .into_response()
}

/// `POST /api/v1/claim`: 201 and a session of the first account; 403 for a wrong code, 409 when
/// another claim was first, 422 for a name or a password that is refused, 429 after five wrong
/// codes.
pub(crate) async fn claim(
    State(context): At,
    Extension(reached): Extension<Reached>,
    JsonBody(body): JsonBody<ClaimRequest>,
) -> Result<Response, ApiError> {
    let ClaimRequest { code, name, password } = body;
    if context.http.now().access == Openness::OpenOnLoopback {
        return Err(AccessError::from(ClaimError::Open).into());
    }
    let secure = reached.secure;
    let key = blocking(&context, move |access| {
        access.claim(&code, &name, &password)?;
        access.open_session(&name, secure)
    });
    let mut response = match key.await {
        Ok(key) => with_session(&context, &reached, &key)?,
        Err(error) if error.code == "wrong_code" => error.into_response(),
        Err(error) => return Err(error),
    };
    if response.status().is_success() {
        *response.status_mut() = StatusCode::CREATED;
    }
    response.extensions_mut().insert(ActedAs("first claimant".to_owned()));
    Ok(response)
}
