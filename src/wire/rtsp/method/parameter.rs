//! GET_PARAMETER and SET_PARAMETER (RFC 2326 §10.8, §10.9): keepalives with or without body.

use rtsp_types::headers;

use super::super::reply::Reply;
use super::super::session::Session;

/// Answers 200 whatever the body asks: there is no parameter, and readers that use the two as a
/// keepalive would give up at an error.
pub(super) fn answer(session: &Session) -> Reply {
    match &session.live {
        Some(live) => Reply::ok().header(headers::SESSION, live.header()),
        None => Reply::ok(),
    }
}
