//! By which name a request reached the box, and whether its page may change anything.
//!
//! Owns: the checks before every handler. A name that a foreign DNS may point at the box is refused
//! (DNS rebinding), forwarding headers count from trusted proxies only, and a request that a page
//! of another site makes a browser send changes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};

use super::error::ApiError;
use super::peers::Peer;
use super::settings::{HttpSettings, Settings};
use crate::base::limits::{HTTP_BASE_PARTS_MAX, HTTP_HOST_BYTES_MAX};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Where proxies say below which path they serve the box; the first that is there counts.
const PREFIXES: [HeaderName; 2] =
    [HeaderName::from_static("x-ingress-path"), HeaderName::from_static("x-forwarded-prefix")];
/// A header of our own, which a page of another site cannot send without being allowed to.
const CSRF: HeaderName = HeaderName::from_static("x-holdfast-csrf");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Names below these are of the local network: they cannot be registered.
const LOCAL_ZONES: [&str; 4] = ["local", "localhost", "home.arpa", "internal"];

/// How a request reached the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Host and port that the client asked for.
    pub authority: Arc<str>,
    /// The same as the request itself says; a proxy may have put another one there.
    pub host: Arc<str>,
    /// The path below which the client sees the box, with a slash at both ends.
    pub base: Arc<str>,
    /// Where the client is.
    pub client: IpAddr,
    /// Whether the path between the client and the box, or its trusted proxy, is encrypted.
    pub secure: bool,
}

/// Lets a request through whose name is one of the box's, and notes in it how it came.
pub(super) fn admit(settings: &Settings, request: &mut Request) -> Result<(), ApiError> {
    let peer = request.extensions().get::<Arc<Peer>>();
    let peer = peer.map_or((IpAddr::from([0; 4]), false), |peer| (peer.address.ip(), peer.secure));
    let reached = reached(&settings.now(), request, peer)?;
    may_change(request, &reached)?;
    request.extensions_mut().insert(reached);
    Ok(())
}

impl Settings {
    /// Whether the box answers to `text`, a host that may have a port.
    #[must_use]
    pub fn answers_to(&self, text: &str) -> bool {
        authority(text).is_some_and(|authority| is_own(&self.now(), &authority))
    }

    /// How a request for `/` with these headers reaches the box from the address `peer`, over TLS if
    /// `secure`; `None` where it is refused.
    #[must_use]
    pub fn reached(&self, headers: &HeaderMap, peer: IpAddr, secure: bool) -> Option<Reached> {
        let mut request = Request::new(axum::body::Body::empty());
        *request.headers_mut() = headers.clone();
        reached(&self.now(), &request, (peer, secure)).ok()
    }
}

fn is_own(config: &HttpSettings, authority: &str) -> bool {
    config.external_url.as_ref().is_some_and(|url| url.authority == authority)
        || is_allowed(config, host_of(authority))
}

fn reached(
    config: &HttpSettings,
    request: &Request,
    (peer, secure): (IpAddr, bool),
) -> Result<Reached, ApiError> {
    let (headers, peer) = (request.headers(), peer.to_canonical());
    let host = host(request)?;
    if !is_own(config, &host) {
        return Err(foreign(&host));
    }
    let trusts = |ip: IpAddr| config.trusted_proxies.iter().any(|network| network.contains(ip));
    if !trusts(peer) {
        return Ok(Reached {
            authority: Arc::clone(&host),
            base: base(config, &host),
            host,
            client: peer,
            secure,
        });
    }
    let authority = match single(headers, &FORWARDED_HOST) {
        Some(text) => authority(text).ok_or_else(|| foreign(text))?,
        None => Arc::clone(&host),
    };
    if !is_own(config, &authority) {
        return Err(foreign(&authority));
    }
    let prefix = PREFIXES.iter().find_map(|name| single(headers, name));
    let base = prefix.and_then(prefix_base).map_or_else(|| base(config, &authority), Arc::from);
    let secure = secure || single(headers, &FORWARDED_PROTO) == Some("https");
    Ok(Reached { authority, host, base, client: client(headers, peer, trusts), secure })
}

/// The one name that a request asks for.
fn host(request: &Request) -> Result<Arc<str>, ApiError> {
    let wrong = || ApiError::bad_request("A request must name one host in its Host header.");
    if let Some(authority) = request.uri().authority() {
        return self::authority(authority.as_str()).ok_or_else(wrong);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().and_then(authority).ok_or_else(wrong),
        // Programs of before HTTP/1.1 name none; no browser is among them.
        (None, None) if request.version() < Version::HTTP_11 => Ok("localhost".into()),
        _ => Err(wrong()),
    }
}

/// Host and port in lower case, if `text` is that and nothing else.
fn authority(text: &str) -> Option<Arc<str>> {
    let bare = text.len() <= HTTP_HOST_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    let authority: Authority = bare.then(|| text.parse().ok())??;
    let mut authority: Arc<str> = authority.as_str().into();
    if let Some(text) = Arc::get_mut(&mut authority) {
        text.make_ascii_lowercase();
    }
    (!host_of(&authority).is_empty()).then_some(authority)
}

