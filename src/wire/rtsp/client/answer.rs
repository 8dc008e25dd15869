//! What a camera's answers say of URLs, sessions and transports.
//!
//! Owns: their reading, with tolerance.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rtsp_types::Url;

use super::ClientTransport;

/// What a session's timeout is when nothing is said (RFC 2326 §12.37).
const TIMEOUT: Duration = Duration::from_secs(60);

/// The id and the timeout of a Session header; `None` when it names none.
pub(super) fn session(value: &str) -> Option<(String, Duration)> {
    let mut parts = value.split(';').map(str::trim);
    let id = parts.next().filter(|id| !id.is_empty())?;
    let timeout = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim_matches(|c: char| !c.is_ascii_digit());
        let secs = value.parse().ok().filter(|secs| *secs > 0)?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| Duration::from_secs(secs))
    });
    Some((id.to_owned(), timeout.unwrap_or(TIMEOUT)))
}

/// What a Transport header answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AnsweredTransport {
    pub(super) interleaved: Option<(u8, u8)>,
    pub(super) server_port: Option<(u16, u16)>,
    pub(super) group: Option<Ipv4Addr>,
    pub(super) port: Option<u16>,
    is_tcp: bool,
    is_multicast: bool,
    is_udp: bool,
}

impl AnsweredTransport {
    /// Reads the value; what is missing or odd says nothing.
    pub(super) fn read(value: &str) -> Self {
        let mut told = Self::default();
        let mut parts = value.split(',').next().unwrap_or_default().split(';').map(str::trim);
        told.is_tcp = parts.next().is_some_and(|name| name.to_ascii_uppercase().ends_with("/TCP"));
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "interleaved" => {
                    let channel = |number| u8::try_from(number).ok();
                    told.interleaved = pair(value).and_then(|(a, b)| channel(a).zip(channel(b)));
                }
                "server_port" => told.server_port = pair(value).filter(|ports| ports.0 > 0),
                "client_port" => told.is_udp = true,
                "destination" => told.group = value.parse().ok(),
                "port" => told.port = pair(value).map(|ports| ports.0),
                "multicast" => told.is_multicast = true,
                _ => {}
            }
        }
        told
    }

    /// Whether the answer fits the request.
    pub(super) fn suits(&self, asked: ClientTransport) -> bool {
        match asked {
            ClientTransport::Tcp => self.is_tcp || self.interleaved.is_some() || !self.is_udp,
            ClientTransport::Udp => !self.is_tcp && !self.is_multicast,
            ClientTransport::Multicast => !self.is_tcp,
        }
    }
}

/// `a-b`, or `a` alone, which means `a` and the one after it.
fn pair(text: &str) -> Option<(u16, u16)> {
    let (first, second) = text.split_once('-').unwrap_or((text, ""));
    let first: u16 = first.trim().parse().ok()?;
    Some((first, second.trim().parse().ok().or_else(|| first.checked_add(1))?))
}

/// The base of control URLs that an answer tells for `url`. Some leave the scheme out.
pub(super) fn base(url: &Url, told: Option<&str>) -> String {
    let told = told.map(|told| told.trim_matches(['"', '<', '>', ' '])).filter(|t| !t.is_empty());
    let Some(told) = told else { return url.to_string() };
    if told.contains("://") {
        return told.to_owned();
    }
    let authority = told.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) { host } else { authority }
    });
    if url.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host)) {
        return format!("{}://{told}", url.scheme());
    }
    url.join(told).unwrap_or_else(|_| url.clone()).into()
}

/// The URL that `control` names below `base`. A control URL is put behind the base rather than
/// resolved: so do cameras, whose bases have queries and no slash at the end.
pub(super) fn control(base: &str, control: Option<&str>) -> String {
    match control.map(str::trim) {
        None | Some("" | "*") => base.to_owned(),
        Some(whole) if whole.contains("://") => whole.to_owned(),
        Some(path) if path.starts_with('/') => match Url::parse(base).map(|url| url.join(path)) {
            Ok(Ok(url)) => url.into(),
            _ => base.to_owned(),
        },
        Some(query) if query.starts_with('?') => format!("{base}{query}"),
        Some(rest) if base.ends_with('/') => format!("{base}{rest}"),
        Some(rest) => format!("{base}/{rest}"),
    }
}

