//! RTSP inside HTTP as a client: a GET brings what the camera says, a POST carries what we say.
//!
//! Owns: both heads, the log-in of HTTP and the base64 of the uplink. Does not own: connections; the
//! driver opens one for each half, and another POST where the camera closed the last one.
//!
//! Both halves name the same `x-sessioncookie`. The answer to the GET never ends; the POST gets none
//! that matters, and its Content-Length is the number that all clients name and none keeps to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rtsp_types::Url;

use super::request::{USER_AGENT, sayable, unguessable};
use crate::base::limits::{RTSP_HEAD_BYTES_MAX, RTSP_HEADERS_MAX};
use crate::base::secret::Secret;
use crate::wire::rtsp::auth::Challenge;
use crate::wire::rtsp::frame::values;

/// Times that the GET is sent with credentials: once, and again after a nonce that was too old.
const LOGINS_MAX: u32 = 3;

/// The two halves of a tunnel to one camera.
#[derive(Debug)]
pub struct HttpTunnel {
    /// Path and query.
    target: String,
    host: String,
    cookie: String,
    credentials: Option<(String, Secret)>,
    challenge: Option<Challenge>,
    /// Times that the nonce of the challenge was used.
    uses: u32,
    logins: u32,
    seed: u64,
    /// What has come of the answer to the GET.
    head: Vec<u8>,
}

/// What the answer to a GET means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelAnswer {
    /// Too little of it has come.
    Unclear,
    /// The tunnel is open; these first bytes belong to RTSP.
    Open(Bytes),
    /// Connect anew and send another GET, which has the credentials that the camera asks for.
    AskAgain,
}

/// Why there is no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelRefusal {
    /// 401, and no credentials are configured.
    CredentialsMissing,
    /// 401 in spite of credentials.
    CredentialsRefused,
    /// The camera wants credentials in a way that is unknown here.
    UnknownAuthentication,
    /// It refuses with this status.
    Status(u16),
    /// The answer is not HTTP, or longer than one may be.
    NotHttp,
}

impl HttpTunnel {
    /// A tunnel to the camera of `url`. `seed` must not be guessable.
    #[must_use]
    pub fn new(url: &Url, credentials: Option<(String, Secret)>, seed: u64) -> Self {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = if url.path().is_empty() { "/" } else { url.path() };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        // Servers keep 23 characters of it and no more.
        let mut cookie = unguessable(seed, 0) + &unguessable(seed, 1);
        cookie.truncate(22);
        Self {
            target: sayable(&format!("{path}{query}")).into_owned(),
            host: format!("{}{port}", url.host_str().unwrap_or_default()),
            cookie,
            credentials,
            challenge: None,
            uses: 0,
            logins: 0,
            seed,
            head: Vec::new(),
        }
    }

    /// The request for the half that brings media. Its answer goes to [`receive`](Self::receive).
    pub fn get(&mut self) -> Bytes {
        self.head.clear();
        self.request("GET", "Accept: application/x-rtsp-tunnelled\r\n")
    }

    /// The head of the half that carries our requests, for a connection of its own.
    pub fn post(&mut self) -> Bytes {
        let more = "Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n\
                    Expires: Sun, 9 Jan 1972 00:00:00 GMT\r\n";
        self.request("POST", more)
    }

    /// What we say, as the POST carries it: each piece is padded by itself.
    #[must_use]
    pub fn encode(bytes: &[u8]) -> Bytes {
        STANDARD.encode(bytes).into()
    }

    fn request(&mut self, method: &str, more: &str) -> Bytes {
        let Self { target, host, cookie, .. } = &*self;
        let head = format!(
            "{method} {target} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n\
             x-sessioncookie: {cookie}\r\n{more}Pragma: no-cache\r\nCache-Control: no-cache\r\n"
        );
        let login = self.authorization(method).map(|value| format!("Authorization: {value}\r\n"));
        Bytes::from(head + &login.unwrap_or_default() + "\r\n")
    }

    fn authorization(&mut self, method: &str) -> Option<String> {
        let (username, password) = self.credentials.as_ref()?;
        let challenge = self.challenge.as_ref()?;
        self.uses += 1;
        let cnonce = unguessable(self.seed, 2 + self.uses);
        let subject = (method, self.target.as_str());
        Some(challenge.answer((username, password), subject, (self.uses, &cnonce)))
    }

    /// Takes what came of the answer to the GET.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<TunnelAnswer, TunnelRefusal> {
        self.head.extend_from_slice(bytes);
        let window = &self.head[..self.head.len().min(RTSP_HEAD_BYTES_MAX)];
        let starts = window.len().min(5);
        if !window[..starts].eq_ignore_ascii_case(&b"HTTP/"[..starts]) {
            return Err(TunnelRefusal::NotHttp);
        }
        let end = (0..window.len()).find_map(|at| match &window[at..] {
            [b'\n', b'\n', ..] => Some(at + 2),
            [b'\n', b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        });
        let Some(end) = end else {
            let is_full = window.len() == RTSP_HEAD_BYTES_MAX;
            return if is_full { Err(TunnelRefusal::NotHttp) } else { Ok(TunnelAnswer::Unclear) };
        };
        let whole = std::mem::take(&mut self.head);
        match status(&whole[..end]).ok_or(TunnelRefusal::NotHttp)? {
            200..=299 => Ok(TunnelAnswer::Open(Bytes::from(whole).slice(end..))),
            401 => self.challenged(&whole[..end]),
            status => Err(TunnelRefusal::Status(status)),
        }
    }

