//! Which pages of other servers may read media with a script (Fetch standard, "CORS protocol").
//!
//! Owns: the headers that allow it, on media only: another site's page reads nothing of the API.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Everything below these may be read by the pages that are allowed.
const MEDIA: [&str; 7] = ["/live/", "/vod/", "/clip/", "/export/", "/snap/", "/sprites/", "/past/"];
/// Headers of an answer that such a page may read besides the usual ones.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Content-Length, Content-Range, Date, ETag, X-Audio-Dropped, X-Frame-Age",
);
/// Headers that it may send.
const ALLOWED: HeaderValue = HeaderValue::from_static("Range, If-Range, If-None-Match");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// How long a browser may remember the answer to its question, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// The origins that are allowed; "*" is all of them. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Cors(Arc<ArcSwap<Vec<String>>>);

impl Cors {
    /// Replaces the list.
    pub fn allow(&self, origins: Vec<String>) {
        self.0.store(Arc::new(origins));
    }

    /// Whether pages of other servers may have media at all.
    fn is_open(&self) -> bool {
        !self.0.load().is_empty()
    }

    /// The value of `Access-Control-Allow-Origin` for a page of `origin`.
    fn answer(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let allowed = self.0.load();
        if allowed.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        allowed
            .iter()
            .any(|allowed| allowed.as_bytes() == origin.as_bytes())
            .then(|| origin.clone())
    }
}

/// Says it on answers to media requests, and answers the browser's question before them.
pub(super) async fn told(State(cors): State<Cors>, request: Request, next: Next) -> Response {
    let is_media = MEDIA.iter().any(|media| request.uri().path().starts_with(media));
    let origin = request.headers().get(header::ORIGIN).cloned();
    let open = is_media && cors.is_open();
    let mut response = read_by_script(cors, request, next, origin.filter(|_| is_media)).await;
    // Without a script: an image or a video of the box in a page of another site.
    let policy = if open { "cross-origin" } else { "same-origin" };
    response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
    response
}

async fn read_by_script(
    cors: Cors,
    request: Request,
    next: Next,
    origin: Option<HeaderValue>,
) -> Response {
    let Some(origin) = origin else { return next.run(request).await };
    let allowed = cors.answer(&origin);
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks && allowed.is_some() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    tell(response.headers_mut(), allowed, asks);
    response
}

fn tell(headers: &mut HeaderMap, allowed: Option<HeaderValue>, asks: bool) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(allowed) = allowed else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if asks {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}