/// The host of an authority, without its port and without the dot that may end a name.
pub(super) fn host_of(authority: &str) -> &str {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority[..end].trim_end_matches('.')
}

/// Whether the box answers to `host`: to an address, which no DNS can point elsewhere; to a name
/// that cannot be registered; and to those that the configuration names.
fn is_allowed(config: &HttpSettings, host: &str) -> bool {
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    let in_zone = |zone: &&str| host.strip_suffix(*zone).is_some_and(|rest| rest.ends_with('.'));
    is_address
        || !host.contains('.')
        || LOCAL_ZONES.iter().any(in_zone)
        || config.hosts.iter().any(|known| known == host)
        || config.external_url.as_ref().is_some_and(|url| host_of(&url.authority) == host)
}

fn foreign(host: &str) -> ApiError {
    // Bounded, because the name is the client's.
    let host: String = host.chars().take(64).collect();
    let message = format!(
        "This box does not answer to the name '{host}'. Use its address, or add the name to \
         `hosts` in [http] of the configuration."
    );
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", message)
}

/// The only value of `name`; of a list that several proxies wrote the first.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    text.split(',').next().map(str::trim).filter(|text| !text.is_empty())
}

/// The path of the external URL, for a request that came by its name.
fn base(config: &HttpSettings, authority: &str) -> Arc<str> {
    let url = config.external_url.as_ref().filter(|url| url.authority == authority);
    url.map_or("/", |url| url.base.as_str()).into()
}

/// The base path that `prefix` names, with a slash at both ends; `None` for what could end up as
/// markup or another host.
#[must_use]
pub fn prefix_base(prefix: &str) -> Option<String> {
    let path = prefix.strip_suffix('/').unwrap_or(prefix);
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let is_plain = |part: &&str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_~-".contains(&byte);
        part.bytes().next().is_some_and(letter)
            && part.bytes().all(|byte| letter(byte) || byte == b'.')
    };
    let plain = parts.len() <= HTTP_BASE_PARTS_MAX && parts.iter().all(is_plain);
    plain.then(|| format!("{path}/"))
}

/// The client behind trusted proxies: the last address that is not one of them.
fn client(headers: &HeaderMap, peer: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let values = headers.get_all(FORWARDED_FOR).iter();
    let list: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for text in list.iter().flat_map(|value| value.split(',')).rev() {
        let Ok(ip) = text.trim().parse::<IpAddr>() else { break };
        client = ip.to_canonical();
        if !trusts(client) {
            break;
        }
    }
    client
}

/// Refuses what changes something and comes from a page of another site. Browsers say where a page
/// comes from; programs say nothing and are let through. A page of the box itself sends a header
/// besides that no form can.
fn may_change(request: &Request, reached: &Reached) -> Result<(), ApiError> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let headers = request.headers();
    let refused = |code, message: &str| Err(ApiError::new(StatusCode::FORBIDDEN, code, message));
    if !is_own_page(headers, reached) {
        return refused("foreign_origin", "Only the box's own page may change something.");
    }
    if headers.contains_key(header::ORIGIN) && !headers.contains_key(CSRF) {
        return refused("csrf_header_missing", "A page must send the header X-Holdfast-CSRF: 1.");
    }
    if headers.get(header::CONTENT_TYPE).is_some_and(is_of_a_form) {
        let message = "The request must say `Content-Type: application/json`.";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
    }
    Ok(())
}

/// Whether a request comes from a page of the box, or from a program that is not a browser.
pub(super) fn is_own_page(headers: &HeaderMap, reached: &Reached) -> bool {
    let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    let Some(origin) = headers.get(header::ORIGIN) else {
        return site.is_none_or(|site| matches!(site, b"same-origin" | b"none"));
    };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let Some((scheme, own)) =
        origin.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)))
    else {
        return false;
    };
    if reached.secure && scheme != "https" {
        return false;
    }
    let port = if scheme == "https" { ":443" } else { ":80" };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    [&reached.authority, &reached.host].into_iter().any(|named| bare(named) == bare(own.as_str()))
}

