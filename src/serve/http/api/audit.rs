//! `/api/v1/audit`: who did what, when and from where, for administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use tracing::warn;

use crate::access::AuditTail;
use crate::base::limits::AUDIT_LISTED_MAX;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::operation::Parameter;
use crate::serve::http::request::Query;
use crate::serve::http::response::NO_STORE;

/// Entries of an answer where the request does not say.
const DEFAULT: usize = 100;

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let most = u64::try_from(AUDIT_LISTED_MAX).unwrap_or(u64::MAX);
    door.get("/api/v1/audit", Access::Admin, list)
        .says("Who did what, when and from where, the newest first.")
        .hears(Parameter::number("limit", "Entries at most.", (1, most)))
        .answers::<AuditTail>(200)
}

/// `GET /api/v1/audit?limit=`.
pub(crate) async fn list(
    State(context): At,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref()).only(&["limit"], &[])?;
    let limit = match query.get("limit") {
        None => DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=AUDIT_LISTED_MAX).contains(limit) && !text.starts_with('+'))
            .ok_or_else(|| {
                let message = format!("`limit` must be a number from 1 to {AUDIT_LISTED_MAX}.");
                ApiError::bad_request(message)
            })?,
    };
    let access = Arc::clone(&context.access);
    let tail = tokio::task::spawn_blocking(move || access.audit().newest(limit)).await;
    let tail = tail.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let tail = tail.map_err(|error| {
        warn!(part = "access", %error, "audit log cannot be read");
        let message = "The audit log cannot be read now; the log of the box says why.";
        ApiError::unavailable("audit_unreadable", message)
    })?;
    Ok((NO_STORE, Json(tail)).into_response())
}
