//! `/api/v1/recordings`: what is recorded of a stream, when, and why not.
//!
//! Owns: how a range is asked for. What is answered is the DVR's listing.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::NO_STORE;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::{Day, Listing, days};
use crate::serve::http::HttpDoor;
use crate::serve::http::error::ApiError;
use crate::serve::http::route::At;

/// What may stand behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    from: Option<String>,
    to: Option<String>,
    zone: Option<String>,
}

#[derive(Serialize)]
struct Recorded {
    stream: StreamName,
    #[serde(flatten)]
    list: Listing,
}

#[derive(Serialize)]
#[allow(clippy::struct_field_names)] // the names are the API's
struct Days {
    stream: StreamName,
    zone: String,
    days: Vec<Day>,
    complete: bool,
}

/// `GET /api/v1/recordings/{stream}`: also for streams that the configuration no longer names.
/// `from` and `to` leave what lies between them, at least in part.
pub(crate) async fn listing(
    State(door): At,
    name: Result<Path<String>, PathRejection>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Response, ApiError> {
    let range = asked(range)?;
    let (stream, list) = listed(&door, name)?;
    let list = cut(list, &range)?;
    Ok((NO_STORE, Json(Recorded { stream, list })).into_response())
}

/// `GET /api/v1/recordings/{stream}/days`: by calendar day of `zone`, else of this machine.
pub(crate) async fn by_day(
    State(door): At,
    name: Result<Path<String>, PathRejection>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Response, ApiError> {
    let range = asked(range)?;
    let (stream, list) = listed(&door, name)?;
    let zone = match range.zone.as_deref() {
        None => TimeZone::try_system().unwrap_or(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| {
            bad_request("`zone` must be the name of a time zone, such as Europe/Berlin.")
        })?,
    };
    let complete = list.complete;
    let days = days(&cut(list, &range)?, &zone);
    let zone = zone.iana_name().unwrap_or("unknown").to_owned();
    Ok((NO_STORE, Json(Days { stream, zone, days, complete })).into_response())
}

fn asked(range: Result<Query<Range>, QueryRejection>) -> Result<Range, ApiError> {
    let known = "Only `from`, `to` and `zone` may stand behind the question mark, once each.";
    range.map(|Query(range)| range).map_err(|_| bad_request(known))
}

fn listed(
    door: &HttpDoor,
    name: Result<Path<String>, PathRejection>,
) -> Result<(StreamName, Listing), ApiError> {
    let Ok(Path(name)) = name else { return Err(ApiError::not_found()) };
    let stream = StreamName::parse(&name).map_err(|_| ApiError::stream_unknown(&name))?;
    let list = door.dvr.listing(&stream);
    match door.streams.get(&name) {
        None if list.runs.is_empty() => Err(ApiError::stream_unknown(&name)),
        Some(outlet) if list.runs.is_empty() && outlet.recorder.is_none() => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_recorded",
            format!("Stream '{name}' is not recorded."),
        )),
        _ => Ok((stream, list)),
    }
}

fn cut(list: Listing, range: &Range) -> Result<Listing, ApiError> {
    let date = |text: &Option<String>, name: &str, other: i64| match text {
        None => Ok(WallTime::from_unix_nanos(other)),
        Some(text) => instant(text, name),
    };
    let from = date(&range.from, "from", i64::MIN)?;
    let until = date(&range.to, "to", i64::MAX)?;
    if until <= from {
        return Err(bad_request("`to` must be later than `from`."));
    }
    Ok(list.between(from, until))
}

/// The date in a field of a request.
pub(super) fn instant(text: &str, name: &str) -> Result<WallTime, ApiError> {
    // A plus that was not escaped arrives as a space.
    let text = text.replace(' ', "+");
    WallTime::parse_rfc3339(&text).ok_or_else(|| {
        bad_request(&format!("`{name}` must be a time in RFC 3339, such as 2026-11-22T14:05:00Z."))
    })
}

pub(crate) fn bad_request(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message)
}
