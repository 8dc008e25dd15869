//! The content security policy of every answer (Content Security Policy Level 3).
//!
//! Owns: what the page may load, and who may show it in a frame.

use axum::http::HeaderValue;

/// The page needs nothing from any other host. Who may frame it follows.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
                      connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; \
                      form-action 'self'; frame-ancestors";
/// The same where no header can name those who may.
const CLOSED_POLICY: &str = "default-src 'self'; object-src 'none'; frame-ancestors 'none'";

/// The content security policy where pages of `ancestors` may show the page in a frame.
pub(super) fn content_policy(ancestors: &[String]) -> HeaderValue {
    let ancestors = if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") };
    let policy = HeaderValue::from_str(&format!("{POLICY} {ancestors}"));
    policy.unwrap_or(HeaderValue::from_static(CLOSED_POLICY))
}
