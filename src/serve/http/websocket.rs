//! The upgrade to a WebSocket: who may have one, and its bounds.
//!
//! Owns: what a client may make the box hold. Replies to pings are written at once or replace each
//! other; the write buffer is bounded; and a client that sends more frames than any player does is
//! cut before its frames cost anybody else.

use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, StatusCode};

use super::error::ApiError;
use super::origin::{Reached, is_own_page};
use crate::base::limits::{
    MSE_MESSAGE_BYTES_MAX, WS_CONTROL_FRAMES_MAX, WS_CONTROL_TIME, WS_READ_BUFFER_BYTES,
    WS_WRITE_BUFFER_BYTES_MAX,
};
use crate::base::time::BootTime;

/// The upgrade with its bounds, if this client may have it.
pub(super) fn accept(
    headers: &HeaderMap,
    reached: &Reached,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        let message = "This address speaks WebSocket only (RFC 6455, version 13).";
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "websocket_only", message)
    })?;
    if !is_own_page(headers, reached) {
        let message = "Only the box's own page may open this socket.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", message));
    }
    Ok(upgrade
        .read_buffer_size(WS_READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WS_WRITE_BUFFER_BYTES_MAX)
        .max_message_size(MSE_MESSAGE_BYTES_MAX)
        .max_frame_size(MSE_MESSAGE_BYTES_MAX))
}

/// Counts what a client sends, in spans of a fixed length.
#[derive(Debug)]
pub(super) struct MessageRate {
    most: u32,
    span: Duration,
    since: BootTime,
    count: u32,
}

impl MessageRate {
    /// Allows `most` messages in each `span`, the first of which begins `now`.
    pub(super) fn new(most: u32, span: Duration, now: BootTime) -> Self {
        Self { most, span, since: now, count: 0 }
    }

    /// The rate of control frames, and of messages that are not asked for.
    pub(super) fn of_control_frames(now: BootTime) -> Self {
        Self::new(WS_CONTROL_FRAMES_MAX, WS_CONTROL_TIME, now)
    }

    /// Counts one more message; whether it may come at `now`.
    pub(super) fn allows(&mut self, now: BootTime) -> bool {
        if now.since(self.since) >= self.span {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_messages_are_refused_until_the_span_is_over() {
        let begin = BootTime::from_millis(1_000);
        let mut rate = MessageRate::of_control_frames(begin);
        let allowed = (0..1_000).filter(|_| rate.allows(begin)).count();
        assert_eq!(allowed, WS_CONTROL_FRAMES_MAX as usize);
        assert!(rate.allows(begin.after(WS_CONTROL_TIME)));
    }
}