/// The URLs that `told` may mean, the likeliest first: below `base`; simply behind it, if it
/// begins with a slash, as many clients do; then below each of `others`.
pub(super) fn controls(base: &str, others: [&str; 2], told: Option<&str>) -> Vec<String> {
    let mut urls = vec![control(base, told)];
    if let Some(rest) = told.map(str::trim).filter(|told| told.starts_with('/')) {
        urls.push(control(base, Some(rest.trim_start_matches('/'))));
    }
    for other in others {
        urls.push(control(other, told));
    }
    let mut seen: Vec<String> = Vec::new();
    urls.retain(|url| {
        let same = |other: &String| other.trim_end_matches('/') == url.trim_end_matches('/');
        let is_new = !seen.iter().any(same);
        seen.push(url.clone());
        is_new
    });
    urls
}

/// The body behind `chunks` (RFC 9112 §7.1), and, if it is whole, where they end.
pub(super) fn unchunked(chunks: &[u8]) -> (Vec<u8>, Option<usize>) {
    let (mut body, mut rest) = (Vec::new(), chunks);
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]);
        let size = line.split(';').next().unwrap_or_default().trim();
        rest = &rest[end + 1..];
        match usize::from_str_radix(size, 16) {
            Ok(0) => return (body, Some(chunks.len() - rest.len())),
            Ok(size) => {
                let (chunk, behind) = rest.split_at(size.min(rest.len()));
                body.extend_from_slice(chunk);
                rest = behind;
            }
            // The end of the chunk before.
            Err(_) if size.is_empty() => {}
            Err(_) => break,
        }
    }
    (body, None)
}

