//! PLAY (RFC 2326 §10.5): from the newest key frame on.

use std::fmt::Write;

use rtsp_types::{StatusCode, headers};

use super::super::reply::Reply;
use super::super::session::{Ask, Event, Pending, Session, Start};
use super::super::target::{base_url, control};
use super::{Outcome, no_session};
use crate::base::time::WallTime;

/// Asks the driver to begin. PLAY while playing changes nothing and is answered at once.
pub(super) fn begin(session: &mut Session, ask: Ask) -> Outcome {
    let Some(live) = &session.live else { return no_session() };
    if session.announced.is_some() {
        let text = "this session publishes";
        return Outcome::Done(Reply::refuse(StatusCode::MethodNotValidInThisState, text));
    }
    if live.playing {
        let reply = Reply::ok().header(headers::SESSION, live.header());
        return Outcome::Done(reply.header(headers::RANGE, "npt=now-"));
    }
    let event = Event::Play { stream: live.stream.clone(), routes: live.routes.clone() };
    Outcome::Asked(event, Pending::Play(ask))
}

/// Answers with where each track begins.
pub(in super::super) fn finish(
    session: &mut Session,
    ask: &Ask,
    starts: &[Start],
    wall: Option<WallTime>,
) -> Reply {
    // The session cannot end while its PLAY waits for the driver.
    let Some(live) = &mut session.live else { return Reply::ok() };
    live.playing = true;
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
    Reply::ok()
        .header(headers::SESSION, live.header())
        .header(headers::RTP_INFO, info)
        .header(headers::RANGE, range(ask, wall))
}

/// In the unit that the request speaks; the wall clock when it names none (RFC 2326 §12.29).
fn range(ask: &Ask, wall: Option<WallTime>) -> String {
    let asked = ask.request.header(&headers::RANGE).map(|value| value.as_str().trim());
    match wall.and_then(utc) {
        Some(utc) if asked.is_none_or(|asked| asked.starts_with("clock")) => {
            format!("clock={utc}-")
        }
        _ => "npt=now-".to_owned(),
    }
}

/// RFC 2326 §3.7, such as `20261122T172523.480Z`.
fn utc(wall: WallTime) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(wall.as_unix_millis()).ok()?;
    Some(at.strftime("%Y%m%dT%H%M%S.%3fZ").to_string())
}
