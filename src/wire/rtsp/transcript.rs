//! The messages of a connection, kept to find out why a client fails.
//!
//! Owns: the last messages, bounded, without secrets and without bodies of the peer; and whether
//! the client fails.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use rtsp_types::{Request, headers};

use super::auth;
use crate::base::limits::{
    RTSP_TRANSCRIPT_BYTES_MAX, RTSP_TRANSCRIPT_MESSAGE_BYTES_MAX, RTSP_USER_AGENT_BYTES_MAX,
};

/// Parts of names of URL parameters whose values are secret.
const SECRET_PARTS: [&str; 6] = ["pass", "pwd", "token", "secret", "auth", "key"];

/// A client that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status line of the last refusal, or why the connection was ended.
    pub reason: String,
    /// The last messages, one line each of their heads.
    pub transcript: String,
}

/// The last messages of a connection.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    messages: VecDeque<String>,
    bytes: usize,
    left_out: u64,
    /// What the peer calls its program.
    pub(super) agent: Option<String>,
    /// Whether the last request showed credentials: without, a 401 is the ordinary beginning.
    credentials: bool,
    /// Media has flowed: then a refusal was one that the client could live with.
    pub(super) flowed: bool,
    reason: Option<String>,
    /// The reason was not reported yet.
    fresh: bool,
}

impl Transcript {
    /// The peer sent `request`.
    pub(super) fn heard(&mut self, at: Duration, request: &Request<Vec<u8>>) {
        self.credentials = request.header(&headers::AUTHORIZATION).is_some();
        if let Some(agent) = request.header(&headers::USER_AGENT) {
            let agent = without_secrets(agent.as_str());
            self.agent = Some(cut(&agent, RTSP_USER_AGENT_BYTES_MAX).to_owned());
        }
        let method: &str = request.method().into();
        let url = request.request_uri().map_or("*", |url| url.as_str());
        let mut text = format!("{method} {} RTSP/1.0", without_secrets(url));
        for (name, value) in request.headers() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{}: {}", name.as_str(), masked(name.as_str(), value.as_str()));
        }
        if !request.body().is_empty() {
            let _ = write!(text, "\n({} bytes)", request.body().len());
        }
        self.add(at, '>', &text);
    }

    /// The peer sent what is not a request.
    pub(super) fn puzzled(&mut self, at: Duration) {
        self.credentials = false;
        self.add(at, '>', "(what cannot be read)");
    }

    /// The peer got `reply`.
    pub(super) fn said(&mut self, at: Duration, reply: &[u8]) {
        let text = String::from_utf8_lossy(reply);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut shown = Vec::new();
        for (line, header) in head.lines().map(|line| (line, line.split_once(": "))) {
            shown.push(match header {
                Some((name, value)) => format!("{name}: {}", masked(name, value)),
                None => line.to_owned(),
            });
        }
        if head.contains("text/plain") {
            shown.push(body.trim().to_owned());
        } else if !body.is_empty() {
            shown.push(format!("({} bytes)", body.len()));
        }
        self.add(at, '<', &shown.join("\n"));
        let status = head.lines().next().unwrap_or_default();
        let refused = status.get(9..10).is_some_and(|class| class == "4" || class == "5");
        let challenge =
            status.contains(" 401 ") && !self.credentials || head.contains("stale=true");
        if refused && !challenge && !self.flowed {
            let text = if head.contains("text/plain") { body.trim() } else { "" };
            let status = status.trim_start_matches("RTSP/1.0 ");
            let colon = if text.is_empty() { "" } else { ": " };
            self.fail(format!("{status}{colon}{text}"));
        }
    }

    /// We end the connection because the client did something wrong.
    pub(super) fn ended(&mut self, at: Duration, reason: &str) {
        self.add(at, '<', &format!("(connection ended: {reason})"));
        self.fail(reason.to_owned());
    }

    fn fail(&mut self, reason: String) {
        self.reason = Some(reason);
        self.fresh = true;
    }

    fn add(&mut self, at: Duration, direction: char, text: &str) {
        let text = cut(text, RTSP_TRANSCRIPT_MESSAGE_BYTES_MAX);
        let mut message = format!("{:9.3} {direction} ", at.as_secs_f64());
        message.push_str(&text.replace('\n', "\n            "));
        message.push('\n');
        self.bytes += message.len();
        self.messages.push_back(message);
        while self.bytes > RTSP_TRANSCRIPT_BYTES_MAX {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    /// Reports that the client fails, once each time.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        let reason = self.reason.clone()?;
        let mut transcript = String::new();
        if self.left_out > 0 {
            let _ = writeln!(transcript, "({} earlier messages are left out)", self.left_out);
        }
        transcript.extend(self.messages.iter().map(String::as_str));
        Some(Failure { reason, transcript })
    }
}

/// At most `bytes_max` of `text`.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The value of the header `name` without secrets.
fn masked(name: &str, value: &str) -> String {
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    let value = if is(&["authorization", "www-authenticate", "proxy-authorization"]) {
        auth::masked(value)
    } else if is(&["cookie", "set-cookie", "x-sessioncookie"]) {
        "***".to_owned()
    } else {
        value.to_owned()
    };
    without_secrets(&value).replace(['\r', '\n'], " ")
}

