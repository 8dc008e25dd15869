//! PAUSE (RFC 2326 §10.6): nothing is sent until the next PLAY, which goes on live; nothing is
//! taken until the next RECORD.

use super::super::session::{Event, Session};
use super::{Outcome, no_session};

/// Answers; a session in which nothing flows stays as it is.
pub(super) fn answer(session: &mut Session) -> Outcome {
    let Some(live) = &mut session.live else { return no_session() };
    let was_active = live.is_active();
    (live.playing, live.recording) = (false, None);
    let reply = session.acknowledge();
    if was_active { Outcome::DoneAnd(reply, Event::Pause) } else { Outcome::Done(reply) }
}
