//! Media for players and programs that show the password of a stream account.
//!
//! Owns: when such a proof is required, and the cookie for players that show it only once, for a
//! playlist. On a box without people's accounts none of this applies.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};

use super::{Caller, closed};
use crate::access::{ClaimStatus, Identity, Proof, StreamAccess};
use crate::base::limits::MEDIA_TICKET_TIME_MAX;
use crate::base::name::StreamName;
use crate::base::name_pattern::NamePattern;
use crate::serve::http::context::HttpContext;
use crate::serve::http::cookie;
use crate::serve::http::error::ApiError;
use crate::serve::http::origin::Reached;
use crate::wire::rtsp::auth::{MediaAsking, MediaLack, MediaReader, Scope};

/// Who shows the password of a stream account in the Authorization header of `request`.
pub(super) fn by_password(
    context: &HttpContext,
    request: &Request,
) -> Result<Option<Identity>, ApiError> {
    match context.access.claim_status() {
        ClaimStatus::Claimed => ask(context, request).map(|reader| Some(identity(context, reader))),
        status => Err(closed(status)),
    }
}

/// Who shows a ticket for what `request` asks for.
pub(super) fn by_ticket(
    context: &HttpContext,
    request: &Request,
    reached: &Reached,
) -> Option<Identity> {
    let path = stream_path(request)?;
    if context.access.claim_status() != ClaimStatus::Claimed {
        return None;
    }
    let (now, authorizer) = (context.clock.boot(), context.rtsp.authorizer());
    let mut tickets = cookie::values(request.headers(), cookie::MEDIA);
    let reader = tickets
        .next()
        .and_then(|ticket| authorizer.ticket_reader(now, ticket, path, reached.secure))?;
    Some(identity(context, reader))
}

/// The answer to a request without proof. A browser would answer a challenge with a log-in box of
/// its own, in which a person's account is of no use: the page is answered without one.
pub(super) fn unproven(context: &HttpContext, request: &Request) -> ApiError {
    let plain = || closed(ClaimStatus::Claimed);
    let headers = request.headers();
    let is_page = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    let had_session = request
        .extensions()
        .get::<Reached>()
        .is_some_and(|reached| !cookie::session_keys(headers, reached).is_empty());
    if is_page || had_session {
        return plain();
    }
    ask(context, request).err().unwrap_or_else(plain)
}

fn ask(context: &HttpContext, request: &Request) -> Result<MediaReader, ApiError> {
    let reached = request.extensions().get::<Reached>();
    let reached = reached.ok_or_else(|| closed(ClaimStatus::Claimed))?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let authorization = request.headers().get(header::AUTHORIZATION);
    let asking = MediaAsking {
        peer: reached.client,
        method: request.method().as_str(),
        target,
        base: &reached.base,
        authorization: authorization.and_then(|value| value.to_str().ok()),
        secure: reached.secure,
    };
    context.rtsp.authorizer().media_reader(context.clock.boot(), asking).map_err(refusal)
}

fn refusal(lack: MediaLack) -> ApiError {
    match lack {
        MediaLack::Accounts => closed(ClaimStatus::Claimed),
        MediaLack::Proof(offered) => {
            let message = "Sign in with a stream account (`holdfast account new`) or an API token.";
            let error = ApiError::new(StatusCode::UNAUTHORIZED, "not_signed_in", message);
            error.challenging(offered)
        }
        MediaLack::Secrecy => {
            let message = "A password is not taken over plain HTTP, where others can read it: use \
                           https, or a player that knows Digest.";
            ApiError::new(StatusCode::FORBIDDEN, "password_in_clear", message)
        }
        MediaLack::Patience { secs } => {
            let message = format!("Too many wrong passwords. Try again in {secs} s.");
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message);
            error.retry_after(std::time::Duration::from_secs(secs))
        }
    }
}

/// The cookie for a player that proved itself by a password and reads a playlist.
pub(super) fn ticket(
    context: &HttpContext,
    caller: &Caller,
    request: &Request,
) -> Option<HeaderValue> {
    let reader = caller.identity().filter(|own| own.proof == Proof::StreamAccount)?;
    let shows_password = request.headers().contains_key(header::AUTHORIZATION);
    let is_playlist = Path::new(request.uri().path()).extension().is_some_and(|ext| ext == "m3u8");
    if !shows_password || !is_playlist {
        return None;
    }
    let reached = request.extensions().get::<Reached>()?;
    // The segments of recordings are there too.
    let path = format!("/live/{}/", request.uri().path().split('/').nth(2)?);
    let (now, authorizer) = (context.clock.boot(), context.rtsp.authorizer());
    let ticket = authorizer.media_ticket(now, &reader.name, &path, reached.secure)?;
    let seconds = MEDIA_TICKET_TIME_MAX.as_secs();
    cookie::media(reached, &ticket, &path, seconds)
}

/// `/live/<stream>/` of `/live/<stream>/index.m3u8`: what a ticket is good for.
fn stream_path(request: &Request) -> Option<&str> {
    let path = request.uri().path();
    path.match_indices('/').nth(2).map(|(at, _)| &path[..=at])
}

fn identity(context: &HttpContext, reader: MediaReader) -> Identity {
    let streams = match reader.read {
        Scope::All => StreamAccess::All,
        Scope::Only(patterns) => StreamAccess::Only(meant(context, &patterns)),
    };
    Identity::of_stream_account(Arc::clone(&reader.name), streams, reader.past, reader.ended)
}

/// The streams that `patterns` mean now: those that run, and those that are only recorded.
fn meant(context: &HttpContext, patterns: &BTreeSet<NamePattern>) -> BTreeSet<StreamName> {
    let running = context.streams.all();
    let mut names: BTreeSet<_> = running.keys().cloned().collect();
    if patterns.iter().any(NamePattern::has_star) {
        names.extend(context.dvr.recorded_streams());
    }
    // A name without a star is meant whether anything has it or not.
    let plain = patterns.iter().filter_map(|plain| StreamName::parse(plain.as_str()).ok());
    names.retain(|name| patterns.iter().any(|pattern| pattern.matches(name.as_str())));
    names.extend(plain);
    names
}
