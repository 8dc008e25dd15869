//! Plain HTTP where `http.https_required` is set: it leads to HTTPS and answers nothing else.
//!
//! Owns: the target. What a device needs before it can trust the box, the one word of the
//! health check, and the box's own command line stay available.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::context::HttpContext;
use super::door::shows_local_key;
use super::error::ApiError;
use super::origin::{Reached, host_of};
use super::settings::HttpSettings;

/// What plain HTTP answers all the same.
const OPEN: [&str; 2] = ["/ca.pem", "/api/v1/health"];
/// A year: a browser that came once does not ask in clear again (RFC 6797 §6.1).
const ALWAYS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What is answered to a request that may come by TLS only and did not, or says with which header the
/// answer of one that may pass goes out.
pub(super) fn admit(
    context: &HttpContext,
    request: &Request,
) -> Result<Option<(HeaderName, HeaderValue)>, Box<Response>> {
    let config = context.http.now();
    let reached = request.extensions().get::<Reached>();
    let Some(reached) = reached.filter(|_| config.https_required) else { return Ok(None) };
    if reached.secure {
        return Ok(Some((header::STRICT_TRANSPORT_SECURITY, ALWAYS)));
    }
    let path = request.uri().path();
    // What `holdfast` itself sends stays on this machine.
    if OPEN.contains(&path) || shows_local_key(context, request.headers()) {
        return Ok(None);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = request.headers().contains_key(header::UPGRADE);
    let leads = reads && !upgrades && !path.starts_with("/api/");
    let target = leads.then(|| secure_url(&config, reached, request)).flatten();
    Err(Box::new(match target {
        Some(target) => {
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, target)]).into_response()
        }
        None => refused(&config).into_response(),
    }))
}

fn refused(config: &HttpSettings) -> ApiError {
    let port = config.https_port.map_or_else(String::new, |port| format!(", port {port}"));
    let message = format!("This box answers over HTTPS only{port}.");
    ApiError::new(StatusCode::FORBIDDEN, "https_required", message)
}

/// The same address over HTTPS.
fn secure_url(config: &HttpSettings, reached: &Reached, request: &Request) -> Option<HeaderValue> {
    let host = host_of(&reached.host);
    let port = match config.https_port? {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    HeaderValue::from_str(&format!("https://{host}{port}{path}")).ok()
}
