//! Errors as the API answers them.
//!
//! Owns: the JSON form, and the words where no handler is involved.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::live::hls::HlsError;
use crate::live::mse::MseError;
use crate::playback::hls::SegmentError;

/// After how many seconds to try again where nothing better is known.
const UNAVAILABLE_SECS: u64 = 2;

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    /// For programs; never changes.
    pub(super) code: &'static str,
    /// For people.
    pub(super) message: String,
    /// One more field of the answer.
    pub(super) more: Option<Box<(&'static str, serde_json::Value)>>,
    /// After how long to try again, where that is known.
    pub(super) wait: Option<Duration>,
    /// What a 401 offers (RFC 9110 §11.6.1), where programs shall answer it.
    pub(super) challenges: Vec<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    message: &'a str,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(flatten)]
    more: std::collections::BTreeMap<&'a str, &'a serde_json::Value>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            more: None,
            wait: None,
            challenges: Vec::new(),
        }
    }

    /// The same with one more field.
    pub(super) fn with(self, key: &'static str, value: serde_json::Value) -> Self {
        Self { more: Some(Box::new((key, value))), ..self }
    }

    /// The same with what it offers.
    pub(super) fn challenging(self, challenges: Vec<String>) -> Self {
        Self { challenges, ..self }
    }

    /// The same, which says when to try again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    pub(super) fn stream_unknown(name: &str) -> Self {
        // Bounded, because the name is the client's.
        let name: String = name.chars().take(64).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "stream_unknown",
            format!("There is no stream named '{name}'. GET /api/v1/streams lists the streams."),
        )
    }

    pub(super) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }
}

/// The text of an error as a sentence for people.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let more = self.more.iter().map(|more| (more.0, &more.1)).collect();
        let unavailable =
            (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(UNAVAILABLE_SECS);
        let retry_after = self.wait.map(|wait| wait.as_secs().max(1)).or(unavailable);
        let inner = Inner { code: self.code, message: &self.message, retry_after, more };
        let body = Body { error: inner };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(secs) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        for offered in self.challenges {
            if let Ok(offered) = HeaderValue::from_str(&offered) {
                headers.append(header::WWW_AUTHENTICATE, offered);
            }
        }
        response
    }
}

impl From<HlsError> for ApiError {
    fn from(error: HlsError) -> Self {
        let (status, code) = match error {
            HlsError::TooEarly => (StatusCode::SERVICE_UNAVAILABLE, "stream_starting"),
            HlsError::Offline { .. } => (StatusCode::SERVICE_UNAVAILABLE, "stream_offline"),
            HlsError::PartWithoutSegment => (StatusCode::BAD_REQUEST, "msn_missing"),
            HlsError::FarAhead { .. } => (StatusCode::BAD_REQUEST, "msn_far_ahead"),
            HlsError::TooLate => (StatusCode::SERVICE_UNAVAILABLE, "stream_silent"),
            HlsError::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "viewers_full"),
            HlsError::Expired => (StatusCode::GONE, "segment_expired"),
            HlsError::Unknown => (StatusCode::NOT_FOUND, "segment_unknown"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<SegmentError> for ApiError {
    fn from(error: SegmentError) -> Self {
        let (status, code) = match error {
            SegmentError::Disk(_) => (StatusCode::SERVICE_UNAVAILABLE, "disk_failing"),
            SegmentError::Expired => (StatusCode::GONE, "segment_expired"),
            SegmentError::Unknown => (StatusCode::NOT_FOUND, "segment_unknown"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<MseError> for ApiError {
    fn from(error: MseError) -> Self {
        Self::unavailable("viewers_full", error.to_string())
    }
}
