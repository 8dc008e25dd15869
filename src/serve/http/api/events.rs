//! `/api/v1/events`: marks, together with the footage before and behind them.
//!
//! Owns: the shapes, and that an event is noted whole or not at all. An answer of success means that
//! it is on the disk.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::access::Right;
use crate::base::limits::{EVENT_ROLL_MAX, EVENTS_LISTED_MAX, STREAMS_MAX};
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::{MarkView, NewPin, PinError, PinView};
use crate::event::Kind;
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Caller, Door, Object, forbidden};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, known_stream};
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::operation::Parameter;
use crate::serve::http::request::{Query, date, duration};
use crate::serve::http::response::NO_STORE;

/// The kind of marks of which none is said.
const MANUAL: &str = "manual";

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventRequest {
    text: String,
    kind: Option<String>,
    stream: Option<String>,
    #[serde(default)]
    streams: Vec<String>,
    time: Option<String>,
    pre: Option<String>,
    post: Option<String>,
    keep: Option<String>,
}

/// What is noted of one event, checked.
struct Wish {
    /// Empty: all streams.
    streams: Vec<StreamName>,
    at: WallTime,
    kind: String,
    text: String,
    /// The range to protect.
    range: Option<(WallTime, WallTime)>,
    expires: Option<WallTime>,
    owner: String,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Noted {
    #[serde(flatten)]
    mark: MarkView,
    /// What is protected of it; of all streams, where the mark is of all.
    ranges: Vec<PinView>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Events<T> {
    events: Vec<T>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Listed {
    events: Vec<MarkView>,
    /// Whether there are older ones than an answer can hold.
    more: bool,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/events", Access::Viewer(Object::LookedUp), list)
        .says("Marks, in the order of their moments.")
        .hears(Parameter::text("stream", "Of this stream alone."))
        .hears(Parameter::text("kind", "Of this kind alone."))
        .hears(Parameter::date("start", "From when."))
        .hears(Parameter::date("end", "To when."))
        .answers::<Listed>(200)
        .refuses(&[404])
        .post("/api/v1/events", Access::Operator(Object::LookedUp), create)
        .says("Marks a moment, and protects the footage around it.")
        .takes::<EventRequest>()
        .answers::<Events<Noted>>(201)
        .refuses(&[404, 409])
}

/// `GET /api/v1/events?stream=&kind=&start=&end=`: marks in the order of their moments.
pub(crate) async fn list(
    State(context): At,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref());
    let query =
        query.only(&["stream", "kind", "start", "end"], &[("from", "start"), ("to", "end")])?;
    let stream = query.get("stream");
    if let Some(stream) = stream {
        caller.check(Right::Past, stream)?;
        known_stream(&context, stream)?;
    }
    let start = query.date("start")?.unwrap_or(WallTime::from_unix_nanos(i64::MIN));
    let end = query.date("end")?.unwrap_or(WallTime::from_unix_nanos(i64::MAX));
    if end <= start {
        return Err(ApiError::bad_request("`end` must be later than `start`."));
    }
    let kind = query.get("kind");
    let mut events = context.dvr.marks(start, end);
    events.retain(|mark| {
        let own = mark.stream.as_ref().map(StreamName::as_str);
        let seen = own.map_or_else(|| caller.sees(Right::Past), |own| caller.may(Right::Past, own));
        let of_stream = stream.is_none() || own.is_none() || own == stream;
        seen && of_stream && kind.is_none_or(|kind| kind == mark.kind)
    });
    events.sort_by_key(|mark| mark.at);
    let surplus = events.len().saturating_sub(EVENTS_LISTED_MAX);
    events.drain(..surplus);
    Ok((NO_STORE, Json(Listed { events, more: surplus > 0 })).into_response())
}

/// `POST /api/v1/events`: 201 with the marks, and what is protected around them.
pub(crate) async fn create(
    State(context): At,
    caller: Caller,
    JsonBody(body): JsonBody<EventRequest>,
) -> Result<Response, ApiError> {
    let wish = Wish::checked(body, &caller, &context)?;
    let mut made = Made::default();
    // Footage first: it is what leaves by itself.
    let noted = match made.protect(&context, &wish).await {
        Ok(()) => made.mark(&context, &wish).await,
        Err(error) => Err(error),
    };
    match noted {
        Ok(events) => Ok((StatusCode::CREATED, NO_STORE, Json(Events { events })).into_response()),
        Err(error) => {
            made.undo(&context).await;
            Err(error.into())
        }
    }
}

impl Wish {
    fn checked(
        asked: EventRequest,
        caller: &Caller,
        context: &HttpContext,
    ) -> Result<Self, ApiError> {
        let (pre, post) =
            (roll(asked.pre.as_deref(), "pre")?, roll(asked.post.as_deref(), "post")?);
        let right = if (pre + post).is_zero() { Right::Live } else { Right::Past };
        let names: Vec<_> = asked.stream.into_iter().chain(asked.streams).collect();
        if names.len() > STREAMS_MAX {
            let message = format!("`streams` may name at most {STREAMS_MAX} streams.");
            return Err(ApiError::bad_request(message));
        }
        // An event without a stream is for callers who may see all streams.
        if names.is_empty() && !(caller.sees_all() && caller.sees(right)) {
            return Err(forbidden());
        }
        let mut streams = Vec::new();
        for name in names {
            caller.check(right, &name)?;
            let stream = known_stream(context, &name)?;
            if !streams.contains(&stream) {
                streams.push(stream);
            }
        }
        let kind = asked.kind.unwrap_or_else(|| MANUAL.to_owned());
        if Kind::of_mark(&kind).is_none() {
            let message = "`kind` must be a word of a-z, 0-9, _ and -, such as \"motion\".";
            return Err(ApiError::bad_request(message));
        }
        let now = context.clock.wall();
        let at = asked.time.map(|text| date(&text, "time")).transpose()?.unwrap_or(now);
        let around = (at.offset_nanos(-nanos(pre)), at.offset_nanos(nanos(post)));
        let expires = asked.keep.map(|text| kept(&text)).transpose()?;
        Ok(Self {
            streams,
            at,
            kind,
            text: asked.text,
            range: (around.0 < around.1).then_some(around),
            expires: expires.map(|keep| now.offset_nanos(nanos(keep))),
            owner: caller.identity().map(|own| own.name.to_string()).unwrap_or_default(),
        })
    }
}

/// What was made of an event so far.
#[derive(Default)]
struct Made {
    pins: Vec<PinView>,
}

impl Made {
    /// Protects the footage; streams of which nothing is recorded there have nothing to protect.
    async fn protect(&mut self, context: &HttpContext, wish: &Wish) -> Result<(), PinError> {
        let Some((from, until)) = wish.range else { return Ok(()) };
        let all = || {
            let streams = context.streams.all();
            let recorded = streams.iter().filter(|(_, outputs)| outputs.recorder.is_some());
            recorded.map(|(name, _)| name.clone()).collect()
        };
        let streams = if wish.streams.is_empty() { all() } else { wish.streams.clone() };
        for stream in streams {
            let pin = NewPin {
                stream,
                from,
                until,
                reason: wish.text.clone(),
                owner: wish.owner.clone(),
                expires: wish.expires,
            };
            match context.dvr.pin(pin).await {
                Ok(pin) => self.pins.push(pin),
                Err(PinError::Empty { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn mark(&mut self, context: &HttpContext, wish: &Wish) -> Result<Vec<Noted>, PinError> {
        let mark =
            |stream| context.dvr.mark(stream, wish.at, wish.text.clone(), Some(wish.kind.clone()));
        if wish.streams.is_empty() {
            let mark = mark(None).await?;
            return Ok(vec![Noted { mark, ranges: std::mem::take(&mut self.pins) }]);
        }
        let mut events = Vec::new();
        for stream in &wish.streams {
            let mark = mark(Some(stream.clone())).await?;
            let ranges = self.pins.iter().filter(|pin| pin.stream == *stream).cloned().collect();
            events.push(Noted { mark, ranges });
        }
        Ok(events)
    }

    /// Takes the protection back: a refused event leaves nothing but, where the disk failed between
    /// two streams, marks.
    async fn undo(self, context: &HttpContext) {
        for pin in self.pins {
            let id = u64::from_str_radix(&pin.id, 16).unwrap_or_default();
            let _ = context.dvr.unpin(id).await;
        }
    }
}

/// How long before or after its moment footage is kept.
fn roll(text: Option<&str>, name: &str) -> Result<Duration, ApiError> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    duration(text).filter(|roll| *roll <= EVENT_ROLL_MAX).ok_or_else(|| {
        let minutes = EVENT_ROLL_MAX.as_secs() / 60;
        ApiError::bad_request(format!("`{name}` must be a time such as 30s, at most {minutes}m."))
    })
}

/// How long it is kept.
fn kept(text: &str) -> Result<Duration, ApiError> {
    let most = Duration::from_secs(10 * 366 * 86_400);
    let keep = duration(text).filter(|keep| !keep.is_zero() && *keep <= most);
    keep.ok_or_else(|| ApiError::bad_request("`keep` must be a time such as 30d."))
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}
