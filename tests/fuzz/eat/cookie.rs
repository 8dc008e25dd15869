//! The Cookie header: whatever stands in it, the session's key is found, and no other is taken for one.

use axum::http::{HeaderMap, HeaderValue, header};
use holdfast::base::limits::SESSION_COOKIES_MAX;
use holdfast::serve::http::{Reached, session_keys};

use super::people::people;

/// Feeds one input: a header's value, alone and before the cookie of a session.
pub fn eat(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let people = people();
    for (secure, base) in [(false, "/"), (true, "/"), (true, "/cam/")] {
        let reached = Reached {
            authority: "box.local".into(),
            host: "box.local".into(),
            base: base.into(),
            client: [192, 0, 2, 7].into(),
            secure,
        };
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, value.clone());
        let keys = session_keys(&headers, &reached);
        assert!(keys.len() <= SESSION_COOKIES_MAX);
        for key in &keys {
            assert!(!key.contains(';') && value.to_str().is_ok_and(|text| text.contains(key)));
            assert!(people.access.by_session(key, secure).is_none(), "{key}");
        }
        let others = keys.len();
        let cookie = format!("hf-plain={}", people.session);
        headers.append(header::COOKIE, HeaderValue::from_str(&cookie).unwrap());
        let keys = session_keys(&headers, &reached);
        let found = keys.iter().any(|key| people.access.by_session(key, secure).is_some());
        // A session of plain HTTP is none over TLS; too many cookies of others hide it.
        assert_eq!(found, !secure && others < SESSION_COOKIES_MAX);
    }
}
