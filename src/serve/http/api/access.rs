//! What claim, sessions and accounts have in common: their errors, and who waits for whom.
//!
//! Owns: the statuses and codes of refusals, and that every password that is checked costs its
//! sender patience first.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;
use tracing::warn;

use crate::access::{
    AccessControl, AccessError, AccountError, ClaimError, Identity, Role, StoreError, StreamAccess,
};
use crate::base::fault::chain;
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::accounts_damaged;
use crate::serve::http::error::{ApiError, sentence};
use crate::serve::http::origin::Reached;

/// When to come back after "too many at once".
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// Who is signed in.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct WhoReport {
    name: Option<String>,
    role: Role,
    streams: StreamAccess,
    past: bool,
}

impl From<&Identity> for WhoReport {
    fn from(identity: &Identity) -> Self {
        Self {
            name: Some(identity.name.to_string()).filter(|name| !name.is_empty()),
            role: identity.role,
            streams: identity.streams.clone(),
            past: identity.past,
        }
    }
}

/// Does what takes a while on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    context: &Arc<HttpContext>,
    work: impl FnOnce(&AccessControl) -> Result<T, AccessError> + Send + 'static,
) -> Result<T, ApiError> {
    let context = Arc::clone(context);
    let done = tokio::task::spawn_blocking(move || work(&context.access)).await;
    let done = done.map_err(|_| {
        let message = "Something went wrong inside the box; the log has more.";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    Ok(done?)
}

/// Makes a client that sent many wrong passwords wait before the next one is checked.
pub(super) fn have_patience(context: &HttpContext, reached: &Reached) -> Result<(), ApiError> {
    let now = context.clock.boot();
    let wait = context.rtsp.authorizer().failures().wait(now, reached.client);
    let Some(wait) = wait else { return Ok(()) };
    let wait = Duration::from_secs(wait.as_secs() + 1);
    let message = format!("Too many wrong passwords. Try again in {} s.", wait.as_secs());
    Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", message).retry_after(wait))
}

/// Notes whether a password was right.
pub(super) fn note<T>(context: &HttpContext, reached: &Reached, told: &Result<T, ApiError>) {
    let (now, client) = (context.clock.boot(), reached.client);
    let authorizer = context.rtsp.authorizer();
    match told {
        Ok(_) => authorizer.failures().succeeded(now, client),
        Err(error) if error.code == "wrong_password" => authorizer.failures().failed(now, client),
        Err(_) => {}
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        use AccessError as E;
        let message = sentence(&error.to_string());
        let (status, code) = match &error {
            E::Claim(ClaimError::WrongCode) => (StatusCode::FORBIDDEN, "wrong_code"),
            E::Claim(ClaimError::Locked { .. }) => (StatusCode::TOO_MANY_REQUESTS, "claim_locked"),
            E::Claim(ClaimError::Claimed) => (StatusCode::CONFLICT, "claimed"),
            E::Claim(ClaimError::Open) => (StatusCode::CONFLICT, "open"),
            E::Account(AccountError::Name) => (StatusCode::UNPROCESSABLE_ENTITY, "name_wrong"),
            E::Account(_) => (StatusCode::UNPROCESSABLE_ENTITY, "password_weak"),
            E::WrongPassword => (StatusCode::UNAUTHORIZED, "wrong_password"),
            E::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            E::Exists => (StatusCode::CONFLICT, "account_exists"),
            E::Unknown => (StatusCode::NOT_FOUND, "account_unknown"),
            E::LastAdmin => (StatusCode::CONFLICT, "last_admin"),
            E::Full => (StatusCode::CONFLICT, "accounts_full"),
            E::TokenLabel => (StatusCode::UNPROCESSABLE_ENTITY, "label_wrong"),
            E::TokenUnknown => (StatusCode::NOT_FOUND, "token_unknown"),
            E::TokensFull => (StatusCode::CONFLICT, "tokens_full"),
            E::Unclaimed => (StatusCode::CONFLICT, "unclaimed"),
            E::Store(StoreError::Damaged { .. }) => return accounts_damaged(),
            E::Store(StoreError::Io { .. }) | E::Random(_) => {
                warn!(part = "access", error = %chain(&error), "accounts cannot be written");
                let message = "The accounts cannot be written now; nothing was changed. The log \
                               says why.";
                return Self::unavailable("accounts_unwritable", message);
            }
        };
        let told = Self::new(status, code, message);
        match error {
            E::Claim(ClaimError::Locked { wait }) => told.retry_after(wait),
            E::Busy => told.retry_after(BUSY_WAIT),
            _ => told,
        }
    }
}
