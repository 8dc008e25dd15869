//! One file per RTSP method.
//!
//! Owns: what holds for all of them: which exist, required features, session ids.

mod announce;
pub(super) mod describe;
mod get_parameter;
mod options;
mod pause;
pub(super) mod play;
pub(super) mod record;
pub(super) mod redirect;
mod set_parameter;
pub(super) mod setup;
mod teardown;

use rtsp_types::{Method, StatusCode, headers};

use super::live::Live;
use super::message::{Ask, Outcome};
use super::play_options::ONVIF_REPLAY;
use super::reply::{PUBLIC, Reply};
use super::state::State;

/// Why dates in a URL are refused.
const DATES: &str = "start and end are RFC 3339 or Unix seconds; an end needs a start";

/// Begins to answer `ask`.
pub(super) fn begin(session: &mut State, ask: Ask) -> Outcome {
    if let Some(reply) = requires(&ask).or_else(|| foreign_session(session, &ask)) {
        return Outcome::Done(reply);
    }
    match ask.request.method() {
        Method::Options => Outcome::Done(options::answer(session)),
        Method::Describe => describe::begin(session, ask),
        Method::Setup => setup::begin(session, ask),
        Method::Play => play::begin(session, ask),
        Method::Pause => pause::answer(session, &ask),
        Method::Teardown => teardown::answer(session, &ask),
        Method::Announce => announce::begin(session, ask),
        Method::Record => record::begin(session, ask),
        Method::GetParameter => Outcome::Done(get_parameter::answer(session)),
        Method::SetParameter => Outcome::Done(set_parameter::answer(session)),
        Method::Redirect | Method::PlayNotify => Outcome::Done(not_allowed()),
        Method::Extension(_) => Outcome::Done(unknown()),
    }
}

/// Refuses what a request requires and we cannot do: everything but ONVIF's replay, its back
/// channel (`www.onvif.org/ver20/backchannel`) included (RFC 2326 §12.32, §12.28).
fn requires(ask: &Ask) -> Option<Reply> {
    let (require, proxy) = (&headers::REQUIRE, &headers::PROXY_REQUIRE);
    let wanted = ask.request.header(require).or_else(|| ask.request.header(proxy))?;
    let tags = wanted.as_str().split(',').map(str::trim);
    let unknown: Vec<&str> = tags.filter(|tag| *tag != ONVIF_REPLAY).collect();
    if unknown.is_empty() {
        return None;
    }
    let reply = Reply::refuse(StatusCode::OptionNotSupported, "this feature is not supported");
    Some(reply.header(headers::UNSUPPORTED, unknown.join(", ")))
}

/// Refuses a session id that is not this connection's. A missing one means this connection's.
fn foreign_session(session: &State, ask: &Ask) -> Option<Reply> {
    if matches!(ask.request.method(), Method::Options | Method::Describe | Method::Announce) {
        return None;
    }
    let told = ask.request.header(&headers::SESSION)?.as_str();
    let id = told.split(';').next().unwrap_or_default().trim();
    let own = session.live.as_ref().is_some_and(|live| live.id == id);
    (!own).then(|| Reply::refuse(StatusCode::SessionNotFound, "there is no such session"))
}

/// Whether the URL of `ask` names another stream than the session is of. One that names none,
/// as some clients send, means the session's.
fn names_other_stream(live: &Live, ask: &Ask) -> bool {
    let named = ask.target.as_ref().map_or("", |target| &target.stream);
    !matches!(named, "" | "*") && named != live.stream && live.recording.is_none()
}

/// Answers a method that needs a session when there is none.
fn no_session() -> Outcome {
    let text = "SETUP comes first";
    Outcome::Done(Reply::refuse(StatusCode::MethodNotValidInThisState, text))
}

fn not_allowed() -> Reply {
    let text = "only servers say this";
    Reply::refuse(StatusCode::MethodNotAllowed, text).header(headers::ALLOW, PUBLIC)
}

fn unknown() -> Reply {
    Reply::refuse(StatusCode::NotImplemented, "this method is unknown")
        .header(headers::ALLOW, PUBLIC)
        .header(headers::PUBLIC, PUBLIC)
}
