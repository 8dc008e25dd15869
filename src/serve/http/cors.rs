//! Which pages of other servers may read media with a script (Fetch standard, "CORS protocol").
//!
//! Owns: the headers that allow it, on media only: another site's page reads nothing of the API.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

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

/// What scripts and pages of other servers may have of one request; made before it is handled.
pub(super) struct Sharing {
    open: bool,
    asked: Option<Asked>,
}

/// A script of another server asks.
struct Asked {
    allowed: Option<HeaderValue>,
    /// Only whether it may ask.
    is_preflight: bool,
}

impl Sharing {
    pub(super) fn of(cors: &Cors, request: &Request) -> Self {
        let headers = request.headers();
        let is_media = MEDIA.iter().any(|media| request.uri().path().starts_with(media));
        let is_preflight = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let origin = headers.get(header::ORIGIN).filter(|_| is_media);
        let asked = origin.map(|origin| Asked { allowed: cors.answer(origin), is_preflight });
        Self { open: is_media && cors.is_open(), asked }
    }

    /// Whether this is a browser's question before a request, to which the answer is yes.
    pub(super) fn is_granted_preflight(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.is_preflight && asked.allowed.is_some())
    }

    /// Says it in the headers of the answer.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        if let Some(asked) = self.asked {
            tell(headers, asked.allowed, asked.is_preflight);
        }
        // Without a script: an image or a video of the box in a page of another site.
        let policy = if self.open { "cross-origin" } else { "same-origin" };
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
    }
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
