//! The door: the only way to a route, which says who may use it.
//!
//! Owns: the order of checks before a handler runs: is the box claimed, who is the caller, may they
//! do such things, may they with this stream, does the request come from their own page. Which
//! stream a pin or an export is of, only its handler can say: it asks [`Caller`].

mod access;
mod audit;
mod caller;
mod media;
mod revoked;

use std::pin::Pin;
use std::sync::Arc;

use axum::RequestExt;
use axum::Router;
use axum::extract::{RawPathParams, Request};
use axum::handler::Handler;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use schemars::JsonSchema;

pub(super) use access::{Access, Object};
pub(super) use audit::ActedAs;
pub(super) use caller::{Caller, shows_local_key};

use self::caller::{Evidence, evidence};
use super::context::HttpContext;
use super::error::ApiError;
use super::operation::{Content, Operation, Parameter, describe};
use super::origin::Reached;
use super::peers::Peer;
use super::request_body::bounded;
use super::route_entry::RouteEntry;
use super::settings::Access as Openness;
use crate::access::{ClaimStatus, Identity, Proof};

/// Collects routes; each with its access.
#[derive(Default)]
pub(super) struct Door {
    router: Router<Arc<HttpContext>>,
    table: Vec<RouteEntry>,
    /// Whether the routes that are added now are media.
    is_media: bool,
    /// Whether their handlers read the body themselves, within bounds of their own.
    is_streamed: bool,
}

impl Door {
    /// A door without routes.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds `GET path` (and HEAD).
    pub(super) fn get<H, T>(self, path: &'static str, access: Access, handler: H) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        self.route(MethodFilter::GET, "GET", path, access, handler)
    }

    /// Adds `GET path` (and HEAD) to media, which stream accounts may read as well.
    pub(super) fn get_media<H, T>(
        mut self,
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        self.is_media = true;
        let Undescribed(mut door) = self.get(path, access, handler);
        door.is_media = false;
        Undescribed(door)
    }

    /// Adds `POST path`.
    pub(super) fn post<H, T>(self, path: &'static str, access: Access, handler: H) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        self.route(MethodFilter::POST, "POST", path, access, handler)
    }

    /// Adds `POST path`, whose handler reads the body piece by piece and bounds it itself.
    pub(super) fn post_stream<H, T>(
        mut self,
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        self.is_streamed = true;
        let Undescribed(mut door) = self.post(path, access, handler);
        door.is_streamed = false;
        Undescribed(door)
    }

    /// Adds `PUT path`.
    pub(super) fn put<H, T>(self, path: &'static str, access: Access, handler: H) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        self.route(MethodFilter::PUT, "PUT", path, access, handler)
    }

    /// Adds `PATCH path`.
    pub(super) fn patch<H, T>(self, path: &'static str, access: Access, handler: H) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        self.route(MethodFilter::PATCH, "PATCH", path, access, handler)
    }

    /// Adds `DELETE path`.
    pub(super) fn delete<H, T>(self, path: &'static str, access: Access, handler: H) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        self.route(MethodFilter::DELETE, "DELETE", path, access, handler)
    }

    fn route<H, T>(
        mut self,
        filter: MethodFilter,
        method: &'static str,
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Undescribed
    where
        H: Handler<T, Arc<HttpContext>>,
        T: 'static,
    {
        let (is_media, is_streamed) = (self.is_media, self.is_streamed);
        let guard = RouteGuard { access, is_media, is_streamed };
        self.router = self.router.route(path, on(filter, Guarded { guard, handler }));
        let (access, object) = access.words();
        let operation = Operation::default();
        self.table.push(RouteEntry { method, path, access, object, is_media, operation });
        Undescribed(self)
    }

    /// What is said of the newest route.
    fn newest(mut self, say: impl FnOnce(&mut Operation)) -> Self {
        if let Some(row) = self.table.last_mut() {
            say(&mut row.operation);
        }
        self
    }

    /// The newest route needs a JSON body of the form `T`.
    pub(super) fn takes<T: JsonSchema>(self) -> Self {
        self.newest(|operation| operation.body = Some(Content::Json(describe::<T>())))
    }

    /// It needs a body of one of these media types.
    pub(super) fn takes_media(self, kinds: &'static [&'static str]) -> Self {
        self.newest(|operation| operation.body = Some(Content::Media(kinds)))
    }

    /// It answers `status` with JSON of the form `T`.
    pub(super) fn answers<T: JsonSchema>(self, status: u16) -> Self {
        self.newest(|operation| operation.answer(status, Content::Json(describe::<T>())))
    }

