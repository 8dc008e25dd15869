//! PAUSE (RFC 2326 §10.6): nothing is sent until the next PLAY, which resumes live; nothing is
//! taken until the next RECORD. It takes effect at once and for all tracks.

use rtsp_types::{HeaderValue, StatusCode, headers};

use super::super::live::Live;
use super::super::message::{Ask, Event, Outcome};
use super::super::range::{Range, RangeError};
use super::super::reply::Reply;
use super::super::state::State;
use super::{names_other_stream, no_session};

/// Answers; a session in which nothing flows stays unchanged.
pub(super) fn answer(session: &mut State, ask: &Ask) -> Outcome {
    let Some(live) = &mut session.live else { return no_session() };
    if let Err((status, text)) = check(live, ask) {
        return Outcome::Done(Reply::refuse(status, text));
    }
    let was_active = live.is_active();
    (live.playing, live.recording) = (false, None);
    let reply = session.acknowledge();
    if was_active { Outcome::DoneAnd(reply, Event::Pause) } else { Outcome::Done(reply) }
}

/// Refuses what cannot be paused: another stream, one track of several (RFC 2326 §11.3.11), or at
/// another time than now (§10.6).
fn check(live: &Live, ask: &Ask) -> Result<(), (StatusCode, &'static str)> {
    if names_other_stream(live, ask) {
        return Err((StatusCode::NotFound, "this session is of another stream"));
    }
    let track = ask.target.as_ref().and_then(|target| target.track);
    if track.is_some() && live.routes.len() > 1 && live.recording.is_none() {
        let text = "the tracks of a session pause together: use the URL without a track";
        return Err((StatusCode::OnlyAggregateOperationAllowed, text));
    }
    let range = ask.request.header(&headers::RANGE).map(HeaderValue::as_str);
    match range.map_or(Ok(None), Range::parse).map_err(RangeError::refusal)? {
        // libcurl sends the range of its PLAY, all there is, with every request.
        None | Some(Range::Now | Range::Npt { from_nanos: 0, until_nanos: None }) => Ok(()),
        Some(_) => Err((StatusCode::InvalidRange, "PAUSE takes effect at once: leave Range out")),
    }
}
