//! `/ca.pem`: the certificate of the box's own authority, for devices that shall trust it; and who
//! may change the box.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::extract::At;
use super::origin::Reached;
use super::response::NO_STORE;

/// What makes a phone offer to install it.
const KIND: HeaderValue = HeaderValue::from_static("application/x-x509-ca-cert");

/// Lets requests of this computer through: whoever else reaches HTTP may be anybody.
pub(super) async fn at_the_box(request: Request, next: Next) -> Response {
    let reached = request.extensions().get::<Reached>();
    if reached.is_some_and(|reached| reached.client.is_loopback()) {
        return next.run(request).await;
    }
    let message = "The configuration is changed from this computer only.";
    ApiError::new(StatusCode::FORBIDDEN, "not_at_the_box", message).into_response()
}

/// `GET /ca.pem`.
pub(super) async fn authority(State(context): At) -> Result<Response, ApiError> {
    let authority = context.tls.authority().ok_or_else(|| {
        let message = "This box shows a certificate of somebody else's authority, or none.";
        ApiError::new(StatusCode::NOT_FOUND, "no_own_authority", message)
    })?;
    Ok((NO_STORE, [(header::CONTENT_TYPE, KIND)], authority.pem).into_response())
}