/// Where a Location leads, if it is on the host of `from`, or at `peer`, the address of that
/// host; else what to tell: host and port, with the scheme if that is another.
pub(super) fn location(
    from: &Url,
    location: &str,
    peer: Option<IpAddr>,
) -> Result<Url, Option<String>> {
    let mut to = from.join(location.trim()).map_err(|_| None)?;
    let (Some(old), Some(new)) = (from.host_str(), to.host_str()) else { return Err(None) };
    let at = new.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let same = old.eq_ignore_ascii_case(new) || at.is_some() && at == peer;
    if to.scheme() != from.scheme() || !same {
        let port = to.port().map(|port| format!(":{port}")).unwrap_or_default();
        let other = (to.scheme() != from.scheme()).then(|| format!("{}://", to.scheme()));
        return Err(Some(format!("{}{new}{port}", other.unwrap_or_default())));
    }
    // These fail only for URLs without a host.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_urls_are_put_behind_the_base() {
        for (base, told, wanted) in [
            ("rtsp://h/a/", Some("track1"), "rtsp://h/a/track1"),
            ("rtsp://h/a", Some("track1"), "rtsp://h/a/track1"),
            ("rtsp://h/a?ch=1", Some("track1"), "rtsp://h/a?ch=1/track1"),
            ("rtsp://h/a/", Some("*"), "rtsp://h/a/"),
            ("rtsp://h/a", None, "rtsp://h/a"),
            ("rtsp://h/a/", Some("rtsp://10.0.0.7/b"), "rtsp://10.0.0.7/b"),
            ("rtsp://h:99/a/", Some("/b/c"), "rtsp://h:99/b/c"),
            ("rtsp://[fe80::7]:99/a/", Some("t=1"), "rtsp://[fe80::7]:99/a/t=1"),
            ("rtsp://h/a", Some("?ctype=video"), "rtsp://h/a?ctype=video"),
        ] {
            assert_eq!(control(base, told), wanted);
        }
    }

    #[test]
    fn a_control_url_that_may_mean_several_is_tried_so() {
        let tried = |base, told| controls(base, ["rtsp://h/a/", "rtsp://h/a"], told).join(" ");
        assert_eq!(tried("rtsp://h/a/", Some("t")), "rtsp://h/a/t");
        assert_eq!(tried("rtsp://h/a/", Some("/t")), "rtsp://h/t rtsp://h/a/t");
        assert_eq!(tried("rtsp://10.0.0.7/b/", Some("t")), "rtsp://10.0.0.7/b/t rtsp://h/a/t");
        assert_eq!(tried("rtsp://h/a/", Some("rtsp://x/t")), "rtsp://x/t");
        assert_eq!(tried("rtsp://h/a", None), "rtsp://h/a");
    }

    #[test]
    fn a_base_may_lack_its_scheme_or_be_a_path() {
        let url = Url::parse("rtsp://10.0.0.7:554/main").unwrap();
        for (told, wanted) in [
            (None, "rtsp://10.0.0.7:554/main"),
            (Some(" "), "rtsp://10.0.0.7:554/main"),
            (Some("10.0.0.7:554/stream0/"), "rtsp://10.0.0.7:554/stream0/"),
            (Some("10.0.0.7/stream0"), "rtsp://10.0.0.7/stream0"),
            (Some("/other/"), "rtsp://10.0.0.7:554/other/"),
            (Some("main/"), "rtsp://10.0.0.7:554/main/"),
            (Some("\"rtsp://10.0.0.7/q/\""), "rtsp://10.0.0.7/q/"),
        ] {
            assert_eq!(base(&url, told), wanted, "{told:?}");
        }
    }

    #[test]
    fn chunks_are_put_together_as_far_as_they_go() {
        let chunks = b"5\r\nv=0\r\n\r\n3;x=y\r\nm=x\r\n0\r\n";
        assert_eq!(unchunked(chunks), (b"v=0\r\nm=x".to_vec(), Some(chunks.len())));
        assert_eq!(unchunked(&[chunks, &b"\r\nRTSP/1.0"[..]].concat()).1, Some(chunks.len()));
        assert_eq!(unchunked(b"A\r\nv=0"), (b"v=0".to_vec(), None));
        assert_eq!(unchunked(b"ffffffffffffffffff\r\nv"), (Vec::new(), None));
    }

    #[test]
    fn locations_are_followed_on_the_same_host_only() {
        let from = Url::parse("rtsp://10.0.0.7:554/main").unwrap();
        let peer = Some(IpAddr::from([10, 0, 0, 8]));
        let to = |text: &str| location(&from, text, peer).map(String::from);
        assert_eq!(to("rtsp://10.0.0.7:8554/x"), Ok("rtsp://10.0.0.7:8554/x".to_owned()));
        assert_eq!(to("/x"), Ok("rtsp://10.0.0.7:554/x".to_owned()));
        assert_eq!(to("rtsp://u:secret@evil:99/x?pw=1"), Err(Some("evil:99".to_owned())));
        assert_eq!(to("http://10.0.0.7/x"), Err(Some("http://10.0.0.7".to_owned())));
        assert_eq!(to("rtsp://10.0.0.8/x"), Ok("rtsp://10.0.0.8/x".to_owned()), "its address");
        assert_eq!(to("rtsps://10.0.0.8/x"), Err(Some("rtsps://10.0.0.8".to_owned())));
        assert_eq!(to("rtsp://[x"), Err(None));
    }

    #[test]
    fn sloppy_answers_are_read() {
        assert_eq!(session("7;timeout=12"), Some(("7".to_owned(), Duration::from_secs(12))));
        assert_eq!(session(" 7 ; Timeout = x"), Some(("7".to_owned(), TIMEOUT)));
        assert_eq!(session("7;timeout=\"12\""), Some(("7".to_owned(), Duration::from_secs(12))));
        assert_eq!(session("7;timeout=12s"), Some(("7".to_owned(), Duration::from_secs(12))));
        assert_eq!(session(" ;timeout=5"), None);
        let told = AnsweredTransport::read("RTP/AVP/TCP;unicast;interleaved=4");
        assert_eq!(told.interleaved, Some((4, 5)));
        assert!(told.suits(ClientTransport::Tcp) && !told.suits(ClientTransport::Udp));
        let told = AnsweredTransport::read("RTP/AVP;unicast;client_port=5000-5001;server_port=0-1");
        assert_eq!(told.server_port, None);
        assert!(told.suits(ClientTransport::Udp) && !told.suits(ClientTransport::Tcp));
        assert!(AnsweredTransport::read("").suits(ClientTransport::Tcp));
    }
}
