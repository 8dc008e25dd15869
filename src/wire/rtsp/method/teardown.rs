//! TEARDOWN (RFC 2326 §10.7): one track, or all of the session.

use super::super::reply::Reply;
use super::super::session::{Ask, Event, Session};
use super::{Outcome, no_session};

/// Ends what the URL names. The last track takes the session with it; the connection stays.
pub(super) fn answer(session: &mut Session, ask: &Ask) -> Outcome {
    let Some(live) = &mut session.live else { return no_session() };
    if let Some(track) = ask.target.as_ref().and_then(|target| target.track) {
        live.routes.retain(|routed| routed.track != track);
        if !live.routes.is_empty() {
            return Outcome::DoneAnd(Reply::ok(), Event::Reroute { routes: live.routes.clone() });
        }
    }
    session.live = None;
    Outcome::DoneAnd(Reply::ok(), Event::Ended)
}
