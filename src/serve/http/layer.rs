//! What is around every route: headers, compression, the catch of a panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tower::ServiceExt;
use tower_http::compression::predicate::{And, DefaultPredicate, NotForContentType, Predicate};
use tower_http::compression::{Compression, CompressionLayer};
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
/// More than [`HEADERS`] and those of the settings, so that they are made room for once.
const HEADERS_MORE: usize = 8;

/// All routes, with what every answer needs around them. Clones share them. It is a service of its own
/// around the router rather than one of axum's layers, each of which boxes and copies what is inside of it for
/// every request.
#[derive(Clone)]
pub(super) struct Routes {
    routes: Compression<Router, WorthIt>,
    context: Arc<HttpContext>,
}

/// Media is compressed already; pictures are left out by default.
type WorthIt =
    And<And<And<DefaultPredicate, NotForContentType>, NotForContentType>, NotForContentType>;

impl Routes {
    /// `routes`, of which an unknown path or method has its answer already.
    pub(super) fn new(routes: Router, context: Arc<HttpContext>) -> Self {
        let worth_it = DefaultPredicate::new()
            .and(NotForContentType::const_new("video/"))
            .and(NotForContentType::const_new("multipart/"))
            .and(NotForContentType::const_new("application/zip"));
        let layer = CompressionLayer::new().gzip(true).compress_when(worth_it);
        Self { routes: tower::Layer::layer(&layer, routes), context }
    }

    /// Answers, with the headers of every answer.
    pub(super) async fn answer(self, request: Request) -> Response {
        let Self { routes, context } = self;
        let sharing = Sharing::of(&context.cors, &request);
        let mut response = if sharing.is_granted_preflight() {
            StatusCode::NO_CONTENT.into_response()
        } else {
            admitted(&context, request, routes).await
        };
        let headers = response.headers_mut();
        headers.reserve(HEADERS_MORE);
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
}

/// Lets a request through that came by a name of the box and as securely as it must.
async fn admitted(
    context: &HttpContext,
    mut request: Request,
    routes: Compression<Router, WorthIt>,
) -> Response {
    if let Err(error) = origin::admit(&context.http, &mut request) {
        return error.into_response();
    }
    let secured = match https_only::admit(context, &request) {
        Ok(secured) => secured,
        Err(response) => return *response,
    };
    let uri = request.uri().clone();
    let routed = async {
        routes.oneshot(request).await.map_or_else(|never| match never {}, |it| it.map(Body::new))
    };
    let mut response = caught(uri.path(), routed).await;
    response.headers_mut().extend(secured);
    response
}

/// Turns a panic into an answer.
async fn caught(path: &str, routed: impl Future<Output = Response>) -> Response {
    if let Ok(response) = AssertUnwindSafe(routed).catch_unwind().await {
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
    use axum::body::to_bytes;
    use axum::routing::get;

    use super::*;

    async fn broken() {
        panic!("a test of the catch");
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_one_500() {
        let routes = Router::new().route("/", get(broken));
        let routed = async { routes.oneshot(Request::new(Body::empty())).await.unwrap() };
        let response = caught("/", routed).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), 1_000).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"]["code"], "internal");
    }
}
