//! ANNOUNCE (RFC 2326 §10.3): a publisher says what it will bring.

use std::sync::Arc;

use rtsp_types::{StatusCode, headers};

use super::super::description::{Announced, DescriptionError, SessionDescription};
use super::super::live::Live;
use super::super::message::Outcome;
use super::super::message::{Ask, Event, Pending};
use super::super::reply::Reply;
use super::super::state::State;

/// Reads the description and asks the driver whether its stream may be published. What was set
/// up before is forgotten, as after a second DESCRIBE.
pub(super) fn begin(session: &mut State, ask: Ask) -> Outcome {
    let refuse = |status, text: &str| Outcome::Done(Reply::refuse(status, text));
    let Some(target) = &ask.target else {
        return refuse(StatusCode::BadRequest, "name a stream");
    };
    if session.live.as_ref().is_some_and(Live::is_active) {
        return refuse(StatusCode::MethodNotValidInThisState, "TEARDOWN comes first");
    }
    let kind = ask.request.header(&headers::CONTENT_TYPE).map(rtsp_types::HeaderValue::as_str);
    if kind.is_some_and(|kind| !kind.to_ascii_lowercase().contains("sdp")) {
        return refuse(StatusCode::UnsupportedMediaType, "only application/sdp is read");
    }
    let offer = match SessionDescription::parse(ask.request.body()) {
        Ok(offer) if offer.left_out > 0 => {
            return refuse(StatusCode::BadRequest, &DescriptionError::TooMany.to_string());
        }
        Ok(offer) => Arc::new(offer),
        Err(error) => return refuse(StatusCode::BadRequest, &error.to_string()),
    };
    let stream = target.stream.clone();
    session.end();
    let announced = Announced { stream: stream.clone(), offer: Arc::clone(&offer) };
    Outcome::Asked(Event::Announce { stream, offer }, Pending::Announce(ask, announced))
}
