//! `/api/v1/recordings`: what is recorded of a stream, when, and why not.
//!
//! Owns: how a request names a range. The answer is the DVR's listing, or its activity.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::access::Right;
use crate::base::limits::{ACTIVITY_STEPS_DEFAULT, ACTIVITY_STEPS_MAX};
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::{Activity, Day, Listing, days};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::operation::Parameter;
use crate::serve::http::request::date;
use crate::serve::http::response::NO_STORE;

/// The query parameters; `from` and `to` are the older names.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    #[serde(alias = "from")]
    start: Option<String>,
    #[serde(alias = "to")]
    end: Option<String>,
    zone: Option<String>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Recorded {
    stream: StreamName,
    #[serde(flatten)]
    list: Listing,
}

#[derive(Serialize, schemars::JsonSchema)]
#[allow(clippy::struct_field_names)] // the names are the API's
struct Days {
    stream: StreamName,
    zone: String,
    days: Vec<Day>,
    complete: bool,
}

/// Recordings are seen with a right of their own.
const PAST: Access = Access::Viewer(Object::Stream(Right::Past));

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/recordings/{stream}", PAST, listing)
        .says("What is recorded of a stream, and why not.")
        .hears(Parameter::date("start", "Only what overlaps the range from here."))
        .hears(Parameter::date("end", "To here."))
        .answers::<Recorded>(200)
        .get("/api/v1/recordings/{stream}/activity", PAST, activity)
        .says("How much goes on in the recorded picture.")
        .hears(Parameter::date("start", "From when; else from the oldest footage."))
        .hears(Parameter::date("end", "To when; else to the newest footage."))
        .hears(Parameter::number("step", "Seconds of one step.", (1, u64::MAX)))
        .answers::<ActivityReport>(200)
        .get("/api/v1/recordings/{stream}/days", PAST, by_day)
        .says("What is recorded of a stream, by calendar day.")
        .hears(Parameter::date("start", "Only what overlaps the range from here."))
        .hears(Parameter::date("end", "To here."))
        .hears(Parameter::text("zone", "A time zone, such as Europe/Berlin."))
        .answers::<Days>(200)
}

/// `GET /api/v1/recordings/{stream}`: also for streams that the configuration no longer names.
/// With `start` and `end` only what overlaps that range.
pub(crate) async fn listing(
    State(context): At,
    name: Result<Path<String>, PathRejection>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Response, ApiError> {
    let range = asked(range)?;
    let (stream, list) = listed(&context, name)?;
    let list = cut(list, &range)?;
    Ok((NO_STORE, Json(Recorded { stream, list })).into_response())
}

/// `GET /api/v1/recordings/{stream}/days`: by calendar day of `zone`, else of this machine.
pub(crate) async fn by_day(
    State(context): At,
    name: Result<Path<String>, PathRejection>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Response, ApiError> {
    let range = asked(range)?;
    let (stream, list) = listed(&context, name)?;
    let zone = match range.zone.as_deref() {
        None => TimeZone::try_system().unwrap_or(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| {
            ApiError::bad_request("`zone` must be the name of a time zone, such as Europe/Berlin.")
        })?,
    };
    let complete = list.complete;
    let days = days(&cut(list, &range)?, &zone);
    let zone = zone.iana_name().unwrap_or("unknown").to_owned();
    Ok((NO_STORE, Json(Days { stream, zone, days, complete })).into_response())
}

/// The query of activity.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steps {
    start: Option<String>,
    end: Option<String>,
    step: Option<u64>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct ActivityReport {
    stream: StreamName,
    #[serde(flatten)]
    activity: Activity,
}

/// `GET /api/v1/recordings/{stream}/activity`: how much happens from `start` to `end` (default: all
/// that is recorded), in steps of `step` seconds (default: as many as a timeline is wide).
pub(crate) async fn activity(
    State(context): At,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<Steps>, QueryRejection>,
) -> Result<Response, ApiError> {
    let known = "Allowed query parameters: `start`, `end`, `step` in seconds (once each).";
    let Query(query) = query.map_err(|_| ApiError::bad_request(known))?;
    let (stream, list) = listed(&context, name)?;
    let bound = |text: &Option<String>, name: &str, other: Option<WallTime>| match text {
        None => Ok(other.unwrap_or(context.clock.wall())),
        Some(text) => date(text, name),
    };
    let start = bound(&query.start, "start", list.runs.iter().map(|run| run.start).min())?;
    let end = bound(&query.end, "end", list.runs.iter().map(|run| run.end).max())?;
    if end < start || query.start.is_some() && end == start {
        return Err(ApiError::bad_request("`end` must be later than `start`."));
    }
    let nanos = end.as_unix_nanos().saturating_sub(start.as_unix_nanos()).unsigned_abs();
    let secs = nanos.div_ceil(1_000_000_000);
    let step = query.step.unwrap_or_else(|| secs.div_ceil(ACTIVITY_STEPS_DEFAULT).max(1));
    if step == 0 || secs.div_ceil(step) > ACTIVITY_STEPS_MAX {
        return Err(ApiError::bad_request(format!(
            "`step` must give at most {ACTIVITY_STEPS_MAX} steps; make it longer or the range shorter."
        )));
    }
    let activity = context.dvr.activity(&stream, (start, end), Duration::from_secs(step));
    Ok((NO_STORE, Json(ActivityReport { stream, activity })).into_response())
}

fn asked(range: Result<Query<Range>, QueryRejection>) -> Result<Range, ApiError> {
    let known = "Allowed query parameters: `start`, `end`, `zone` (once each).";
    range.map(|Query(range)| range).map_err(|_| ApiError::bad_request(known))
}

fn listed(
    context: &HttpContext,
    name: Result<Path<String>, PathRejection>,
) -> Result<(StreamName, Listing), ApiError> {
    let Ok(Path(name)) = name else { return Err(ApiError::not_found()) };
    let stream = StreamName::parse(&name).map_err(|_| ApiError::stream_unknown(&name))?;
    let list = context.dvr.listing(&stream);
    match context.streams.get(&name) {
        None if list.runs.is_empty() => Err(ApiError::stream_unknown(&name)),
        Some(outputs) if list.runs.is_empty() && outputs.recorder.is_none() => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_recorded",
            format!("Stream '{name}' is not recorded."),
        )),
        _ => Ok((stream, list)),
    }
}

fn cut(list: Listing, range: &Range) -> Result<Listing, ApiError> {
    let or = |text: &Option<String>, name: &str, other: i64| match text {
        None => Ok(WallTime::from_unix_nanos(other)),
        Some(text) => date(text, name),
    };
    let start = or(&range.start, "start", i64::MIN)?;
    let end = or(&range.end, "end", i64::MAX)?;
    if end <= start {
        return Err(ApiError::bad_request("`end` must be later than `start`."));
    }
    Ok(list.between(start, end))
}
