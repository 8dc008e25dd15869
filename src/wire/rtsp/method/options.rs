//! OPTIONS (RFC 2326 §10.1): what can be done here, and a keepalive.

use rtsp_types::headers;

use super::super::reply::PUBLIC;
use super::super::reply::Reply;
use super::super::state::State;

/// Answers always, inside and outside of a session.
pub(super) fn answer(session: &State) -> Reply {
    session.acknowledge().header(headers::PUBLIC, PUBLIC)
}
