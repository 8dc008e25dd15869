//! `/live/{stream}/ws`: fMP4 over WebSocket for the page's player.
//!
//! Owns: the messages and the life of the socket. Text messages are JSON, one key each: `hello`
//! (then a binary init segment), `clock`, `drop`, `state`; every other binary message is one
//! `moof` + `mdat`. The client sends nothing but pongs; what it sends is counted and
//! thrown away.

mod message;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, Interval};
use tracing::debug;

use crate::access::Right;
use crate::base::limits::{MSE_PING_INTERVAL, MSE_SILENCE_MAX};
use crate::base::time::WallTime;
use crate::live::StreamOutputs;
use crate::live::mse::{Part, Viewer, ViewerEvent};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, Named};
use crate::serve::http::origin::Reached;
use crate::serve::http::peers::Peer;
use crate::serve::http::websocket::{MessageRate, accept};
use crate::stream::StreamState;

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let live = Access::Viewer(Object::Stream(Right::Live));
    door.get("/live/{stream}/ws", live, upgrade)
        .says("WebSocket: fMP4 of a live stream.")
        .answers_empty(101)
        .refuses(&[426])
}

/// `GET /live/{stream}/ws`.
pub(crate) async fn upgrade(
    State(context): At,
    Named(outputs): Named,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(reached): Extension<Reached>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = accept(&headers, &reached, upgrade)?;
    let viewer = outputs.mse.view()?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let tasks = peer.tasks.clone();
        let address = peer.address;
        let session = LiveSocket::new(socket, viewer, &outputs, context, peer);
        tasks.spawn("ws", async move {
            let ended = session.run().await;
            debug!(part = "ws", peer = %address, ended, "viewer left");
        });
    }))
}

/// One viewer's socket.
struct LiveSocket {
    socket: WebSocket,
    viewer: Viewer,
    state: watch::Receiver<(StreamState, WallTime)>,
    context: Arc<HttpContext>,
    /// The connection, whose place is held for as long as the socket lives.
    peer: Arc<Peer>,
    ticks: Interval,
    heard: Instant,
    rate: MessageRate,
    newest: Option<Arc<Part>>,
}

/// What the session waited for.
enum Event {
    Closing,
    Heard(Option<Result<Message, axum::Error>>),
    State,
    Tick,
    Told(ViewerEvent),
}

/// Why a session ended, for the log.
type Ended = &'static str;
const LEFT: Ended = "left";
const SILENT: Ended = "silent";
const CLOSED: Ended = "closed by us";
const GONE: Ended = "stream gone";
const FLOODS: Ended = "too many messages";
const UNREACHABLE: Ended = "reads nothing";

impl LiveSocket {
    fn new(
        socket: WebSocket,
        viewer: Viewer,
        outputs: &StreamOutputs,
        context: Arc<HttpContext>,
        peer: Arc<Peer>,
    ) -> Self {
        let mut state = outputs.stream.watch_state();
        // A viewer of a stream that is not live gets an answer at once.
        if state.borrow_and_update().0 != StreamState::Live {
            state.mark_changed();
        }
        let first = Instant::now() + MSE_PING_INTERVAL;
        let ticks = tokio::time::interval_at(first, MSE_PING_INTERVAL);
        let rate = MessageRate::of_control_frames(context.clock.boot());
        let heard = Instant::now();
        Self { socket, viewer, state, context, peer, ticks, heard, rate, newest: None }
    }

    async fn run(mut self) -> Ended {
        loop {
            let event = self.next().await;
            let messages = match self.answer(event) {
                Ok(messages) => messages,
                Err(ended) => {
                    let policy = CloseFrame { code: close_code::POLICY, reason: ended.into() };
                    // Whether the farewell arrives does not matter.
                    let close = Message::Close((ended == FLOODS).then_some(policy));
                    let _ = self.socket.send(close).await;
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
            () = self.peer.closed() => Event::Closing,
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
        let now = self.context.clock.wall();
        match event {
            Event::Closing => Err(CLOSED),
            Event::Heard(None | Some(Err(_) | Ok(Message::Close(_)))) => Err(LEFT),
            Event::Heard(Some(Ok(_))) if !self.rate.allows(self.context.clock.boot()) => {
                Err(FLOODS)
            }
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
            Event::Told(ViewerEvent::Format(part)) => {
                let init = part.format.init.clone();
                Ok(vec![message::hello(&part, now), Message::Binary(init)])
            }
            Event::Told(ViewerEvent::Part(part)) => {
                let bytes = part.bytes.clone();
                self.newest = Some(part);
                Ok(vec![Message::Binary(bytes)])
            }
            Event::Told(ViewerEvent::Dropped(units)) => Ok(vec![message::drop(units)]),
            Event::Told(ViewerEvent::Ended) => Err(GONE),
        }
    }
}
