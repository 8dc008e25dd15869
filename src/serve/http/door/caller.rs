//! The caller: what a request proves, and what its sender may do.
//!
//! Owns: which header or cookie counts, and that a limited account gets the same answer for what it
//! may not see and for what does not exist.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use super::{forbidden, media};
use crate::access::{Identity, Proof, Right, Role, SessionId};
use crate::base::Stop;
use crate::base::name::StreamName;
use crate::serve::http::context::HttpContext;
use crate::serve::http::cookie;
use crate::serve::http::error::ApiError;
use crate::serve::http::origin::Reached;

/// The caller, as handlers receive it.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None`: a caller without proof, on a public route.
    identity: Option<Identity>,
    /// The streams of a limited account, with their sub-streams.
    streams: Option<BTreeSet<StreamName>>,
}

/// What a request shows of its sender.
pub(super) struct Evidence {
    pub(super) identity: Option<Identity>,
    /// Whether it is something that a browser sends by itself.
    pub(super) cookie: bool,
}

/// Looks at what `request` shows; an error where it shows something wrong on purpose.
pub(super) fn evidence(
    context: &HttpContext,
    request: &Request,
    is_media: bool,
) -> Result<Evidence, ApiError> {
    let headers = request.headers();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().ok();
        if is_media && text.is_some_and(|text| bearer(text).is_none()) {
            let identity = media::by_password(context, request)?;
            return Ok(Evidence { identity, cookie: false });
        }
        let shown = text.and_then(bearer);
        let access = &context.access;
        let identity =
            shown.and_then(|shown| access.by_token(shown).or_else(|| access.by_local_key(shown)));
        let identity = identity.ok_or_else(wrong_key)?;
        return Ok(Evidence { identity: Some(identity), cookie: false });
    }
    let Some(reached) = request.extensions().get::<Reached>() else {
        return Ok(Evidence { identity: None, cookie: false });
    };
    let keys = cookie::session_keys(headers, reached);
    let identity = keys.iter().find_map(|key| context.access.by_session(key, reached.secure));
    if is_media && identity.is_none() {
        let identity = media::by_ticket(context, request, reached);
        return Ok(Evidence { identity, cookie: false });
    }
    Ok(Evidence { cookie: identity.is_some(), identity })
}

/// Whether `headers` show the key that only the box's own user and root can read.
pub(crate) fn shows_local_key(context: &HttpContext, headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(bearer);
    shown.is_some_and(|shown| context.access.by_local_key(shown).is_some())
}

/// The key in `Bearer <key>` (RFC 6750 §2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn wrong_key() -> ApiError {
    let message = "The key in the Authorization header is not known to this box.";
    ApiError::new(StatusCode::UNAUTHORIZED, "wrong_key", message)
}

impl Caller {
    /// The sender, with what the configuration says of their streams.
    pub(super) fn new(context: &HttpContext, identity: Option<Identity>) -> Self {
        let streams = identity.as_ref().filter(|own| !own.sees_all()).map(|own| {
            let streams = context.streams.all();
            let covered = streams.iter().filter(|(name, _)| own.streams.covers(name.as_str()));
            let subs = covered.filter_map(|(_, outputs)| Some((*outputs.sub.load_full()?).clone()));
            subs.collect()
        });
        Self(Arc::new(Inner { identity, streams }))
    }

    /// The caller where nobody needs an account: one for all requests.
    pub(super) fn anybody() -> Self {
        static ANYBODY: LazyLock<Caller> = LazyLock::new(|| {
            let identity = Some(Identity::unlimited(Proof::Open));
            Caller(Arc::new(Inner { identity, streams: None }))
        });
        ANYBODY.clone()
    }

    /// A caller without proof.
    pub(super) fn nobody() -> Self {
        Self(Arc::new(Inner { identity: None, streams: None }))
    }

    /// The identity, where it was proved.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.0.identity.as_ref()
    }

    /// Given when they lose what they have now.
    pub(super) fn ended(&self) -> Option<Stop> {
        let identity = self.identity()?;
        let lasts = matches!(identity.proof, Proof::Open | Proof::Local);
        (!lasts).then(|| identity.ended.clone())
    }

    /// Their session.
    pub(crate) fn session(&self) -> Option<SessionId> {
        match self.identity()?.proof {
            Proof::Session(id) => Some(id),
            Proof::Open
            | Proof::Local
            | Proof::StreamAccount
            | Proof::Token
            | Proof::MetricsToken => None,
        }
    }

    /// The name of the account that signed in.
    pub(crate) fn account_name(&self) -> Option<String> {
        let identity = self.identity()?;
        self.session().map(|_| identity.name.to_string())
    }

    /// Whether they may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.identity().is_some_and(|identity| identity.role == Role::Admin)
    }

    /// Whether they may see every stream.
    pub(crate) fn sees_all(&self) -> bool {
        self.identity().is_some_and(Identity::sees_all)
    }

    /// Whether they have `right` on the streams that they see.
    pub(crate) fn sees(&self, right: Right) -> bool {
        self.identity().is_some_and(|own| right == Right::Live || own.past)
    }

    /// Whether they have `right` on `stream`, or on a stream whose sub-stream it is.
    pub(crate) fn may(&self, right: Right, stream: &str) -> bool {
        let Some(identity) = self.identity() else { return false };
        let is_sub = || {
            let subs = self.0.streams.as_ref();
            subs.is_some_and(|subs| subs.iter().any(|name| name.as_str() == stream))
                && (right == Right::Live || identity.past)
        };
        identity.may(right, stream) || is_sub()
    }

    /// Refuses a stream on which they have not `right`, whether or not there is one.
    pub(crate) fn check(&self, right: Right, stream: &str) -> Result<(), ApiError> {
        if self.may(right, stream) { Ok(()) } else { Err(forbidden()) }
    }

    /// The answer to a limited caller about an object that does not exist: the same as if it were
    /// another account's.
    pub(crate) fn unknown(&self, error: impl Into<ApiError>) -> ApiError {
        if self.sees_all() && self.identity().is_some_and(|own| own.past) {
            error.into()
        } else {
            forbidden()
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Without the door there is no caller.
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::nobody))
    }
}