    /// It answers `status` with nothing more.
    pub(super) fn answers_empty(self, status: u16) -> Self {
        self.newest(|operation| operation.answer(status, Content::Empty))
    }

    /// It answers `status` with something of these media types.
    pub(super) fn answers_media(self, status: u16, kinds: &'static [&'static str]) -> Self {
        self.newest(|operation| operation.answer(status, Content::Media(kinds)))
    }

    /// It hears this parameter.
    pub(super) fn hears(self, parameter: Parameter) -> Self {
        self.newest(|operation| operation.parameters.push(parameter))
    }

    /// It may refuse with these statuses besides those of its class.
    pub(super) fn refuses(self, statuses: &[u16]) -> Self {
        self.newest(|operation| operation.refuse(statuses))
    }

    /// The routes, and the table of them.
    pub(super) fn finish(self) -> (Router<Arc<HttpContext>>, Vec<RouteEntry>) {
        (self.router, self.table)
    }
}

/// A door whose newest route has no words yet: none can be left out of the document of the API.
#[must_use]
pub(super) struct Undescribed(Door);

impl Undescribed {
    /// What the route is for, in one line.
    pub(super) fn says(self, summary: &'static str) -> Door {
        self.0.newest(|operation| operation.summary = summary)
    }
}

/// The checks before one handler.
#[derive(Clone, Copy, Debug)]
struct RouteGuard {
    access: Access,
    is_media: bool,
    /// The handler reads the body piece by piece.
    is_streamed: bool,
}

/// A handler behind its guard. It is a handler itself rather than a layer of axum's, which would box and copy
/// what is inside of it for every request.
#[derive(Clone, Copy, Debug)]
struct Guarded<H> {
    guard: RouteGuard,
    handler: H,
}

impl<H, T> Handler<T, Arc<HttpContext>> for Guarded<H>
where
    H: Handler<T, Arc<HttpContext>>,
    T: 'static,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, context: Arc<HttpContext>) -> Self::Future {
        Box::pin(guarded(self.guard, context, request, |request, context| {
            self.handler.call(request, context)
        }))
    }
}

/// Why a request goes no further, and whose it is, where that was proved.
struct Denied {
    error: ApiError,
    who: Option<Identity>,
}

impl From<ApiError> for Denied {
    fn from(error: ApiError) -> Self {
        Self { error, who: None }
    }
}

