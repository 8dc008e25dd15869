//! What is around every route: headers, compression, the catch of a panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tracing::error;

use super::context::HttpContext;
use super::cors::Sharing;
use super::error::ApiError;
use super::{https_only, origin};

/// Sent with every answer.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
/// Puts around `routes` what every answer needs. It is one layer, because each one of axum's copies those
/// inside of it for every request.
pub(super) fn around(routes: Router, context: Arc<HttpContext>) -> Router {
    // Media is compressed already; pictures are left out by default.
    let worth_it = DefaultPredicate::new()
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("multipart/"))
        .and(NotForContentType::const_new("application/zip"));
    routes
        .layer(CompressionLayer::new().gzip(true).compress_when(worth_it))
        .layer(from_fn_with_state(context, answered))
}

/// Answers, with the headers of every answer.
async fn answered(
    State(context): State<Arc<HttpContext>>,
    request: Request,
    next: Next,
) -> Response {
    let sharing = Sharing::of(&context.cors, &request);
    let mut response = if sharing.is_granted_preflight() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        admitted(&context, request, next).await
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let settings = context.http.now();
    headers.insert(header::CONTENT_SECURITY_POLICY, settings.policy().clone());
    if settings.frame_ancestors.is_empty() {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    sharing.tell(headers);
    response
}

/// Lets a request through that came by a name of the box and as securely as it must.
async fn admitted(context: &HttpContext, mut request: Request, next: Next) -> Response {
    if let Err(error) = origin::admit(&context.http, &mut request) {
        return error.into_response();
    }
    let secured = match https_only::admit(context, &request) {
        Ok(secured) => secured,
        Err(response) => return *response,
    };
    let mut response = caught(request, next).await;
    response.headers_mut().extend(secured);
    response
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
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn broken() {
        panic!("a test of the catch");
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_one_500() {
        let routes = Router::new().route("/", get(broken)).layer(from_fn(caught));
        let response = routes.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), 1_000).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"]["code"], "internal");
    }
}
