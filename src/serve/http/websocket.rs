//! WebSockets: who may have one, its bounds, and the life that all of them share.
//!
//! Owns: what a client may make the box hold, and when it is given up. Replies to pings are written at
//! once or replace each other; the write buffer is bounded; a client that sends more frames than any
//! player does is cut before its frames cost anybody else; one that does not answer pings is gone.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use tokio::time::{Instant, Interval};
use tracing::debug;

use super::context::HttpContext;
use super::error::ApiError;
use super::origin::{Reached, is_own_page};
use super::peers::Peer;
use crate::base::limits::{
    MSE_MESSAGE_BYTES_MAX, MSE_SILENCE_MAX, WS_CONTROL_FRAMES_MAX, WS_CONTROL_TIME,
    WS_READ_BUFFER_BYTES, WS_WRITE_BUFFER_BYTES_MAX,
};
use crate::base::time::BootTime;

/// Why a session ended, for the log.
pub(super) type Ended = &'static str;
const LEFT: Ended = "left";
const SILENT: Ended = "silent";
const UNREACHABLE: Ended = "reads nothing";
/// The box ended it.
pub(super) const CLOSED: Ended = "closed by us";
/// It sent more than any player has to.
pub(super) const FLOODS: Ended = "too many messages";

/// The upgrade of a request that may have a socket: an extractor, with the socket's bounds.
pub(super) struct Upgrade {
    upgrade: WebSocketUpgrade,
    peer: Arc<Peer>,
}

impl FromRequestParts<Arc<HttpContext>> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &Arc<HttpContext>,
    ) -> Result<Self, ApiError> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, context).await.map_err(|_| {
            let message = "This address speaks WebSocket only (RFC 6455, version 13).";
            ApiError::new(StatusCode::UPGRADE_REQUIRED, "websocket_only", message)
        })?;
        let reached = parts.extensions.get::<Reached>();
        let is_own = reached.is_some_and(|reached| is_own_page(&parts.headers, reached));
        let Some(peer) = parts.extensions.get::<Arc<Peer>>().filter(|_| is_own) else {
            let message = "Only the box's own page may open this socket.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", message));
        };
        let upgrade = upgrade
            .read_buffer_size(WS_READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WS_WRITE_BUFFER_BYTES_MAX)
            .max_message_size(MSE_MESSAGE_BYTES_MAX)
            .max_frame_size(MSE_MESSAGE_BYTES_MAX);
        Ok(Self { upgrade, peer: Arc::clone(peer) })
    }
}

impl Upgrade {
    /// Answers, and serves the socket, pinged every `interval`, in a task named `part`.
    pub(super) fn serve<F>(
        self,
        part: &'static str,
        interval: Duration,
        session: impl FnOnce(ClientSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        let Self { upgrade, peer } = self;
        upgrade.on_upgrade(move |socket| async move {
            let (tasks, address) = (peer.tasks.clone(), peer.address);
            let session = session(ClientSocket::new(socket, peer, interval));
            tasks.spawn(part, async move {
                let ended = session.await;
                debug!(part, peer = %address, ended, "viewer left");
            });
        })
    }
}

/// One client's socket.
pub(super) struct ClientSocket {
    socket: WebSocket,
    /// The connection, whose place is held for as long as the socket lives.
    peer: Arc<Peer>,
    ticks: Interval,
    heard: Instant,
}

/// What comes of a socket.
pub(super) enum Incoming {
    /// It is over.
    Ended(Ended),
    /// The client said something, if only a pong.
    Message(Message),
    /// A ping is due.
    PingDue,
}

impl ClientSocket {
    fn new(socket: WebSocket, peer: Arc<Peer>, interval: Duration) -> Self {
        let ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        Self { socket, peer, ticks, heard: Instant::now() }
    }

    /// Waits for what comes next. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Incoming {
        tokio::select! {
            biased;
            () = self.peer.closed() => Incoming::Ended(CLOSED),
            heard = self.socket.recv() => match heard {
                None | Some(Err(_) | Ok(Message::Close(_))) => Incoming::Ended(LEFT),
                Some(Ok(message)) => {
                    self.heard = Instant::now();
                    Incoming::Message(message)
                }
            },
            _ = self.ticks.tick() => {
                let is_silent = self.heard.elapsed() > MSE_SILENCE_MAX;
                if is_silent { Incoming::Ended(SILENT) } else { Incoming::PingDue }
            }
        }
    }

    /// Sends `messages`.
    pub(super) async fn send(
        &mut self,
        messages: impl IntoIterator<Item = Message, IntoIter: Send>,
    ) -> Result<(), Ended> {
        for message in messages {
            self.socket.send(message).await.map_err(|_| UNREACHABLE)?;
        }
        Ok(())
    }

    /// Sends what `answer` holds, or says farewell.
    pub(super) async fn deliver(
        &mut self,
        answer: Result<Vec<Message>, Ended>,
    ) -> Result<(), Ended> {
        match answer {
            Ok(messages) => self.send(messages).await,
            Err(ended) => {
                let policy = CloseFrame { code: close_code::POLICY, reason: ended.into() };
                self.close((ended == FLOODS).then_some(policy)).await;
                Err(ended)
            }
        }
    }

    /// Says farewell; whether it arrives does not matter.
    pub(super) async fn close(&mut self, frame: Option<CloseFrame>) {
        let _ = self.socket.send(Message::Close(frame)).await;
    }
}

/// A ping.
pub(super) fn ping() -> Message {
    Message::Ping(Bytes::new())
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