/// Reads the body, unless the handler does that itself, and notes that the caller has signed in: their
/// connection keeps its place. By then the request is here as a whole, so that a body that trickles in holds a
/// place as little as a head that does.
async fn handled<F>(
    guard: RouteGuard,
    context: Arc<HttpContext>,
    request: Request,
    handler: impl FnOnce(Request, Arc<HttpContext>) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let bounded = if guard.is_streamed { Ok(request) } else { bounded(request).await };
    let request = match bounded {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let caller = request.extensions().get::<Caller>();
    let peer = request.extensions().get::<Arc<Peer>>();
    let proved = match (caller.and_then(Caller::identity), peer) {
        (Some(own), Some(peer)) => Peer::prove(peer, own),
        _ => true,
    };
    if proved { handler(request, context).await } else { crowded().into_response() }
}

/// Lets a request through to its handler, or says what it lacks.
async fn guarded<F>(
    guard: RouteGuard,
    context: Arc<HttpContext>,
    mut request: Request,
    handler: impl FnOnce(Request, Arc<HttpContext>) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let caller = match guard.admit(&context, &mut request).await {
        Ok(caller) => caller,
        Err(denied) => {
            if let Some(act) = audit::refused(&denied, &request) {
                audit::note_refusal(&context, act).await;
            }
            return denied.error.into_response();
        }
    };
    let ended = caller.ended();
    if let (Some(ended), Some(peer)) = (&ended, request.extensions().get::<Arc<Peer>>()) {
        let peer = peer.until(ended.clone());
        request.extensions_mut().insert(Arc::new(peer));
    }
    let ticket = media::ticket(&context, &caller, &request);
    let begun = audit::begin(guard.access, &request);
    request.extensions_mut().insert(caller.clone());
    let mut response = handled(guard, Arc::clone(&context), request, handler).await;
    audit::finish(&context, &caller, begun, &mut response).await;
    if let Some(ticket) = ticket.filter(|_| response.status().is_success()) {
        response.headers_mut().append(header::SET_COOKIE, ticket);
    }
    match ended {
        Some(ended) => response.map(|body| revoked::body(body, ended, caller)),
        None => response,
    }
}

impl RouteGuard {
    /// The caller, if permitted.
    async fn admit(
        self,
        context: &Arc<HttpContext>,
        request: &mut Request,
    ) -> Result<Caller, Denied> {
        let is_open = context.http.now().access == Openness::OpenOnLoopback;
        let Some(role) = self.access.role() else {
            let shown = evidence(context, request, false).ok();
            return Ok(match shown.and_then(|evidence| evidence.identity) {
                None if is_open => Caller::anybody(),
                identity => Caller::new(context, identity),
            });
        };
        if self.access == Access::Metrics && is_collector(context, request) {
            return Ok(Caller::anybody());
        }
        let Evidence { identity, cookie } = evidence(context, request, self.is_media)?;
        let Some(identity) = identity else {
            return if is_open {
                Ok(Caller::anybody())
            } else {
                Err(self.unproven(context, request).into())
            };
        };
        let allowed = match (self.access, identity.proof) {
            (Access::Metrics, Proof::MetricsToken) => true,
            (_, Proof::MetricsToken) => false,
            _ => identity.role >= role,
        };
        if !allowed {
            return Err(Denied { error: forbidden(), who: Some(identity) });
        }
        let caller = Caller::new(context, Some(identity));
        let mut checked = self.check_object(&caller, request).await;
        if cookie {
            checked = checked.and_then(|()| asks_from_own_page(request));
        }
        match checked {
            Ok(()) => Ok(caller),
            Err(error) => Err(Denied { error, who: caller.identity().cloned() }),
        }
    }

    /// The answer to a request without proof.
    fn unproven(self, context: &HttpContext, request: &Request) -> ApiError {
        match context.access.claim_status() {
            ClaimStatus::Claimed if self.is_media => media::unproven(context, request),
            status => closed(status),
        }
    }

    /// Whether the caller may see the stream that the path names.
    async fn check_object(self, caller: &Caller, request: &mut Request) -> Result<(), ApiError> {
        let (parameter, right) = match self.access.object() {
            Some(Object::Stream(right)) => ("stream", right),
            Some(Object::File(right)) => ("file", right),
            Some(Object::LookedUp) | None => return Ok(()),
        };
        let params = request.extract_parts::<RawPathParams>().await;
        let params = params.map_err(|_| ApiError::not_found())?;
        let named = params.iter().find(|(key, _)| *key == parameter).map(|(_, value)| value);
        let named = named.ok_or_else(ApiError::not_found)?;
        let stream = if parameter == "file" {
            named.rsplit_once('.').map_or(named, |(stem, _)| stem)
        } else {
            named
        };
        caller.check(right, stream)
    }
}

/// Whether a request comes from an address that may read the metrics.
fn is_collector(context: &HttpContext, request: &Request) -> bool {
    let Some(reached) = request.extensions().get::<Reached>() else { return false };
    let settings = context.http.now();
    settings.metrics_allow.iter().any(|network| network.contains(reached.client))
}

/// The answer to a caller without proof.
pub(super) fn closed(claim: ClaimStatus) -> ApiError {
    match claim {
        ClaimStatus::Claimed => {
            let message = "Sign in first: POST /api/v1/session with name and password.";
            ApiError::new(StatusCode::UNAUTHORIZED, "not_signed_in", message)
        }
        ClaimStatus::Unclaimed | ClaimStatus::Locked(_) => {
            let message = "This box has not been claimed yet. Open its page and enter the claim code, \
                           which is on its label or console; `holdfast claim-code` prints it.";
            ApiError::new(StatusCode::FORBIDDEN, "unclaimed", message)
        }
        ClaimStatus::Damaged => accounts_damaged(),
    }
}

/// The answer when the accounts cannot be read.
pub(super) fn accounts_damaged() -> ApiError {
    let message = "The accounts of this box cannot be read, so no one is let in. The log says why; `holdfast account reset` on the box starts over.";
    ApiError::unavailable("accounts_damaged", message)
}

/// The answer to a caller without the right: the same whether or not there is such an object.
pub(super) fn forbidden() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", "This account may not do that.")
}

/// The answer where those who have signed in have all places that they may have.
fn crowded() -> ApiError {
    let message = "Too many connections of this account or network are open. Close some of them.";
    ApiError::unavailable("connections_full", message)
}

/// What a browser sends along by itself proves nothing about the page that asks: whatever changes
/// something, or opens a socket, must say that it comes from the box's own page. That the origin is
/// the box's own was checked before.
fn asks_from_own_page(request: &Request) -> Result<(), ApiError> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let socket = request.headers().contains_key(header::UPGRADE);
    if (safe && !socket) || request.headers().contains_key(header::ORIGIN) {
        return Ok(());
    }
    let message = "With a session's cookie, the header Origin must name the box itself.";
    Err(ApiError::new(StatusCode::FORBIDDEN, "origin_missing", message))
}
