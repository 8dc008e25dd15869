//! What is done through the door is noted in the audit log.
//!
//! Owns: which requests count. Whatever changes something, whatever takes footage away, and every
//! password and claim code that was looked at; never a body, so that no secret can get there.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use tracing::warn;

use super::{Access, Caller};
use crate::access::{Act, Identity};
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

/// What is noted of `request`, once it is answered; `None` for what only looks.
pub(super) fn begin(access: Access, caller: &Caller, request: &Request) -> Option<Act> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads && !takes_footage(access, request) {
        return None;
    }
    let reached = request.extensions().get::<Reached>();
    let address: Option<IpAddr> = reached.map(|reached| reached.client);
    let scheme = if reached.is_some_and(|reached| reached.secure) { "https" } else { "http" };
    let identity = caller.identity();
    Some(Act {
        who: identity.map_or_else(String::new, Identity::shown_name),
        proof: identity.map_or("none", |identity| identity.proof.word()),
        scheme,
        address,
        act: format!("{} {}", request.method(), request.uri().path()),
        result: 0,
    })
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

/// Notes `act`, which was answered by `response`.
pub(super) async fn finish(context: &Arc<HttpContext>, act: Option<Act>, response: &mut Response) {
    let Some(mut act) = act else { return };
    let status = response.status();
    act.result = status.as_u16();
    match response.extensions_mut().remove::<ActedAs>() {
        Some(ActedAs(name)) => act.who = name,
        // Nothing was looked at.
        None if act.who.is_empty() => return,
        None => {}
    }
    if act.act.starts_with("GET ") && !status.is_success() {
        return;
    }
    let (context, at) = (Arc::clone(context), context.clock.wall());
    let noted = tokio::task::spawn_blocking(move || context.access.audit().append(at, &act)).await;
    if let Ok(Err(error)) = noted {
        warn!(part = "access", %error, "audit log cannot be written");
    }
}
