//! `/ca.pem`: the certificate of the box's own authority, for devices that shall trust it.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::door::{Access, Door};
use super::error::ApiError;
use super::extract::At;
use super::response::NO_STORE;

/// What makes a phone offer to install it.
const KIND: HeaderValue = HeaderValue::from_static("application/x-x509-ca-cert");

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/ca.pem", Access::Public, authority)
        .says("The certificate of the box's own authority.")
        .answers_media(200, &["application/x-x509-ca-cert"])
        .refuses(&[404])
}

/// `GET /ca.pem`.
pub(super) async fn authority(State(context): At) -> Result<Response, ApiError> {
    let authority = context.tls.authority().ok_or_else(|| {
        let message = "This box uses a certificate of another authority, or none.";
        ApiError::new(StatusCode::NOT_FOUND, "no_own_authority", message)
    })?;
    Ok((NO_STORE, [(header::CONTENT_TYPE, KIND)], authority.pem).into_response())
}
