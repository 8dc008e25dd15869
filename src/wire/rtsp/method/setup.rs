//! SETUP (RFC 2326 §10.4): where the packets of one track go.

use rtsp_types::{HeaderName, StatusCode, headers};

use super::super::live::{Live, Routed};
use super::super::message::Outcome;
use super::super::message::{Ask, Event, Pending};
use super::super::reply::Reply;
use super::super::state::State;
use super::super::target::Target;
use super::super::transport::{self, Asked, Flow, Group, Route, Terms};
use super::DATES;

/// Chooses a transport and asks the driver to prepare it.
pub(super) fn begin(session: &mut State, ask: Ask) -> Outcome {
    let refuse = |status, text| Outcome::Done(Reply::refuse(status, text));
    let Some(mut target) = ask.target.clone() else {
        return refuse(StatusCode::BadRequest, "name a track");
    };
    if target.span.is_err() {
        return refuse(StatusCode::BadRequest, DATES);
    }
    let announced = session.announced.as_ref().zip(ask.request.request_uri());
    let flow = if announced.is_some() { Flow::Record } else { Flow::Play };
    if let Some((announced, url)) = announced {
        let Some(track) = announced.track_of(url) else {
            return refuse(StatusCode::NotFound, "no such track was announced");
        };
        target = Target { stream: announced.stream.clone(), track: Some(track), span: Ok(None) };
    }
    let routes: &[Routed] = match &session.live {
        Some(live) if live.is_active() => {
            return refuse(StatusCode::MethodNotValidInThisState, "PAUSE comes first");
        }
        Some(live) if live.stream != target.stream => {
            let text = "a session holds tracks of one stream";
            return refuse(StatusCode::AggregateOperationNotAllowed, text);
        }
        Some(live) => &live.routes,
        None => &[],
    };
    let header = ask.request.header(&headers::TRANSPORT).map(rtsp_types::HeaderValue::as_str);
    // All tracks of a session go to everyone, or none does.
    let multicast = session.multicast && routes.iter().all(|r| r.route == Route::Multicast);
    let terms = Terms { peer: session.peer, secure: session.secure, flow, multicast };
    let asked = transport::choose(header.unwrap_or_default(), terms);
    let mixed = routes.iter().any(|routed| {
        routed.route == Route::Multicast && asked.is_some_and(|asked| asked != Asked::Multicast)
    });
    let Some(asked) = asked.filter(|_| !mixed) else {
        return refuse(StatusCode::UnsupportedTransport, terms.text());
    };
    let route = match asked {
        Asked::Udp { rtp, rtcp } => Route::Udp { rtp, rtcp },
        Asked::Tcp { channels } => channels_for(&target, channels, routes),
        Asked::Multicast => Route::Multicast,
    };
    let event = match (flow, target.track) {
        (Flow::Record, Some(track)) => Event::SetUpRecord { track, route },
        _ => Event::SetUp { target, route },
    };
    Outcome::Asked(event, Pending::SetUp(ask, route))
}

/// The channels asked for if no other track has them, else ours of the track, else any.
fn channels_for(target: &Target, asked: Option<(u8, u8)>, routes: &[Routed]) -> Route {
    let taken = |channel: u8| {
        routes.iter().any(|routed| match routed.route {
            Route::Tcp { rtp, rtcp } => {
                Some(routed.track) != target.track && (rtp == channel || rtcp == channel)
            }
            Route::Udp { .. } | Route::Multicast => false,
        })
    };
    let free = |&(rtp, rtcp): &(u8, u8)| rtp != rtcp && !taken(rtp) && !taken(rtcp);
    let own = target.track.map_or(0, |track| track.0.min(127) * 2);
    let pairs = std::iter::once(own).chain((0..128).map(|n| n * 2)).map(|rtp| (rtp, rtp + 1));
    let pair = asked.filter(free).or_else(|| pairs.clone().find(free)).unwrap_or((0, 1));
    Route::Tcp { rtp: pair.0, rtcp: pair.1 }
}

/// Answers for a track of the peer's own.
pub(in super::super) fn finish(
    session: &mut State,
    ask: &Ask,
    routed: Routed,
    ssrc: u32,
    server_port: Option<(u16, u16)>,
) -> Reply {
    let flow = if session.announced.is_some() { Flow::Record } else { Flow::Play };
    let told = transport::answer(routed.route, flow, ssrc, server_port);
    take(session, ask, routed).header(headers::TRANSPORT, told)
}

/// The same for a track of a publisher that is let go: `what` it is, such as `audio L16`.
pub(in super::super) fn left_out(reply: Reply, what: String) -> Reply {
    match HeaderName::from_static_str("X-Not-Carried") {
        Ok(name) => reply.header(name, what),
        Err(_) => reply,
    }
}

/// Answers for a track that goes to a group.
pub(in super::super) fn finish_group(
    session: &mut State,
    ask: &Ask,
    routed: Routed,
    group: Group,
) -> Reply {
    take(session, ask, routed).header(headers::TRANSPORT, transport::group_answer(group))
}

/// Takes the track into the session, which begins with the first one.
fn take(session: &mut State, ask: &Ask, routed: Routed) -> Reply {
    let id = session.new_id();
    let stream = match (&session.announced, &ask.target) {
        (Some(announced), _) => announced.stream.clone(),
        (None, target) => target.as_ref().map_or("", |target| &target.stream).to_owned(),
    };
    let (playing, recording) = (false, None);
    let named = ask.target.as_ref().and_then(|target| target.span.ok().flatten());
    let described = session.described.as_ref().filter(|(name, _)| *name == stream);
    let span = named.or(described.and_then(|(_, span)| *span));
    let timeout = session.timeout;
    let live = session.live.get_or_insert_with(|| Live {
        id,
        timeout,
        stream,
        routes: Vec::new(),
        playing,
        recording,
        span,
        in_past: None,
    });
    live.routes.retain(|old| old.track != routed.track);
    live.routes.push(routed);
    Reply::ok().header(headers::SESSION, live.header())
}
