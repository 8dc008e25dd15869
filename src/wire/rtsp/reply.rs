//! One reply: status, headers, body.
//!
//! Owns: what every reply carries: CSeq, Server, Date (RFC 2326 §12).

use bytes::Bytes;
use rtsp_types::{HeaderName, Response, ResponseBuilder, StatusCode, Version, headers};

use crate::base::time::WallTime;

/// The name in every reply; no version, which would only tell an attacker what to try.
const SERVER: &str = "Holdfast";

/// What is answered to "what can you do".
pub(super) const PUBLIC: &str = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, \
    TEARDOWN, GET_PARAMETER, SET_PARAMETER";

/// A reply that still lacks what every reply carries.
#[derive(Debug)]
pub(super) struct Reply {
    builder: ResponseBuilder,
    body: Vec<u8>,
    challenges: Vec<String>,
}

impl Reply {
    /// A reply without body.
    pub(super) fn new(status: StatusCode) -> Self {
        let builder = Response::builder(Version::V1_0, status);
        Self { builder, body: Vec::new(), challenges: Vec::new() }
    }

    /// 200.
    pub(super) fn ok() -> Self {
        // rtsp-types would say "Ok"; some readers compare letters.
        let builder = Response::builder(Version::V1_0, StatusCode::Ok).reason_phrase("OK");
        Self { builder, ..Self::new(StatusCode::Ok) }
    }

    /// A refusal whose reason is in the body, for a person reading a trace.
    pub(super) fn refuse(status: StatusCode, text: &str) -> Self {
        Self::new(status).body("text/plain", format!("{text}\r\n").into_bytes())
    }

    /// Adds a header.
    pub(super) fn header(self, name: HeaderName, value: impl Into<String>) -> Self {
        Self { builder: self.builder.header(name, value.into()), ..self }
    }

    /// Sets the body.
    pub(super) fn body(self, kind: &str, body: Vec<u8>) -> Self {
        Self { body, ..self.header(headers::CONTENT_TYPE, kind) }
    }

    /// Adds a WWW-Authenticate header. Each is on a line of its own: of a list in one line
    /// some players understand nothing.
    pub(super) fn challenge(mut self, value: String) -> Self {
        self.challenges.push(value);
        self
    }

    /// The bytes of the reply to request `cseq`, sent at `date`.
    pub(super) fn write(self, cseq: Option<&str>, date: WallTime) -> Bytes {
        let mut reply = self.header(headers::SERVER, SERVER);
        if let Some(cseq) = cseq {
            reply = reply.header(headers::CSEQ, cseq);
        }
        if let Some(date) = http_date(date) {
            reply = reply.header(headers::DATE, date);
        }
        let mut out = Vec::new();
        reply.builder.build(reply.body).write(&mut out).expect("writing to memory does not fail");
        let headers = out.windows(2).position(|at| at == b"\r\n").map_or(out.len(), |at| at + 2);
        let mut lines = String::new();
        for value in &reply.challenges {
            lines.extend(["WWW-Authenticate: ", value, "\r\n"]);
        }
        out.splice(headers..headers, lines.into_bytes());
        out.into()
    }
}

/// An RFC 1123 date, `Sun, 22 Nov 2026 17:25:23 GMT`.
fn http_date(at: WallTime) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
    Some(at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}
