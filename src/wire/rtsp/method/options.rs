//! OPTIONS (RFC 2326 §10.1): what can be done here, and a keepalive.

use rtsp_types::headers;

use super::super::reply::Reply;
use super::super::session::Session;
use super::PUBLIC;

/// Answers always, inside and outside of a session.
pub(super) fn answer(session: &Session) -> Reply {
    let reply = Reply::ok().header(headers::PUBLIC, PUBLIC);
    match &session.live {
        Some(live) => reply.header(headers::SESSION, live.header()),
        None => reply,
    }
}
