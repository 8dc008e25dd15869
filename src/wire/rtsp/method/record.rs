//! RECORD (RFC 2326 §10.11): the publisher begins to send.

use rtsp_types::{StatusCode, headers};

use super::super::message::Outcome;
use super::super::message::{Ask, Event, Pending};
use super::super::reply::Reply;
use super::super::state::State;
use super::no_session;
use crate::base::time::BootTime;

/// Asks the driver to take what comes. RECORD while recording changes nothing.
pub(super) fn begin(session: &mut State, ask: Ask) -> Outcome {
    let Some(live) = &session.live else { return no_session() };
    let Some(announced) = &session.announced else {
        let text = "ANNOUNCE comes first";
        return Outcome::Done(Reply::refuse(StatusCode::MethodNotValidInThisState, text));
    };
    if live.recording.is_some() {
        return Outcome::Done(session.acknowledge());
    }
    let event = Event::Record {
        stream: announced.stream.clone(),
        offer: std::sync::Arc::clone(&announced.offer),
        routes: live.routes.clone(),
    };
    Outcome::Asked(event, Pending::Record(ask))
}

/// From now on media is taken, and waited for.
pub(in super::super) fn finish(session: &mut State, now: BootTime) -> Reply {
    if let Some(live) = &mut session.live {
        live.recording = Some(now);
    }
    session.acknowledge().header(headers::RANGE, "npt=now-")
}
