//! `/api/v1`: streams, health, storage, recordings, pins, marks, exports, RTSP sessions, cameras, board.
//!
//! Owns: the JSON shapes of streams and health.

pub(super) mod devices;
pub(super) mod exports;
mod health;
pub(super) mod note;
pub(super) mod recordings;
pub(super) mod recovery;
pub(super) mod rtsp;
pub(super) mod storage;
mod stream;
pub(super) mod system;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use self::health::HealthReport;
use self::stream::StreamReport;
use super::extract::At;
use super::response::NO_STORE;

#[derive(Serialize)]
struct Streams {
    streams: Vec<StreamReport>,
}

/// `GET /api/v1/streams`.
pub(super) async fn streams(State(context): At, headers: HeaderMap) -> impl IntoResponse {
    let host = host_of(&headers);
    let outlets = context.streams.all();
    let streams =
        outlets.values().map(|outlet| StreamReport::new(&context, outlet, &host)).collect();
    (NO_STORE, Json(Streams { streams }))
}

/// `GET /api/v1/health`: 200 while the box does its work, even if a camera is away; 503 when
/// something that must never stop has stopped.
pub(super) async fn health(State(context): At) -> Response {
    let report = HealthReport::new(&context);
    let status = if report.has_failed() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, NO_STORE, Json(report)).into_response()
}

/// The host by which the client reached us, without port; loopback when it does not say.
fn host_of(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    // A full URI makes the parser check the characters.
    let uri = host.and_then(|host| format!("http://{host}/").parse::<Uri>().ok());
    uri.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_else(|| "127.0.0.1".to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn host(value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        host_of(&headers)
    }

    #[test]
    fn the_host_is_taken_without_port_and_without_tricks() {
        assert_eq!(host("box.local:8080"), "box.local");
        assert_eq!(host("10.0.0.7"), "10.0.0.7");
        assert_eq!(host("[fe80::1]:8080"), "[fe80::1]");
        assert_eq!(host("user:secret@box"), "box");
        assert_eq!(host("a b"), "127.0.0.1");
        assert_eq!(host_of(&HeaderMap::new()), "127.0.0.1");
    }
}
