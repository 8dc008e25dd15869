//! TEARDOWN (RFC 2326 §10.7): one track, or all of the session.

use super::super::message::Outcome;
use super::super::message::{Ask, Event};
use super::super::reply::Reply;
use super::super::state::State;
use super::no_session;

/// Ends what the URL names. The last track takes the session with it; the connection stays.
pub(super) fn answer(session: &mut State, ask: &Ask) -> Outcome {
    let announced = session.announced.as_ref().zip(ask.request.request_uri());
    let track = match announced {
        Some((announced, url)) => {
            let is_whole = ask.target.as_ref().is_some_and(|target| announced.is_whole(target));
            announced.track_of(url).filter(|_| !is_whole)
        }
        None => ask.target.as_ref().and_then(|target| target.track),
    };
    let Some(live) = &mut session.live else { return no_session() };
    if let Some(track) = track {
        live.routes.retain(|routed| routed.track != track);
        if !live.routes.is_empty() {
            return Outcome::DoneAnd(Reply::ok(), Event::Reroute { routes: live.routes.clone() });
        }
    }
    (session.live, session.announced) = (None, None);
    Outcome::DoneAnd(Reply::ok(), Event::Ended)
}
