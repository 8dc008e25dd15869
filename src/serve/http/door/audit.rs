//! What is done through the door is noted in the audit log.
//!
//! Owns: which requests count. Whatever changes something, whatever takes footage away, every
//! password and claim code that was looked at, and whatever is refused to somebody who shows a key or is
//! signed in; never a body, so that no secret can get there.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use tracing::warn;

use super::{Access, Caller, Denied};
use crate::access::{Act, AuditLine, Identity};
use crate::serve::http::context::HttpContext;
use crate::serve::http::origin::Reached;

/// Put into an answer by handlers that look at a password or a code: who it was to be.
#[derive(Clone, Debug)]
pub(crate) struct ActedAs(pub(crate) String);

impl ActedAs {
    /// The account `name` as far as there is one: people type passwords into the wrong field.
    pub(crate) fn known(context: &HttpContext, name: &str) -> Self {
        let known = context.access.accounts().iter().any(|account| account.name == name);
        Self(if known { name.to_owned() } else { "unknown".to_owned() })
    }
}

/// A request, until it is answered.
pub(super) struct Begun {
    method: Method,
    uri: Uri,
    /// From where, and whether encrypted.
    from: Option<(IpAddr, bool)>,
    /// It does something, and does not only look.
    counts: bool,
}

/// What is noted of `request`, once it is answered.
pub(super) fn begin(access: Access, request: &Request) -> Begun {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let reached = request.extensions().get::<Reached>();
    Begun {
        method: request.method().clone(),
        uri: request.uri().clone(),
        from: reached.map(|reached| (reached.client, reached.secure)),
        counts: !reads || takes_footage(access, request),
    }
}

impl Begun {
    fn answered(self, identity: Option<&Identity>, status: StatusCode) -> Act {
        let secure = self.from.is_some_and(|(_, secure)| secure);
        Act {
            who: identity.map_or_else(String::new, Identity::shown_name),
            proof: identity.map_or("none", |identity| identity.proof.word()),
            scheme: if secure { "https" } else { "http" },
            address: self.from.map(|(address, _)| address),
            act: format!("{} {}", self.method, self.uri.path()),
            result: status.as_u16(),
        }
    }
}

/// Whether it is the beginning of a download.
fn takes_footage(access: Access, request: &Request) -> bool {
    let path = request.uri().path();
    let footage =
        ["/export/", "/clip/"].iter().any(|dir| path.starts_with(dir)) || path.ends_with("/file");
    let range = request.headers().get(header::RANGE).map(HeaderValue::as_bytes);
    let begins = range.is_none_or(|range| range.starts_with(b"bytes=0-"));
    *request.method() == Method::GET && matches!(access, Access::Operator(_)) && footage && begins
}

/// Notes what was begun, now that it is answered by `response`.
pub(super) async fn finish(
    context: &Arc<HttpContext>,
    caller: &Caller,
    begun: Begun,
    response: &mut Response,
) {
    let status = response.status();
    let acted = response.extensions_mut().remove::<ActedAs>();
    let looked_at = acted.is_some();
    let counts = begun.counts;
    if !counts && !looked_at && status != StatusCode::FORBIDDEN {
        return;
    }
    let mut act = begun.answered(caller.identity(), status);
    match acted {
        Some(ActedAs(name)) => act.who = name,
        // Nothing was looked at.
        None if act.who.is_empty() => return,
        None => {}
    }
    let refused = status == StatusCode::FORBIDDEN || (looked_at && !status.is_success());
    if refused {
        note_refusal(context, act).await;
    } else if counts
        && (status.is_success() || !act.act.starts_with("GET "))
        && let Some(line) = context.access.admit_own_act(act)
    {
        write(context, line).await;
    }
}

/// What is noted of `request`, which was refused: where its sender shows a key, or is signed in.
pub(super) fn refused(denied: &Denied, request: &Request) -> Option<Act> {
    if denied.who.is_none() && denied.error.code != "wrong_key" {
        return None;
    }
    let begun = begin(Access::Account, request);
    let mut act = begun.answered(denied.who.as_ref(), denied.error.status);
    if denied.who.is_none() {
        "unknown".clone_into(&mut act.who);
    }
    Some(act)
}

/// Notes a refusal, within bounds: anybody can be refused as often as they like.
pub(super) async fn note_refusal(context: &Arc<HttpContext>, act: Act) {
    if let Some(line) = context.access.admit_act(act, 1) {
        write(context, line).await;
    }
}

async fn write(context: &Arc<HttpContext>, line: AuditLine) {
    let (context, at) = (Arc::clone(context), context.clock.wall());
    let write = move || context.access.audit().append_line(at, &line);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
        warn!(part = "access", %error, "audit log cannot be written");
    }
}
