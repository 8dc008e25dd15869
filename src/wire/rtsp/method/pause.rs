//! PAUSE (RFC 2326 §10.6): nothing is sent until the next PLAY, which goes on live.

use rtsp_types::headers;

use super::super::reply::Reply;
use super::super::session::{Event, Session};
use super::{Outcome, no_session};

/// Answers; a session that does not play stays as it is.
pub(super) fn answer(session: &mut Session) -> Outcome {
    let Some(live) = &mut session.live else { return no_session() };
    let reply = Reply::ok().header(headers::SESSION, live.header());
    if std::mem::take(&mut live.playing) {
        return Outcome::DoneAnd(reply, Event::Pause);
    }
    Outcome::Done(reply)
}
