//! `/live/{stream}/ws`: fMP4 over WebSocket for the page's player.
//!
//! Owns: the messages and the life of the socket. Text messages are JSON, one key each: `hello`
//! (then a binary init segment), `clock`, `drop`, `state`; every other binary message is one
//! `moof` + `mdat`. The client sends nothing; what it sends is thrown away.

mod message;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, Interval};
use tracing::debug;

use super::Door;
use super::error::ApiError;
use super::listener::Slot;
use super::route::{At, Named};
use crate::base::limits::{MSE_MESSAGE_BYTES_MAX, MSE_PING_INTERVAL, MSE_SILENCE_MAX};
use crate::base::time::WallTime;
use crate::live::Outlet;
use crate::live::mse::{Part, Told, Viewer};
use crate::stream::State as StreamState;

/// `GET /live/{stream}/ws`.
pub(super) async fn upgrade(
    State(door): At,
    Named(outlet): Named,
    Extension(slot): Extension<Arc<Slot>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = accept(&headers, upgrade)?;
    let viewer = outlet.mse.view()?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let connections = door.connections.clone();
        let session = Session::new(socket, viewer, &outlet, door);
        // The slot is held as long as the socket lives.
        connections.spawn("ws", async move {
            let ended = session.run().await;
            debug!(part = "ws", peer = %slot.peer, ended, "viewer left");
        });
    }))
}

/// The upgrade with its bounds, if this viewer may have it.
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

/// Whether the page that asks came from this box. A program that is no browser sends no
/// `Origin`, and no browser leaves it out here.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let origin = origin.as_ref().and_then(Uri::authority);
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    origin.zip(host).is_some_and(|(origin, host)| origin.as_str().eq_ignore_ascii_case(host))
}

/// One viewer's socket.
struct Session {
    socket: WebSocket,
    viewer: Viewer,
    state: watch::Receiver<(StreamState, WallTime)>,
    door: Arc<Door>,
    ticks: Interval,
    heard: Instant,
    newest: Option<Arc<Part>>,
}

/// What the session waited for.
enum Event {
    Closing,
    Heard(Option<Result<Message, axum::Error>>),
    State,
    Tick,
    Told(Told),
}

/// Why a session ended, for the log.
type Ended = &'static str;
const LEFT: Ended = "left";
const SILENT: Ended = "silent";
const CLOSED: Ended = "closed by us";
const GONE: Ended = "stream gone";
const UNREACHABLE: Ended = "takes nothing";

impl Session {
    fn new(socket: WebSocket, viewer: Viewer, outlet: &Outlet, door: Arc<Door>) -> Self {
        let mut state = outlet.stream.watch_state();
        // A viewer of a stream that is not live is told so at once.
        if state.borrow_and_update().0 != StreamState::Live {
            state.mark_changed();
        }
        let first = Instant::now() + MSE_PING_INTERVAL;
        let ticks = tokio::time::interval_at(first, MSE_PING_INTERVAL);
        Self { socket, viewer, state, door, ticks, heard: Instant::now(), newest: None }
    }

    async fn run(mut self) -> Ended {
        loop {
            let event = self.next().await;
            let messages = match self.answer(event) {
                Ok(messages) => messages,
                Err(ended) => {
                    // Whether the farewell arrives does not matter.
                    let _ = self.socket.send(Message::Close(None)).await;
                    return ended;
                }
            };
            for message in messages {
                if self.socket.send(message).await.is_err() {
                    return UNREACHABLE;
                }
            }
        }
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            () = self.door.closing.cancelled() => Event::Closing,
            heard = self.socket.recv() => Event::Heard(heard),
            changed = self.state.changed() => {
                if changed.is_ok() { Event::State } else { Event::Closing }
            }
            _ = self.ticks.tick() => Event::Tick,
            told = self.viewer.next() => Event::Told(told),
        }
    }

    /// What to send after `event`, or why the session ends.
    fn answer(&mut self, event: Event) -> Result<Vec<Message>, Ended> {
        let now = self.door.clock.wall();
        match event {
            Event::Closing => Err(CLOSED),
            Event::Heard(None | Some(Err(_) | Ok(Message::Close(_)))) => Err(LEFT),
            Event::Heard(Some(Ok(_))) => {
                self.heard = Instant::now();
                Ok(Vec::new())
            }
            Event::State => Ok(vec![message::state(&self.state.borrow_and_update().0)]),
            Event::Tick if self.heard.elapsed() > MSE_SILENCE_MAX => Err(SILENT),
            Event::Tick => {
                let mut messages = vec![Message::Ping(Bytes::new())];
                messages.extend(self.newest.as_ref().map(|part| message::clock(part, now)));
                Ok(messages)
            }
            Event::Told(Told::Format(part)) => {
                let init = part.format.init.clone();
                Ok(vec![message::hello(&part, now), Message::Binary(init)])
            }
            Event::Told(Told::Part(part)) => {
                let bytes = part.bytes.clone();
                self.newest = Some(part);
                Ok(vec![Message::Binary(bytes)])
            }
            Event::Told(Told::Dropped(units)) => Ok(vec![message::drop(units)]),
            Event::Told(Told::Ended) => Err(GONE),
        }
    }
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
