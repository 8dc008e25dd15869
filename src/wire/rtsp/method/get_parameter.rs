//! GET_PARAMETER (RFC 2326 §10.8): a keepalive, with or without body.

use super::super::reply::Reply;
use super::super::state::State;

/// Answers 200 whatever the body asks: there are no parameters, and peers that use it as a
/// keepalive would give up at an error.
pub(super) fn answer(session: &State) -> Reply {
    session.acknowledge()
}
