//! `/api/v1/events/ws`: what happens, as it happens.
//!
//! Owns: the messages and the life of the socket. Text messages are JSON, one key each: `hello`,
//! `event`, `lost`. The client sends nothing but pongs. A client that reads slowly holds a number in
//! the list of events and nothing else.

use std::sync::Arc;

use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval};
use tracing::debug;

use crate::access::Right;
use crate::base::limits::{EVENT_PING_INTERVAL, MSE_SILENCE_MAX};
use crate::base::name::StreamName;
use crate::event::{Audience, Event, EventReader, Filter, Heard};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Caller, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::operation::Parameter;
use crate::serve::http::origin::Reached;
use crate::serve::http::peers::Peer;
use crate::serve::http::request::Query;
use crate::serve::http::websocket::{MessageRate, accept};

/// Events that are sent before the socket is listened to again.
const BATCH: usize = 64;

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/events/ws", Access::Viewer(Object::LookedUp), upgrade)
        .says("WebSocket: what happens, as it happens.")
        .hears(Parameter::text("after", "Goes on behind the event of this id."))
        .hears(Parameter::text("kinds", "Of these kinds alone, with commas between."))
        .hears(Parameter::text("streams", "Of these streams alone, with commas between."))
        .answers_empty(101)
        .refuses(&[404, 426])
}

/// `GET /api/v1/events/ws?after=&kinds=&streams=`.
pub(crate) async fn upgrade(
    State(context): At,
    caller: Caller,
    RawQuery(query): RawQuery,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(reached): Extension<Reached>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = accept(&headers, &reached, upgrade)?;
    let query = Query::parse(query.as_deref()).only(&["after", "kinds", "streams"], &[])?;
    let filter = filter(&query, &caller)?;
    let place = Arc::clone(&context.event_readers).try_acquire_owned().map_err(|_| {
        ApiError::unavailable("readers_full", "Too many event streams are open; close one.")
    })?;
    let reader = match query.get("after") {
        Some(id) => context.events.read_after(id),
        None => context.events.read(),
    };
    Ok(upgrade.on_upgrade(move |socket| async move {
        let (tasks, address) = (peer.tasks.clone(), peer.address);
        let session = EventSocket::new(socket, reader, filter, caller, context, peer, place);
        tasks.spawn("events", async move {
            let ended = session.run().await;
            debug!(part = "events", peer = %address, ended, "reader left");
        });
    }))
}

/// What a query wants: `kinds` and `streams`, with commas.
fn filter(query: &Query, caller: &Caller) -> Result<Filter, ApiError> {
    let list = |name: &str| {
        let text = query.get(name).unwrap_or_default();
        text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut streams = Vec::new();
    for name in list("streams") {
        caller.check(Right::Live, &name)?;
        streams.push(StreamName::parse(&name).map_err(|_| ApiError::stream_unknown(&name))?);
    }
    let kinds = list("kinds");
    Filter::new(kinds.iter().map(String::as_str), streams).map_err(|error| {
        ApiError::bad_request(format!("`kinds`: {error}; expected {}.", Filter::EXPECTED))
    })
}

/// Whether the caller may get an event.
fn may_hear(caller: &Caller, event: &Event) -> bool {
    let right = match event.audience {
        Audience::Admin => return caller.is_admin(),
        Audience::Live => Right::Live,
        Audience::Past => Right::Past,
    };
    match &event.stream {
        Some(stream) => caller.may(right, stream.as_str()),
        None => caller.sees_all() && caller.sees(right),
    }
}

/// One reader's socket.
struct EventSocket {
    socket: WebSocket,
    reader: EventReader,
    filter: Filter,
    caller: Caller,
    context: Arc<HttpContext>,
    /// The connection, whose place is held for as long as the socket lives.
    peer: Arc<Peer>,
    ticks: Interval,
    heard: Instant,
    rate: MessageRate,
    _place: OwnedSemaphorePermit,
}

/// What the session waited for.
enum Waited {
    Closing,
    Heard(Option<Result<Message, axum::Error>>),
    Tick,
    News(Heard),
}

/// Why a session ended, for the log.
type Ended = &'static str;
const LEFT: Ended = "left";
const SILENT: Ended = "silent";
const CLOSED: Ended = "closed by us";
const FLOODS: Ended = "too many messages";
const UNREACHABLE: Ended = "reads nothing";

impl EventSocket {
    fn new(
        socket: WebSocket,
        reader: EventReader,
        filter: Filter,
        caller: Caller,
        context: Arc<HttpContext>,
        peer: Arc<Peer>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let first = Instant::now() + EVENT_PING_INTERVAL;
        let ticks = tokio::time::interval_at(first, EVENT_PING_INTERVAL);
        let rate = MessageRate::of_control_frames(context.clock.boot());
        let heard = Instant::now();
        Self { socket, reader, filter, caller, context, peer, ticks, heard, rate, _place: place }
    }

    async fn run(mut self) -> Ended {
        let hello = self.hello();
        if self.socket.send(hello).await.is_err() {
            return UNREACHABLE;
        }
        loop {
            let waited = self.next().await;
            let messages = match self.answer(waited) {
                Ok(messages) => messages,
                Err(ended) => {
                    let policy = CloseFrame { code: close_code::POLICY, reason: ended.into() };
                    // Whether the farewell arrives does not matter.
                    let _ =
                        self.socket.send(Message::Close((ended == FLOODS).then_some(policy))).await;
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

    async fn next(&mut self) -> Waited {
        tokio::select! {
            biased;
            () = self.peer.closed() => Waited::Closing,
            heard = self.socket.recv() => Waited::Heard(heard),
            _ = self.ticks.tick() => Waited::Tick,
            news = self.reader.next() => Waited::News(news),
        }
    }

    /// What to send after `waited`, or why the session ends.
    fn answer(&mut self, waited: Waited) -> Result<Vec<Message>, Ended> {
        match waited {
            Waited::Closing => Err(CLOSED),
            Waited::Heard(None | Some(Err(_) | Ok(Message::Close(_)))) => Err(LEFT),
            Waited::Heard(Some(Ok(_))) if !self.rate.allows(self.context.clock.boot()) => {
                Err(FLOODS)
            }
            Waited::Heard(Some(Ok(_))) => {
                self.heard = Instant::now();
                Ok(Vec::new())
            }
            Waited::Tick if self.heard.elapsed() > MSE_SILENCE_MAX => Err(SILENT),
            Waited::Tick => Ok(vec![Message::Ping(Bytes::new())]),
            Waited::News(first) => {
                let more = std::iter::from_fn(|| self.reader.poll());
                let all: Vec<_> = std::iter::once(first).chain(more.take(BATCH)).collect();
                Ok(all.into_iter().filter_map(|heard| self.message(heard)).collect())
            }
        }
    }

    fn hello(&self) -> Message {
        let (oldest, next) = self.context.events.range();
        let hello = json!({ "hello": {
            "instance": self.context.events.instance(),
            "oldest": oldest,
            "next": next,
            "time": self.context.clock.wall(),
        }});
        Message::Text(hello.to_string().into())
    }

    fn message(&self, heard: Heard) -> Option<Message> {
        let message = match heard {
            Heard::Event(event) => {
                if !self.filter.wants(&event) || !may_hear(&self.caller, &event) {
                    return None;
                }
                json!({ "event": &*event })
            }
            Heard::Lost(count) => json!({ "lost": { "count": count } }),
        };
        Some(Message::Text(message.to_string().into()))
    }
}