    fn challenged(&mut self, head: &[u8]) -> Result<TunnelAnswer, TunnelRefusal> {
        if self.credentials.is_none() {
            return Err(TunnelRefusal::CredentialsMissing);
        }
        let offers: Vec<String> = values(lines(head), "www-authenticate")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        let challenge = Challenge::best(offers.iter().map(String::as_str))
            .ok_or(TunnelRefusal::UnknownAuthentication)?;
        let is_other =
            self.challenge.as_ref().is_none_or(|answered| challenge.may_follow(answered));
        if self.logins > 0 && !(is_other && self.logins < LOGINS_MAX) {
            return Err(TunnelRefusal::CredentialsRefused);
        }
        self.logins += 1;
        (self.challenge, self.uses) = (Some(challenge), 0);
        Ok(TunnelAnswer::AskAgain)
    }
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end).take(RTSP_HEADERS_MAX)
}

fn status(head: &[u8]) -> Option<u16> {
    let start = std::str::from_utf8(lines(head).next()?).ok()?;
    start.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtsp::tunnel::{self, Half, Opening, Uplink};

    fn client(credentials: bool) -> HttpTunnel {
        let url = Url::parse("rtsp://10.0.0.7:8080/main?ch=1").unwrap();
        let credentials = credentials.then(|| ("u".to_owned(), Secret::new("p")));
        HttpTunnel::new(&url, credentials, 7)
    }

    /// Which half our own server takes a head for, and its cookie.
    fn seen(head: &Bytes) -> (Half, String) {
        match tunnel::look(head) {
            Opening::Tunnel(ask) => {
                assert_eq!(ask.head_bytes, head.len());
                (ask.half, ask.cookie)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn our_server_joins_both_halves_of_our_client() {
        let mut client = client(false);
        let (get, post) = (client.get(), client.post());
        assert!(get.starts_with(b"GET /main?ch=1 HTTP/1.0\r\nHost: 10.0.0.7:8080\r\n"));
        let (down, up) = (seen(&get), seen(&post));
        assert_eq!((down.0, up.0), (Half::Down, Half::Up));
        assert_eq!(down.1, up.1);
        assert_eq!(down.1.len(), 22);
        let welcome = [&tunnel::welcome()[..], b"RTSP/1.0"].concat();
        let (first, rest) = welcome.split_at(30);
        assert_eq!(client.receive(first), Ok(TunnelAnswer::Unclear));
        assert_eq!(client.receive(rest), Ok(TunnelAnswer::Open(Bytes::from_static(b"RTSP/1.0"))));
        let (mut uplink, mut out) = (Uplink::default(), [0; 64]);
        let said = [HttpTunnel::encode(b"OPTIONS"), HttpTunnel::encode(b" *")].concat();
        let bytes = uplink.decode(&said, &mut out).unwrap();
        assert_eq!(&out[..bytes], b"OPTIONS *");
    }

    #[test]
    fn http_asks_for_the_password_once() {
        let mut client = client(true);
        assert!(!String::from_utf8_lossy(&client.get()).contains("Authorization"));
        let asks = |more: &str| {
            format!(
                "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Digest realm=r, nonce=n{more}\n\n"
            )
        };
        assert_eq!(client.receive(asks("").as_bytes()), Ok(TunnelAnswer::AskAgain));
        let get = String::from_utf8_lossy(&client.get()).into_owned();
        assert!(get.contains("\r\nAuthorization: Digest username=\"u\", realm=\"r\""), "{get}");
        assert!(get.contains("uri=\"/main?ch=1\""), "{get}");
        assert_eq!(client.receive(asks(", stale=true").as_bytes()), Ok(TunnelAnswer::AskAgain));
        client.get();
        assert_eq!(client.receive(asks("").as_bytes()), Err(TunnelRefusal::CredentialsRefused));
    }

    #[test]
    fn what_opens_no_tunnel_says_why() {
        for (answer, why) in [
            ("HTTP/1.0 404 Not Found\n\n", TunnelRefusal::Status(404)),
            ("HTTP/1.1 401 Unauthorized\n\n", TunnelRefusal::CredentialsMissing),
            ("RTSP/1.0 400 Bad Request\n\n", TunnelRefusal::NotHttp),
            ("HTTP/1.0\n\n", TunnelRefusal::NotHttp),
            (&("HTTP/1.0 200 OK\nX: ".to_owned() + &"x".repeat(20_000)), TunnelRefusal::NotHttp),
        ] {
            assert_eq!(client(false).receive(answer.as_bytes()), Err(why), "{answer:.40}");
        }
        let unknown = "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Negotiate\n\n";
        let why = Err(TunnelRefusal::UnknownAuthentication);
        assert_eq!(client(true).receive(unknown.as_bytes()), why);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic_and_pieces_change_nothing(bytes: Vec<u8>, cut: usize, http: bool) {
            let start: &[u8] = if http { b"HTTP/1.0 2" } else { b"" };
            let whole = [start, &bytes, b"\r\n\r\nrest"].concat();
            let (first, second) = whole.split_at(cut % (whole.len() + 1));
            let at_once = client(true).receive(&whole);
            let mut pieces = client(true);
            match pieces.receive(first) {
                Ok(TunnelAnswer::Unclear) => {
                    proptest::prop_assert_eq!(pieces.receive(second), at_once);
                }
                Ok(TunnelAnswer::Open(rest)) => {
                    let rest = [&rest[..], second].concat();
                    proptest::prop_assert_eq!(Ok(TunnelAnswer::Open(rest.into())), at_once);
                }
                other => proptest::prop_assert_eq!(other, at_once),
            }
        }
    }
}