/// `text` with the user info and the secret parameters of every URL in it replaced.
fn without_secrets(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find([' ', '\t', '"', '<', '>', '\n']).unwrap_or(after.len());
        let (url, others) = after.split_at(end);
        // People put `/`, `@` and `#` into passwords, so the last `@` counts.
        let place = url.rsplit_once('@').map_or(url, |(_, place)| place);
        let stars = if place.len() < url.len() { "***@" } else { "" };
        out.extend([before, "://", stars, &without_parameters(place)]);
        rest = others;
    }
    out + &without_parameters(rest)
}

/// `text` with the values of URL parameters replaced whose names sound secret.
fn without_parameters(text: &str) -> String {
    let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if sounds_secret(name) => format!("{name}=***"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use rtsp_types::Message;

    use super::*;

    fn request(text: &str) -> Request<Vec<u8>> {
        match Message::parse(text).unwrap() {
            (Message::Request(request), _) => request,
            other => panic!("{other:?}"),
        }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const REFUSED: &[u8] = b"RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest \
        realm=\"holdfast\", nonce=\"cafe\", qop=\"auth\"\r\n\r\n";

    #[test]
    fn a_failure_is_told_with_what_was_said_and_without_secrets() {
        let mut transcript = Transcript::default();
        transcript.heard(
            at(0),
            &request(
                "DESCRIBE rtsp://anna:mule@donkey@h/gate?channel=1&Password=hush RTSP/1.0\r\nCSeq: 1\r\n\
             User-Agent: probe rtsp://u:p@h\r\n\r\n",
            ),
        );
        transcript.said(at(1), REFUSED);
        assert_eq!(transcript.take_failure(), None, "the ordinary beginning");
        transcript.heard(at(1_500), &request(
            "DESCRIBE rtsp://h/gate RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Digest username=\"anna\", \
             realm=\"holdfast\", nonce=\"cafe\", uri=\"rtsp://u:p@h/gate\", response=\"f00d\", \
             cnonce=\"beef\"\r\nX-SessionCookie: 1234\r\nContent-Length: 2\r\n\r\nhi",
        ));
        transcript.said(at(1_501), REFUSED);
        let failure = transcript.take_failure().unwrap();
        assert_eq!(failure.reason, "401 Unauthorized");
        for secret in ["mule", "donkey", "hush", "cafe", "f00d", "beef", "u:p", "1234", "hi\n"] {
            assert!(!failure.transcript.contains(secret), "{secret} in {}", failure.transcript);
        }
        for public in [
            "    0.000 > DESCRIBE rtsp://***@h/gate?channel=1&Password=*** RTSP/1.0\n",
            "username=\"anna\"",
            "uri=\"rtsp://***@h/gate\"",
            "nonce=\"***\"",
            "    1.501 < RTSP/1.0 401 Unauthorized\n",
            "(2 bytes)",
        ] {
            assert!(failure.transcript.contains(public), "{public} in {}", failure.transcript);
        }
        assert_eq!(transcript.take_failure(), None, "told once");
        assert_eq!(transcript.agent.as_deref(), Some("probe rtsp://***@h"));
    }

    #[test]
    fn a_refusal_that_a_client_lives_with_is_no_failure() {
        let mut transcript = Transcript { flowed: true, ..Transcript::default() };
        transcript.said(at(0), b"RTSP/1.0 451 Parameter Not Understood\r\n\r\n");
        assert_eq!(transcript.take_failure(), None);
        transcript.ended(at(1), "the session timed out");
        assert_eq!(transcript.take_failure().unwrap().reason, "the session timed out");
    }

    #[test]
    fn the_reason_holds_our_words() {
        let mut transcript = Transcript::default();
        transcript.puzzled(at(0));
        transcript.said(
            at(0),
            b"RTSP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nthere is no such stream\r\n",
        );
        let failure = transcript.take_failure().unwrap();
        assert_eq!(failure.reason, "404 Not Found: there is no such stream");
    }

    #[test]
    fn other_headers_that_hold_secrets_are_masked() {
        for (name, value, wanted) in [
            ("Authorization", "Basic YTpi", "Basic ***"),
            ("authorization", "Bearer xyz", "? ***"),
            ("Authorization", "secret", "? ***"),
            ("Authorization", "Digest response=\"open", "Digest ***"),
            ("WWW-Authenticate", "Basic realm=\"holdfast\"", "Basic realm=\"holdfast\""),
            ("Cookie", "a=b", "***"),
            ("Location", "rtsp://u:p@h/x", "rtsp://***@h/x"),
        ] {
            assert_eq!(masked(name, value), wanted);
        }
    }

    proptest::proptest! {
        #[test]
        fn it_stays_bounded_whatever_comes(
            texts in proptest::collection::vec(("[aü\\n]", 0..4_000_usize), 0..20)
        ) {
            let mut transcript = Transcript::default();
            for (letter, count) in texts {
                transcript.ended(at(1), &letter.repeat(count));
            }
            let bytes: usize = transcript.messages.iter().map(String::len).sum();
            assert!(bytes <= RTSP_TRANSCRIPT_BYTES_MAX && bytes == transcript.bytes);
        }

        #[test]
        fn no_password_in_a_url_survives(password in "[a-z/@#:?&=]{0,10}q0q[a-z/@#:]{0,10}") {
            let told = without_secrets(&format!("see rtsp://anna:{password}@box/gate twice"));
            assert!(!told.contains("q0q"), "{told}");
        }
    }
}
