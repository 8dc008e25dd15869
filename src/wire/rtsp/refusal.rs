//! Why the driver cannot do what was requested, and the peer's reply then.

use std::time::Duration;

use rtsp_types::{StatusCode, headers};

use super::reply::{PUBLIC, Reply};

/// When a stream that is not ready is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why the driver cannot do what was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such stream: 404.
    NoStream,
    /// The stream has no such track: 404.
    NoTrack,
    /// The URL names a stream of several tracks where one track is needed: 459.
    WhichTrack,
    /// Nothing is known of the stream yet: 503 with this reason.
    NotReady(String),
    /// The account may not watch recordings: 403.
    NoPast,
    /// Nothing is recorded where playing was to begin: 457 with this reason.
    NothingThere(String),
    /// Too many play the past already: 453.
    TooMany,
    /// No port, no socket: 500.
    NoPorts,
    /// The stream is served elsewhere: 302 with this URL.
    Elsewhere(String),
    /// The stream is not made by publishing to it: 405.
    NotPublished,
    /// Another client publishes it already: 453.
    Taken,
    /// Nothing that the publisher brings can be carried: 415 with this reason.
    NotCarried(String),
}

impl Refusal {
    /// The reply for it.
    pub(super) fn reply(&self) -> Reply {
        let refuse = Reply::refuse;
        match self {
            Self::NoStream => refuse(StatusCode::NotFound, "there is no such stream"),
            Self::NoTrack => refuse(StatusCode::NotFound, "the stream has no such track"),
            Self::WhichTrack => refuse(StatusCode::AggregateOperationNotAllowed, "name one track"),
            Self::NotReady(reason) => refuse(StatusCode::ServiceUnavailable, reason)
                .header(headers::RETRY_AFTER, RETRY_AFTER.as_secs().to_string()),
            Self::NoPast => refuse(StatusCode::Forbidden, "this account may not watch recordings"),
            Self::NothingThere(reason) => refuse(StatusCode::InvalidRange, reason),
            Self::TooMany => {
                let text = "too many play recordings already; try again later";
                refuse(StatusCode::NotEnoughBandwidth, text)
            }
            Self::NoPorts => refuse(StatusCode::InternalServerError, "no port is free"),
            Self::Elsewhere(url) => refuse(StatusCode::Found, "the stream is served elsewhere")
                .header(headers::LOCATION, url.as_str()),
            Self::NotPublished => {
                let text = "this stream does not accept publishers: it has another source";
                refuse(StatusCode::MethodNotAllowed, text).header(headers::ALLOW, PUBLIC)
            }
            Self::Taken => {
                let text = "another publisher is using this stream";
                refuse(StatusCode::NotEnoughBandwidth, text)
            }
            Self::NotCarried(reason) => refuse(StatusCode::UnsupportedMediaType, reason),
        }
    }
}
