//! SET_PARAMETER (RFC 2326 §10.9): a keepalive, with or without body.

use super::super::reply::Reply;
use super::super::state::State;

/// Answers 200 whatever the body says, for the same reason as GET_PARAMETER; nothing is set.
pub(super) fn answer(session: &State) -> Reply {
    session.acknowledge()
}
