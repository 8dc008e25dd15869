//! The upgrade to a WebSocket: who may have one, and its bounds.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::error::ApiError;
use crate::base::limits::MSE_MESSAGE_BYTES_MAX;

/// The upgrade with its bounds, if this client may have it.
pub(super) fn accept(
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, ApiError> {
    let upgrade = upgrade.map_err(|rejection| {
        let message = format!("This address speaks WebSocket only: {rejection}");
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "websocket_only", message)
    })?;
    if !is_same_origin(headers) {
        let message = "Only the box's own page may open this socket.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", message));
    }
    Ok(upgrade.max_message_size(MSE_MESSAGE_BYTES_MAX).max_frame_size(MSE_MESSAGE_BYTES_MAX))
}

/// Whether the page that asks came from this box. A program that is not a browser sends no
/// `Origin`, and no browser leaves it out here.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let origin = origin.as_ref().and_then(Uri::authority);
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    origin.zip(host).is_some_and(|(origin, host)| origin.as_str().eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn same(origin: &'static str, host: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        headers.insert(header::HOST, HeaderValue::from_static(host));
        is_same_origin(&headers)
    }

    #[test]
    fn only_the_boxs_own_page_may_open_a_socket() {
        assert!(same("http://box.test:8080", "box.test:8080"));
        assert!(same("http://10.0.0.7", "10.0.0.7"));
        assert!(!same("http://evil.example", "box.test:8080"));
        assert!(!same("http://box.test:9", "box.test:8080"));
        assert!(!same("null", "box.test:8080"));
        assert!(is_same_origin(&HeaderMap::new()));
    }
}
