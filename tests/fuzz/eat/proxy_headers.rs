//! Headers that a reverse proxy adds, from one that is trusted and from anybody.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use holdfast::serve::http::{HttpSettings, Network, Settings};

/// Feeds one input: lines `Name: value`.
pub fn eat(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let settings = Settings::default();
    let trusted_proxies = vec![Network::parse("10.0.0.0/8").unwrap()];
    settings.change(HttpSettings { trusted_proxies, ..HttpSettings::default() });
    for secure in [false, true] {
        let stranger = IpAddr::from([192, 0, 2, 7]);
        if let Some(reached) = settings.reached(&headers, stranger, secure) {
            // Nothing that a stranger claims is believed.
            assert_eq!((reached.client, reached.secure), (stranger, secure));
            assert_eq!((&*reached.base, &reached.authority), ("/", &reached.host));
        }
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let Some(reached) = settings.reached(&headers, proxy, secure) else { continue };
        assert!(reached.secure || !secure, "encryption is not taken back");
        let base = &reached.base;
        assert!(base.starts_with('/') && base.ends_with('/') && !base.contains("//"), "{base}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_~.-".contains(&byte);
        assert!(base.bytes().all(plain), "{base}");
        assert!(settings.answers_to(&reached.authority), "{}", reached.authority);
        let named = |value: &HeaderValue| {
            let text = value.to_str().unwrap_or_default();
            text.split(',').any(|part| {
                let ip = part.trim().parse::<IpAddr>();
                ip.is_ok_and(|ip| ip.to_canonical() == reached.client)
            })
        };
        let is_named = headers.get_all("x-forwarded-for").iter().any(named);
        assert!(reached.client == proxy || is_named, "{}", reached.client);
    }
}
