//! PLAY (RFC 2326 §10.5): from the newest key frame on, or from a date.

use std::fmt::Write;

use rtsp_types::{HeaderValue, StatusCode, headers};

use super::super::live::Live;
use super::super::message::{Ask, Event, Outcome, Pending, Start};
use super::super::play_options::{Onvif, PlayOptions, Scale, StartPoint};
use super::super::range::{Range, RangeError, Span};
use super::super::reply::Reply;
use super::super::state::State;
use super::super::target::{base_url, control};
use super::{DATES, names_other_stream, no_session};
use crate::base::time::WallTime;

/// Asks the driver to begin. PLAY while playing seeks when it names a range or a scale, at once
/// and not after what is playing; else it changes nothing and is answered at once.
pub(super) fn begin(session: &mut State, ask: Ask) -> Outcome {
    let Some(live) = &session.live else { return no_session() };
    if session.announced.is_some() {
        let text = "this session publishes";
        return Outcome::Done(Reply::refuse(StatusCode::MethodNotValidInThisState, text));
    }
    if names_other_stream(live, &ask) {
        let text = "this session is of another stream";
        return Outcome::Done(Reply::refuse(StatusCode::NotFound, text));
    }
    let options = match options(live, &ask) {
        Ok(options) => options,
        Err((status, text)) => return Outcome::Done(Reply::refuse(status, text)),
    };
    if live.is_multicast() && matches!(options.start, StartPoint::Past(_)) {
        let text = "what goes out by multicast is live";
        return Outcome::Done(Reply::refuse(StatusCode::InvalidRange, text));
    }
    if live.playing {
        let goes_on =
            options.start == StartPoint::Resume && ask.request.header(&headers::SCALE).is_none();
        let stays_live = options.start == StartPoint::Live && live.in_past == Some(false);
        if goes_on || stays_live {
            let reply = Reply::ok().header(headers::SESSION, live.header());
            let range = if live.in_past == Some(true) { None } else { Some("npt=now-") };
            return Outcome::Done(
                range.into_iter().fold(reply, |reply, range| reply.header(headers::RANGE, range)),
            );
        }
    }
    let (stream, routes) = (live.stream.clone(), live.routes.clone());
    Outcome::Asked(Event::Play { stream, routes, options }, Pending::Play(ask))
}

/// What `ask` wants played.
fn options(live: &Live, ask: &Ask) -> Result<PlayOptions, (StatusCode, &'static str)> {
    let range = ask.request.header(&headers::RANGE).map(HeaderValue::as_str);
    let range = range.map_or(Ok(None), Range::parse).map_err(RangeError::refusal)?;
    let scale = ask.request.header(&headers::SCALE).map(HeaderValue::as_str);
    let scale = scale.map(|text| {
        Scale::parse(text).ok_or((StatusCode::BadRequest, "a scale is a number but zero"))
    });
    let scale = scale.transpose()?;
    let forward = !scale.is_some_and(Scale::is_backwards);
    if forward && range.is_some_and(Range::is_reversed) {
        return Err((StatusCode::InvalidRange, "the range ends before it begins"));
    }
    let named = ask.target.as_ref().map_or(Ok(None), |target| target.span);
    let named = named.map_err(|_| (StatusCode::BadRequest, DATES))?.or(live.span);
    let start = match (range, named, live.in_past) {
        (Some(range), _, _) => range.resolve(named).map_or(StartPoint::Live, StartPoint::Past),
        (None, Some(span), None) => StartPoint::Past(span),
        (None, ..) => StartPoint::Resume,
    };
    let cseq = ask.cseq.parse().unwrap_or(0);
    let onvif = Onvif::of(&ask.request, cseq);
    Ok(PlayOptions { start, scale: scale.unwrap_or(Scale::ONE), onvif })
}

/// Answers with where each track begins.
pub(in super::super) fn finish(
    session: &mut State,
    ask: &Ask,
    starts: &[Start],
    wall: Option<WallTime>,
) -> Reply {
    // The session cannot end while its PLAY waits for the driver.
    let Some(live) = &mut session.live else { return Reply::ok() };
    (live.playing, live.in_past) = (true, Some(false));
    let reply = begun(live, ask, starts).header(headers::RANGE, live_range(ask, wall));
    if ask.request.header(&headers::SCALE).is_none() {
        return reply;
    }
    reply.header(headers::SCALE, Scale::ONE.to_string())
}

/// Answers with where each track begins in the past, and with what will be played. In the unit
/// that the request speaks, if the URL says where normal play time begins.
pub(in super::super) fn finish_past(
    session: &mut State,
    ask: &Ask,
    starts: &[Start],
    span: Span,
    scale: Scale,
) -> Reply {
    let Some(live) = &mut session.live else { return Reply::ok() };
    (live.playing, live.in_past) = (true, Some(true));
    let asked = ask.request.header(&headers::RANGE).map(|value| value.as_str().trim());
    let named = ask.target.as_ref().and_then(|target| target.span.ok().flatten()).or(live.span);
    let range = match named {
        Some(named) if asked.is_some_and(|asked| asked.starts_with("npt")) => {
            span.to_npt(named.from)
        }
        _ => span.to_header(),
    };
    begun(live, ask, starts).header(headers::RANGE, range).header(headers::SCALE, scale.to_string())
}

/// The reply with Session and RTP-Info.
fn begun(live: &Live, ask: &Ask, starts: &[Start]) -> Reply {
    let base = ask.request.request_uri().map(base_url).unwrap_or_default();
    let mut info = String::new();
    for routed in &live.routes {
        let comma = if info.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(info, "{comma}url={base}{}", control(routed.track));
        if let Some(start) = starts.iter().find(|start| start.track == routed.track) {
            let _ = write!(info, ";seq={};rtptime={}", start.sequence, start.timestamp);
        }
    }
    Reply::ok().header(headers::SESSION, live.header()).header(headers::RTP_INFO, info)
}

/// In the unit that the request speaks; the wall clock when it names none (RFC 2326 §12.29).
fn live_range(ask: &Ask, wall: Option<WallTime>) -> String {
    let asked = ask.request.header(&headers::RANGE).map(|value| value.as_str().trim());
    match wall {
        Some(from) if asked.is_none_or(|asked| asked.starts_with("clock")) => {
            Span { from, until: None }.to_header()
        }
        _ => "npt=now-".to_owned(),
    }
}
