//! DESCRIBE (RFC 2326 §10.2): the stream's SDP, as soon as its parameters are known.

use rtsp_types::{StatusCode, headers};

use super::super::live::Live;
use super::super::message::Outcome;
use super::super::message::{Ask, Event, Pending};
use super::super::play_options::requires_replay;
use super::super::reply::Reply;
use super::super::sdp::{self, Described};
use super::super::state::State;
use super::super::target::{asks_multicast, base_url};
use super::DATES;
use crate::media::Tracks;

/// Asks the driver for the tracks. A session in which nothing flows yet is forgotten: some
/// recorders describe twice and would set up every track twice.
pub(super) fn begin(session: &mut State, ask: Ask) -> Outcome {
    let Some(target) = &ask.target else {
        return Outcome::Done(Reply::refuse(StatusCode::BadRequest, "name a stream"));
    };
    let accept = ask.request.header(&headers::ACCEPT).map(rtsp_types::HeaderValue::as_str);
    if accept.is_some_and(|accept| !(accept.contains("sdp") || accept.contains('*'))) {
        let text = "only application/sdp is offered";
        return Outcome::Done(Reply::refuse(StatusCode::NotAcceptable, text));
    }
    let Ok(span) = target.span else {
        return Outcome::Done(Reply::refuse(StatusCode::BadRequest, DATES));
    };
    let stream = target.stream.clone();
    session.described = Some((stream.clone(), span));
    if !session.live.as_ref().is_some_and(Live::is_active) {
        session.end();
    }
    // Nothing goes beside an encrypted connection.
    let groups = session.multicast && !session.secure;
    let multicast = groups && ask.request.request_uri().is_some_and(asks_multicast);
    let event = match span {
        None => Event::Describe { stream, multicast },
        Some(span) => Event::DescribePast { stream, span },
    };
    Outcome::Asked(event, Pending::Describe(ask))
}

/// Answers with the SDP of `tracks`.
pub(in super::super) fn finish(ask: &Ask, tracks: &Tracks, of: Described<'_>) -> Reply {
    let name = ask.target.as_ref().map_or("", |target| &target.stream);
    let onvif = requires_replay(&ask.request);
    let base = ask.request.request_uri().map(base_url).unwrap_or_default();
    let sdp = sdp::description(name, &base, tracks, of, onvif);
    let reply = Reply::ok().body("application/sdp", sdp);
    match ask.request.request_uri() {
        Some(url) => reply.header(headers::CONTENT_BASE, base_url(url)),
        None => reply,
    }
}
