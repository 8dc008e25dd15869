//! The layers around every route: headers, compression, bounds, the catch of a panic.

use std::error::Error;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body_util::LengthLimitError;
use tokio::time::timeout;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::error;

use super::error::ApiError;
use super::settings::Settings;
use crate::base::limits::{HTTP_BODY_BYTES_MAX, HTTP_BODY_TIME_MAX};

/// Sent with every answer.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
/// The page needs nothing from any other host. Who may frame it follows.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
                      connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; \
                      form-action 'self'; frame-ancestors";

/// Puts the layers around `routes`.
pub(super) fn around(routes: Router, settings: Settings) -> Router {
    // Media is compressed already; pictures are left out by default.
    let worth_it = DefaultPredicate::new()
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("multipart/"))
        .and(NotForContentType::const_new("application/zip"));
    let mut routes = routes
        .layer(from_fn(caught))
        .layer(CompressionLayer::new().gzip(true).compress_when(worth_it))
        .layer(from_fn_with_state(settings, framed));
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        routes = routes.layer(SetResponseHeaderLayer::overriding(name, value));
    }
    routes
}

/// Says which pages may show this one in a frame.
async fn framed(State(settings): State<Settings>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let allowed = &settings.now().frame_ancestors;
    let headers = response.headers_mut();
    let ancestors = if allowed.is_empty() { "'none'".to_owned() } else { allowed.join(" ") };
    if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY} {ancestors}")) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if allowed.is_empty() {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    response
}

/// Reads the body before a handler runs, whole and in time: no handler can forget a bound, and a
/// body that trickles in holds nothing but its connection, for [`HTTP_BODY_TIME_MAX`].
pub(super) async fn bounded(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|bytes| bytes > HTTP_BODY_BYTES_MAX as u64) {
        return refused(body_too_large());
    }
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(head, body)).await;
    }
    match timeout(HTTP_BODY_TIME_MAX, to_bytes(body, HTTP_BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(error)) if is_too_large(&error) => refused(body_too_large()),
        Ok(Err(_)) => refused(ApiError::bad_request("The request body could not be read.")),
        Err(_) => {
            let secs = HTTP_BODY_TIME_MAX.as_secs();
            let message = format!("The request body did not arrive within {secs} seconds.");
            refused(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message))
        }
    }
}

fn body_too_large() -> ApiError {
    let message = format!("A request body may have {HTTP_BODY_BYTES_MAX} bytes at most.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn is_too_large(error: &axum::Error) -> bool {
    error.source().is_some_and(<dyn Error>::is::<LengthLimitError>)
}

/// The answer to a request whose body is still on its way: the connection ends with it.
fn refused(error: ApiError) -> Response {
    let mut response = error.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
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
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::*;

    async fn broken() {
        panic!("a test of the catch");
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_one_500() {
        let routes = around(Router::new().route("/", get(broken)), Settings::default());
        let response = routes.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), 1_000).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"]["code"], "internal");
    }

    /// What a route that reads its body answers to `body`.
    async fn posted(body: Body) -> Response {
        let echo = post(|body: String| async { body }).route_layer(from_fn(bounded));
        let routes = Router::new().route("/", echo);
        let routes = around(routes, Settings::default());
        let request = axum::http::Request::post("/").body(body).unwrap();
        routes.oneshot(request).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_deadline_however_it_trickles_in() {
        let trickle = futures::stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        });
        let response = posted(Body::from_stream(trickle)).await;
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(response.headers()[header::CONNECTION], "close");
    }

    #[tokio::test]
    async fn a_body_has_a_largest_size_whether_it_says_its_length_or_not() {
        let most = "x".repeat(HTTP_BODY_BYTES_MAX);
        let in_pieces = |text: String| {
            Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(text)]))
        };
        assert_eq!(posted(in_pieces(most.clone())).await.status(), StatusCode::OK);
        for body in [in_pieces(most.clone() + "x"), Body::from(most + "x")] {
            assert_eq!(posted(body).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
}
