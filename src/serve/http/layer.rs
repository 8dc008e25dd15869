//! What stands around every route: headers, compression, bounds, the catch of a panic.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::error;

use super::error::ApiError;
use crate::base::limits::HTTP_BODY_BYTES_MAX;

/// Told with every answer. The page needs nothing from any other host, and nobody may frame it.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
         connect-src 'self' ws: wss:",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Puts the layers around `routes`.
pub(super) fn around(routes: Router) -> Router {
    // Media is compressed already; pictures are left out by default.
    let worth_it = DefaultPredicate::new()
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("multipart/"))
        .and(NotForContentType::const_new("application/zip"));
    let mut routes = routes
        .layer(from_fn(bounded))
        .layer(from_fn(caught))
        .layer(CompressionLayer::new().gzip(true).compress_when(worth_it));
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        routes = routes.layer(SetResponseHeaderLayer::overriding(name, value));
    }
    routes
}

/// Refuses a body that says it is too large. No route reads one; hyper throws away what comes.
async fn bounded(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|bytes| bytes > HTTP_BODY_BYTES_MAX as u64) {
        let message = format!("A request body may have {HTTP_BODY_BYTES_MAX} bytes at most.");
        let error = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message);
        let mut response = error.into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    next.run(request).await
}

/// Turns a panic into an answer.
async fn caught(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if let Ok(response) = AssertUnwindSafe(next.run(request)).catch_unwind().await {
        return response;
    }
    // The panic's own text went to the log through the panic hook.
    error!(part = "http", path, "handler panicked");
    let message = "Something went wrong inside the box; the log has more.";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).into_response()
}

/// The answer to a method that an address does not know.
pub(super) async fn method_not_allowed() -> ApiError {
    let message = "This address does not take this method. Read with GET or HEAD.";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn broken() {
        panic!("a test of the catch");
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_one_500() {
        let routes = around(Router::new().route("/", get(broken)));
        let response = routes.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), 1_000).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"]["code"], "internal");
    }
}