/// Whether a form can send this type without asking (Fetch standard, "CORS-safelisted").
fn is_of_a_form(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
        .iter()
        .any(|form| kind.eq_ignore_ascii_case(form))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::super::settings::ExternalUrl;
    use super::*;

    const STRANGER: [u8; 4] = [10, 0, 0, 9];
    const PROXY: [u8; 4] = [127, 0, 0, 1];

    fn config() -> HttpSettings {
        let external_url =
            ExternalUrl { authority: "nvr.example:8443".to_owned(), base: "/cam/".to_owned() };
        let hosts = vec!["box.test".to_owned()];
        HttpSettings { hosts, external_url: Some(external_url), ..HttpSettings::default() }
    }

    fn request(method: Method, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn reach(peer: [u8; 4], headers: &[(&str, &str)]) -> Result<Reached, u16> {
        let request = request(Method::GET, headers);
        reached(&config(), &request, (IpAddr::from(peer), false))
            .map_err(|error| error.status.as_u16())
    }

    #[test]
    fn only_names_that_nobody_else_can_point_here_are_answered() {
        for host in [
            "10.0.0.7",
            "10.0.0.7:8080",
            "[fe80::1]:8080",
            "localhost",
            "holdfast",
            "x",
            "box.test",
            "BOX.TEST:80",
            "gate.local",
            "gate.local.",
            "gate.home.arpa",
            "nvr.example:8443",
            "nvr.example",
        ] {
            assert!(reach(STRANGER, &[("host", host)]).is_ok(), "{host}");
        }
        for host in ["evil.example", "local.evil.example", "1.2.3.4.evil.example", "evillocal.com"]
        {
            assert_eq!(reach(STRANGER, &[("host", host)]), Err(421), "{host}");
        }
        for host in ["", "a b", "user@box.test", "box.test/path", "[::1", ":80"] {
            assert_eq!(reach(STRANGER, &[("host", host)]), Err(400), "{host}");
        }
        assert_eq!(reach(STRANGER, &[]), Err(400));
        assert_eq!(reach(STRANGER, &[("host", "x"), ("host", "x")]), Err(400));
    }

    #[test]
    fn forwarding_headers_count_from_trusted_proxies_only() {
        let headers = [
            ("host", "127.0.0.1"),
            ("x-forwarded-host", "nvr.example:8443"),
            ("x-forwarded-prefix", "/video/"),
            ("x-forwarded-for", "192.0.2.1, 203.0.113.5, 127.0.0.2"),
        ];
        let seen = reach(PROXY, &headers).unwrap();
        assert_eq!((&*seen.authority, &*seen.base), ("nvr.example:8443", "/video/"));
        assert_eq!(seen.client, IpAddr::from([203, 0, 113, 5]));
        let seen = reach(STRANGER, &headers).unwrap();
        assert_eq!((&*seen.authority, &*seen.base), ("127.0.0.1", "/"));
        assert_eq!(seen.client, IpAddr::from(STRANGER));
        let host = [("host", "127.0.0.1"), ("x-forwarded-host", "evil.example")];
        assert_eq!(reach(PROXY, &host), Err(421));
        let rebound = [("host", "evil.example"), ("x-forwarded-host", "127.0.0.1")];
        assert_eq!(reach(PROXY, &rebound), Err(421));
        assert_eq!(
            reach(STRANGER, &[("host", "nvr.example:8443")]).unwrap().base.as_ref(),
            "/cam/"
        );
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        for (prefix, base) in [("/cam", "/cam/"), ("/a/b.c/", "/a/b.c/"), ("/~x_-", "/~x_-/")] {
            assert_eq!(prefix_base(prefix).as_deref(), Some(base));
        }
        let long = "/a".repeat(9);
        for wrong in
            ["", "/", "//evil", "cam", "/../x", "/.x", "/a//b", "/\"><script>", "/a b", &long]
        {
            assert_eq!(prefix_base(wrong), None, "{wrong}");
        }
    }

    fn change(headers: &[(&str, &str)]) -> u16 {
        let own = ("host", "box.test:8080");
        let headers: Vec<_> = std::iter::once(own).chain(headers.iter().copied()).collect();
        let request = request(Method::POST, &headers);
        let reached = reached(&config(), &request, (IpAddr::from(STRANGER), false)).unwrap();
        may_change(&request, &reached).map_or_else(|error| error.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let own = ("origin", "http://box.test:8080");
        let header = ("x-holdfast-csrf", "1");
        assert_eq!(change(&[]), 200, "a program");
        assert_eq!(change(&[("content-type", "application/json")]), 200, "a program");
        assert_eq!(change(&[own, header]), 200, "the box's own page");
        assert_eq!(change(&[own]), 403);
        for origin in ["http://evil.example", "http://box.test:9", "null", "box.test:8080"] {
            assert_eq!(change(&[("origin", origin), header]), 403, "{origin}");
        }
        assert_eq!(change(&[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(change(&[("content-type", "text/plain; charset=utf-8")]), 415);
        assert_eq!(change(&[("content-type", "application/x-www-form-urlencoded")]), 415);
    }

    #[test]
    fn a_port_that_goes_without_saying_may_be_said() {
        let reached = |authority: &str| Reached {
            authority: authority.into(),
            host: "127.0.0.1".into(),
            base: "/".into(),
            client: IpAddr::from(STRANGER),
            secure: false,
        };
        let own = |origin: &'static str, authority: &str| {
            let headers =
                HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
            is_own_page(&headers, &reached(authority))
        };
        assert!(own("http://box.test", "box.test:80") && own("https://box.test", "box.test:443"));
        assert!(own("http://127.0.0.1", "box.test") && own("http://Box.test", "box.test"));
        assert!(!own("https://box.test", "box.test:80"));
        let secure = Reached { secure: true, ..reached("box.test") };
        let headers = |origin: &'static str| {
            HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))])
        };
        assert!(is_own_page(&headers("https://box.test"), &secure));
        assert!(
            !is_own_page(&headers("http://box.test"), &secure),
            "a page that anybody may write"
        );
    }
}
