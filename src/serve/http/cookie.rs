//! Cookies: which name a session's has on which scheme, and what is written around it.
//!
//! Owns: the names. A browser takes a name that begins with `__Host-` from the host itself and over
//! TLS only, so that no page on another port or scheme can replace it (RFC 6265bis §4.1.3).

use axum::http::{HeaderMap, HeaderValue, header};

use super::origin::Reached;
use crate::base::limits::SESSION_COOKIES_MAX;

const PLAIN: &str = "hf-plain";
const SECURE: &str = "__Host-hf";
/// `__Host-` demands the path "/", which below a proxy's path belongs to another site.
const SECURE_BELOW: &str = "__Secure-hf";

/// The ticket of a player, which is not a browser and does not honour the prefix.
pub(super) const MEDIA: &str = "hf-media";

/// What the session's cookie is called for a client that came as `reached` says.
pub(super) fn session_name(reached: &Reached) -> &'static str {
    match (reached.secure, &*reached.base) {
        (false, _) => PLAIN,
        (true, "/") => SECURE,
        (true, _) => SECURE_BELOW,
    }
}

/// `Set-Cookie` with a session's key; an empty key takes the cookie away.
pub(super) fn session(reached: &Reached, key: &str) -> Option<HeaderValue> {
    let name = session_name(reached);
    let path = &reached.base;
    let secure = if reached.secure { "; Secure" } else { "" };
    let gone = if key.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{name}={key}; Path={path}; HttpOnly; SameSite=Strict{secure}{gone}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The keys of sessions that a request shows; of those of other boxes under this name, a few.
pub fn session_keys<'a>(headers: &'a HeaderMap, reached: &Reached) -> Vec<&'a str> {
    values(headers, session_name(reached)).take(SESSION_COOKIES_MAX).collect()
}

/// `Set-Cookie` with a player's ticket for everything below `path`.
pub(super) fn media(reached: &Reached, ticket: &str, path: &str, secs: u64) -> Option<HeaderValue> {
    let path = format!("{}{}", reached.base, path.trim_start_matches('/'));
    let secure = if reached.secure { "; Secure" } else { "" };
    let text =
        format!("{MEDIA}={ticket}; Path={path}; Max-Age={secs}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Every value of the cookie `name` (RFC 6265 §5.4): several may come, of several paths.
pub(super) fn values<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(secure: bool, base: &str) -> Reached {
        Reached {
            authority: "box.local".into(),
            host: "box.local".into(),
            base: base.into(),
            client: [127, 0, 0, 1].into(),
            secure,
        }
    }

    #[test]
    fn each_scheme_has_a_cookie_of_its_own() {
        let told = |secure, base| {
            let value = session(&reached(secure, base), "key").unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(told(false, "/"), "hf-plain=key; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(told(true, "/"), "__Host-hf=key; Path=/; HttpOnly; SameSite=Strict; Secure");
        let below = told(true, "/cam/");
        assert_eq!(below, "__Secure-hf=key; Path=/cam/; HttpOnly; SameSite=Strict; Secure");
        let gone = session(&reached(false, "/"), "").unwrap();
        assert!(gone.to_str().unwrap().ends_with("Max-Age=0") && gone.is_sensitive());
    }

    #[test]
    fn every_value_of_a_name_is_found_and_no_other() {
        let mut headers = HeaderMap::new();
        for value in ["a=1; hf-plain=one;hf-plain=two", "xhf-plain=no; hf-plain=three", "hf-plain"]
        {
            headers.append(header::COOKIE, HeaderValue::from_static(value));
        }
        let found: Vec<_> = values(&headers, PLAIN).collect();
        assert_eq!(found, ["one", "two", "three"]);
    }

    proptest::proptest! {
        #[test]
        fn no_cookie_header_makes_reading_panic(text: String) {
            if let Ok(value) = HeaderValue::from_str(&text) {
                let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
                let _ = values(&headers, PLAIN).count();
            }
        }
    }
}
