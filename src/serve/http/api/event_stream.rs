//! `/api/v1/events/ws`: what happens, as it happens.
//!
//! Owns: the messages and the life of the socket. Text messages are JSON, one key each: `hello`,
//! `event`, `lost`. The client sends nothing but pongs. A client that reads slowly holds a number in
//! the list of events and nothing else.

use std::sync::Arc;

use axum::extract::ws::Message;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use crate::access::Right;
use crate::base::limits::EVENT_PING_INTERVAL;
use crate::base::name::StreamName;
use crate::event::{Audience, Event, EventReader, Filter, Heard};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Caller, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::operation::Parameter;
use crate::serve::http::request::Query;
use crate::serve::http::websocket::{
    ClientSocket, Ended, FLOODS, Incoming, MessageRate, Upgrade, ping,
};

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
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref()).only(&["after", "kinds", "streams"], &[])?;
    let filter = filter(&query, &caller)?;
    let place = Arc::clone(&context.event_readers).try_acquire_owned().map_err(|_| {
        ApiError::unavailable("readers_full", "Too many event streams are open; close one.")
    })?;
    let reader = match query.get("after") {
        Some(id) => context.events.read_after(id),
        None => context.events.read(),
    };
    Ok(upgrade.serve("events", EVENT_PING_INTERVAL, move |socket| {
        let rate = MessageRate::of_control_frames(context.clock.boot());
        EventSession { socket, reader, filter, caller, context, rate, _place: place }.run()
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

/// One reader.
struct EventSession {
    socket: ClientSocket,
    reader: EventReader,
    filter: Filter,
    caller: Caller,
    context: Arc<HttpContext>,
    rate: MessageRate,
    _place: OwnedSemaphorePermit,
}

/// What the session waited for.
enum Wake {
    Socket(Incoming),
    News(Heard),
}

impl EventSession {
    async fn run(mut self) -> Ended {
        let mut answer = Ok(vec![self.hello()]);
        loop {
            if let Err(ended) = self.socket.deliver(answer).await {
                return ended;
            }
            let wake = self.next().await;
            answer = self.answer(wake);
        }
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            biased;
            incoming = self.socket.next() => Wake::Socket(incoming),
            news = self.reader.next() => Wake::News(news),
        }
    }

    /// What to send after `wake`, or why the session ends.
    fn answer(&mut self, wake: Wake) -> Result<Vec<Message>, Ended> {
        match wake {
            Wake::Socket(Incoming::Ended(ended)) => Err(ended),
            Wake::Socket(Incoming::Message(_)) => {
                let is_allowed = self.rate.allows(self.context.clock.boot());
                if is_allowed { Ok(Vec::new()) } else { Err(FLOODS) }
            }
            Wake::Socket(Incoming::PingDue) => Ok(vec![ping()]),
            Wake::News(first) => {
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
